/* For conformance suites: the server as it is, in a folder that goes away with
 * it, and besides it what such suites want to talk to. `/echo` says every
 * WebSocket message back. */
#define _GNU_SOURCE /* nftw */
#include "server/base/mem.h"
#include "server/cli/cli.h"
#include "transports/ws_host.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- /echo ---------------------------------------------------------------- */

static struct ws_peer *echo_create(struct worker *worker,
                                   const struct head *head, struct failure *why)
{
    struct ws_peer *peer = mem_zalloc(sizeof(*peer));

    (void)worker;
    (void)head;
    if (!peer)
        fail_plain(why, ERR_NOMEM);
    return peer;
}

static void echo_established(struct peer *peer)
{
    wheel_disarm(&peer->deadline);
}

/* A peer that does not read is not read. */
static void echo(struct peer *peer, enum ws_opcode opcode, struct span whole)
{
    char head[FRAME_HEAD_MAX];
    struct span frame[] = {{head, frame_head(head, opcode, whole.size)}, whole};

    if (!peer_send(peer, frame, 2))
        peer_pause(peer, true);
}

static void echo_text(struct peer *peer, struct span text)
{
    echo(peer, WS_TEXT, text);
}

static void echo_binary(struct peer *peer, struct span data)
{
    echo(peer, WS_BINARY, data);
}

static void echo_writable(struct peer *peer)
{
    peer_pause(peer, peer->full);
}

static void echo_flush(struct peer *peer)
{
    (void)peer; /* nothing is put off */
}

static void echo_closing(struct peer *peer, uint16_t code)
{
    peer_close(peer, code, "");
}

static void echo_gone(struct peer *peer)
{
    mem_free(ws_of(peer));
}

static void echo_drain(struct peer *peer)
{
    peer_close(peer, 1001, "draining");
}

static const struct ws_handler echo_handler = {
    .path = "/echo",
    .create = echo_create,
    .binary = echo_binary,
    .peer = {.established = echo_established,
             .text = echo_text,
             .writable = echo_writable,
             .flush = echo_flush,
             .late = peer_kill,
             .closing = echo_closing,
             .gone = echo_gone,
             .drain = echo_drain},
};

extern const struct ws_handler websocket_handler;

/* Instead of ws_table.c's. */
const struct ws_handler *const ws_handlers[] = {&websocket_handler,
                                                &echo_handler, NULL};

/* --- the program ---------------------------------------------------------- */

static int help(FILE *out, int status)
{
    (void)fputs("usage: conformance_server [--port P]\n\n"
                "rung serve --demo on 127.0.0.1:P (0, the default: any), with "
                "/echo for WebSocket\nbesides. Its data goes away with it. "
                "RUNG_* in the environment count as ever.\n",
                out);
    return status;
}

static int remove_one(const char *path, const struct stat *what, int kind,
                      struct FTW *where)
{
    (void)what;
    (void)kind;
    (void)where;
    return remove(path);
}

static int serve(const char *port)
{
    char dir[] = "/tmp/rung-conformance-XXXXXX", address[32];
    char *args[] = {"serve", "--demo", "--listen", address, "--data", dir};
    int status;

    if (!mkdtemp(dir)) {
        perror("conformance_server: a folder in /tmp");
        return EXIT_FAILURE;
    }
    (void)snprintf(address, sizeof(address), "127.0.0.1:%s", port);
    status = cli_serve(sizeof(args) / sizeof(*args), args);
    (void)nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return status;
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "--help"))
        return help(stdout, EXIT_SUCCESS);
    if (argc == 1)
        return serve("0");
    if (argc == 3 && !strcmp(argv[1], "--port") && strlen(argv[2]) <= 5)
        return serve(argv[2]);
    return help(stderr, EXIT_FAILURE);
}
