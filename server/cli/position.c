/* Where a follower stands. See position.h. */
#include "server/cli/position.h"

#include "server/cli/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --- moving --------------------------------------------------------------- */

/* Whether `cursor` lies beyond `than`. Another epoch is another log, so all of
 * it is new. */
static bool beyond(const char *cursor, const char *than)
{
    char epoch[9], than_epoch[9];
    lsn at, than_at;

    if (cursor_parse(span_of(cursor), epoch, &at))
        return false;
    if (!*than || cursor_parse(span_of(than), than_epoch, &than_at))
        return true;
    if (*than_epoch && *epoch && strcmp(epoch, than_epoch) != 0)
        return true;
    return at > than_at;
}

static void move_to(struct position *position, const char *cursor)
{
    if (strlen(cursor) < sizeof(position->cursor))
        memcpy(position->cursor, cursor, strlen(cursor) + 1);
}

void position_level(struct position *position, const char *cursor)
{
    if (cursor && beyond(cursor, position->cursor))
        move_to(position, cursor);
}

bool position_set(struct position *position, const char *cursor)
{
    char epoch[9];
    lsn at;

    if (cursor_parse(span_of(cursor), epoch, &at))
        return false;
    move_to(position, cursor);
    return true;
}

static bool is(const json_t *event, const char *kind)
{
    const char *found = json_string_value(json_object_get(event, "event"));

    return found && strcmp(found, kind) == 0;
}

static bool take_seq(struct position *position, const json_t *event,
                     const char *key)
{
    json_int_t seq = json_integer_value(json_object_get(event, key));

    if (seq <= 0 || (position->has_after && (uint64_t)seq <= position->after))
        return false;
    position->after = (uint64_t)seq;
    position->has_after = true;
    return true;
}

static bool take_single(struct position *position, const json_t *event)
{
    if (is(event, "gap"))
        return take_seq(position, event, "to");
    if (is(event, "message") || is(event, "conversation"))
        return take_seq(position, event, "seq");
    return true;
}

bool position_take(struct position *position, const json_t *event)
{
    const char *cursor = json_string_value(json_object_get(event, "cursor"));

    if (position->conversation)
        return take_single(position, event);
    if (!cursor)
        return true;
    if (is(event, "reset")) {
        move_to(position, cursor);
        return true;
    }
    /* A hello says where the stream begins: news to one without a place. */
    if (is(event, "hello")) {
        if (!*position->cursor)
            move_to(position, cursor);
        return true;
    }
    if (!beyond(cursor, position->cursor))
        return is(event, "heartbeat");
    move_to(position, cursor);
    return true;
}

/* --- as a query ----------------------------------------------------------- */

void query_escape(struct buf *out, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
            (c >= 'a' && c <= 'z') || strchr("-_.~:@", c))
            buf_append(out, text, 1);
        else
            buf_printf(out, "%%%02X", c);
    }
}

void position_query(struct buf *out, const struct position *position)
{
    if (position->conversation) {
        buf_append_text(out, "conversation=");
        query_escape(out, position->conversation);
        if (position->has_after)
            buf_printf(out, "&after=%" PRIu64, position->after);
    } else if (*position->cursor) {
        buf_append_text(out, "cursor=");
        query_escape(out, position->cursor);
    }
}

/* --- as a file ------------------------------------------------------------ */

static bool take_line(struct position *position, char *line)
{
    line[strcspn(line, "\r\n")] = '\0';
    if (!position->conversation)
        return position_set(position, line);
    position->has_after =
        remote_number(line, 0, (UINT64_C(1) << 53) - 1, &position->after);
    return position->has_after;
}

enum err position_load(struct position *position, const char *path,
                       struct failure *why)
{
    char line[64] = "";
    FILE *file = fopen(path, "re");

    if (!file && errno == ENOENT)
        return ERR_NONE;
    if (!file)
        return fail(why, ERR_IO, "--cursor-file: %.120s: %s", path,
                    strerror(errno));

    bool good = fgets(line, sizeof(line), file) && take_line(position, line);

    (void)fclose(file);
    return good ? ERR_NONE
                : fail(why, ERR_BAD_REQUEST,
                       "--cursor-file: %.120s does not hold %s", path,
                       position->conversation ? "a seq" : "a cursor");
}

static int write_line(int fd, const struct position *position)
{
    char line[CURSOR_MAX_BYTES + 1];
    int size =
        position->conversation
            ? snprintf(line, sizeof(line), "%" PRIu64 "\n", position->after)
            : snprintf(line, sizeof(line), "%s\n", position->cursor);

    return write(fd, line, (size_t)size) == size && fsync(fd) == 0 ? 0 : -1;
}

enum err position_save(const struct position *position, const char *path,
                       struct failure *why)
{
    char beside[4096];
    int fd, bad;

    if (snprintf(beside, sizeof(beside), "%s.new", path) >= (int)sizeof(beside))
        return fail(why, ERR_BAD_REQUEST,
                    "--cursor-file: the path is too long");
    fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bad = fd < 0 ? -1 : write_line(fd, position);
    if (fd >= 0 && close(fd))
        bad = -1;
    if (!bad && rename(beside, path) == 0)
        return ERR_NONE;
    return fail(why, ERR_IO, "--cursor-file: %.120s: %s", beside,
                strerror(errno));
}
