/* See climb.h. */
#include "server/cli/climb.h"

#include "server/base/clock.h"
#include "server/cli/interrupt.h"
#include "server/cli/ladder.h"
#include "server/cli/rung_thread.h"

#include <stdio.h>
#include <string.h>

#define NAP_MS 100 /* to look for the user's wish to end */

struct climber {
    struct ladder ladder;
    struct follower *follower;
    struct news_queue queue;
    struct rung *open[LADDER_MAX]; /* by index; NULL: closed */
    struct list dropped;           /* rungs that end */
    struct failure *why;
    bool over;
    bool renewed; /* logged in anew, and nothing heard since */
    int shown;    /* the live rung that was told of */
    uint64_t shown_wait_ms;
    struct failure last; /* of a rung */
};

static struct climber *of_ladder(struct ladder *ladder)
{
    return container_of(ladder, struct climber, ladder);
}

static void stop(struct climber *climber, const struct failure *why)
{
    if (!climber->over)
        *climber->why = *why;
    climber->over = true;
}

/* --- rungs ---------------------------------------------------------------- */

static void open_rung(struct ladder *ladder, size_t i)
{
    struct climber *climber = of_ladder(ladder);
    struct failure why;

    climber->open[i] =
        rung_open(&climber->queue, climber->follower, ladder->rungs[i].name, i);
    if (climber->open[i])
        return;
    (void)fail_plain(&why, ERR_NOMEM);
    stop(climber, &why);
}

static void drop(struct climber *climber, size_t i)
{
    struct rung *rung = climber->open[i];

    if (!rung)
        return;
    climber->open[i] = NULL;
    list_append(&climber->dropped, &rung->link);
    rung_drop(rung);
}

static void close_rung(struct ladder *ladder, size_t i)
{
    drop(of_ladder(ladder), i);
}

/* From another place: what the others bring is no unbroken run any more. */
static void reopen_others(struct climber *climber, const struct rung *but,
                          bool placeless_only)
{
    for (size_t i = 0; i < climber->ladder.count; i++) {
        struct rung *rung = climber->open[i];

        if (!rung || rung == but || (placeless_only && !rung->placeless))
            continue;
        drop(climber, i);
        open_rung(&climber->ladder, i);
    }
}

/* --- what they tell ------------------------------------------------------- */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static bool has_place(const struct position *position)
{
    return position->conversation ? position->has_after : *position->cursor;
}

/* Whether the place alone tells that it is news; else it is taken from the live
 * rung only. */
static bool is_placed(const struct position *position, const json_t *event)
{
    const char *kind = text_of(event, "event");

    if (!strcmp(kind, "hello") || !strcmp(kind, "heartbeat"))
        return false;
    if (!position->conversation)
        return *text_of(event, "cursor");
    return !strcmp(kind, "message") || !strcmp(kind, "conversation") ||
           !strcmp(kind, "gap");
}

static void heard(struct climber *climber, const struct rung *rung)
{
    ladder_heard(&climber->ladder, rung->index, clock_mono_ms());
    climber->renewed = false;
}

static void take_event(struct climber *climber, const struct rung *rung,
                       struct span text)
{
    struct follower *f = climber->follower;
    json_t *event = json_loadb(text.data, text.size, 0, NULL);
    bool live = climber->ladder.live == (int)rung->index;
    bool placeless = !has_place(&f->position);
    struct failure why;

    if (event && position_take(&f->position, event) &&
        (live || is_placed(&f->position, event)) && !f->event(f, event, text)) {
        (void)fail(&why, ERR_END, "stopped");
        stop(climber, &why);
    }
    if (!strcmp(text_of(event, "event"), "reset"))
        reopen_others(climber, rung, false);
    else if (placeless && has_place(&f->position))
        reopen_others(climber, rung, true);
    json_decref(event);
}

