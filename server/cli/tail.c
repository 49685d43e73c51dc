/* rung tail: follow the log over any transport, and remember where it stopped.
 *
 * tail_note: the cursor file is written after what it covers was printed and
 * flushed. Killed in between, the last events are printed again after a
 * restart; none is ever lost. What is acknowledged is what the file covers. */
#include "server/base/list.h"
#include "server/cli/ack.h"
#include "server/cli/cli.h"
#include "server/cli/climb.h"
#include "server/cli/event_line.h"
#include "server/cli/interrupt.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WAIT_DEFAULT_S 25
#define WAIT_MAX_S 60
#define INTERVAL_DEFAULT_MS 1000
#define INTERVAL_MAX_MS 86400000
#define NUMBER_LIMIT ((UINT64_C(1) << 53) - 1)

static const char usage[] =
    "usage: rung tail [OPTION]...\n\n"
    "Prints what a user receives, one event a line, and goes on when the\n"
    "connection or the server does not.\n\n"
    "  --url URL             the server (RUNG_URL; default "
    "http://localhost:8080)\n"
    "  --token TOKEN         who follows (RUNG_TOKEN)\n"
    "  --token-file FILE     the same, from a file's first line\n"
    "  --user NAME           the same, by the demo's login\n"
    "  --transport T         auto: the best that gets through, climbing back "
    "when it\n"
    "                        can (default); or ws, tcp, stream, sse,\n"
    "                        multipart, longpoll, poll\n"
    "  --tcp HOST:PORT       where the server listens for raw TCP, if it does\n"
    "  --cursor-file FILE    go on from the place in FILE, and keep it there\n"
    "  --cursor C            where to begin when there is no file yet; 0: at "
    "the\n"
    "                        first kept entry (default: from now on)\n"
    "  --conversation C      follow one conversation, by seq\n"
    "  --after N             with --conversation: begin after seq N\n"
    "  --device D            which of the user's devices this is\n"
    "  --count N             end after N events\n"
    "  --limit N             events in one batch\n"
    "  --format json|text    (default json)\n"
    "  --all                 print hello, heartbeat, bye and ephemeral events, "
    "too\n"
    "  --wait S              how long a long poll waits (default 25)\n"
    "  --interval-ms N       between two short polls (default 1000)\n"
    "  -h, --help            print this\n\n"
    "examples:\n"
    "  rung tail --user bob --format text\n"
    "  rung tail --token-file t --cursor-file bob.cursor --cursor 0 "
    "--transport sse\n"
    "  rung tail --user bob --conversation 0:2:team --after 0 --count 10\n";

/* The best first (docs/CLIENT.md). `tcp` has an address of its own: it stays out
 * without one. */
static const char *const ladder_of_all[] = {
    "ws", "tcp", "stream", "sse", "multipart", "longpoll", "poll"};
#define LADDER_COUNT (sizeof(ladder_of_all) / sizeof(*ladder_of_all))

struct tail {
    struct follower follower;
    struct remote_options remote;
    const char *transport, *cursor, *cursor_file, *format;
    uint64_t count, printed;
    bool all, text;
    struct position saved;
    struct ack ack;
    int status;
};

/* --- options -------------------------------------------------------------- */

enum { OPT_ALL = 256, OPT_AFTER, OPT_COUNT, OPT_WAIT, OPT_INTERVAL, OPT_TCP };

