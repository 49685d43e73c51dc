/* Following: over one transport, from the cursor on, and again from there. */
#include "tests/simulate/fiber.h"
#include "tests/simulate/house.h"
#include "tests/simulate/model.h"
#include "tests/simulate/peer.h"
#include "tests/simulate/run.h"
#include "tests/simulate/story.h"
#include "tests/simulate/time.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SILENCE_US 20000000 /* a stream's heartbeats are far more often */
#define TOKEN_S 3600
#define GRACE_MS 5000 /* the server's token_grace_ms */
#define TICKS_MS                                                               \
    1000 /* a slow disk makes nobody late, but ticks are coarse                \
          */

/* --- tokens --------------------------------------------------------------- */

void peer_token_for(struct peer *peer, uint64_t seconds)
{
    free(peer->token);
    peer->token_until_s = time_wall_s() + seconds;
    peer->token = wire_token(peer->user, peer->device, peer->token_until_s);
}

const char *peer_token(struct peer *peer)
{
    if (!peer->token || peer->token_until_s <= time_wall_s())
        peer_token_for(peer, TOKEN_S);
    return peer->token;
}

/* --- what is received ----------------------------------------------------- */

static uint64_t number(const json_t *value, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(value, name));
}

static const char *text(const json_t *value, const char *name)
{
    const char *found = json_string_value(json_object_get(value, name));

    return found ? found : "";
}

/* Another log: whatever it has is void, and it asks again from the beginning.
 */
static void reload(struct peer *peer)
{
    peer->era = peer->asked_era;
    peer->reloads = true;
    peer->asked = false; /* this connection is left */
}

/* The lsn of "<epoch>-<lsn>"; a client of the simulator looks inside. */
static uint64_t lsn_of(struct peer *peer, const json_t *value)
{
    const char *cursor = text(value, "cursor"), *dash = strchr(cursor, '-');

    if (!dash || dash - cursor != 8) {
        story_fail("%s/%s got no cursor but \"%s\"", peer->user, peer->device,
                   cursor);
        return 0;
    }
    if (!peer->epoch[0])
        peer->era = peer->asked_era;
    else if (strncmp(peer->epoch, cursor, 8) != 0 && peer->chain &&
             peer->era < peer->asked_era)
        reload(peer); /* a seq does not say of which log it is */
    else if (strncmp(peer->epoch, cursor, 8) != 0)
        story_fail("%s/%s sees the epoch change", peer->user, peer->device);
    memcpy(peer->epoch, cursor, 8);
    return strtoull(dash + 1, NULL, 10);
}

static void forget_all(struct peer *peer, uint64_t base)
{
    peer->base = peer->at = base;
    peer->shown_count = 0;
    model_starts_over(peer);
}

static void show(struct peer *peer, const json_t *event, uint64_t lsn)
{
    const char *conversation = text(event, "conversation");
    uint64_t seq = number(event, "seq");

    if (peer->chain ? seq <= peer->at : lsn <= peer->at)
        return; /* the rule of a client: it has that already */
    if ((peer->shown_count & (peer->shown_count - 1)) == 0)
        peer->shown = realloc(peer->shown, (peer->shown_count * 2 + 1) *
                                               sizeof *peer->shown);
    if (!peer->shown)
        abort();
    peer->shown[peer->shown_count++] =
        (struct shown){lsn, seq, model_name(conversation)};
    peer->at = peer->chain ? seq : lsn;
}

/* What retention took cannot be shown any more. */
static void skip(struct peer *peer, const json_t *event, uint64_t lsn)
{
    uint64_t to = number(event, "to"), at = peer->chain ? to : lsn;

    tally.gaps++;
    story_tell("%s/%s is told that %llu to %llu of %s are gone", peer->user,
               peer->device, (unsigned long long)number(event, "from"),
               (unsigned long long)to, text(event, "conversation"));
    model_gap(peer, text(event, "conversation"), number(event, "from"), to);
    peer->at = at > peer->at ? at : peer->at;
}

static void wait_until(struct peer *peer, uint64_t ms)
{
    peer->next_us = time_now_us() + ms * 1000;
}

/* What it has is of a log that is no more; from this cursor on it is told of
 * the new one. */
static void start_over(struct peer *peer, const json_t *event)
{
    uint64_t lsn;

    tally.resets++;
    story_tell("%s/%s is told to start over: %s", peer->user, peer->device,
               text(event, "reason"));
    if (peer->era >= peer->asked_era && !peer->reloads)
        story_fail("%s/%s got reset", peer->user, peer->device);
    if (!peer->chain)
        peer->epoch[0] = 0;
    lsn = lsn_of(peer, event); /* learns the epoch, and so the era */
    if (!peer->chain) {
        forget_all(peer, lsn);
        peer->floor = peer->base;
    }
    if (peer->chain || chance_percent(run_chance(), 50))
        reload(peer);
}