static void take_level(struct climber *climber, const struct rung *rung,
                       const struct position *at)
{
    struct follower *f = climber->follower;
    bool placeless = !has_place(&f->position);
    struct failure why;

    if (!at->conversation) {
        position_level(&f->position, at->cursor);
    } else if (at->has_after &&
               (!f->position.has_after || at->after > f->position.after)) {
        f->position.after = at->after;
        f->position.has_after = true;
    }
    if (placeless && has_place(&f->position))
        reopen_others(climber, rung, true);
    if (!f->flush(f)) {
        (void)fail(&why, ERR_END, "stopped");
        stop(climber, &why);
    }
}

/* --- how they end --------------------------------------------------------- */

/* Log in anew, once, until something is heard. */
static bool renew(struct climber *climber)
{
    struct failure why;

    if (climber->renewed || !remote_renew(climber->follower->remote) ||
        remote_login(climber->follower->remote, &why))
        return false;
    climber->renewed = true;
    return true;
}

static bool is_about_token(enum err err)
{
    return err == ERR_TOKEN_EXPIRED || err == ERR_UNAUTHORIZED;
}

/* Not as we are. */
static bool is_final(const struct climber *climber, const struct rung *rung,
                     enum err err)
{
    bool alone = climber->ladder.count == 1;

    switch (err) {
    case ERR_BAD_REQUEST:
    case ERR_FORBIDDEN:
    case ERR_NOT_MEMBER:
        return alone || rung->follower.ours;
    default:
        return alone && !remote_retryable(err);
    }
}

static enum rung_end how_it_ended(const struct rung *rung)
{
    const struct follower *f = &rung->follower;
    enum err err = rung->why.err;

    if (f->bye)
        return RUNG_BYE;
    if ((f->ours && remote_retryable(err)) || err == ERR_RATE_LIMITED)
        return RUNG_LATER;
    if (f->close_code == 1002 || f->close_code == 1003 ||
        (f->close_code >= 1007 && f->close_code <= 1009) ||
        !remote_retryable(err))
        return RUNG_UNFIT;
    return RUNG_FELL;
}

static void take_over(struct climber *climber, struct rung *rung)
{
    const struct follower *f = &rung->follower;
    uint64_t now = clock_mono_ms();
    enum err err = f->bye_err && !remote_retryable(f->bye_err) ? f->bye_err
                                                               : rung->why.err;
    uint64_t delay = f->bye ? f->bye_ms : rung->why.retry_after_ms;

    bool beside =
        climber->ladder.live >= 0 && climber->ladder.live != (int)rung->index;

    climber->open[rung->index] = NULL;
    if (err == ERR_END) {
        stop(climber, &rung->why);
    } else if (!beside && is_about_token(err) && renew(climber)) {
        ladder_ended(&climber->ladder, rung->index, RUNG_BYE, 0, now);
    } else if (!beside &&
               (is_about_token(err) || is_final(climber, rung, err))) {
        if (rung->why.err != err)
            (void)fail(&rung->why, err, "the server said bye: %s",
                       err_code(err));
        stop(climber, &rung->why);
    } else {
        ladder_ended(&climber->ladder, rung->index, how_it_ended(rung), delay,
                     now);
        climber->last = rung->why;
    }
}

static void take(struct climber *climber, struct news *news)
{
    struct rung *rung = news->rung;
    bool counts = climber->open[rung->index] == rung && !climber->over;

    if (counts && (news->kind == NEWS_EVENT || news->kind == NEWS_LEVEL))
        heard(climber, rung);
    /* Being heard may close others, but never itself. */
    if (counts && news->kind == NEWS_ACCEPTED)
        ladder_accepted(&climber->ladder, rung->index, clock_mono_ms());
    else if (counts && news->kind == NEWS_EVENT)
        take_event(climber, rung, (struct span){news->text, news->size});
    else if (counts && news->kind == NEWS_LEVEL)
        take_level(climber, rung, &news->position);
    else if (counts && news->kind == NEWS_OVER)
        take_over(climber, rung);
    if (news->kind == NEWS_OVER) {
        if (climber->open[rung->index] == rung)
            climber->open[rung->index] = NULL; /* it did not count */
        list_remove(&rung->link);
        rung_free(rung);
    }
    mem_free(news);
}

