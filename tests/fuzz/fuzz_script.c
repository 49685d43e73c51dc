/* Any bytes as JSON in a script: nothing of what a page must not see is left,
 * and what was there can be had back. */
#define _GNU_SOURCE /* memmem */
#include "server/script_text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool promise)
{
    if (!promise)
        abort();
}

/* The text again, from its escapes; `in` holds no backslash of its own. */
static void undo(struct buf *out, const char *at, const char *end)
{
    while (at < end) {
        if (*at != '\\') {
            buf_append(out, at++, 1);
            continue;
        }
        need(end - at >= 6);
        if (!memcmp(at, "\\u2028", 6))
            buf_append_text(out, "\xe2\x80\xa8");
        else if (!memcmp(at, "\\u2029", 6))
            buf_append_text(out, "\xe2\x80\xa9");
        else
            buf_append_text(out, !memcmp(at, "\\u003c", 6)   ? "<"
                                 : !memcmp(at, "\\u003e", 6) ? ">"
                                                             : "&");
        at += 6;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size ? size : 1); /* exactly: its ends are watched */
    struct buf out, back;

    need(text != NULL);
    if (size)
        memcpy(text, data, size);
    if (!callback_check((struct span){text, size}, NULL))
        for (size_t i = 0; i < size; i++)
            need(strchr("\"'()<>&;= \\/", text[i]) == NULL);
    buf_init(&out, SIZE_MAX / 2);
    buf_init(&back, SIZE_MAX / 2);
    script_append(&out, (struct span){text, size});
    need(!buf_status(&out));
    for (size_t i = 0; i < out.size; i++)
        need(out.data[i] != '<' && out.data[i] != '>' && out.data[i] != '&');
    if (out.size) {
        need(!memmem(out.data, out.size, "\xe2\x80\xa8", 3));
        need(!memmem(out.data, out.size, "\xe2\x80\xa9", 3));
    }
    if (size && !memchr(text, '\\', size)) {
        undo(&back, out.data, out.data + out.size);
        need(back.size == size && !memcmp(back.data, text, size));
    }
    buf_fini(&out);
    buf_fini(&back);
    free(text);
    return 0;
}
