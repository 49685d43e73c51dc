/* An entry on its way to the sequencer, and the call that waits for it. */
#include "server/methods/submit.h"

#include "server/base/clock.h"
#include "server/base/mem.h"
#include "server/worker.h"

#include <assert.h>
#include <string.h>

#define ENTRY_FIELDS 8
#define DEFAULT_DEVICE "default"

struct pending {
    struct submission submission;
    struct call *call;
    submit_answer answer;
    struct entry entry; /* as submitted; apply may prune the other's users,
                           and that memory is gone after the commit */
    char bytes[];       /* what the entry's spans point into */
};

static void list_fields(struct entry *entry, struct span *fields[ENTRY_FIELDS])
{
    fields[0] = &entry->app;
    fields[1] = &entry->conversation;
    fields[2] = &entry->from;
    fields[3] = &entry->device;
    fields[4] = &entry->client_msg_id;
    fields[5] = &entry->type;
    fields[6] = &entry->body;
    fields[7] = &entry->users;
}

/* A copy that lives until done(), its spans moved into its own bytes. */
static struct pending *pending_create(const struct entry *entry)
{
    struct entry copy = *entry;
    struct span *fields[ENTRY_FIELDS];
    size_t size = 0;

    list_fields(&copy, fields);
    for (size_t i = 0; i < ENTRY_FIELDS; i++)
        size += fields[i]->size;

    struct pending *pending = mem_alloc(sizeof(*pending) + size);

    if (!pending)
        return NULL;
    memset(pending, 0, sizeof(*pending));

    char *at = pending->bytes;

    for (size_t i = 0; i < ENTRY_FIELDS; i++) {
        if (fields[i]->size)
            memcpy(at, fields[i]->data, fields[i]->size);
        fields[i]->data = at;
        at += fields[i]->size;
    }
    pending->entry = copy;
    return pending;
}

static void answered(struct submission *submission)
{
    struct pending *pending =
        container_of(submission, struct pending, submission);
    struct call *call = pending->call;

    call->failure = submission->failure;
    if (!call->failure.err) {
        enum err err =
            pending->answer(call, &pending->entry, &submission->applied);

        assert(err == call->failure.err);
        (void)err;
    }
    mem_free(pending);
    call_end(call);
}

enum err call_submit(struct call *call, const struct entry *entry,
                     submit_answer answer)
{
    struct entry whole = *entry;

    whole.app = span_of(call->who->app);
    whole.from = span_of(call->who->user);
    whole.device =
        span_of(call->who->device[0] ? call->who->device : DEFAULT_DEVICE);
    whole.ts = clock_wall_ms();

    struct pending *pending = pending_create(&whole);

    if (!pending)
        return fail_plain(&call->failure, ERR_NOMEM);
    pending->call = call;
    pending->answer = answer;
    pending->submission.entry = pending->entry;
    pending->submission.port = &call->worker->port;
    pending->submission.done = answered;

    enum err err = sequencer_submit(call->worker->server->sequencer,
                                    &pending->submission, &call->failure);

    if (err)
        mem_free(pending);
    return err;
}
