/* /socket.io/: the namespaces "/", "/custom" and "/admin", whose handlers are
 * what a suite expects (docs/SOCKETIO.md lists them). */
#include "tests/conformance/chat.h"

#include "server/base/clock.h"
#include "server/event.h"
#include "tests/conformance/conformance.h"

#include <string.h>

#define SPACES 3

static struct chat_space spaces[SPACES] = {
    {.name = "/"}, {.name = "/custom"}, {.name = "/admin"}};

/* Made when first asked for, on the worker that has all sessions. */
static struct chat_space *space_of(struct span name)
{
    for (size_t i = 0; i < SPACES; i++) {
        struct chat_space *space = &spaces[i];

        if (!span_is(name, space->name))
            continue;
        if (!space->ready) {
            space->ready = true;
            sio_rooms_init(&space->rooms);
            space->memory = conformance.recovery ? memory_create() : NULL;
        }
        return space;
    }
    return NULL;
}

static struct chat_space *space(const struct sio_socket *socket)
{
    return space_of(span_of(socket->space));
}

/* --- saying --------------------------------------------------------------- */

static void deliver(struct chat_space *in, const struct sio_message *message,
                    const struct hearers *to)
{
    if (in->memory)
        memory_keep(in->memory, message, to);
    if (to->socket)
        sio_emit(to->socket, message);
    else
        sio_rooms_emit(&in->rooms, to->room, to->except, message);
}

/* With recovery, the offset is the last argument. */
static void say(struct chat_space *in, const struct hearers *to,
                struct span name, struct span args,
                const struct sio_event *because)
{
    struct sio_message message;
    struct buf text;

    buf_init(&text, SIZE_MAX / 2);
    buf_append_span(&text, args);
    if (in->memory) {
        buf_append_text(&text, args.size ? ",\"" : "\"");
        memory_offset(in->memory, &text);
        buf_append_text(&text, "\"");
    }
    if (!buf_status(&text) &&
        sio_message_event(&message, span_of(in->name), name,
                          (struct span){text.data, text.size},
                          because ? because->attachments : NULL,
                          because ? because->attachment_count : 0)) {
        deliver(in, &message, to);
        sio_message_fini(&message);
    }
    buf_fini(&text);
}

static void answer(struct sio_socket *socket, const struct sio_event *event,
                   struct span args, unsigned attachments)
{
    if (event->wants_ack)
        sio_ack(socket, event->id, args, event->attachments, attachments);
}

/* --- greeting --------------------------------------------------------------
 *
 * The published suite listens for one packet at a time, so the answer to a
 * CONNECT and the `auth` behind it must not come in one piece, where they would
 * leave at once. Whatever else is said on the connection comes behind it. */

#define GREETING_MS 20

struct greeting {
    struct list link;
    struct wheel_node later;
    struct sio_socket *socket;
    size_t size;
    char auth[];
};

/* That are still to be said. */
static struct list greetings = {&greetings, &greetings};

static void say_auth(struct sio_socket *socket, struct span auth)
{
    const struct hearers to = {.socket = socket};

    say(space(socket), &to, SPAN("auth"), auth, NULL);
}

static void drop_greeting(struct greeting *greeting)
{
    list_remove(&greeting->link);
    wheel_disarm(&greeting->later);
    mem_free(greeting);
}

static void say_greeting(struct greeting *greeting)
{
    say_auth(greeting->socket, (struct span){greeting->auth, greeting->size});
    drop_greeting(greeting);
}

static void greet_now(struct wheel_node *node)
{
    say_greeting(container_of(node, struct greeting, later));
}

static void greet_later(struct sio_socket *socket, struct span auth)
{
    struct greeting *greeting = mem_alloc(sizeof(*greeting) + auth.size);

    if (!greeting)
        return;
    greeting->socket = socket;
    greeting->size = auth.size;
    memcpy(greeting->auth, auth.data, auth.size);
    list_append(&greetings, &greeting->link);
    wheel_node_init(&greeting->later, greet_now);
    wheel_arm(&sio_worker(socket)->wheel, &greeting->later,
              clock_mono_ms() + GREETING_MS);
}

