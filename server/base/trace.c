/* Diagnostics: one line, built on the stack, written by one write(2). */
#include "server/base/trace.h"
#include "server/base/clock.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The pairs of a line, and the line: as JSON a byte may need six. */
#define PAIRS_MAX_BYTES 1024
#define LINE_MAX_BYTES (8 * PAIRS_MAX_BYTES)

static enum trace_level shown = TRACE_INFO; /* set before threads start */
static bool as_json;

/* A line under construction; what does not fit is cut. */
struct line {
    size_t size;
    char text[LINE_MAX_BYTES];
};

void trace_setup(enum trace_level level, bool json)
{
    shown = level;
    as_json = json;
}

static void put(struct line *line, const char *text, size_t size)
{
    size_t room = sizeof(line->text) - 4 - line->size; /* 4: `"}` and `\n` */

    if (size > room)
        return; /* whole pieces only: half an escape would break the line */
    memcpy(line->text + line->size, text, size);
    line->size += size;
}

static void put_text(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

/* How many bytes of well-formed UTF-8 start here; 0 when they are not. */
static size_t utf8_length(const unsigned char *s, size_t size)
{
    unsigned char second_min = 0x80, second_max = 0xbf;
    size_t length;

    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        length = 2;
    else if (s[0] >= 0xe0 && s[0] <= 0xef)
        length = 3;
    else if (s[0] >= 0xf0 && s[0] <= 0xf4)
        length = 4;
    else
        return 0;
    if (s[0] == 0xe0)
        second_min = 0xa0;
    if (s[0] == 0xed)
        second_max = 0x9f;
    if (s[0] == 0xf0)
        second_min = 0x90;
    if (s[0] == 0xf4)
        second_max = 0x8f;
    if (size < length || s[1] < second_min || s[1] > second_max)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

/* Peers choose some of these bytes: none of them may end a line, steer a
 * terminal or, in JSON, leave its string. */
static void put_escaped(struct line *line, const char *text, size_t size)
{
    const unsigned char *s = (const unsigned char *)text;

    for (size_t i = 0, length; i < size; i += length) {
        char escape[8];

        length = utf8_length(s + i, size - i);
        if (length == 0) {
            length = 1;
            put_text(line, as_json ? "\\ufffd" : "?");
        } else if (s[i] < 0x20 || s[i] == 0x7f) {
            (void)snprintf(escape, sizeof(escape), "\\u%04x", s[i]);
            put_text(line, escape);
        } else if (as_json && (s[i] == '"' || s[i] == '\\')) {
            escape[0] = '\\';
            escape[1] = text[i];
            put(line, escape, 2);
        } else {
            put(line, text + i, length);
        }
    }
}

static void put_member(struct line *line, const char *key, size_t key_size,
                       const char *value, size_t value_size)
{
    put_text(line, ",\"");
    put_escaped(line, key, key_size);
    put_text(line, "\":\"");
    put_escaped(line, value, value_size);
    put_text(line, "\"");
}

/* Whether nothing more or another "key=" follows. */
static bool pair_ends(const char *rest)
{
    size_t spaces = strspn(rest, " ");
    size_t key = strspn(rest + spaces, "abcdefghijklmnopqrstuvwxyz0123456789_");

    return rest[spaces] == '\0' || (spaces && key && rest[spaces + key] == '=');
}

/* A value goes on to the next space or, after a double quote, to the first
 * quote behind which the pair ends: quotes within a text do no harm. */
static size_t value_length(const char *value)
{
    if (value[0] != '"')
        return strcspn(value, " ");
    for (const char *at = value + 1; *at; at++)
        if (*at == '"' && pair_ends(at + 1))
            return (size_t)(at + 1 - value);
    return strlen(value);
}

/* key=value pairs as string members; words without "=" gather in "note". */
static void put_pairs(struct line *line, const char *pairs)
{
    const char *at = pairs;

    while (*(at += strspn(at, " "))) {
        size_t key = strcspn(at, "= ");

        if (key == 0 || at[key] != '=') {
            put_member(line, "note", 4, at, strlen(at));
            return;
        }

        const char *value = at + key + 1;
        size_t length = value_length(value);
        bool quoted =
            length >= 2 && value[0] == '"' && value[length - 1] == '"';

        put_member(line, at, key, value + quoted, length - 2 * (size_t)quoted);
        at = value + length;
    }
}

static void put_time(struct line *line)
{
    uint64_t now = clock_wall_ms();
    time_t seconds = (time_t)(now / 1000);
    struct tm utc;
    char text[40];
    size_t size;

    gmtime_r(&seconds, &utc);
    size = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(text + size, sizeof(text) - size, ".%03uZ",
                   (unsigned)(now % 1000));
    put_text(line, text);
}

static void build_text(struct line *line, const char *level, const char *what,
                       const char *pairs)
{
    put_time(line);
    put_text(line, " ");
    put_text(line, level);
    put_text(line, " ");
    put_text(line, what);
    if (*pairs)
        put_text(line, " ");
    put_escaped(line, pairs, strlen(pairs));
}

static void build_json(struct line *line, const char *level, const char *what,
                       const char *pairs)
{
    put_text(line, "{\"time\":\"");
    put_time(line);
    put_text(line, "\"");
    put_member(line, "level", 5, level, strlen(level));
    put_member(line, "what", 4, what, strlen(what));
    put_pairs(line, pairs);
    put_text(line, "}");
}

void trace(enum trace_level level, const char *what, const char *fmt, ...)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};

    if (level > shown)
        return;

    int kept_errno = errno;
    struct line line = {.size = 0};
    char pairs[PAIRS_MAX_BYTES] = "";
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(pairs, sizeof(pairs), fmt, args);
    va_end(args);
    if (as_json)
        build_json(&line, names[level], what, pairs);
    else
        build_text(&line, names[level], what, pairs);
    line.text[line.size++] = '\n';
    while (write(STDERR_FILENO, line.text, line.size) < 0 && errno == EINTR)
        ;
    errno = kept_errno;
}
