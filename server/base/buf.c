/* A growing byte buffer with a stated maximum. */
#include "server/base/buf.h"
#include "server/base/mem.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define FIRST_CAPACITY 512 /* holds most answers */

bool span_equal(struct span a, struct span b)
{
    return a.size == b.size &&
           (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

bool span_is(struct span a, const char *text)
{
    return span_equal(a, span_of(text));
}

void buf_init(struct buf *buf, size_t max)
{
    memset(buf, 0, sizeof(*buf));
    buf->max = max;
}

void buf_fini(struct buf *buf)
{
    mem_free(buf->data);
    buf_init(buf, buf->max);
}

void buf_reset(struct buf *buf)
{
    buf->size = 0;
    buf->failed = buf->short_of_memory = false;
}

/* The capacity to grow to for `need` bytes: doubling, but not beyond max. */
static size_t next_capacity(const struct buf *buf, size_t need)
{
    size_t capacity = buf->capacity ? buf->capacity : FIRST_CAPACITY;

    while (capacity < need)
        capacity = capacity > buf->max / 2 ? buf->max : capacity * 2;
    return capacity < buf->max ? capacity : buf->max;
}

char *buf_reserve(struct buf *buf, size_t size)
{
    assert(buf->size <= buf->max);
    if (buf->failed)
        return NULL;
    if (size > buf->max - buf->size) {
        buf->failed = true;
        return NULL;
    }

    size_t need = buf->size + size;

    if (need > buf->capacity || !buf->data) {
        size_t capacity = next_capacity(buf, need);
        char *data = mem_realloc(buf->data, capacity);

        if (!data) {
            buf->failed = buf->short_of_memory = true;
            return NULL;
        }
        buf->data = data;
        buf->capacity = capacity;
    }
    return buf->data + buf->size;
}

size_t u64_write(char out[U64_DIGITS], uint64_t number)
{
    char digits[U64_DIGITS];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    memcpy(out, digits + at, sizeof(digits) - at);
    return sizeof(digits) - at;
}

bool u64_read(struct span text, uint64_t *out)
{
    *out = 0;
    if (!text.size || text.size > 16)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        *out = *out * 10 + (uint64_t)(text.data[i] - '0');
    }
    return true;
}

void buf_append_u64(struct buf *buf, uint64_t number)
{
    char digits[U64_DIGITS];

    buf_append(buf, digits, u64_write(digits, number));
}

void buf_printf(struct buf *buf, const char *fmt, ...)
{
    char line[256]; /* nearly every use fits; the rest is printed twice */
    va_list args;

    va_start(args, fmt);
    int length = vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    assert(length >= 0);
    if ((size_t)length < sizeof(line)) {
        buf_append(buf, line, (size_t)length);
        return;
    }

    /* vsnprintf() wants room for its terminator, which max need not have. */
    char *text = mem_alloc((size_t)length + 1);

    if (!text) {
        if (!buf->failed)
            buf->failed = buf->short_of_memory = true;
        return;
    }
    va_start(args, fmt);
    (void)vsnprintf(text, (size_t)length + 1, fmt, args);
    va_end(args);
    buf_append(buf, text, (size_t)length);
    mem_free(text);
}

enum err buf_status(const struct buf *buf)
{
    if (!buf->failed)
        return ERR_NONE;
    return buf->short_of_memory ? ERR_NOMEM : ERR_TOO_LARGE;
}
