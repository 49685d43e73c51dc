/* For conformance suites: the server as it is, in a folder that goes away with
 * it, and besides it what such suites want to talk to (help() says what). */
#define _GNU_SOURCE /* nftw */
#include "server/cli/cli.h"
#include "tests/conformance/conformance.h"
#include "transports/eio.h"
#include "transports/place.h"
#include "transports/ws_host.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct conformance_options conformance = {
    .port = "0",
    .ping_interval_ms = 25000,
    .ping_timeout_ms = 20000,
    .max_payload = 1000000,
    .connect_timeout_ms = 45000,
    .recovery = false,
    .eio3 = false,
};

extern const struct ws_handler websocket_handler;
extern const struct ws_handler eio_ws_handler;
extern const struct place eio_place;

/* Instead of the server's own tables: */
const struct ws_handler *const ws_handlers[] = {
    &websocket_handler, &echo_handler, &eio_ws_handler, NULL};
const struct eio_server *const eio_servers[] = {&engine_server, &chat_server,
                                                NULL};

const struct place *const places[] = {&eio_place, &pubsub_place, NULL};

/* --- the command line ----------------------------------------------------- */

static int help(FILE *out, int status)
{
    (void)fputs(
        "usage: conformance_server [option value]...\n\n"
        "rung serve --demo on 127.0.0.1, whose data goes away with it, and\n"
        "  /echo        WebSocket: every message comes back\n"
        "  /engine.io/  Engine.IO: every message comes back\n"
        "  /socket.io/  Socket.IO: /, /custom, /admin\n"
        "  /publish?channel=C  POST: its body goes to all at\n"
        "  /sse?channel=C      Server-Sent Events, with Last-Event-ID\n\n"
        "  --port P             0, the default, takes any\n"
        "  --ping-interval MS   of Engine.IO (25000)\n"
        "  --ping-timeout MS    of Engine.IO (20000)\n"
        "  --max-payload BYTES  of Engine.IO (1000000)\n"
        "  --connect-timeout MS of Socket.IO (45000)\n"
        "  --recovery on|off    of Socket.IO connections (off)\n"
        "  --eio3 on|off        clients of protocol 3 (off)\n\n"
        "RUNG_* in the environment count as ever.\n",
        out);
    return status;
}

static bool take_number(const char *text, uint64_t max, uint64_t *out)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    *out = strtoull(text, &end, 10);
    return !*end && *out <= max;
}

static bool take_flag(const char *text, bool *out)
{
    *out = !strcmp(text, "on");
    return *out || !strcmp(text, "off");
}

static bool take_ms(const char *text, uint32_t *out)
{
    uint64_t number;

    if (!take_number(text, UINT32_MAX, &number))
        return false;
    *out = (uint32_t)number;
    return true;
}

static bool take_option(const char *name, const char *value)
{
    uint64_t port;

    if (!strcmp(name, "--port")) {
        conformance.port = value;
        return take_number(value, UINT16_MAX, &port);
    }
    if (!strcmp(name, "--ping-interval"))
        return take_ms(value, &conformance.ping_interval_ms);
    if (!strcmp(name, "--ping-timeout"))
        return take_ms(value, &conformance.ping_timeout_ms);
    if (!strcmp(name, "--max-payload"))
        return take_number(value, UINT32_MAX, &conformance.max_payload);
    if (!strcmp(name, "--connect-timeout"))
        return take_ms(value, &conformance.connect_timeout_ms);
    if (!strcmp(name, "--recovery"))
        return take_flag(value, &conformance.recovery);
    if (!strcmp(name, "--eio3"))
        return take_flag(value, &conformance.eio3);
    return false;
}

/* --- the program ---------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *what, int kind,
                      struct FTW *where)
{
    (void)what;
    (void)kind;
    (void)where;
    return remove(path);
}

static int serve(void)
{
    char dir[] = "/tmp/rung-conformance-XXXXXX", address[32];
    char *args[] = {"serve",
                    "--demo",
                    "--listen",
                    address,
                    "--data",
                    dir,
                    "--allowed-origins",
                    "*",
                    "--drain-timeout-ms",
                    "1000"};
    int status;

    if (!mkdtemp(dir)) {
        perror("conformance_server: a folder in /tmp");
        return EXIT_FAILURE;
    }
    (void)snprintf(address, sizeof(address), "127.0.0.1:%s", conformance.port);
    status = cli_serve(sizeof(args) / sizeof(*args), args);
    (void)nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return status;
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "--help"))
        return help(stdout, EXIT_SUCCESS);
    for (int i = 1; i < argc; i += 2)
        if (i + 1 == argc || !take_option(argv[i], argv[i + 1]))
            return help(stderr, EXIT_FAILURE);
    return serve();
}