static void durable(struct peer *peer, const char *kind, const json_t *event)
{
    uint64_t lsn = lsn_of(peer, event);

    if (lsn <= peer->floor)
        story_fail("%s/%s is sent %s %llu over %s, which is not beyond %llu",
                   peer->user, peer->device, kind, (unsigned long long)lsn,
                   via_name(peer->via), (unsigned long long)peer->floor);
    peer->floor = lsn;
    tally.lines += peer->via == VIA_TCP;
    if (strcmp(kind, "receipt") == 0) {
        model_receipt(peer, text(event, "conversation"), text(event, "user"),
                      strcmp(text(event, "kind"), "read") == 0,
                      number(event, "seq"));
        if (!peer->chain && lsn > peer->at)
            peer->at = lsn;
    } else if (strcmp(kind, "gap") == 0) {
        skip(peer, event, lsn);
    } else {
        show(peer, event, lsn);
    }
}

/* The head of the log: everything before it has been sent. */
static void take_head(struct peer *peer, const json_t *event)
{
    uint64_t lsn = lsn_of(peer, event);

    if (lsn < peer->floor)
        story_fail("%s/%s: the head %llu is before %llu", peer->user,
                   peer->device, (unsigned long long)lsn,
                   (unsigned long long)peer->floor);
    peer->floor = lsn > peer->floor ? lsn : peer->floor;
    if (!peer->chain && lsn > peer->at)
        peer->at = lsn;
}

/* By the server's own clock, since what it says may be read much later. */
static void check_token(const struct peer *peer, const json_t *event)
{
    uint64_t until_ms = peer->asked_until_s * 1000 + GRACE_MS + TICKS_MS;

    if (number(event, "ts") > until_ms)
        story_fail("%s/%s is still served over %s when its token has expired",
                   peer->user, peer->device, via_name(peer->via));
}

static void one_event(struct peer *peer, const json_t *event)
{
    const char *kind = text(event, "event");

    if (strcmp(kind, "heartbeat") == 0)
        check_token(peer, event);
    if (strcmp(kind, "message") == 0 || strcmp(kind, "conversation") == 0 ||
        strcmp(kind, "receipt") == 0 || strcmp(kind, "gap") == 0)
        durable(peer, kind, event);
    else if (strcmp(kind, "heartbeat") == 0)
        take_head(peer, event);
    else if (strcmp(kind, "bye") == 0)
        wait_until(peer, number(event, "retry_after_ms"));
    else if (strcmp(kind, "reset") == 0)
        start_over(peer, event);
    else if (strcmp(kind, "hello") != 0)
        story_fail("%s/%s got %s", peer->user, peer->device, kind);
}

static void refused(struct peer *peer, const json_t *error)
{
    const char *code = text(error, "code");
    uint64_t wait_ms = number(error, "retry_after_ms");

    if (strcmp(code, "token_expired") == 0 || strcmp(code, "unauthorized") == 0)
        peer_token_for(peer, TOKEN_S);
    else if (strcmp(code, "not_found") != 0 && /* its channel is not yet */
             strcmp(code, "unavailable") != 0 &&
             strcmp(code, "rate_limited") != 0 && strcmp(code, "internal") != 0)
        story_fail("%s/%s may not follow over %s: %s", peer->user, peer->device,
                   via_name(peer->via), code);
    wait_until(peer, wait_ms ? wait_ms : 300);
    peer->asked = false;
}

static void poll_answer(struct peer *peer, const json_t *answer)
{
    const json_t *events = json_object_get(answer, "events"), *event;
    size_t i;

    json_array_foreach (events, i, event)
        one_event(peer, event);
    if (peer->chain)
        (void)lsn_of(peer, answer); /* the epoch, though there be no event */
    else
        take_head(peer, answer);
    peer->asked = false;
    if (peer->via == VIA_POLL && !json_is_true(json_object_get(answer, "more")))
        wait_until(peer, 400);
}

static bool on_json(void *arg, int status, const json_t *value)
{
    struct peer *peer = arg;
    const json_t *error = json_object_get(value, "error");

    if (json_is_string(json_object_get(value, "id")) && !error)
        peer->wire.status = WIRE_BOTH_WAYS; /* `auth` is answered */
    else if (json_is_integer(json_object_get(value, "id")))
        calls_answer(peer, value);
    else if (error && strcmp(text(value, "event"), "bye") != 0)
        refused(peer, error);
    else if (via_polls(peer->via))
        poll_answer(peer, value);
    else if (status == 200 || status == WIRE_BOTH_WAYS)
        one_event(peer, value);
    return true;
}

