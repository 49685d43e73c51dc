/* GET /sse?channel=c and POST /publish?channel=c: bodies as Server-Sent Events,
 * numbered, the newest of which are kept for who comes back with
 * Last-Event-ID. On the server's own hosts, without its log.
 *
 * The channels belong to the process, under a lock; the streams to the workers
 * that accepted them, which are told of every message by an errand. */
#include "tests/conformance/conformance.h"
#include "transports/place.h"
#include "transports/stream_conn.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX (4u << 20)
#define KEPT 1000              /* messages of a channel … */
#define KEPT_BYTES (64u << 20) /* … and so many bytes of them */
#define NAME_BYTES 256
#define WORKERS_MAX 256

struct channel {
    struct list link;
    uint64_t last; /* the newest id; 0: none */
    size_t count, bytes;
    struct shared *kept[KEPT]; /* as they are sent; at its id modulo KEPT */
    char name[NAME_BYTES + 1];
};

struct subscriber {
    struct stream_conn conn;
    struct channel *channel;
    uint64_t seen;
    struct list link;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list channels = {&channels, &channels}; /* under `lock` */
static struct list subscribers[WORKERS_MAX];          /* each its worker's */

/* --- channels ------------------------------------------------------------- */

/* Made when missing; NULL: no memory. They stay as long as the process. */
static struct channel *channel_get(struct span name)
{
    struct channel *channel;

    list_each (link, &channels) {
        channel = container_of(link, struct channel, link);
        if (span_is(name, channel->name))
            return channel;
    }
    channel = mem_zalloc(sizeof(*channel));
    if (!channel)
        return NULL;
    memcpy(channel->name, name.data, name.size);
    list_append(&channels, &channel->link);
    return channel;
}

static void drop_oldest(struct channel *channel)
{
    struct shared **oldest =
        &channel->kept[(channel->last - channel->count + 1) % KEPT];

    channel->bytes -= (*oldest)->size;
    channel->count--;
    shared_unref(*oldest);
    *oldest = NULL;
}

/* Lines as the format has them (WHATWG HTML, section 9.2.6). */
static struct shared *write_event(uint64_t id, struct span body)
{
    struct shared *shared = NULL;
    struct buf text;

    buf_init(&text, 16u << 20);
    buf_printf(&text, "id: %llu\ndata: ", (unsigned long long)id);
    for (size_t i = 0; i < body.size; i++) {
        bool pair = body.data[i] == '\r' && i + 1 < body.size &&
                    body.data[i + 1] == '\n';

        if (pair)
            continue;
        if (body.data[i] == '\n' || body.data[i] == '\r')
            buf_append_text(&text, "\ndata: ");
        else
            buf_append(&text, body.data + i, 1);
    }
    buf_append_text(&text, "\n\n");
    if (!buf_status(&text))
        shared = shared_copy(text.data, text.size);
    buf_fini(&text);
    return shared;
}

/* Its id; 0: no memory. */
static uint64_t channel_add(struct channel *channel, struct span body)
{
    struct shared *event = write_event(channel->last + 1, body);

    if (!event)
        return 0;
    while (channel->count == KEPT ||
           (channel->count && channel->bytes + event->size > KEPT_BYTES))
        drop_oldest(channel);
    channel->kept[++channel->last % KEPT] = event;
    channel->count++;
    channel->bytes += event->size;
    return channel->last;
}

/* The first kept one behind *seen, which moves to it: a reference; NULL: there
 * is none. */
static struct shared *channel_next(struct channel *channel, uint64_t *seen)
{
    struct shared *event = NULL;

    pthread_mutex_lock(&lock);
    if (*seen < channel->last) {
        if (*seen < channel->last - channel->count)
            *seen = channel->last - channel->count;
        event = shared_ref(channel->kept[++*seen % KEPT]);
    }
    pthread_mutex_unlock(&lock);
    return event;
}

/* --- streams --------------------------------------------------------------- */

static void pump(struct subscriber *subscriber)
{
    struct shared *event;

    while (!stream_full(&subscriber->conn) &&
           (event = channel_next(subscriber->channel, &subscriber->seen))) {
        (void)stream_send(&subscriber->conn, event);
        shared_unref(event);
    }
}

static void drained(struct stream_conn *conn)
{
    pump(container_of(conn, struct subscriber, conn));
}

static void gone(struct stream_conn *conn)
{
    struct subscriber *subscriber = container_of(conn, struct subscriber, conn);

    list_remove(&subscriber->link);
    mem_free(subscriber);
}

static const struct stream_owner owner = {.drained = drained, .gone = gone};

static struct list *subscribers_of(const struct worker *worker)
{
    struct list *list = &subscribers[worker->index % WORKERS_MAX];

