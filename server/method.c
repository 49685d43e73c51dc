/* Methods: finding the row, spending the caller's rate, writing the answer. */
#include "server/method.h"

#include "server/methods/methods.h"
#include "server/methods/params.h"
#include "server/methods/text.h"
#include "server/worker.h"

#include <assert.h>
#include <string.h>

static const struct method *const tables[] = {
    identity_methods, message_methods, conversation_methods,
    login_methods,    demo_methods,
};

#define TABLES (sizeof(tables) / sizeof(tables[0]))
#define METHODS_MAX 64

static const struct method *method_find(struct span name)
{
    for (size_t i = 0; i < TABLES; i++)
        for (const struct method *row = tables[i]; row->name; row++)
            if (span_is(name, row->name))
                return row;
    return NULL;
}

const char *const *method_names(void)
{
    static _Thread_local const char *names[METHODS_MAX + 1];
    size_t count = 0;

    for (size_t i = 0; i < TABLES; i++)
        for (const struct method *row = tables[i]; row->name; row++) {
            assert(count < METHODS_MAX);
            names[count++] = row->name;
        }
    names[count] = NULL;
    return names;
}

struct viewer call_viewer(const struct call *call)
{
    return (struct viewer){span_of(call->who->app), span_of(call->who->user),
                           call->who->inbox};
}

enum err call_written(struct call *call)
{
    enum err err = buf_status(&call->result);

    return err ? fail_plain(&call->failure, err) : ERR_NONE;
}

static int append_piece(const char *piece, size_t size, void *arg)
{
    buf_append(arg, piece, size);
    return 0;
}

enum err call_result(struct call *call, json_t *result)
{
    int bad =
        json_dump_callback(result, append_piece, &call->result, JSON_COMPACT);

    json_decref(result);
    return bad ? fail_plain(&call->failure, ERR_NOMEM) : call_written(call);
}

/* A client is told nothing of our insides: where the code is replaced, so is
 * the text. */
static void failure_for_client(struct failure *failure)
{
    enum err wire = err_wire(failure->err);
    uint32_t retry_after_ms = failure->retry_after_ms;

    if (wire == failure->err)
        return;
    fail_plain(failure, wire);
    failure->retry_after_ms = retry_after_ms;
}

void call_end(struct call *call)
{
    if (call->failure.err) {
        buf_fini(&call->result);
        call->authenticated = false;
        failure_for_client(&call->failure);
        metrics_add(call->worker->metrics.errors[call->failure.err], 1);
    }
    call->done(call);
}

/* One request of the user, whatever carried it. */
static enum err spend(struct call *call)
{
    struct session *session = session_get(call->worker, call->who);

    if (!session)
        return fail_plain(&call->failure, ERR_NOMEM);

    enum err err = session_spend(session, &call->failure);

    session_put(session);
    return err;
}

static enum err run(struct call *call)
{
    const struct method *row = method_find(call->method);

    if (!row)
        return fail(&call->failure, ERR_NOT_FOUND, "there is no method '%.*s'",
                    (int)(call->method.size < 64 ? call->method.size : 64),
                    call->method.data ? call->method.data : "");
    if (!row->anonymous && !call->who)
        return fail_plain(&call->failure, ERR_UNAUTHORIZED);
    if (call->who) {
        enum err err = spend(call);

        if (err)
            return err;
    }
    return row->run(call);
}

void method_run(struct call *call)
{
    call->failure.err = ERR_NONE;
    call->failure.retry_after_ms = 0;
    buf_init(&call->result, SIZE_MAX / 2);
    call->authenticated = false;

    struct scrap *scraps = NULL;

    /* cppcheck-suppress autoVariables ; nobody looks there later */
    call->scraps = &scraps;

    enum err err = run(call);

    assert(err == call->failure.err);
    if (err || call->result.size)
        call_end(call); /* which may free the call */
    params_forget(scraps);
}

/* --- answers as text ------------------------------------------------------ */

void failure_write(struct buf *out, const struct failure *failure)
{
    struct failure told = *failure;
    char text[sizeof(told.message)];

    failure_for_client(&told);
    text_clean(text, sizeof(text), span_of(told.message));
    buf_append_text(out, "{\"error\":{\"code\":\"");
    buf_append_text(out, err_code(told.err));
    buf_append_text(out, "\",\"message\":");
    json_quote(out, span_of(text));
    if (told.retry_after_ms) {
        buf_append_text(out, ",\"retry_after_ms\":");
        buf_append_u64(out, told.retry_after_ms);
    }
    if (told.expected) {
        buf_append_text(out, ",\"expected\":");
        buf_append_u64(out, told.expected);
    }
    buf_append_text(out, "}}");
}