static void on_follow(struct line *line)
{
    struct peer *peer = container_of(line, struct peer, line);

    peer->heard_us = time_now_us();
    while (net_is_open(line) || line->in.size) {
        size_t before = line->in.size;

        if (!wire_take(&peer->wire, &line->in, on_json, peer) ||
            line->in.size == before)
            break;
    }
    if (!net_is_open(line) || peer->wire.close_code ||
        (!peer->asked && !via_polls(peer->via)))
        follow_drop(peer);
}

/* --- asking --------------------------------------------------------------- */

void follow_drop(struct peer *peer)
{
    net_close(&peer->line);
    calls_lost(peer, ON_SOCKET);
    peer->asked = false;
    if (peer->next_us <= time_now_us())
        wait_until(peer, chance_between(run_chance(), 20, 400));
}

void follow_over(struct peer *peer, enum via via)
{
    follow_drop(peer);
    peer->via = via;
    peer->next_us = 0;
}

/* As members of an object. */
static void present_in_line(struct peer *peer, char *asked, size_t size)
{
    unsigned limit = (unsigned)chance_between(run_chance(), 1, 40);

    if (peer->chain)
        (void)snprintf(asked, size,
                       "\"conversation\":\"%s\",\"after\":\"%llu\","
                       "\"limit\":\"%u\"",
                       peer->chain, (unsigned long long)peer->at, limit);
    else if (!peer->at)
        (void)snprintf(asked, size, "\"cursor\":\"0\",\"limit\":\"%u\"", limit);
    else
        (void)snprintf(asked, size, "\"cursor\":\"%s-%llu\",\"limit\":\"%u\"",
                       peer->epoch, (unsigned long long)peer->at, limit);
}

static void present_in_query(struct peer *peer, char *query, size_t size)
{
    int at;

    if (peer->chain)
        at = snprintf(query, size, "conversation=%s&after=%llu", peer->chain,
                      (unsigned long long)peer->at);
    else if (!peer->at)
        at = snprintf(query, size, "cursor=0");
    else
        at = snprintf(query, size, "cursor=%s-%llu", peer->epoch,
                      (unsigned long long)peer->at);
    (void)snprintf(query + at, size - (size_t)at, "&limit=%u%s%s",
                   (unsigned)chance_between(run_chance(), 1, 40),
                   via_polls(peer->via) ? "&wait=8" : "",
                   peer->via == VIA_JSONP || peer->via == VIA_IFRAME
                       ? "&callback=on"
                       : "");
}

/* Where it is, in the words of what it follows over. */
static void present(struct peer *peer, char *asked, size_t size)
{
    if (peer->via == VIA_TCP)
        present_in_line(peer, asked, size);
    else
        present_in_query(peer, asked, size);
    peer->floor = peer->chain ? 0 : peer->at;
    if (!peer->chain && peer->era == house_era())
        model_presented(peer->user, peer->at);
}

static void ask(struct peer *peer)
{
    char query[256];

    /* A poll may well go out on another connection than the one before. */
    if (!net_is_open(&peer->line) ||
        (via_polls(peer->via) && chance_percent(run_chance(), 20))) {
        net_close(&peer->line);
        net_open(&peer->line,
                 (peer->via == VIA_TCP ? HOUSE_LINES : 0) +
                     (unsigned)chance_below(run_chance(), HOUSE_WORKERS),
                 on_follow);
        wire_begin(&peer->wire, peer->via);
        if (!net_is_open(&peer->line)) {
            follow_drop(peer);
            return;
        }
    }
    if (peer->reloads)
        forget_all(peer, 0);
    if (!peer->at) /* of no log yet */
        peer->epoch[0] = 0;
    peer->reloads = false;
    present(peer, query, sizeof query);
    story_tell("%s/%s asks over %s: %s", peer->user, peer->device,
               via_name(peer->via), query);
    if (peer->line.sent == peer->line.out.size) {
        buf_reset(&peer->line.out);
        peer->line.sent = 0;
    }
    if (peer->via == VIA_TCP)
        wire_auth(&peer->line.out, query, peer_token(peer));
    else
        wire_get(&peer->line.out, peer->via, query, peer_token(peer));
    peer->asked_until_s = peer->token_until_s;
    peer->asked_era = house_era();
    peer->asked = true;
    peer->heard_us = time_now_us();
}

bool follow_turn(struct peer *peer)
{
    uint64_t now = time_now_us();

    if (peer->asked && now >= peer->heard_us + SILENCE_US) {
        story_tell("%s/%s hears nothing and hangs up", peer->user,
                   peer->device);
        follow_drop(peer);
        return true;
    }
    if (peer->asked || now < peer->next_us)
        return false;
    ask(peer);
    return true;
}

uint64_t follow_due_us(const struct peer *peer)
{
    return peer->asked ? peer->heard_us + SILENCE_US : peer->next_us;
}