static void finish_greetings(const struct sio_socket *socket)
{
    list_each_safe (link, &greetings) {
        struct greeting *greeting = container_of(link, struct greeting, link);

        if (sio_session(greeting->socket) == sio_session(socket))
            say_greeting(greeting);
    }
}

static void forget_greeting(const struct sio_socket *socket)
{
    list_each_safe (link, &greetings) {
        struct greeting *greeting = container_of(link, struct greeting, link);

        if (greeting->socket == socket)
            drop_greeting(greeting);
    }
}

/* --- handlers --------------------------------------------------------------
 */

static void on_message(struct sio_socket *socket, const struct sio_event *event)
{
    const struct hearers to = {.socket = socket};

    say(space(socket), &to, SPAN("message-back"), event->args, event);
}

static void on_message_with_ack(struct sio_socket *socket,
                                const struct sio_event *event)
{
    answer(socket, event, event->args, event->attachment_count);
}

/* The next argument when it is a string: owned, NULL when it is none. */
static char *take_string(struct span *rest, struct span *out)
{
    struct jtext value;
    char *text;

    if (!sio_next(rest, &value) || value.kind != JTEXT_STRING)
        return NULL;
    text = mem_alloc(value.text.size);
    if (text)
        *out = (struct span){text, jtext_unescape(text, &value)};
    return text;
}

static void on_join(struct sio_socket *socket, const struct sio_event *event)
{
    struct span rest = event->args, room;
    char *text = take_string(&rest, &room);

    if (text && !sio_rooms_join(&space(socket)->rooms, socket, room))
        answer(socket, event, (struct span){0}, 0);
    mem_free(text);
}

static void on_leave(struct sio_socket *socket, const struct sio_event *event)
{
    struct span rest = event->args, room;
    char *text = take_string(&rest, &room);

    if (text) {
        sio_rooms_leave(&space(socket)->rooms, socket, room);
        answer(socket, event, (struct span){0}, 0);
    }
    mem_free(text);
}

/* An event that the arguments name, with those behind it. */
static void pass_on(struct sio_socket *socket, const struct sio_event *event,
                    struct span rest, const struct hearers *to)
{
    struct span name;
    char *text = take_string(&rest, &name);

    if (text && !sio_is_reserved(name))
        say(space(socket), to, name, rest, event);
    mem_free(text);
}

static void to_room(struct sio_socket *socket, const struct sio_event *event,
                    const struct sio_socket *except)
{
    struct span rest = event->args, room;
    char *text = take_string(&rest, &room);
    const struct hearers to = {.room = room, .except = except};

    if (text)
        pass_on(socket, event, rest, &to);
    mem_free(text);
}

static void on_to_room(struct sio_socket *socket, const struct sio_event *event)
{
    to_room(socket, event, socket);
}

static void on_in_room(struct sio_socket *socket, const struct sio_event *event)
{
    to_room(socket, event, NULL);
}

static void on_broadcast(struct sio_socket *socket,
                         const struct sio_event *event)
{
    const struct hearers to = {.except = socket};

    pass_on(socket, event, event->args, &to);
}

static void on_reply(struct sio_socket *socket, const struct sio_event *reply)
{
    const struct hearers to = {.socket = socket};

    say(space(socket), &to, SPAN("asked"), reply->args, reply);
}

static void on_server_ask(struct sio_socket *socket,
                          const struct sio_event *event)
{
    sio_ask(socket, SPAN("ask"), event->args, event->attachments,
            event->attachment_count, on_reply);
}

static void on_kick(struct sio_socket *socket, const struct sio_event *event)
{
    (void)event;
    sio_kick(socket);
}

static void on_leave_ns(struct sio_socket *socket,
                        const struct sio_event *event)
{
    (void)event;
    sio_disconnect(socket);
}

static void on_no_ack(struct sio_socket *socket, const struct sio_event *event)
{
    (void)socket;
    (void)event;
}

