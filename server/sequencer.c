/* The sequencer's thread: gather, apply, commit, answer, announce.
 *
 * order_note: a worker hears of a commit and of the answers of its submissions
 * in one letter, prepared before the transaction commits, so that after a
 * commit nothing can fail any more.
 */
#include "server/sequencer.h"

#include "server/backlog.h"
#include "server/base/clock.h"
#include "server/base/list.h"
#include "server/base/mem.h"
#include "server/base/trace.h"
#include "server/retention_pass.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#define GROUP_MAX 4096              /* entries in one commit */
#define GROUP_MAX_BYTES (32u << 20) /* beyond, the next begins */
#define LIFE_SIGN_MS 200

struct sequencer {
    struct sequencer_options options;
    struct config *config;
    _Atomic(struct config *) new_config;
    struct mailbox box;
    struct letter stop, reload;
    atomic_bool stopping;
    struct backlog backlog;
    struct metrics metrics;
    uv_loop_t loop;
    uv_thread_t thread;
    uv_timer_t life, syncer;
    struct retention_pass retention;
    bool unsynced;
    bool lost;
};

/* One group commit in the making. */
struct group {
    struct sequencer *sequencer;
    struct submission **members; /* room for GROUP_MAX, or for a lone one */
    size_t count, applied;       /* of them, in the transaction already */
    size_t bytes;
    size_t room; /* in the commit */
    struct commit *commit;
    struct announcement **letters; /* one per port */
    struct append *append;         /* NULL: nothing to apply yet */
    enum err err;                  /* the whole group fails for */
    uint64_t began_us;
};

/* --- one group ---------------------------------------------------------- */

static void group_fini(struct group *group)
{
    size_t ports = group->sequencer->options.port_count;

    for (size_t i = 0; group->letters && i < ports; i++)
        mem_free(group->letters[i]);
    mem_free(group->letters);
    commit_unref(group->commit);
    append_abort(group->append);
}

static enum err group_prepare(struct group *group)
{
    const struct sequencer_options *options = &group->sequencer->options;

    group->commit = commit_create();
    group->letters =
        mem_zalloc((options->port_count + 1) * sizeof *group->letters);
    if (!group->commit || !group->letters)
        return ERR_NOMEM;
    for (size_t i = 0; i < options->port_count; i++) {
        group->letters[i] = announcement_create();
        if (!group->letters[i])
            return ERR_NOMEM;
    }
    return append_begin(&group->append, options->store);
}

/* At least to twice the room, since members may come one by one. */
static enum err group_widen(struct group *group)
{
    if (group->count <= group->room)
        return ERR_NONE;
    group->room *= 2;
    if (group->room < group->count)
        group->room = group->count;
    return commit_widen(group->commit, group->room);
}

static enum err apply_members(struct group *group)
{
    struct commit *commit = group->commit;

    for (; group->applied < group->count; group->applied++) {
        struct submission *submission = group->members[group->applied];
        size_t start = commit->bytes.size;
        enum err rc = append_entry(group->append, &submission->entry,
                                   &submission->applied, &commit->bytes);

        if (rc)
            return rc;
        if (submission->applied.err || !submission->applied.lsn ||
            submission->applied.duplicate)
            continue;
        /* The buffer may still move: keep offsets until all are in. */
        commit->entries[commit->count].entry.body.size = start;
        commit->entries[commit->count++].created = submission->applied.created;
        commit->head = submission->applied.lsn;
    }
    return buf_status(&commit->bytes);
}

/* Those who have joined since the last time. */
static void group_apply(struct group *group)
{
    if (group->err || group->applied == group->count)
        return;
    if (!group->append)
        group->err = group_prepare(group);
    if (!group->err)
        group->err = group_widen(group);
    if (!group->err)
        group->err = apply_members(group);
}

static enum err group_view(struct commit *commit)
{
    size_t end = commit->bytes.size;

    for (size_t i = commit->count; i-- > 0;) {
        size_t start = commit->entries[i].entry.body.size;
        struct span bytes = {commit->bytes.data + start, end - start};
        enum err rc = entry_decode(&commit->entries[i].entry, bytes);

        if (rc)
            return rc;
        end = start;
    }
    return ERR_NONE;
}

