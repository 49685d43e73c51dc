/* The failure vocabulary's texts, grown from ERR_LIST. */
#include "server/base/err.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *code, *text;
    int status;
} vocabulary[ERR_COUNT] = {[ERR_NONE] = {"ok", "success", 200},
#define X(name, code, status, text) [ERR_##name] = {code, text, status},
                           ERR_LIST(X)
#undef X
};

const char *err_code(enum err err)
{
    assert((unsigned)err < ERR_COUNT);
    return vocabulary[err].code;
}

int err_status(enum err err)
{
    assert((unsigned)err < ERR_COUNT);
    return vocabulary[err].status;
}

const char *err_text(enum err err)
{
    assert((unsigned)err < ERR_COUNT);
    return vocabulary[err].text;
}

enum err err_wire(enum err err)
{
    switch (err) {
    case ERR_NOMEM:
    case ERR_IO:
    case ERR_LOCKED:
    case ERR_NEWER_FORMAT:
    case ERR_DAMAGED:
    case ERR_CLOSED:
        return ERR_UNAVAILABLE;
    case ERR_END: /* an end that reaches a client is our own mistake */
        return ERR_INTERNAL;
    default:
        return err;
    }
}

enum err fail(struct failure *why, enum err err, const char *fmt, ...)
{
    if (!why)
        return err;

    va_list args;

    memset(why, 0, sizeof(*why));
    why->err = err;
    va_start(args, fmt);
    int length = vsnprintf(why->message, sizeof(why->message), fmt, args);
    va_end(args);
    if (length <= 0)
        (void)snprintf(why->message, sizeof(why->message), "%s", err_text(err));
    return err;
}

enum err fail_plain(struct failure *why, enum err err)
{
    return fail(why, err, "%s", err_text(err));
}