static const struct {
    const char *name;
    void (*run)(struct sio_socket *socket, const struct sio_event *event);
} handlers[] = {
    {"message", on_message},     {"message-with-ack", on_message_with_ack},
    {"join", on_join},           {"leave", on_leave},
    {"to-room", on_to_room},     {"in-room", on_in_room},
    {"broadcast", on_broadcast}, {"server-ask", on_server_ask},
    {"no-ack", on_no_ack},       {"kick", on_kick},
    {"leave-ns", on_leave_ns},
};

static void on_event(struct sio_socket *socket, const struct sio_event *event)
{
    finish_greetings(socket);
    if (!strcmp(socket->space, "/admin"))
        return;
    for (size_t i = 0; i < sizeof(handlers) / sizeof(*handlers); i++)
        if (sio_says(&event->name, handlers[i].name)) {
            handlers[i].run(socket, event);
            return;
        }
}

/* --- coming and going ------------------------------------------------------
 */

static bool member_is(struct span object, const char *name, const char *text)
{
    struct jtext whole, value;
    struct jtext_object members;

    if (jtext_read_loose(object, &whole, NULL, NULL))
        return false;
    jtext_open(&whole, &members);
    return jtext_get(&members, name, &value) && sio_says(&value, text);
}

/* A member that is a plain string; data NULL: there is none. */
static struct span member_of(struct span object, const char *name)
{
    struct jtext whole, value;
    struct jtext_object members;

    if (jtext_read_loose(object, &whole, NULL, NULL))
        return (struct span){0};
    jtext_open(&whole, &members);
    if (!jtext_get(&members, name, &value) || value.kind != JTEXT_STRING ||
        value.escaped)
        return (struct span){0};
    return jtext_plain(&value);
}

/* What was missed comes first. */
static void welcome(struct sio_socket *socket, struct span auth)
{
    struct chat_space *in = space(socket);
    bool leaves_at_once = eio_has_room(sio_session(socket));
    struct span pid = member_of(auth, "pid"),
                offset = member_of(auth, "offset");
    bool recovered =
        in->memory && pid.data && offset.data &&
        memory_recover(in->memory, &in->rooms, socket, pid, offset);

    if (recovered)
        socket->user = mem_strndup(pid.data, pid.size);
    else if (in->memory)
        socket->user = memory_pid();
    sio_rooms_add(&in->rooms, socket);
    sio_accept(socket, socket->user);
    if (recovered)
        memory_replay(in->memory, socket, offset);
    if (!strcmp(socket->space, "/admin"))
        return;
    if (leaves_at_once && !in->memory)
        greet_later(socket, auth);
    else
        say_auth(socket, auth);
}

static void on_connect(struct sio_socket *socket, struct span auth)
{
    finish_greetings(socket);
    if (!strcmp(socket->space, "/admin") && !member_is(auth, "token", "good"))
        sio_refuse(socket, SPAN("not authorized"),
                   SPAN("{\"code\":401,\"content\":\"retry later\"}"));
    else
        welcome(socket, auth);
}

static void on_disconnect(struct sio_socket *socket, enum sio_end how)
{
    struct chat_space *in = space(socket);

    forget_greeting(socket);
    if (in->memory && socket->user && how == SIO_LOST)
        memory_lose(in->memory, socket, socket->user);
    sio_rooms_remove(&in->rooms, socket);
    mem_free(socket->user);
}

static bool has(struct span name)
{
    return space_of(name) != NULL;
}

static uint32_t connect_timeout_ms(const struct config *config)
{
    (void)config;
    return conformance.connect_timeout_ms;
}

static const struct sio_handler handler = {
    .connect_timeout_ms = connect_timeout_ms,
    .has = has,
    .on_connect = on_connect,
    .on_event = on_event,
    .on_disconnect = on_disconnect,
};

/* --- on Engine.IO -----------------------------------------------------------
 */

static const char *path(const struct config *config)
{
    (void)config;
    return "/socket.io/";
}

/* The rooms are in one worker's memory. */
static void options(const struct config *config, struct eio_options *out)
{
    conformance_eio(config, out);
    out->together = true;
}

static void *open_client(struct eio_session *session)
{
    return sio_open(session, &handler);
}

const struct eio_server chat_server = {
    .path = path,
    .options = options,
    .open = open_client,
    .message = sio_hear,
    .room = sio_room,
    .closed = sio_closed,
};