static void count_group(struct sequencer *sequencer, const struct group *group)
{
    struct metrics *metrics = &sequencer->metrics;

    metrics_add(metrics->commits, 1);
    metrics_add(metrics->commit_entries, group->commit->count);
    metrics_add(metrics->appends, group->commit->count);
    metrics_add(metrics->commit_us, clock_mono_us() - group->began_us);
    for (size_t i = 0; i < group->count; i++) {
        const struct applied *applied = &group->members[i]->applied;

        if (applied->duplicate)
            metrics_add(metrics->duplicates, 1);
        else if (applied->err)
            metrics_add(metrics->refusals, 1);
        else if (applied->lsn && group->members[i]->entry.kind == ENTRY_TRIM)
            metrics_add(metrics->trims, 1);
    }
}

static size_t port_index(const struct sequencer *sequencer,
                         const struct port *port)
{
    size_t i = 0;

    while (i < sequencer->options.port_count &&
           sequencer->options.ports[i] != port)
        i++;
    return i;
}

/* Send every port its letter; takes the letters. */
static void group_tell(struct group *group)
{
    struct sequencer *sequencer = group->sequencer;
    const struct sequencer_options *options = &sequencer->options;

    for (size_t i = 0; i < group->count; i++) {
        struct submission *submission = group->members[i];
        size_t port = port_index(sequencer, submission->port);

        applied_failure(&submission->applied, &submission->failure);
        if (port < options->port_count)
            announcement_answer(group->letters[port], submission);
        else
            submission->done(submission); /* our own: retention */
    }
    for (size_t i = 0; i < options->port_count; i++) {
        struct announcement *letter = group->letters[i];

        group->letters[i] = NULL;
        if (group->commit->count)
            letter->commit = commit_ref(group->commit);
        if (letter->commit || letter->answers)
            mailbox_post(&options->ports[i]->box, &letter->letter);
        else
            mem_free(letter);
    }
}

static const char *failure_words(enum err err)
{
    if (err == ERR_STORAGE_FULL)
        return "the store has no room left; nothing was stored";
    return "the store cannot write now; nothing was stored";
}

/* Nothing here can mend that: whoever made us is told, and ends. */
static void look_if_lost(struct sequencer *sequencer)
{
    const struct sequencer_options *options = &sequencer->options;

    if (sequencer->lost || !options->lost ||
        store_usable(options->store) != ERR_IO)
        return;
    sequencer->lost = true;
    options->lost(options->lost_arg);
}

/* Outside of any commit. The letter is made on the spot; when even that memory
 * is missing we wait for it, since a submitter must be answered. */
static void answer_alone(struct submission *submission)
{
    struct announcement *letter;

    if (!submission->port) { /* our own: retention */
        submission->done(submission);
        return;
    }
    while (!(letter = announcement_create()))
        uv_sleep(10);
    announcement_answer(letter, submission);
    mailbox_post(&submission->port->box, &letter->letter);
}

/* The whole group failed: answer each member by itself. */
static void group_fail(struct group *group)
{
    struct sequencer *sequencer = group->sequencer;
    enum err rc = group->err;

    metrics_add(sequencer->metrics.commit_failures, 1);
    trace(TRACE_ERROR, "commit failed", "reason=%s entries=%zu", err_code(rc),
          group->count);
    for (size_t i = 0; i < group->count; i++) {
        struct submission *submission = group->members[i];

        memset(&submission->applied, 0, sizeof submission->applied);
        submission->applied.err = err_wire(rc);
        fail(&submission->failure, err_wire(rc), "%s", failure_words(rc));
        answer_alone(submission);
    }
    if (rc == ERR_IO)
        look_if_lost(sequencer);
}

static struct group group_begin(struct sequencer *sequencer,
                                struct submission **members)
{
    return (struct group){.sequencer = sequencer,
                          .members = members,
                          .began_us = clock_mono_us()};
}

static void group_add(struct group *group, struct submission *submission)
{
    group->members[group->count++] = submission;
    group->bytes += submission->size;
}

static bool group_has_room(const struct group *group, size_t bytes)
{
    return group->count == 0 || (group->count < GROUP_MAX &&
                                 group->bytes + bytes <= GROUP_MAX_BYTES);
}

/* Also after each commit: one turn of the loop may have many. */
static void show_life(struct sequencer *sequencer)
{
    atomic_store_explicit(&sequencer->metrics.heartbeat_ms, clock_mono_ms(),
                          memory_order_relaxed);
}

