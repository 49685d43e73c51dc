/* Commits that are shared, and ports at which a worker is told of them. */
#include "server/port.h"

#include "server/base/list.h"
#include "server/base/mem.h"

#define COMMIT_MAX_BYTES (1u << 30)

/* --- commits ------------------------------------------------------------ */

struct commit *commit_ref(struct commit *commit)
{
    atomic_fetch_add_explicit(&commit->refs, 1, memory_order_relaxed);
    return commit;
}

void commit_unref(struct commit *commit)
{
    if (!commit ||
        atomic_fetch_sub_explicit(&commit->refs, 1, memory_order_acq_rel) > 1)
        return;
    buf_fini(&commit->bytes);
    mem_free(commit->entries);
    mem_free(commit);
}

struct commit *commit_create(void)
{
    struct commit *commit = mem_zalloc(sizeof *commit);

    if (!commit)
        return NULL;
    atomic_init(&commit->refs, 1);
    buf_init(&commit->bytes, COMMIT_MAX_BYTES);
    return commit;
}

enum err commit_widen(struct commit *commit, size_t room)
{
    void *entries =
        mem_realloc(commit->entries, room * sizeof *commit->entries);

    if (!entries)
        return ERR_NOMEM;
    commit->entries = entries;
    return ERR_NONE;
}

/* --- ports -------------------------------------------------------------- */

static void hear(struct port *port, struct announcement *announcement)
{
    struct submission *answer = announcement->answers;

    if (announcement->commit)
        port->announce(port, announcement->commit);
    commit_unref(announcement->commit);
    mem_free(announcement);
    while (answer) {
        struct submission *next = answer->next;

        answer->done(answer); /* may free it */
        answer = next;
    }
}

static void port_receive(struct mailbox *box, struct letter *oldest)
{
    struct port *port = container_of(box, struct port, box);

    while (oldest) {
        struct letter *next = oldest->next;

        hear(port, container_of(oldest, struct announcement, letter));
        oldest = next;
    }
}

enum err port_init(struct port *port, uv_loop_t *loop,
                   void (*announce)(struct port *, struct commit *))
{
    port->announce = announce;
    return mailbox_init(&port->box, loop, port_receive);
}

void port_close(struct port *port, uv_close_cb closed)
{
    mailbox_close(&port->box, closed);
}

struct announcement *announcement_create(void)
{
    struct announcement *announcement = mem_zalloc(sizeof *announcement);

    if (announcement)
        announcement->last_answer = &announcement->answers;
    return announcement;
}

void announcement_answer(struct announcement *to, struct submission *answer)
{
    answer->next = NULL;
    *to->last_answer = answer;
    to->last_answer = &answer->next;
}
