/* Any bytes as lines: however they are cut, the same lines come out, none of
 * them empty, too long or with a line end in it. The first byte is the seed of
 * where to cut, the second the most that a line may have. */
#include "transports/tcp_lines.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What came out, as bytes: two runs that agree have equal ones. */
struct record {
    char bytes[2 * INPUT_MAX];
    size_t size;
    enum lines_found last;
};

static void must(bool it)
{
    if (!it)
        abort();
}

static void note(struct record *record, struct span line, size_t max)
{
    must(line.size && line.size <= max);
    must(!memchr(line.data, '\n', line.size));
    must(record->size + line.size + 1 <= sizeof(record->bytes));
    memcpy(record->bytes + record->size, line.data, line.size);
    record->size += line.size;
    record->bytes[record->size++] = '\n';
}

/* All of it; false: something was wrong. */
static bool feed(struct tcp_lines *in, size_t max, const char *data,
                 size_t size, struct record *record)
{
    const char *end = data + size;
    struct span line;

    for (;;) {
        record->last = tcp_lines_next(in, max, &data, &size, &line);
        must(data + size == end);
        if (record->last == LINES_MORE)
            must(!size);
        if (record->last != LINES_LINE)
            return record->last == LINES_MORE;
        note(record, line, max);
    }
}

static void end(struct tcp_lines *in, size_t max, struct record *record)
{
    struct span line;

    if (record->last == LINES_MORE && tcp_lines_rest(in, &line))
        note(record, line, max);
    tcp_lines_fini(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char whole[INPUT_MAX], cut[INPUT_MAX];
    static struct record one, other;
    struct tcp_lines at_once = {0}, in_parts = {0};
    unsigned seed = size > 1 ? data[0] : 0;
    size_t max = size > 1 ? 1 + data[1] % 64u : 0, at = 0;
    bool still = true;

    if (size < 2 || size - 2 > INPUT_MAX)
        return 0;
    data += 2, size -= 2;
    if (size) {
        memcpy(whole, data, size);
        memcpy(cut, data, size);
    }
    one.size = other.size = 0;
    one.last = other.last = LINES_MORE;
    feed(&at_once, max, whole, size, &one);
    while (still && at < size) {
        size_t part;

        seed = seed * 1103515245u + 12345u;
        part = 1 + (seed >> 16) % 7;
        if (part > size - at)
            part = size - at;
        still = feed(&in_parts, max, cut + at, part, &other);
        at += part;
    }
    end(&at_once, max, &one);
    end(&in_parts, max, &other);
    must(one.last == other.last);
    must(one.size == other.size && !memcmp(one.bytes, other.bytes, one.size));
    return 0;
}
