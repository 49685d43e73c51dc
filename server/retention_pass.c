/* The retention pass: look through the conversations, a part at a time, and
 * trim those of which something is too old or too many, one a turn of the loop.
 */
#include "server/retention_pass.h"

#include "server/base/clock.h"
#include "server/base/list.h"
#include "server/base/mem.h"
#include "server/base/trace.h"

#include <string.h>

#define RETENTION_STEP_MS 10 /* between two parts of one retention pass */
#define TRIM_STEP_MS 1       /* 0 would not let libuv poll in between */
#define RETENTION_STEP 1000  /* conversations looked at in one part */

struct trim {
    struct submission submission;
    struct trim *next;
    char names[]; /* app, then conversation */
};

static void trim_done(struct submission *submission)
{
    if (submission->failure.err)
        trace(TRACE_WARN, "retention failed", "reason=%s",
              err_code(submission->failure.err));
    mem_free(container_of(submission, struct trim, submission));
}

static bool note_trim(struct span app, struct span conversation, uint64_t mark,
                      void *arg)
{
    struct retention_pass *pass = arg;
    struct trim *trim = mem_zalloc(sizeof *trim + app.size + conversation.size);

    if (!trim)
        return false; /* the next pass will find it again */
    memcpy(trim->names, app.data, app.size);
    memcpy(trim->names + app.size, conversation.data, conversation.size);
    trim->submission.entry = (struct entry){
        .kind = ENTRY_TRIM,
        .ts = clock_wall_ms(),
        .app = {trim->names, app.size},
        .conversation = {trim->names + app.size, conversation.size},
        .mark = mark,
    };
    trim->submission.done = trim_done;
    trim->next = pass->trims;
    pass->trims = trim;
    return true;
}

/* Look for what retention takes in one part of the conversations. */
static enum err find_trims(struct retention_pass *pass)
{
    const struct config *config = pass->config;
    enum err rc = reader_begin(pass->reader);

    pass->trims_before = pass->metrics->trims;
    if (!rc) {
        rc = retention_find(pass->reader, clock_wall_ms(),
                            config->retention_max_age_s * 1000,
                            config->retention_max_count, &pass->next,
                            RETENTION_STEP, note_trim, pass);
        reader_end(pass->reader);
    }
    if (rc)
        trace(TRACE_WARN, "retention could not look", "reason=%s",
              err_code(rc));
    return rc;
}

static void commit_trim(struct retention_pass *pass)
{
    struct submission *submission = &pass->trims->submission;

    pass->trims = pass->trims->next;
    pass->commit(pass, submission);
}

/* One step of a retention pass: look, or trim one conversation. Each trim is a
 * commit and a turn of the loop of its own, so that senders are never kept
 * waiting for more than one of them. */
static void retention_step(uv_timer_t *timer)
{
    struct retention_pass *pass = timer->data;
    enum err rc = ERR_NONE;
    uint64_t wait_ms = TRIM_STEP_MS;

    if (pass->trims)
        commit_trim(pass);
    else
        rc = find_trims(pass);
    if (!pass->trims) {
        bool more = pass->next || pass->trims_before != pass->metrics->trims;

        wait_ms = more && !rc ? RETENTION_STEP_MS
                              : pass->config->retention_interval_ms;
    }
    uv_timer_start(timer, retention_step, wait_ms, 0);
}

enum err retention_pass_init(struct retention_pass *pass, struct store *store)
{
    return reader_create(&pass->reader, store);
}

void retention_pass_fini(struct retention_pass *pass)
{
    while (pass->trims) {
        struct trim *trim = pass->trims;

        pass->trims = trim->next;
        mem_free(trim); /* the next start will find it again */
    }
    reader_destroy(pass->reader);
}

void retention_pass_schedule(struct retention_pass *pass,
                             const struct config *config)
{
    pass->config = config;
    uv_timer_start(&pass->timer, retention_step, config->retention_interval_ms,
                   0);
}
