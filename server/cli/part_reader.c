/* See part_reader.h. */
#include "server/cli/part_reader.h"

#include "server/event.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LINE_MAX_BYTES 4096 /* and the padding before the first delimiter */

static const char delimiter[] = "--" PART_BOUNDARY;
static const char length_field[] = "content-length:";

void part_reader_init(struct part_reader *reader,
                      bool (*part)(void *, struct span), void *arg)
{
    memset(reader, 0, sizeof(*reader));
    reader->part = part;
    reader->arg = arg;
    buf_init(&reader->line, LINE_MAX_BYTES);
    buf_init(&reader->body, PART_MAX_BYTES);
}

void part_reader_fini(struct part_reader *reader)
{
    buf_fini(&reader->line);
    buf_fini(&reader->body);
}

static bool end_head(struct part_reader *reader)
{
    reader->in_header = false;
    reader->wanted = reader->length;
    buf_reset(&reader->body);
    return reader->length > 0 && reader->length <= PART_MAX_BYTES;
}

/* A line without its end, terminated. */
static bool take_line(struct part_reader *reader, const char *line)
{
    if (strncmp(line, delimiter, sizeof(delimiter) - 1) == 0) {
        reader->in_header = line[sizeof(delimiter) - 1] == '\0';
        reader->length = 0;
    } else if (reader->in_header && !*line) {
        return end_head(reader);
    } else if (reader->in_header &&
               strncasecmp(line, length_field, sizeof(length_field) - 1) == 0) {
        reader->length = strtoul(line + sizeof(length_field) - 1, NULL, 10);
    }
    return true; /* the preamble, another field, the end of a body's line */
}

static bool end_line(struct part_reader *reader)
{
    struct buf *line = &reader->line;
    bool go_on;

    if (line->size && line->data[line->size - 1] == '\r')
        line->size--;
    buf_append(line, "", 1);
    go_on = !buf_status(line) && take_line(reader, line->data);
    buf_reset(line);
    return go_on;
}

static bool take_body(struct part_reader *reader, const char *bytes,
                      size_t size)
{
    buf_append(&reader->body, bytes, size);
    reader->wanted -= size;
    if (buf_status(&reader->body))
        return false;
    return reader->wanted ||
           reader->part(reader->arg,
                        (struct span){reader->body.data, reader->body.size});
}

bool part_reader_push(struct part_reader *reader, const char *bytes,
                      size_t size)
{
    bool go_on = true;

    while (go_on && size) {
        const char *end = memchr(bytes, '\n', size);
        size_t some = end ? (size_t)(end - bytes) : size;

        if (reader->wanted) {
            some = reader->wanted < size ? reader->wanted : size;
            go_on = take_body(reader, bytes, some);
        } else {
            buf_append(&reader->line, bytes, some);
            go_on = end ? end_line(reader) : !buf_status(&reader->line);
            some += end != NULL;
        }
        bytes += some;
        size -= some;
    }
    return go_on;
}
