/* Event-stream text, line by line; lines end with CR, LF or both. */
#include "server/cli/sse_reader.h"

#include <string.h>

#define BLOCK_MAX_BYTES (64u << 20)

void sse_reader_init(struct sse_reader *reader,
                     bool (*event)(void *, const char *, const char *, size_t),
                     void *arg)
{
    memset(reader, 0, sizeof(*reader));
    reader->event = event;
    reader->arg = arg;
    buf_init(&reader->line, BLOCK_MAX_BYTES);
    buf_init(&reader->data, BLOCK_MAX_BYTES);
    buf_init(&reader->id, BLOCK_MAX_BYTES);
}

void sse_reader_fini(struct sse_reader *reader)
{
    buf_fini(&reader->line);
    buf_fini(&reader->data);
    buf_fini(&reader->id);
}

static bool end_block(struct sse_reader *reader)
{
    bool go_on = true;
    size_t size = reader->data.size;

    buf_append(&reader->id, "", 1);
    buf_append(&reader->data, "", 1);
    if (buf_status(&reader->id) || buf_status(&reader->data))
        return false;
    if (reader->has_data || reader->id.size > 1)
        go_on =
            reader->event(reader->arg, reader->id.data,
                          reader->has_data ? reader->data.data : NULL, size);
    reader->has_data = false;
    buf_reset(&reader->data);
    buf_reset(&reader->id);
    return go_on;
}

static void take_field(struct sse_reader *reader, struct span name,
                       struct span value)
{
    if (span_is(name, "data")) {
        if (reader->has_data)
            buf_append_text(&reader->data, "\n");
        buf_append_span(&reader->data, value);
        reader->has_data = true;
    } else if (span_is(name, "id")) {
        buf_reset(&reader->id);
        buf_append_span(&reader->id, value);
    }
}

static bool end_line(struct sse_reader *reader)
{
    struct span line = {reader->line.data, reader->line.size}, value = {0};
    const char *colon = line.data ? memchr(line.data, ':', line.size) : NULL;

    if (buf_status(&reader->line))
        return false;
    if (!line.size)
        return end_block(reader);
    if (colon) {
        size_t left = line.size - (size_t)(colon + 1 - line.data);
        bool space = left && colon[1] == ' ';

        value = (struct span){colon + 1 + space, left - space};
        line.size = (size_t)(colon - line.data);
    }
    take_field(reader, line, value); /* a comment has an empty name */
    buf_reset(&reader->line);
    return true;
}

bool sse_reader_push(struct sse_reader *reader, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char c = bytes[i];
        bool second = c == '\n' && reader->after_cr;

        reader->after_cr = c == '\r';
        if (second)
            continue;
        if (c != '\n' && c != '\r')
            buf_append(&reader->line, &c, 1);
        else if (!end_line(reader))
            return false;
    }
    return true;
}