/* --- the whole ------------------------------------------------------------ */

static void show_wait(struct climber *climber)
{
    uint64_t until = climber->ladder.wait_until_ms, now = clock_mono_ms();

    if (until == climber->shown_wait_ms)
        return;
    climber->shown_wait_ms = until;
    if (until != LADDER_NEVER && until > now)
        (void)fprintf(stderr, "rung tail: %s; again in %.1f s\n",
                      climber->last.message, (double)(until - now) / 1000);
}

/* On stderr, for people: where it stands. */
static void show(struct climber *climber)
{
    const struct ladder *ladder = &climber->ladder;

    show_wait(climber);
    if (ladder->live == climber->shown || ladder->count == 1)
        return;
    climber->shown = ladder->live;
    if (ladder->live >= 0)
        (void)fprintf(stderr, "rung tail: over %s\n",
                      ladder->rungs[ladder->live].name);
}

/* All rungs end, which takes a second or so. */
static void close_all(struct climber *climber)
{
    size_t left = 0;

    for (size_t i = 0; i < climber->ladder.count; i++)
        drop(climber, i);
    for (struct list *at = climber->dropped.next; at != &climber->dropped;
         at = at->next)
        left++;
    while (left) {
        struct news *news = news_take(&climber->queue, NAP_MS);

        if (news && news->kind == NEWS_OVER)
            left--;
        if (news)
            take(climber, news);
    }
}

/* A token is needed before any rung can be opened. */
static enum err log_in(struct follower *f, struct failure *why)
{
    enum err err;
    unsigned attempt = 0;
    uint64_t delay;

    while ((err = remote_login(f->remote, why)) && remote_retryable(err)) {
        delay = remote_backoff_ms(attempt++, why->retry_after_ms);
        (void)fprintf(stderr, "rung tail: %s; again in %.1f s\n", why->message,
                      (double)delay / 1000);
        if (!interrupt_sleep(delay))
            return fail(why, ERR_END, "stopped");
    }
    return err;
}

static void run(struct climber *climber)
{
    struct follower *f = climber->follower;
    struct failure why;

    ladder_start(&climber->ladder, clock_mono_ms());
    while (!climber->over) {
        uint64_t now = clock_mono_ms();
        uint64_t due = ladder_tick(&climber->ladder, now);
        uint64_t left = due > now ? due - now : 0;
        struct news *news =
            news_take(&climber->queue, left < NAP_MS ? left : NAP_MS);

        for (; news; news = news_take(&climber->queue, 0))
            take(climber, news);
        show(climber);
        f->idle(f);
        if (interrupt_wanted()) {
            (void)fail(&why, ERR_END, "stopped");
            stop(climber, &why);
        }
    }
}

enum err climb(struct follower *follower, const char *const *transports,
               size_t count, struct failure *why)
{
    struct climber climber = {.follower = follower, .why = why};
    enum err err = log_in(follower, why);

    if (err)
        return err;
    climber.shown = LADDER_NONE;
    climber.shown_wait_ms = LADDER_NEVER;
    climber.ladder.count = count;
    climber.ladder.open = open_rung;
    climber.ladder.close = close_rung;
    climber.ladder.random = random_below;
    for (size_t i = 0; i < count; i++)
        climber.ladder.rungs[i].name = transports[i];
    ladder_init(&climber.ladder);
    list_init(&climber.dropped);
    if (news_init(&climber.queue))
        return fail_plain(why, ERR_NOMEM);
    run(&climber);
    close_all(&climber);
    news_fini(&climber.queue);
    return why->err;
}
