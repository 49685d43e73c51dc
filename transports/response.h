/* An HTTP answer before it is sent: its status, its header fields, its body;
 * and as the text of HTTP/1.1.
 *
 * Threads  any. Memory: everything is borrowed.
 */
#ifndef RUNG_RESPONSE_H
#define RUNG_RESPONSE_H

#include "server/base/buf.h"
#include "server/base/mem.h"

#define RESPONSE_FIELDS 12

struct response {
    int status;
    struct span body;
    bool lasting; /* the body lives for ever */
    size_t count;
    struct {
        struct span name, value; /* each followed by a NUL */
    } fields[RESPONSE_FIELDS];
};

/* With the fields that every answer has. */
void response_init(struct response *response, int status, const char *type,
                   bool cacheable);
void response_field(struct response *response, const char *name,
                    const char *value);

/* As it goes out, with Date and Content-Length; not of a status that has no
 * body. `last`: the connection ends with it. NULL: no memory. */
struct shared *response_text(const struct response *response, bool last);

#endif
