/* How many durable messages a second the real sequencer takes from so many
 * concurrent senders, and how long each waits for its commit.
 *
 *     sequence [--dir DIR] [--seconds S] [--senders N] [--conversations N]
 *              [--body BYTES]
 *
 * DIR must not hold the store of an earlier run. A sender submits its next
 * message when its last one is on disk, from one worker's loop, as a server's
 * worker does. Prints one line of JSON.
 */
#include "server/base/clock.h"
#include "server/sequencer.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAITS 1000000                 /* counted by the microsecond */
#define MAP_BYTES (UINT64_C(4) << 30) /* small enough for valgrind */

struct plan {
    const char *dir;
    double seconds;
    unsigned senders, conversations, body_bytes;
};

struct bench {
    struct plan plan;
    struct port port;
    struct sequencer *sequencer;
    uint64_t sent, committed, commits;
    uint64_t start_us, end_us;
    unsigned active;
    uint32_t *waits;
};

struct sender {
    struct submission submission;
    struct bench *bench;
    uint64_t asked_us;
    char conversation[64], from[16], id[40];
    char body[4096];
};

static uint64_t seed = 88172645463325252u;

static uint64_t roll(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static _Noreturn void fail_with(const char *what, const char *why)
{
    (void)fprintf(stderr, "sequence: %s: %s\n", what, why);
    exit(1);
}

static void done(struct submission *submission);

static void submit(struct sender *sender)
{
    struct bench *bench = sender->bench;
    unsigned number = (unsigned)(roll() % bench->plan.conversations);
    unsigned user = 100000 + number % 1000;
    uint64_t i = bench->sent++;
    struct failure why;

    (void)snprintf(sender->conversation, sizeof(sender->conversation),
                   "0:1:%u:%u", user, 200000 + number);
    (void)snprintf(sender->from, sizeof(sender->from), "%u", user);
    (void)snprintf(sender->id, sizeof(sender->id),
                   "%08x-%04x-7%03x-%04x-%012llx", (unsigned)(i >> 20),
                   (unsigned)(i >> 4 & 0xffff), (unsigned)(roll() & 0xfff),
                   (unsigned)(roll() & 0xffff),
                   (unsigned long long)(roll() & 0xffffffffffff));
    memset(&sender->submission, 0, sizeof(sender->submission));
    sender->submission.port = &bench->port;
    sender->submission.done = done;
    sender->submission.entry = (struct entry){
        .kind = ENTRY_MESSAGE,
        .ts = 1763600000000,
        .app = SPAN("bench"),
        .conversation = span_of(sender->conversation),
        .from = span_of(sender->from),
        .device = SPAN("phone"),
        .client_msg_id = span_of(sender->id),
        .type = SPAN("text"),
        .body = {sender->body, bench->plan.body_bytes},
    };
    sender->asked_us = clock_mono_us();
    if (sequencer_submit(bench->sequencer, &sender->submission, &why))
        fail_with("submit", why.message);
}

static void done(struct submission *submission)
{
    struct sender *sender =
        (struct sender *)((char *)submission -
                          offsetof(struct sender, submission));
    struct bench *bench = sender->bench;
    uint64_t now = clock_mono_us(), wait = now - sender->asked_us;

    if (submission->failure.err)
        fail_with("answer", submission->failure.message);
    if (now >= bench->start_us && now < bench->end_us) {
        bench->committed++;
        bench->waits[wait < WAITS ? wait : WAITS - 1]++;
    }
    if (now < bench->end_us)
        submit(sender);
    else if (--bench->active == 0)
        port_close(&bench->port, NULL);
}

static void announce(struct port *port, struct commit *commit)
{
    struct bench *bench =
        (struct bench *)((char *)port - offsetof(struct bench, port));
    uint64_t now = clock_mono_us();

    (void)commit;
    bench->commits += now >= bench->start_us && now < bench->end_us;
}

static unsigned part(const struct bench *bench, double which)
{
    uint64_t wanted = (uint64_t)((double)bench->committed * which), seen = 0;

    for (unsigned i = 0; i < WAITS; i++) {
        seen += bench->waits[i];
        if (seen > wanted)
            return i;
    }
    return WAITS;
}

static void say(const struct bench *bench)
{
    double seconds = bench->plan.seconds;

    (void)printf("{\"senders\":%u,\"conversations\":%u,\"body\":%u,"
                 "\"appends_per_s\":%.0f,\"commits_per_s\":%.0f,"
                 "\"p50_us\":%u,\"p99_us\":%u,\"p999_us\":%u}\n",
                 bench->plan.senders, bench->plan.conversations,
                 bench->plan.body_bytes, (double)bench->committed / seconds,
                 (double)bench->commits / seconds, part(bench, 0.5),
                 part(bench, 0.99), part(bench, 0.999));
}

static void run(struct bench *bench)
{
    struct plan *plan = &bench->plan;
    struct sender *senders = calloc(plan->senders, sizeof(*senders));
    struct port *ports[] = {&bench->port};
    struct store_options store_options = {0};
    struct sequencer_options options = {.ports = ports, .port_count = 1};
    struct failure why;
    char dir[512];
    uv_loop_t loop;

    (void)snprintf(dir, sizeof(dir), "%s/bench-sequence", plan->dir);
    store_options.dir = dir;
    store_options.map_size_bytes = MAP_BYTES;
    bench->waits = calloc(WAITS, sizeof(*bench->waits));
    if (!senders || !bench->waits || uv_loop_init(&loop) ||
        port_init(&bench->port, &loop, announce) ||
        config_defaults(&options.config))
        fail_with("setup", "out of memory");
    if (store_open(&options.store, &store_options, &why) ||
        sequencer_start(&bench->sequencer, &options, &why))
        fail_with(dir, why.message);
    if (store_head(options.store)) /* the same ids would be taken for retries */
        fail_with(dir, "holds a store already; it must be a new directory");
    bench->active = plan->senders;
    bench->start_us = clock_mono_us() + 500000; /* warm by then */
    bench->end_us = bench->start_us + (uint64_t)(plan->seconds * 1e6);
    for (unsigned i = 0; i < plan->senders; i++) {
        senders[i].bench = bench;
        memset(senders[i].body, 'x', plan->body_bytes);
        senders[i].body[0] = senders[i].body[plan->body_bytes - 1] = '"';
        submit(&senders[i]);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    say(bench);
    sequencer_stop(bench->sequencer);
    store_close(options.store);
    config_unref(options.config);
    uv_loop_close(&loop);
    free(bench->waits);
    free(senders);
}

static const struct option options[] = {
    {"dir", required_argument, NULL, 'd'},
    {"seconds", required_argument, NULL, 's'},
    {"senders", required_argument, NULL, 'n'},
    {"conversations", required_argument, NULL, 'c'},
    {"body", required_argument, NULL, 'b'},
    {NULL, 0, NULL, 0},
};

int main(int argc, char **argv)
{
    static struct bench bench = {.plan = {".", 3, 128, 1000, 100}};
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'd')
            bench.plan.dir = optarg;
        else if (c == 's')
            bench.plan.seconds = strtod(optarg, NULL);
        else if (c == 'n')
            bench.plan.senders = (unsigned)strtoul(optarg, NULL, 10);
        else if (c == 'c')
            bench.plan.conversations = (unsigned)strtoul(optarg, NULL, 10);
        else if (c == 'b')
            bench.plan.body_bytes = (unsigned)strtoul(optarg, NULL, 10);
        else
            return 2;
    }
    if (!bench.plan.senders || !bench.plan.conversations ||
        bench.plan.body_bytes < 2 || bench.plan.body_bytes > 4096)
        return 2;
    run(&bench);
    return 0;
}
