/* Calling: each call over HTTP or over the WebSocket, again until answered. */
#include "tests/simulate/fiber.h"
#include "tests/simulate/house.h"
#include "tests/simulate/model.h"
#include "tests/simulate/peer.h"
#include "tests/simulate/run.h"
#include "tests/simulate/story.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_US 8000000
#define CALLS_MAX 4096
#define SOCKET_CALLS 3 /* at once */

static struct call *all[CALLS_MAX];
static size_t count;

static const char *const methods[] = {
    [SEND] = "message.send",
    [READ] = "message.read",
    [ACK] = "message.ack",
    [CREATE] = "conversation.create",
    [INVITE] = "conversation.invite",
    [JOIN] = "conversation.join",
    [LEAVE] = "conversation.leave",
};

size_t calls_count(void)
{
    return count;
}

struct call *calls_all(size_t i)
{
    return all[i];
}

struct call *call_make(struct peer *by, enum deed deed,
                       const char *conversation)
{
    struct call *call = calloc(1, sizeof *call);

    if (!call || count == CALLS_MAX)
        abort();
    call->by = by;
    call->deed = deed;
    call->conversation = model_name(conversation);
    memcpy(call->epoch, by->epoch, sizeof call->epoch);
    if (deed == SEND)
        (void)snprintf(call->id, sizeof call->id, "m%zu", count);
    all[count++] = call;
    list_append(&by->calls, &call->link);
    return call;
}

static bool comes_before(const struct call *a, const struct call *b)
{
    return a->counted && a->by == b->by && a->conversation == b->conversation &&
           a->counted < b->counted;
}

void call_count(struct call *call)
{
    uint64_t last = 0;

    for (size_t i = 0; i < count; i++)
        if (all[i]->by == call->by && all[i]->counted > last &&
            all[i]->conversation == call->conversation)
            last = all[i]->counted;
    call->counted = last + 1;
}

struct call *call_again(const struct call *call)
{
    struct call *again = call_make(call->by, call->deed, call->conversation);

    again->user = call->user;
    again->mark = call->mark;
    memcpy(again->epoch, call->epoch, sizeof again->epoch);
    again->counted = house_era() ? 0 : call->counted; /* calls_restored() */
    memcpy(again->id, call->id, sizeof again->id);
    return again;
}

void calls_restored(void)
{
    for (size_t i = 0; i < count; i++)
        if (!all[i]->over)
            all[i]->counted = 0;
}

/* --- asking --------------------------------------------------------------- */

static void write_send(const struct call *call, char *out, size_t size)
{
    char counted[48] = "";

    if (call->counted)
        (void)snprintf(counted, sizeof counted, "\"client_seq\":%llu,",
                       (unsigned long long)call->counted);
    (void)snprintf(out, size,
                   "{\"conversation\":\"%s\",\"client_msg_id\":\"%s\",%s"
                   "\"body\":\"%s\"}",
                   call->conversation, call->id, counted, call->id);
}

/* "0:2:team", "0:3:news" */
static void write_create(const char *name, char *out, size_t size)
{
    bool group = name[2] == '2';
    char own[48] = "";

    if (house_forgets() && strcmp(name, KEEPS_ITS_OWN) == 0)
        (void)snprintf(own, sizeof own, ",\"retention\":{\"max_count\":%d}",
                       OWN_KEEP_COUNT);
    (void)snprintf(out, size,
                   "{\"type\":\"%s\",\"id\":\"%s\",\"members\":[%s],"
                   "\"settings\":{\"open\":true%s}}",
                   group ? "group" : "channel", name + 4,
                   group ? "\"bob\",\"dave\"" : "", own);
}

static void write_params(const struct call *call, char *out, size_t size)
{
    const char *name = call->conversation;

    switch (call->deed) {
    case SEND:
        write_send(call, out, size);
        break;
    case READ:
        (void)snprintf(out, size, "{\"conversation\":\"%s\",\"seq\":%llu}",
                       name, (unsigned long long)call->mark);
        break;
    case ACK:
        (void)snprintf(out, size, "{\"cursor\":\"%s-%llu\"}", call->epoch,
                       (unsigned long long)call->mark);
        break;
    case CREATE:
        write_create(name, out, size);
        break;
    case INVITE:
        (void)snprintf(out, size, "{\"conversation\":\"%s\",\"user\":\"%s\"}",
                       name, call->user);
        break;
    case JOIN:
    case LEAVE:
        (void)snprintf(out, size, "{\"conversation\":\"%s\"}", name);
        break;
    }
}