    if (!list->next)
        list_init(list);
    return list;
}

static void tell(struct errand *errand, struct worker *worker)
{
    list_each (link, subscribers_of(worker))
        pump(container_of(link, struct subscriber, link));
    mem_free(errand);
}

static void tell_everyone(const struct server *server)
{
    for (size_t i = 0; i < server->worker_count; i++) {
        struct errand *errand = mem_zalloc(sizeof(*errand));

        if (!errand)
            return;
        errand->run = tell;
        worker_send(server->workers[i], errand);
    }
}

/* --- requests -------------------------------------------------------------- */

static void refuse(struct request *request, enum err err, const char *words)
{
    struct failure why;

    fail(&why, err, "%s", words);
    request_fail(request, &why);
}

static struct channel *channel_of(struct request *request)
{
    struct span name = request_param(request, "channel");
    struct channel *channel = NULL;

    if (!name.size || name.size > NAME_BYTES)
        return NULL;
    pthread_mutex_lock(&lock);
    channel = channel_get(name);
    pthread_mutex_unlock(&lock);
    return channel;
}

static void publish(struct request *request)
{
    struct channel *channel = channel_of(request);
    struct reply reply = {.for_anyone = true};
    uint64_t id = 0;
    struct buf text;

    if (channel) {
        pthread_mutex_lock(&lock);
        id = channel_add(channel, request_body(request));
        pthread_mutex_unlock(&lock);
    }
    if (!id) {
        refuse(request, ERR_BAD_REQUEST, "'channel' must be a name");
        return;
    }
    buf_init(&text, 64);
    buf_printf(&text, "{\"id\":%llu}", (unsigned long long)id);
    reply.body = (struct span){text.data, text.size};
    request_reply(request, &reply);
    buf_fini(&text);
    tell_everyone(request_worker(request)->server);
}

/* Last-Event-ID, or nothing that was before. */
static uint64_t seen_by(struct request *request, struct channel *channel)
{
    struct span id = request_head(request)->last_event_id;
    uint64_t seen = 0;

    for (size_t i = 0; i < id.size && i < 18; i++) {
        if (id.data[i] < '0' || id.data[i] > '9')
            id.size = 0;
        seen = seen * 10 + (uint64_t)(id.data[i] - '0');
    }
    pthread_mutex_lock(&lock);
    if (!id.size || seen > channel->last)
        seen = channel->last;
    pthread_mutex_unlock(&lock);
    return seen;
}

static void begin(struct subscriber *subscriber)
{
    static const char head[] = "HTTP/1.1 200 OK\r\n"
                               "Content-Type: text/event-stream\r\n"
                               "Cache-Control: no-store, no-transform\r\n"
                               "Access-Control-Allow-Origin: *\r\n"
                               "Connection: close\r\n\r\n: hello\n\n";
    struct shared *text = shared_copy(head, sizeof(head) - 1);

    if (!text) {
        stream_break(&subscriber->conn);
        return;
    }
    (void)stream_send(&subscriber->conn, text);
    shared_unref(text);
    pump(subscriber);
}

static void subscribe(struct request *request)
{
    struct worker *worker = request_worker(request);
    struct channel *channel = channel_of(request);
    struct subscriber *subscriber =
        channel ? mem_zalloc(sizeof(*subscriber)) : NULL;
    int fd;

    if (!subscriber) {
        refuse(request, ERR_BAD_REQUEST, "'channel' must be a name");
        return;
    }
    subscriber->channel = channel;
    subscriber->seen = seen_by(request, channel);
    fd = request_take(request);
    if (fd < 0 || stream_init(&subscriber->conn, worker, fd, &owner)) {
        mem_free(subscriber);
        if (fd < 0)
            refuse(request, ERR_UNAVAILABLE, "the socket cannot be taken");
        return;
    }
    list_append(subscribers_of(worker), &subscriber->link);
    begin(subscriber);
}

static bool holds(const struct config *config, struct span path)
{
    (void)config;
    return span_is(path, "/sse") || span_is(path, "/publish");
}

static uint64_t body_max(const struct config *config, struct span path)
{
    (void)config;
    (void)path;
    return BODY_MAX;
}

static void serve(struct request *request)
{
    const struct head *head = request_head(request);

    if (span_is(head->path, "/sse") && span_is(head->method, "GET"))
        subscribe(request);
    else if (span_is(head->path, "/publish") && span_is(head->method, "POST"))
        publish(request);
    else
        refuse(request, ERR_METHOD_NOT_ALLOWED,
               "/sse takes GET, /publish takes POST");
}

const struct place pubsub_place = {
    .holds = holds,
    .body_max = body_max,
    .serve = serve,
};
