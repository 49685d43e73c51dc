/* What the methods share: the rows of the table, and how a call ends.
 *
 * A method is one function. It reads its parameters (params.h), then either
 * writes call->result, or hands an entry to the sequencer (submit.h) and leaves
 * call->result empty: the answer comes after the commit.
 *
 * Errors   a method returns what it put into call->failure.
 * Threads  the worker's loop.
 */
#ifndef RUNG_METHODS_H
#define RUNG_METHODS_H

#include "server/method.h"

#include <jansson.h>

#define NUMBER_MAX ((uint64_t)JTEXT_INTEGER_MAX)
/* Of what an answer lists; one row goes out whatever its size, and what comes
 * beyond is for the next page. */
#define PAGE_MAX_BYTES (1u << 20)

struct method {
    const char *name;
    bool anonymous; /* runs without an identity */
    enum err (*run)(struct call *call);
};

/* Each ends with a row without a name. */
extern const struct method identity_methods[];
extern const struct method message_methods[];
extern const struct method conversation_methods[];
extern const struct method login_methods[];
extern const struct method demo_methods[];

/* The parameter `device`: one that no claim has fixed is the client's to
 * choose. */
MUST_CHECK enum err take_device(struct call *call, struct identity *who);

/* The result is an object (given; NULL means that memory was short). */
MUST_CHECK enum err call_result(struct call *call, json_t *result);
/* The result is the text appended to call->result; for answers that are given
 * so often that their tree is not worth building. */
MUST_CHECK enum err call_written(struct call *call);
/* The call is over, as its result or failure say. Called once; `call` may be
 * gone afterwards. */
void call_end(struct call *call);

/* Whose eyes a reader looks through. */
struct viewer {
    struct span app, user; /* borrowed */
    uint64_t inbox;
};
struct viewer call_viewer(const struct call *call); /* borrows call->who */

#endif
