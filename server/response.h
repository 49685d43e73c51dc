/* An HTTP answer before it is sent: its status, its header fields, its body;
 * and as the text of HTTP/1.1. Every head that we write is written here, but
 * for what the libraries answer.
 *
 * Errors   more than RESPONSE_FIELDS are our own bug: an assert.
 * Threads  any.
 * Memory   everything is borrowed, `type` and the fields' texts too: they must
 *          outlive the response. It may not be copied.
 */
#ifndef RUNG_RESPONSE_H
#define RUNG_RESPONSE_H

#include "server/base/buf.h"
#include "server/base/err.h"
#include "server/base/mem.h"

#include <stdbool.h>

#define RESPONSE_FIELDS 12

struct response {
    int status;
    struct span body;
    bool lasting; /* the body lives for ever */
    bool endless; /* it is only the beginning of what comes: no Content-Length,
                     and the connection ends with it */
    size_t count;
    struct {
        struct span name, value; /* each followed by a NUL */
    } fields[RESPONSE_FIELDS];
    char seconds[12]; /* of Retry-After */
};

/* With the fields that every answer has. */
void response_init(struct response *response, int status, const char *type,
                   bool cacheable);
void response_field(struct response *response, const char *name,
                    const char *value);

/* An error's answer: its fields, and as body its JSON, which is written to
 * `text` (initialised; without memory for it the body is empty). `status` 0:
 * the error's own. */
void response_fail(struct response *response, int status,
                   const struct failure *why, struct buf *text);

/* As it goes out, with Date (RFC 9110 section 6.6.1) and Content-Length; not
 * of a status that has no body. `last`: the connection ends with it. NULL: no memory. */
struct shared *response_text(const struct response *response, bool last);

#endif