static void tell(const struct call *call, const char *params, const char *over)
{
    story_tell("%s/%s calls %s over %s: %s%s", call->by->user, call->by->device,
               methods[call->deed], over, params,
               call->tries ? " (again)" : "");
}

static void sent(struct call *call, int out)
{
    call->out = out;
    call->tries++;
    call->asked_us = time_now_us();
    call->asked_era = house_era();
    if (call->deed == ACK && call->by->era == house_era() &&
        strcmp(call->epoch, call->by->epoch) == 0)
        model_presented(call->by->user, call->mark);
    if (call->deed == READ)
        model_asked_read(call->by->user, call->conversation, call->mark);
}

static void ask_by_frame(struct call *call)
{
    struct peer *peer = call->by;
    char params[512], frame[1024];
    size_t number = 0;

    while (all[number] != call)
        number++;
    write_params(call, params, sizeof params);
    tell(call, params, via_name(peer->via));
    (void)snprintf(frame, sizeof frame,
                   "{\"id\":%zu,\"method\":\"%s\",\"params\":%s}", number,
                   methods[call->deed], params);
    wire_frame(&peer->line.out, peer->via, frame);
    sent(call, ON_SOCKET);
}

static void on_answer(struct line *line);

static void ask_by_post(struct call *call)
{
    struct peer *peer = call->by;
    struct line *line = &peer->calls_line;
    char params[512];

    if (!net_is_open(line)) {
        net_close(line);
        net_open(line, (unsigned)chance_below(run_chance(), 2), on_answer);
        wire_begin(&peer->calls_wire, VIA_CALL);
    }
    if (!net_is_open(line)) {
        calls_drop(peer);
        return;
    }
    write_params(call, params, sizeof params);
    tell(call, params, "http");
    if (line->sent == line->out.size) {
        buf_reset(&line->out);
        line->sent = 0;
    }
    wire_post(&line->out, methods[call->deed], params, peer_token(peer));
    sent(call, ON_LINE);
}

/* --- answers -------------------------------------------------------------- */

static uint64_t number_in(const json_t *value, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(value, name));
}

static void over(struct call *call, int status, const json_t *result)
{
    const char *cursor = json_string_value(json_object_get(result, "cursor"));

    call->over = true;
    call->status = status;
    call->seq = number_in(result, "seq");
    call->lsn = cursor && strchr(cursor, '-')
                    ? strtoull(strchr(cursor, '-') + 1, NULL, 10)
                    : 0;
    call->duplicate = json_is_true(json_object_get(result, "duplicate"));
    list_remove(&call->link);
    story_tell("%s/%s: %s %s is answered: %d %s seq %llu%s", call->by->user,
               call->by->device, methods[call->deed], call->id, status,
               call->code, (unsigned long long)call->seq,
               call->duplicate ? ", a duplicate" : "");
}

static bool passes(const char *code)
{
    return strcmp(code, "unavailable") == 0 ||
           strcmp(code, "storage_full") == 0 || strcmp(code, "internal") == 0 ||
           strcmp(code, "overloaded") == 0 ||
           strcmp(code, "rate_limited") == 0 ||
           strcmp(code, "token_expired") == 0 || strcmp(code, "not_found") == 0;
}

static void refused(struct call *call, const json_t *error)
{
    const char *code = json_string_value(json_object_get(error, "code"));
    uint64_t wait_ms = number_in(error, "retry_after_ms");

    (void)snprintf(call->code, sizeof call->code, "%s", code ? code : "?");
    if (strcmp(call->code, "token_expired") == 0)
        peer_token_for(call->by, 3600);
    /* What has overtaken another is asked again behind it. */
    if (!passes(call->code) &&
        !(call->counted && strcmp(call->code, "conflict") == 0)) {
        over(call, 400, NULL);
        return;
    }
    story_tell("%s/%s: %s %s may be asked again: %s", call->by->user,
               call->by->device, methods[call->deed], call->id, call->code);
    call->out = IDLE;
    /* A commit of which the disk said that it failed may be there after all,
     * when its last write did get through. */
    call->unsure = call->unsure || strcmp(call->code, "unavailable") == 0;
    call->by->calls_us = time_now_us() + (wait_ms ? wait_ms : 200) * 1000;
    call->code[0] = 0;
}

static void answered(struct call *call, const json_t *answer)
{
    const json_t *error = json_object_get(answer, "error");

    if (error)
        refused(call, error);
    else
        over(call, 200, answer);
}

