#include "server/backlog.h"

#include "server/base/clock.h"

void backlog_init(struct backlog *backlog, size_t max_count,
                  uint64_t max_wait_ms)
{
    backlog->max_count = max_count ? max_count : BACKLOG_MAX;
    atomic_store(&backlog->max_wait_ms, max_wait_ms);
}

static enum err refuse(struct failure *why, const char *words)
{
    fail(why, ERR_OVERLOADED, "%s", words);
    if (why)
        why->retry_after_ms = 500 + (uint32_t)random_below(1000);
    return ERR_OVERLOADED;
}

static bool is_beyond(const struct backlog *backlog, uint64_t since_ms,
                      uint64_t now_ms)
{
    return now_ms > since_ms &&
           now_ms - since_ms > atomic_load_explicit(&backlog->max_wait_ms,
                                                    memory_order_relaxed);
}

static bool take_room(struct backlog *backlog, size_t size)
{
    size_t waiting = atomic_fetch_add(&backlog->count, 1);
    size_t bytes = atomic_fetch_add(&backlog->bytes, size);

    if (waiting < backlog->max_count &&
        (!bytes || bytes + size <= BACKLOG_MAX_BYTES))
        return true;
    backlog_leave(backlog, 1, size);
    return false;
}

enum err backlog_enter(struct backlog *backlog, struct submission *submission,
                       uint64_t alive_ms, struct failure *why)
{
    submission->since_ms = clock_mono_ms();
    if (is_beyond(backlog, alive_ms, submission->since_ms))
        return refuse(why, "the disk is too slow to store messages now");
    if (!take_room(backlog, submission->size))
        return refuse(why, "too many messages are waiting to be stored");
    return ERR_NONE;
}

void backlog_leave(struct backlog *backlog, size_t count, size_t bytes)
{
    atomic_fetch_sub(&backlog->count, count);
    atomic_fetch_sub(&backlog->bytes, bytes);
}

bool backlog_too_late(const struct backlog *backlog,
                      struct submission *submission, uint64_t now_ms)
{
    if (!is_beyond(backlog, submission->since_ms, now_ms))
        return false;
    submission->applied = (struct applied){.err = ERR_OVERLOADED};
    refuse(&submission->failure,
           "the message has waited too long to be stored; it was not");
    return true;
}
