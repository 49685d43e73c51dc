/* Any bytes on a connection to a whole server: front door, hosts, methods,
 * transports, sequencer and a small store. Whatever comes, what goes back is
 * HTTP, the connection is gone when its peer is, and the server still answers
 * the next one.
 *
 * 0x1e in the input: a new segment begins. $T in it: a good token stands here.
 */
#define _GNU_SOURCE /* memmem, asprintf */
#include "server/auth.h"
#include "server/base/clock.h"
#include "server/base/trace.h"
#include "server/front_door.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SECRET "0123456789abcdef0123456789abcdef"
#define PATIENCE_MS 20000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct server server;
static struct worker *worker;
static struct port *ports[1];
static unsigned listening;
static char *token, *good;

static void must(bool it)
{
    if (!it)
        abort();
}

/* --- the server --------------------------------------------------------- */

static void end(void)
{
    sequencer_stop(server.sequencer);
    worker_stop(worker);
    worker_destroy(worker);
    store_close(server.store);
    config_unref(server.config);
    mem_free(token);
    free(good);
}

static int drop(const char *path, const struct stat *about, int kind,
                struct FTW *at)
{
    (void)about;
    (void)kind;
    (void)at;
    return remove(path);
}

/* In a directory that is gone as soon as its files are open. */
static void open_store(void)
{
    char dir[] = "/tmp/rung-fuzz-XXXXXX";
    struct store_options options = {
        .dir = dir, .map_size_bytes = 64u << 20, .relaxed = true};

    must(mkdtemp(dir) && !store_open(&server.store, &options, NULL));
    must(!nftw(dir, drop, 4, FTW_DEPTH | FTW_PHYS));
}

static void open_parts(void)
{
    struct sequencer_options sequencer = {.ports = ports, .port_count = 1};
    static struct worker *workers[1];
    struct listeners listeners = {0};

    must(!config_defaults(&server.config));
    must(!config_add_key(server.config, "demo", SECRET, NULL, NULL));
    server.config->connection_rate = server.config->user_rate = 10000000;
    open_store();
    must(!listener_open(&listeners.http, "127.0.0.1:0", 0, NULL));
    listening = listeners.http.port;
    server.workers = workers;
    must(!worker_create(&worker, &server, 0, &listeners, NULL));
    workers[server.worker_count++] = worker;
    ports[0] = &worker->port;
    sequencer.store = server.store;
    sequencer.config = server.config;
    must(!sequencer_start(&server.sequencer, &sequencer, NULL));
}

static void start(void)
{
    struct mint who = {
        .secret = SECRET, .app = "demo", .user = "alice", .ttl_s = 1000000};

    if (worker)
        return;
    trace_setup(TRACE_ERROR, false);
    open_parts();
    must(!auth_mint(&token, &who, NULL));
    must(asprintf(&good,
                  "GET /v1/poll?cursor=0&limit=1&access_token=%s HTTP/1.1\r\n"
                  "Host: x\r\n\r\n"
                  "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
                  token) > 0);
    (void)atexit(end);
}

static void turn(void)
{
    uv_run(&worker->loop, UV_RUN_NOWAIT);
}

/* --- its peers ---------------------------------------------------------- */

static int connected(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)listening),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    must(fd >= 0);
    while (connect(fd, (struct sockaddr *)&at, sizeof(at)))
        must(errno == EINTR);
    return fd;
}

/* With a reset, which leaves no port behind that waits. */
static void leave(int fd)
{
    struct linger none = {.l_onoff = 1};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    close(fd);
}

static void say(int fd, struct span text)
{
    while (text.size) {
        ssize_t sent =
            send(fd, text.data, text.size, MSG_DONTWAIT | MSG_NOSIGNAL);

        turn();
        if (sent < 0 && errno != EAGAIN)
            return; /* it has had enough */
        if (sent < 0)
            continue;
        text.data += sent;
        text.size -= (size_t)sent;
    }
    for (int i = 0; i < 4; i++)
        turn();
}

/* Everything there is, behind what `out` has; false at the end. */
static bool hear(int fd, struct buf *out)
{
    for (;;) {
        char *room = buf_reserve(out, 4096);
        ssize_t got = room ? recv(fd, room, 4096, MSG_DONTWAIT) : -1;

        must(room != NULL);
        if (got <= 0)
            return got < 0 && errno == EAGAIN;
        out->size += (size_t)got;
    }
}

static bool holds(const struct buf *heard, const char *text)
{
    return heard->size &&
           memmem(heard->data, heard->size, text, strlen(text)) != NULL;
}

static void still_answers(void)
{
    uint64_t late = clock_mono_ms() + PATIENCE_MS;
    int fd = connected();
    struct buf heard;

    buf_init(&heard, SIZE_MAX / 2);
    say(fd, span_of(good));
    while (!holds(&heard, "\"sequencer\"")) {
        must(clock_mono_ms() < late);
        turn();
        must(hear(fd, &heard) || holds(&heard, "\"sequencer\""));
    }
    must(holds(&heard, "\"events\"") && holds(&heard, "HTTP/1.1 200 OK"));
    buf_fini(&heard);
    leave(fd);
}

static void all_are_gone(void)
{
    uint64_t late = clock_mono_ms() + PATIENCE_MS;

    while (atomic_load(&server.connections)) {
        must(clock_mono_ms() < late);
        turn();
    }
}

/* --- one input ---------------------------------------------------------- */

static void write_out(struct buf *out, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (data[i] == '$' && i + 1 < size && data[i + 1] == 'T') {
            buf_append_text(out, token);
            i++;
        } else {
            buf_append(out, (const char *)data + i, 1);
        }
    must(!buf_status(out));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf text, heard;
    int fd;

    start();
    buf_init(&text, SIZE_MAX / 2);
    buf_init(&heard, SIZE_MAX / 2);
    write_out(&text, data, size);
    fd = connected();
    for (size_t from = 0; from < text.size;) {
        char *cut = memchr(text.data + from, 0x1e, text.size - from);
        size_t to = cut ? (size_t)(cut - text.data) : text.size;

        say(fd, (struct span){text.data + from, to - from});
        from = to + 1;
        (void)hear(fd, &heard);
    }
    must(!heard.size || (heard.size > 7 && !memcmp(heard.data, "HTTP/1.", 7)));
    leave(fd);
    still_answers();
    all_are_gone();
    buf_fini(&text);
    buf_fini(&heard);
    return 0;
}