/* Commit what was applied and answer everyone. */
static void group_end(struct group *group)
{
    struct sequencer *sequencer = group->sequencer;

    if (group->count == 0)
        return;
    if (!group->err)
        group->err = group_view(group->commit);
    if (!group->err && group->commit->count) {
        struct append *append = group->append;

        group->append = NULL;
        group->err = append_commit(append);
        group->commit->committed_us = clock_wall_us();
        sequencer->unsynced = true;
    }
    backlog_leave(&sequencer->backlog, group->count, group->bytes);
    show_life(sequencer);
    if (group->err) {
        group_fail(group);
    } else {
        count_group(sequencer, group);
        group_tell(group);
    }
    group_fini(group);
}

/* A trim waits in no queue, but is counted off like those that did. */
static void commit_trim(struct retention_pass *retention,
                        struct submission *trim)
{
    struct sequencer *sequencer =
        container_of(retention, struct sequencer, retention);
    struct submission *members[1];
    struct group group = group_begin(sequencer, members);

    atomic_fetch_add(&sequencer->backlog.count, 1);
    group_add(&group, trim);
    group_apply(&group);
    group_end(&group);
}

/* --- the thread --------------------------------------------------------- */

static void take_config(struct sequencer *sequencer)
{
    struct config *config = atomic_exchange(&sequencer->new_config, NULL);

    if (!config)
        return;
    config_unref(sequencer->config);
    sequencer->config = config;
    atomic_store(&sequencer->backlog.max_wait_ms, config->queue_wait_ms);
    retention_pass_schedule(&sequencer->retention, config);
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* At once: the commit that it would have been in may be slow, too. */
static void refuse_late(struct sequencer *sequencer,
                        struct submission *submission)
{
    backlog_leave(&sequencer->backlog, 1, submission->size);
    metrics_add(sequencer->metrics.refusals, 1);
    answer_alone(submission);
}

/* Add the submissions, in their order, until one finds no room: *oldest is left
 * on it. A submission is borrowed until its done(), and a reload letter may be
 * posted again as soon as it was taken: so what follows is looked up before. */
static void group_take(struct group *group, struct letter **oldest, bool *stop)
{
    struct sequencer *sequencer = group->sequencer;
    uint64_t now = clock_mono_ms();

    for (struct letter *next; *oldest; *oldest = next) {
        next = (*oldest)->next;
        if (*oldest == &sequencer->reload) {
            take_config(sequencer);
        } else if (*oldest == &sequencer->stop) {
            *stop = true;
        } else {
            struct submission *submission =
                container_of(*oldest, struct submission, letter);

            if (!group_has_room(group, submission->size))
                return;
            if (backlog_too_late(&sequencer->backlog, submission, now))
                refuse_late(sequencer, submission);
            else
                group_add(group, submission);
        }
    }
}

/* What is submitted while a group is being applied joins it: so senders that
 * wait for their answers find together, whereas two halves of them would take
 * turns. The group closes when nobody more has come, so that a lone sender
 * waits for nobody. */
static void receive(struct mailbox *box, struct letter *oldest)
{
    struct sequencer *sequencer = container_of(box, struct sequencer, box);
    struct submission *members[GROUP_MAX];
    bool stop = false, full = false;

    /* A group that is full leaves some over: those are dealt with, and then the
     * loop has its turn, whose timers must not starve under a flood. */
    while (oldest) {
        struct group group = group_begin(sequencer, members);

        do {
            group_take(&group, &oldest, &stop);
            group_apply(&group);
        } while (!oldest && !full && !group.err &&
                 (oldest = mailbox_take(box)));
        full = full || oldest;
        group_end(&group);
    }
    if (stop)
        uv_walk(&sequencer->loop, close_handle, NULL);
}

static void life_sign(uv_timer_t *timer)
{
    show_life(timer->data);
}

static void sync_store(uv_timer_t *timer)
{
    struct sequencer *sequencer = timer->data;
    enum err rc;

    if (!sequencer->unsynced)
        return;
    rc = store_sync(sequencer->options.store);
    if (rc)
        trace(TRACE_ERROR, "sync failed", "reason=%s", err_code(rc));
    sequencer->unsynced = rc != ERR_NONE;
}

static void run(void *arg)
{
    struct sequencer *sequencer = arg;

    prctl(PR_SET_NAME, "sequencer");
    uv_run(&sequencer->loop, UV_RUN_DEFAULT);
    if (sequencer->config->durability == DURABILITY_RELAXED)
        sync_store(&sequencer->syncer);
}

static enum err start_timers(struct sequencer *sequencer)
{
    uv_timer_t *timers[] = {&sequencer->life, &sequencer->syncer,
                            &sequencer->retention.timer};
    void *owners[] = {sequencer, sequencer, &sequencer->retention};
    const struct config *config = sequencer->config;

    for (size_t i = 0; i < sizeof timers / sizeof *timers; i++) {
        if (uv_timer_init(&sequencer->loop, timers[i]))
            return ERR_UNAVAILABLE;
        timers[i]->data = owners[i];
    }
    uv_timer_start(&sequencer->life, life_sign, 0, LIFE_SIGN_MS);
    retention_pass_schedule(&sequencer->retention, config);
    if (config->durability == DURABILITY_RELAXED)
        uv_timer_start(&sequencer->syncer, sync_store, config->sync_interval_ms,
                       config->sync_interval_ms);
    return ERR_NONE;
}

static void drain_loop(struct sequencer *sequencer)
{
    uv_walk(&sequencer->loop, close_handle, NULL);
    uv_run(&sequencer->loop, UV_RUN_DEFAULT);
    uv_loop_close(&sequencer->loop);
}

static void sequencer_free(struct sequencer *sequencer)
{
    retention_pass_fini(&sequencer->retention);
    config_unref(atomic_exchange(&sequencer->new_config, NULL));
    config_unref(sequencer->config);
    mem_free(sequencer);
}

enum err sequencer_start(struct sequencer **out,
                         const struct sequencer_options *options,
                         struct failure *why)
{
    struct sequencer *sequencer = mem_zalloc(sizeof *sequencer);
    enum err rc;

    if (!sequencer)
        return fail_plain(why, ERR_NOMEM);
    sequencer->options = *options;
    sequencer->config = config_ref(options->config);
    backlog_init(&sequencer->backlog, options->max_queue,
                 options->config->queue_wait_ms);
    sequencer->metrics.heartbeat_ms = clock_mono_ms(); /* before its first */
    sequencer->retention.metrics = &sequencer->metrics;
    sequencer->retention.commit = commit_trim;
    rc = retention_pass_init(&sequencer->retention, options->store);
    if (rc)
        goto free_sequencer;
    if (uv_loop_init(&sequencer->loop)) {
        rc = ERR_UNAVAILABLE;
        goto free_sequencer;
    }
    rc = mailbox_init(&sequencer->box, &sequencer->loop, receive);
    if (!rc)
        rc = start_timers(sequencer);
    if (!rc && uv_thread_create(&sequencer->thread, run, sequencer))
        rc = ERR_UNAVAILABLE;
    if (rc)
        goto close_loop;
    *out = sequencer;
    return ERR_NONE;

close_loop:
    drain_loop(sequencer);
free_sequencer:
    sequencer_free(sequencer);
    return fail_plain(why, rc);
}

enum err sequencer_submit(struct sequencer *sequencer,
                          struct submission *submission, struct failure *why)
{
    enum err rc;

    if (atomic_load_explicit(&sequencer->stopping, memory_order_relaxed))
        return fail(why, ERR_UNAVAILABLE, "the server is stopping");
    submission->size = sizeof *submission + submission->entry.body.size +
                       submission->entry.users.size;
    rc = backlog_enter(&sequencer->backlog, submission,
                       atomic_load_explicit(&sequencer->metrics.heartbeat_ms,
                                            memory_order_relaxed),
                       why);
    if (rc)
        return rc;
    submission->failure.err = ERR_NONE;
    mailbox_post(&sequencer->box, &submission->letter);
    return ERR_NONE;
}

void sequencer_stop(struct sequencer *sequencer)
{
    if (!sequencer)
        return;
    atomic_store(&sequencer->stopping, true);
    mailbox_post(&sequencer->box, &sequencer->stop);
    uv_thread_join(&sequencer->thread);
    uv_loop_close(&sequencer->loop);
    sequencer_free(sequencer);
}

struct metrics *sequencer_metrics(struct sequencer *sequencer)
{
    return &sequencer->metrics;
}

size_t sequencer_queue(const struct sequencer *sequencer)
{
    return atomic_load_explicit(&sequencer->backlog.count,
                                memory_order_relaxed);
}

void sequencer_reload(struct sequencer *sequencer, struct config *config)
{
    struct config *unseen =
        atomic_exchange(&sequencer->new_config, config_ref(config));

    /* A config still waiting means that its letter is on the way, too. */
    if (unseen)
        config_unref(unseen);
    else
        mailbox_post(&sequencer->box, &sequencer->reload);
}
