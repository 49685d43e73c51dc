/* The host: its houses, which are small libmicrohttpd daemons in external epoll
 * mode, the turns in which they work, and how a socket finds room in one.
 */
#include "transports/http_inside.h"

#include "server/base/clock.h"
#include "server/guests.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define DAEMON_ROUNDS 16 /* of MHD_run() in one turn */
/* Turns in which a daemon is busy and nothing comes of it, and its rest then.
 */
#define FRUITLESS_TURNS 64
#define REST_MS 100
/* A connection whose head does not fit the small pool gets a large one, which
 * has room for HEAD_MAX_BYTES, twice where they are cookies, HEAD_MAX_PIECES
 * and the head of an answer. */
#define SMALL_POOL 4096
#define LARGE_POOL 32768
#define PIECE_BYTES 64
#define ANSWER_BYTES 900

/* --- houses ------------------------------------------------------------- */

void house_mark_dirty(struct house *house)
{
    if (list_empty(&house->dirty))
        list_append(&house->host->dirty, &house->dirty);
}

void house_stirs(struct house *house)
{
    house->fruitless = 0;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    house_mark_dirty(poll->data);
}

static void rested(struct wheel_node *node)
{
    house_mark_dirty(container_of(node, struct house, rest));
}

static struct MHD_Daemon *start_daemon(struct house *house, size_t pool)
{
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_TURBO |
            MHD_ALLOW_SUSPEND_RESUME,
        0, NULL, NULL, exchange_handle, NULL, MHD_OPTION_NOTIFY_CONNECTION,
        connection_changed, house, MHD_OPTION_NOTIFY_COMPLETED,
        exchange_completed, NULL, MHD_OPTION_URI_LOG_CALLBACK,
        exchange_first_line, NULL, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)DAEMON_CONNECTIONS + 28, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        pool, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
}

static struct house *house_build(struct http_host *host, struct group *group)
{
    struct house *house = mem_zalloc(sizeof(*house));
    const union MHD_DaemonInfo *info;

    if (!house)
        return NULL;
    house->host = host;
    house->group = group;
    list_init(&house->dirty);
    list_init(&house->link);
    wheel_node_init(&house->rest, rested);
    house->daemon = start_daemon(house, group->pool);
    if (!house->daemon)
        goto free_house;
    info = MHD_get_daemon_info(house->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (!info ||
        uv_poll_init(&host->worker->loop, &house->poll, info->epoll_fd))
        goto stop_daemon;
    house->poll.data = house;
    uv_poll_start(&house->poll, UV_READABLE, on_readable);
    house->next = group->all;
    group->all = house;
    list_append(&group->roomy, &house->link);
    return house;

stop_daemon:
    MHD_stop_daemon(house->daemon);
free_house:
    mem_free(house);
    return NULL;
}

static void free_house(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static void house_raze(struct house *house)
{
    uv_close((uv_handle_t *)&house->poll, free_house);
    MHD_stop_daemon(house->daemon);
    wheel_disarm(&house->rest);
    list_remove(&house->link);
    list_remove(&house->dirty);
}

/* False when the library has more to do already. */
static bool house_turn(struct house *house)
{
    MHD_UNSIGNED_LONG_LONG timeout;

    for (int round = 0; round < DAEMON_ROUNDS; round++) {
        MHD_run(house->daemon);
        if (MHD_get_timeout(house->daemon, &timeout) != MHD_YES || timeout) {
            house_stirs(house);
            return true;
        }
    }
    if (++house->fruitless < FRUITLESS_TURNS)
        return false;
    wheel_arm(&house->host->worker->wheel, &house->rest,
              clock_mono_ms() + REST_MS);
    return true;
}

/* --- the host ----------------------------------------------------------- */

static void group_init(struct group *group, size_t pool)
{
    group->pool = pool;
    list_init(&group->roomy);
}

enum err http_host_create(struct http_host **out, struct worker *worker)
{
    struct http_host *host = mem_zalloc(sizeof(*host));

    if (!host)
        return ERR_NOMEM;
    host->worker = worker;
    group_init(&host->small, SMALL_POOL);
    group_init(&host->large, LARGE_POOL);
    list_init(&host->dirty);
    list_init(&host->connections);
    *out = host;
    return ERR_NONE;
}

/* A house with room, built when there is none. */
static struct house *find_room(struct http_host *host, struct group *group)
{
    if (list_empty(&group->roomy))
        return house_build(host, group);
    return container_of(group->roomy.next, struct house, link);
}

static size_t pool_needed(const struct head *head)
{
    return head->size + head->cookie_bytes + head->pieces * PIECE_BYTES +
           ANSWER_BYTES;
}

void http_host_adopt(struct http_host *host, int fd, const struct head *head)
{
    struct group *group =
        pool_needed(head) > SMALL_POOL ? &host->large : &host->small;
    struct house *house = find_room(host, group);
    struct sockaddr_in nobody = {.sin_family = AF_INET};

    if (!house) {
        worker_disconnected(host->worker, fd);
        close(fd);
        return;
    }
    /* When it fails it has closed fd; it tells connection_changed() of the end
     * only if it told it of the beginning. See hold_note, server/guests.h. */
    host->arrived = false;
    host->arriving = guests_hold(host->worker->server->guests, fd);
    if (MHD_add_connection(house->daemon, fd, (struct sockaddr *)&nobody,
                           sizeof(nobody)) != MHD_YES &&
        !host->arrived) {
        guests_let_go(host->worker->server->guests, host->arriving);
        worker_disconnected(host->worker, -1);
    }
    house_mark_dirty(house);
}

bool http_host_turn(struct http_host *host)
{
    struct list work;

    list_take(&work, &host->dirty);
    while (!list_empty(&work)) {
        struct house *house = container_of(work.next, struct house, dirty);

        list_remove(&house->dirty);
        if (!house_turn(house))
            house_mark_dirty(house);
    }
    return list_empty(&host->dirty);
}

void http_host_drain(struct http_host *host)
{
    host->draining = true;
    list_each_safe (link, &host->connections) {
        struct connection *connection =
            container_of(link, struct connection, link);

        if (!connection->exchange)
            shutdown(connection->fd, SHUT_RD);
    }
}

static void give_up_parked(struct http_host *host)
{
    list_each_safe (link, &host->connections) {
        struct connection *connection =
            container_of(link, struct connection, link);
        struct request *request =
            connection->exchange ? &connection->exchange->request : NULL;

        if (!request || request->stage != STAGE_PARKED)
            continue;
        connection_resume(connection);
        request_forsaken(request);
    }
    http_host_turn(host);
}

static void group_raze(struct group *group)
{
    while (group->all) {
        struct house *house = group->all;

        group->all = house->next;
        house_raze(house);
    }
}

void http_host_destroy(struct http_host *host)
{
    if (!host)
        return;
    host->closing = true;
    give_up_parked(host);
    group_raze(&host->small);
    group_raze(&host->large);
    mem_free(host);
}