void calls_answer(struct peer *peer, const json_t *frame)
{
    size_t i = (size_t)json_integer_value(json_object_get(frame, "id"));
    const json_t *result = json_object_get(frame, "result");

    if (i >= count || all[i]->by != peer || all[i]->out != ON_SOCKET)
        story_fail("%s/%s gets an answer to nothing", peer->user, peer->device);
    else
        answered(all[i], result ? result : frame);
}

static struct call *on_line(struct peer *peer)
{
    list_each (node, &peer->calls) {
        struct call *call = container_of(node, struct call, link);

        if (call->out == ON_LINE)
            return call;
    }
    return NULL;
}

static bool on_json(void *arg, int status, const json_t *value)
{
    struct peer *peer = arg;
    struct call *call = on_line(peer);

    (void)status;
    if (!call) {
        story_fail("%s/%s gets an answer to nothing", peer->user, peer->device);
        return true;
    }
    call->out = IDLE;
    answered(call, value);
    return true;
}

static void on_answer(struct line *line)
{
    struct peer *peer = container_of(line, struct peer, calls_line);

    while (line->in.size) {
        size_t before = line->in.size;

        if (!wire_take(&peer->calls_wire, &line->in, on_json, peer) ||
            line->in.size == before)
            break;
    }
    if (!net_is_open(line) ||
        (peer->calls_wire.closes && !peer->calls_wire.status))
        calls_drop(peer);
}

/* --- when ----------------------------------------------------------------- */

void calls_lost(struct peer *peer, int out)
{
    list_each (node, &peer->calls) {
        struct call *call = container_of(node, struct call, link);

        if ((int)call->out != out)
            continue;
        call->out = IDLE;
        call->unsure = true;
    }
}

void calls_drop(struct peer *peer)
{
    uint64_t again = chance_between(run_chance(), 20, 300) * 1000;

    net_close(&peer->calls_line);
    calls_lost(peer, ON_LINE);
    if (peer->calls_us < time_now_us() + again)
        peer->calls_us = time_now_us() + again;
}

static bool socket_is_open(const struct peer *peer)
{
    return net_is_open(&peer->line) && via_both_ways(peer->via) &&
           peer->wire.status == WIRE_BOTH_WAYS && !peer->wire.close_code;
}

/* What has been out for too long; else what waits, and how many are out. */
static struct call *late(struct peer *peer)
{
    list_each (node, &peer->calls) {
        struct call *call = container_of(node, struct call, link);

        if (call->out != IDLE && time_now_us() >= call->asked_us + PATIENCE_US)
            return call;
    }
    return NULL;
}

static size_t out_on(const struct peer *peer, int out)
{
    size_t found = 0;

    list_each (node, &peer->calls)
        found += (int)container_of(node, struct call, link)->out == out;
    return found;
}

/* The first of those that are counted is waited for: any number may be it. */
static bool must_wait(const struct call *call)
{
    for (size_t i = 0; call->counted && i < count; i++)
        if (all[i]->counted == 1 && !all[i]->over && comes_before(all[i], call))
            return true;
    return false;
}

/* Not always the oldest: they may overtake each other. */
static struct call *waiting(const struct peer *peer)
{
    struct call *found = NULL;

    list_each (node, &peer->calls) {
        struct call *call = container_of(node, struct call, link);

        if (call->out != IDLE || must_wait(call))
            continue;
        found = call;
        if (chance_percent(run_chance(), 80))
            break;
    }
    return found;
}

static bool give_up(struct call *call)
{
    struct peer *peer = call->by;

    story_tell("%s/%s has waited long enough for %s", peer->user, peer->device,
               call->id[0] ? call->id : methods[call->deed]);
    if (call->out == ON_SOCKET)
        follow_drop(peer);
    else
        calls_drop(peer);
    return true;
}

bool calls_turn(struct peer *peer)
{
    struct call *call = late(peer);

    if (call)
        return give_up(call);
    call = waiting(peer);
    if (!call || time_now_us() < peer->calls_us)
        return false;
    if (socket_is_open(peer) && out_on(peer, ON_SOCKET) < SOCKET_CALLS &&
        chance_percent(run_chance(), 70)) {
        ask_by_frame(call);
        return true;
    }
    if (out_on(peer, ON_LINE))
        return false;
    ask_by_post(call);
    return true;
}

uint64_t calls_due_us(const struct peer *peer)
{
    uint64_t due = UINT64_MAX;

    list_each (node, &peer->calls) {
        const struct call *call = container_of(node, struct call, link);
        uint64_t at =
            call->out == IDLE ? peer->calls_us : call->asked_us + PATIENCE_US;

        due = at < due ? at : due;
    }
    return due;
}
