/* Commits that are shared, and ports at which a worker is told of them.
 *
 * round_note: commits that have come while others were delivered are announced
 * together, so that whoever listens to several of them gets them in one piece:
 * the busier a worker is, the fewer pieces it sends. A round is no larger than
 * what is delivered from memory (LIVE_MAX_BYTES in hub.c, which is of JSON).
 */
#include "server/port.h"

#include "server/base/list.h"
#include "server/base/mem.h"

#define COMMIT_MAX_BYTES (1u << 30)
#define ROUND_MAX_BYTES (64u << 10) /* of commits: see round_note */

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

static struct announcement *announcement_of(struct letter *letter)
{
    return container_of(letter, struct announcement, letter);
}

static void answer_all(struct announcement *announcement)
{
    struct submission *answer = announcement->answers;

    commit_unref(announcement->commit);
    mem_free(announcement);
    while (answer) {
        struct submission *next = answer->next;

        answer->done(answer); /* may free it */
        answer = next;
    }
}

static size_t bytes_of(struct letter *letter)
{
    const struct commit *commit = announcement_of(letter)->commit;

    return commit ? commit->bytes.size : 0;
}

/* Announce the commits that wait, up to `end`: those that a round takes. */
static struct letter *announce_round(struct port *port)
{
    struct letter *end = port->held;
    size_t bytes = 0;

    do {
        struct commit *commit = announcement_of(end)->commit;

        bytes += bytes_of(end);
        if (commit)
            port->announce(port, commit);
        end = end->next;
    } while (end && bytes + bytes_of(end) <= ROUND_MAX_BYTES);
    return end;
}

/* What is answered leaves the list first: done() may do anything. */
static void tell(struct port *port)
{
    struct letter *letter = port->held, *end = announce_round(port);

    port->held = end;
    port->delivering = port->deliver && !port->deliver(port);
    while (letter != end) {
        struct letter *next = letter->next;

        answer_all(announcement_of(letter));
        letter = next;
    }
}

bool port_turn(struct port *port)
{
    if (port->delivering)
        port->delivering = !port->deliver(port);
    while (!port->delivering && port->held)
        tell(port);
    return !port->delivering;
}

static void port_receive(struct mailbox *box, struct letter *oldest)
{
    struct port *port = container_of(box, struct port, box);

    if (port->held)
        port->newest_held->next = oldest;
    else
        port->held = oldest;
    while (oldest->next)
        oldest = oldest->next;
    port->newest_held = oldest;
    if (!port->delivering)
        port_turn(port);
}

enum err port_init(struct port *port, uv_loop_t *loop,
                   void (*announce)(struct port *, struct commit *))
{
    port->announce = announce;
    port->deliver = NULL;
    port->delivering = false;
    port->held = NULL;
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
