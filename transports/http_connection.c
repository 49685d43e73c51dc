/* One connection, as long as its socket: the deadline that cuts a slow peer,
 * the watch that notices one that leaves, and what a request can do with it but
 * be answered: wait, or take the socket away.
 */
#include "transports/http_inside.h"

#include "server/base/clock.h"
#include "server/base/trace.h"
#include "server/guests.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

void connection_arm(struct connection *connection, uint64_t ms)
{
    struct worker *worker = connection->house->host->worker;

    wheel_arm(&worker->wheel, &connection->deadline, clock_mono_ms() + ms);
}

/* Too slow. The library notices the end of input and closes; or, when it has no
 * room to read on, its own timeout. */
static void cut(struct wheel_node *node)
{
    struct connection *connection =
        container_of(node, struct connection, deadline);

    shutdown(connection->fd, SHUT_RDWR);
    MHD_set_connection_option(connection->mhd, MHD_CONNECTION_OPTION_TIMEOUT,
                              1u);
    house_mark_dirty(connection->house);
}

/* --- a peer that leaves ------------------------------------------------- */

/* Without it (no memory) a peer that leaves is noticed when answered. */
static void watch_peer(struct connection *connection)
{
    struct poller *poller = &connection->house->host->worker->poller;

    if (poller_add(poller, connection->fd, EPOLLRDHUP, &connection->watch))
        trace(TRACE_WARN, "cannot watch a connection", "fd=%d", connection->fd);
}

/* The peer went before there was anything to tell: be told again, a turn
 * later. */
static void watch_anew(struct connection *connection)
{
    struct poller *poller = &connection->house->host->worker->poller;

    poller_remove(poller, connection->fd, &connection->watch);
    watch_peer(connection);
}

/* Only what is parked needs this: otherwise the library reads, and sees it. */
static void peer_left(struct watch *watch, uint32_t events)
{
    struct connection *connection =
        container_of(watch, struct connection, watch);
    struct exchange *exchange = connection->exchange;

    if (!(events & POLLER_GONE))
        return;
    connection->left = true;
    if (!exchange || exchange->request.stage != STAGE_PARKED ||
        !exchange->request.gone)
        return;
    connection_resume(connection);
    request_forsaken(&exchange->request);
}

/* --- requests that wait, or leave with the socket ----------------------- */

void connection_park(struct request *request)
{
    struct connection *connection = exchange_of(request)->connection;

    MHD_suspend_connection(connection->mhd);
    if (request->gone && connection->left)
        watch_anew(connection);
}

void connection_resume(struct connection *connection)
{
    MHD_resume_connection(connection->mhd);
    house_mark_dirty(connection->house);
}

/* The duplicate stays in every epoll that knows the fd: leave ours first; the
 * library leaves its own when it closes. It may have the socket delay what is
 * sent. */
int connection_duplicate(struct connection *connection)
{
    struct worker *worker = connection->house->host->worker;
    int fd = fcntl(connection->fd, F_DUPFD_CLOEXEC, 0);
    int on = 1;

    if (fd < 0)
        return -1;
    poller_remove(&worker->poller, connection->fd, &connection->watch);
    guests_move(worker->server->guests, fd, connection->fd);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

int connection_take(struct request *request)
{
    int fd = connection_duplicate(exchange_of(request)->connection);

    if (fd >= 0)
        request->stage = STAGE_OVER;
    return fd;
}

/* --- its beginning and its end ------------------------------------------ */

/* -1: the library does not say. */
static int fd_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);

    return info ? info->connect_fd : -1;
}

static void came(struct house *house, struct MHD_Connection *mhd,
                 void **context)
{
    struct worker *worker = house->host->worker;
    int fd = fd_of(mhd);
    struct connection *connection = mem_zalloc(sizeof(*connection));

    house->host->arrived = true;
    guests_put_back(worker->server->guests, house->host->arriving, fd);
    house_stirs(house);
    if (++house->connections >= DAEMON_CONNECTIONS)
        list_remove(&house->link);
    if (!connection || fd < 0) {
        mem_free(connection);
        return;
    }
    connection->house = house;
    connection->mhd = mhd;
    connection->fd = fd;
    connection->watch.ready = peer_left;
    wheel_node_init(&connection->deadline, cut);
    connection_arm(connection, worker->config->header_timeout_ms);
    list_append(&house->host->connections, &connection->link);
    watch_peer(connection);
    *context = connection;
}

/* Its socket is still open. */
static void went(struct house *house, struct MHD_Connection *mhd,
                 void **context)
{
    struct connection *connection = *context;

    if (connection) {
        poller_remove(&house->host->worker->poller, connection->fd,
                      &connection->watch);
        wheel_disarm(&connection->deadline);
        list_remove(&connection->link);
        mem_free(connection);
        *context = NULL;
    }
    house->connections--;
    house_stirs(house);
    worker_disconnected(house->host->worker, fd_of(mhd));
    if (list_empty(&house->link))
        list_append(&house->group->roomy, &house->link);
}

void connection_changed(void *cls, struct MHD_Connection *mhd, void **context,
                        enum MHD_ConnectionNotificationCode code)
{
    struct house *house = cls;

    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        came(house, mhd, context);
    else
        went(house, mhd, context);
}