static const struct option options[] = {
    {"url", required_argument, NULL, 'U'},
    {"token", required_argument, NULL, 't'},
    {"token-file", required_argument, NULL, 'f'},
    {"user", required_argument, NULL, 'u'},
    {"transport", required_argument, NULL, 'T'},
    {"cursor-file", required_argument, NULL, 'F'},
    {"cursor", required_argument, NULL, 'C'},
    {"conversation", required_argument, NULL, 'c'},
    {"after", required_argument, NULL, OPT_AFTER},
    {"device", required_argument, NULL, 'd'},
    {"count", required_argument, NULL, OPT_COUNT},
    {"limit", required_argument, NULL, 'l'},
    {"format", required_argument, NULL, 'o'},
    {"all", no_argument, NULL, OPT_ALL},
    {"wait", required_argument, NULL, OPT_WAIT},
    {"interval-ms", required_argument, NULL, OPT_INTERVAL},
    {"tcp", required_argument, NULL, OPT_TCP},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static const char **text_option(struct tail *t, int c)
{
    switch (c) {
    case 'U':
        return &t->remote.url;
    case 't':
        return &t->remote.token;
    case 'f':
        return &t->remote.token_file;
    case 'u':
        return &t->remote.user;
    case 'T':
        return &t->transport;
    case 'F':
        return &t->cursor_file;
    case 'C':
        return &t->cursor;
    case 'c':
        return &t->follower.position.conversation;
    case 'd':
        return &t->follower.device;
    case 'l':
        return &t->follower.limit;
    case 'o':
        return &t->format;
    case OPT_TCP:
        return &t->follower.tcp_address;
    default:
        return NULL;
    }
}

struct number_option {
    const char *name;
    uint64_t min, max, *value;
};

static struct number_option number_option(struct tail *t, int c)
{
    struct follower *f = &t->follower;

    switch (c) {
    case OPT_AFTER:
        f->position.has_after = true;
        return (struct number_option){"after", 0, NUMBER_LIMIT,
                                      &f->position.after};
    case OPT_COUNT:
        return (struct number_option){"count", 1, NUMBER_LIMIT, &t->count};
    case OPT_WAIT:
        return (struct number_option){"wait", 0, WAIT_MAX_S, &f->wait_s};
    case OPT_INTERVAL:
        return (struct number_option){"interval-ms", 1, INTERVAL_MAX_MS,
                                      &f->interval_ms};
    default:
        return (struct number_option){0};
    }
}

static int check_options(struct tail *t, int argc, char **argv)
{
    struct position *position = &t->follower.position;

    if (optind < argc)
        return cli_misuse("tail", "'%s' is not expected here", argv[optind]);
    if (strcmp(t->transport, "auto") != 0 && !follow_knows(t->transport))
        return cli_misuse("tail", "--transport: '%s' is not auto, %s",
                          t->transport, follow_transports());
    if (strcmp(t->transport, "tcp") == 0 && !t->follower.tcp_address)
        return cli_misuse("tail", "--transport tcp: goes with --tcp");
    if (strcmp(t->format, "json") != 0 && strcmp(t->format, "text") != 0)
        return cli_misuse("tail", "--format: '%s' is not json or text",
                          t->format);
    t->text = strcmp(t->format, "text") == 0;
    if (position->has_after && !position->conversation)
        return cli_misuse("tail", "--after: goes with --conversation");
    if (t->cursor && position->conversation)
        return cli_misuse("tail", "--cursor: with --conversation, the place is "
                                  "given by --after");
    if (t->cursor && !position_set(position, t->cursor))
        return cli_misuse("tail",
                          "--cursor: '%s' is not a cursor, such as "
                          "5f3a1c22-1042, or 0",
                          t->cursor);
    return CLI_OK;
}

static int read_option(struct tail *t, int c, char **argv)
{
    const char **text = text_option(t, c);
    struct number_option number = number_option(t, c);

    if (text) {
        *text = optarg;
        return CLI_OK;
    }
    if (c == OPT_ALL) {
        t->all = true;
        return CLI_OK;
    }
    if (!number.name)
        return cli_bad_option("tail", c, argv, options);
    if (!remote_number(optarg, number.min, number.max, number.value))
        return cli_misuse("tail",
                          "--%s: '%s' is not a whole number from %" PRIu64
                          " to %" PRIu64,
                          number.name, optarg, number.min, number.max);
    return CLI_OK;
}

/* CLI_OK, an exit status, or -1: help was printed. */
static int read_options(struct tail *t, int argc, char **argv)
{
    int c, status = CLI_OK;

    *t = (struct tail){.transport = "auto", .format = "json"};
    t->follower.wait_s = WAIT_DEFAULT_S;
    t->follower.interval_ms = INTERVAL_DEFAULT_MS;
    optind = 0;
    while (!status &&
           (c = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        if (c == 'h') {
            (void)fputs(usage, stdout);
            return -1;
        }
        status = read_option(t, c, argv);
    }
    return status ? status : check_options(t, argc, argv);
}

/* --- printing ------------------------------------------------------------- */

static bool print(struct follower *follower, const json_t *event,
                  struct span json)
{
    struct tail *t = container_of(follower, struct tail, follower);
    const char *kind = json_string_value(json_object_get(event, "event"));

    if (kind && strcmp(kind, "message") == 0)
        ack_due(&t->ack);
    if (event_is_aside(event) && !t->all)
        return true;
    if (t->text) {
        event_print(event, json);
    } else {
        (void)fwrite(json.data, 1, json.size, stdout);
        (void)putchar('\n');
    }
    t->printed++;
    return !t->count || t->printed < t->count;
}

static bool moved(const struct tail *t)
{
    const struct position *now = &t->follower.position, *saved = &t->saved;

    return now->conversation ? now->has_after && (!saved->has_after ||
                                                  now->after != saved->after)
                             : strcmp(now->cursor, saved->cursor) != 0;
}

/* tail_note: print, flush, save. */
static bool flush(struct follower *follower)
{
    struct tail *t = container_of(follower, struct tail, follower);
    struct failure why;

    if (fflush(stdout)) {
        (void)fprintf(stderr, "rung tail: stdout: %s\n", strerror(errno));
        t->status = CLI_FAILED;
        return false;
    }
    if (!t->cursor_file || !moved(t))
        return true;
    if (position_save(&follower->position, t->cursor_file, &why)) {
        t->status = cli_fail("tail", &why);
        return false;
    }
    t->saved = follower->position;
    return true;
}

/* tail_note: between two batches, so all that was taken is flushed. */
static void idle(struct follower *follower)
{
    struct tail *t = container_of(follower, struct tail, follower);

    if (!t->status)
        ack_send(&t->ack, follower->remote, &follower->position, false);
}

/* --- following ------------------------------------------------------------ */

/* The rungs that there are; how many. */
static size_t choose_rungs(const struct tail *t, const char **out)
{
    size_t count = 0;

    if (strcmp(t->transport, "auto") != 0) {
        out[0] = t->transport;
        return 1;
    }
    for (size_t i = 0; i < LADDER_COUNT; i++)
        if (t->follower.tcp_address || strcmp(ladder_of_all[i], "tcp") != 0)
            out[count++] = ladder_of_all[i];
    return count;
}

static int run(struct tail *t)
{
    const char *rungs[LADDER_COUNT] = {NULL};
    struct failure why;
    enum err err = climb(&t->follower, rungs, choose_rungs(t, rungs), &why);

    if (err != ERR_END && !t->status)
        t->status = cli_fail("tail", &why);
    /* What stopped it may have come in the middle of a batch. */
    if (flush(&t->follower) && !t->status)
        ack_send(&t->ack, t->follower.remote, &t->follower.position, true);
    return t->status;
}

int cli_tail(int argc, char **argv)
{
    struct tail t;
    struct remote remote;
    struct failure why;
    int status = read_options(&t, argc, argv);

    if (status)
        return status < 0 ? CLI_OK : status;
    if (t.cursor_file &&
        position_load(&t.follower.position, t.cursor_file, &why))
        return cli_fail("tail", &why);
    interrupt_catch();
    if (remote_open(&remote, &t.remote, &why))
        return cli_fail("tail", &why);
    if (ack_open(&t.ack, t.follower.device)) {
        remote_close(&remote);
        (void)fail_plain(&why, ERR_NOMEM);
        return cli_fail("tail", &why);
    }
    t.saved = t.follower.position;
    t.follower.remote = &remote;
    t.follower.event = print;
    t.follower.flush = flush;
    t.follower.idle = idle;
    status = run(&t);
    ack_close(&t.ack);
    remote_close(&remote);
    return status;
}
