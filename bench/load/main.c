/* One run: connect, publish, count, say. See --help. */
#include "bench/load/load.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define DIALS_AT_ONCE 200
#define GREETERS 16 /* connections for what a poll cannot say */
#define CONNECT_US 60000000ull
#define DRAIN_US 10000000ull
#define LEVEL_US 60000000ull
#define SETTLE_US 500000ull

struct plan plan = {
    .dialect = &rung_dialect,
    .via = "ws",
    .shape_name = "fanout",
    .port = 8080,
    .rooms = 1,
    .members = 100,
    .publishers = 4,
    .window = 256,
    .behind = 5,
    .sources = 1,
    .seconds = 3,
    .warm_s = 1,
    .size = 64,
    .interval_ms = 1000,
    .secret = "bench-secret-of-at-least-32-bytes!",
};
struct conn *followers, *posters;
unsigned follower_count, poster_count;

static unsigned publisher_count; /* of the posters; the others only greet */
static uint64_t due_us;
static uint64_t turn; /* of the publishers, or of the rooms */
static bool publishing;

void die(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    (void)fputs("load: ", stderr);
    (void)vfprintf(stderr, format, list);
    (void)fputs("\n", stderr);
    va_end(list);
    exit(1);
}

/* --- connections
 * ----------------------------------------------------------------- */

static void make_connections(void)
{
    bool two = plan.shape != SHAPE_FANOUT && plan.members == 2;
    bool ws_posts = plan.wire == WIRE_WS && two;
    bool by_post = (plan.dialect->posts && !ws_posts) ||
                   (two && !ws_posts && plan.dialect->request);
    unsigned greeters =
        plan.dialect->greets_polls && plan.wire != WIRE_WS ? GREETERS : 0;

    follower_count = plan.rooms * plan.members;
    publisher_count = ws_posts ? 0 : plan.publishers;
    poster_count = publisher_count + greeters;
    followers = calloc(follower_count + 1, sizeof(*followers));
    posters = calloc(poster_count + 1, sizeof(*posters));
    if (!followers || !posters)
        die("out of memory");
    for (unsigned i = 0; i < follower_count; i++) {
        followers[i].index = i;
        followers[i].room = i / plan.members;
        followers[i].side = (uint8_t)(i % plan.members);
        followers[i].wire = (uint8_t)plan.wire;
    }
    for (unsigned i = 0; i < poster_count; i++) {
        posters[i].index = i;
        posters[i].publisher = true;
        posters[i].wire = by_post || i >= publisher_count ? WIRE_POST : WIRE_WS;
    }
}

static unsigned wanted;

static bool enough_open(void)
{
    return opened >= wanted;
}

static void dial_all(struct conn *conns, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        conn_dial(&conns[i]);
        wanted++;
        if (wanted - opened < DIALS_AT_ONCE && i + 1 < count)
            continue;
        if (i + 1 < count)
            wanted -= DIALS_AT_ONCE / 2;
        loop_run(now_us() + CONNECT_US, enough_open);
        if (opened < wanted)
            die("%s %s: only %u of %u connections opened", plan.server,
                plan.via, opened, wanted);
        if (i + 1 < count)
            wanted += DIALS_AT_ONCE / 2;
    }
}

/* --- publishing
 * ------------------------------------------------------------------- */

void publish(unsigned room, unsigned side, uint64_t made_us)
{
    char payload[4096], frame[8192];
    size_t size = check_make(payload, room, side, made_us);
    struct conn *member = &followers[room * plan.members + side];
    struct conn *by = NULL;

    if (plan.shape == SHAPE_FANOUT)
        by = &posters[side];
    else if (plan.members == 2)
        by = member;
    else
        by = &posters[room % publisher_count];
    if (by->wire == WIRE_WS) {
        size =
            plan.dialect->frame(by, frame, sizeof(frame), room, payload, size);
        ws_frame(by, 1, frame, size);
    } else if (by->wire != WIRE_POST && !plan.dialect->request) {
        by = &posters[room % publisher_count];
        size =
            plan.dialect->frame(by, frame, sizeof(frame), room, payload, size);
        ws_frame(by, 1, frame, size);
    } else if (plan.shape == SHAPE_FANOUT) { /* pipelined: its order counts */
        size = plan.dialect->request(NULL, frame, sizeof(frame), room, payload,
                                     size);
        conn_send(by, frame, size);
    } else {
        post(by, room, payload, size);
    }
}

/* The next message in turn. */
static void publish_next(uint64_t made_us)
{
    uint64_t number = turn++;

    if (plan.shape == SHAPE_FANOUT)
        publish(0, (unsigned)(number % publisher_count), made_us);
    else /* far apart, so that neighbours in memory do not follow each other */
        publish((unsigned)(number * 7919 % plan.rooms),
                (unsigned)(number / plan.rooms % plan.members), made_us);
}

static uint64_t publish_due(uint64_t now)
{
    if (!publishing)
        return 0;
    while (due_us <= now) {
        publish_next(due_us);
        due_us += (uint64_t)(1e6 / plan.rate);
    }
    return due_us;
}

/* Saturation: one arrived everywhere, so the next may leave. */
static void next_one(unsigned room, unsigned side)
{
    if (!publishing)
        return;
    if (plan.shape == SHAPE_FANOUT)
        publish(0, side, delivered_us);
    else
        publish(room, (side + 1) % plan.members, delivered_us);
}

static void start_publishing(void)
{
    unsigned at_once = plan.window;

    publishing = true;
    if (plan.rate > 0) {
        due_us = now_us();
        loop_tick = publish_due;
        return;
    }
    on_completed = next_one;
    if (plan.shape != SHAPE_FANOUT && at_once > plan.rooms)
        at_once = plan.rooms;
    for (unsigned i = 0; i < at_once; i++) {
        if (plan.shape == SHAPE_FANOUT)
            publish_next(now_us());
        else
            publish(i, 0, now_us());
    }
}

static bool all_completed(void)
{
    return completed >= published;
}

/* What is on its way arrives, as long as anything does. */
static void drain(void)
{
    uint64_t before;

    publishing = false;
    do {
        before = deliveries;
        loop_run(now_us() + DRAIN_US, all_completed);
    } while (completed < published && deliveries > before);
    if (completed < published) {
        lost += published - completed;
        (void)fprintf(stderr,
                      "load: %s %s: %llu of %llu messages did not reach "
                      "everyone\n",
                      plan.server, plan.via,
                      (unsigned long long)(published - completed),
                      (unsigned long long)published);
    }
}

/* --- the shapes
 * --------------------------------------------------------------------- */

static void wait_s(double seconds)
{
    loop_run(now_us() + (uint64_t)(seconds * 1e6), NULL);
}

static void run_messages(void)
{
    struct usage from, to;

    start_publishing();
    wait_s(plan.warm_s);
    check_measure(true);
    usage_take(&from);
    wait_s(plan.seconds);
    usage_take(&to);
    check_measure(false);
    drain();
    report(&from, &to);
}

static void run_idle(void)
{
    struct usage from, to;

    usage_take(&from);
    wait_s(plan.seconds);
    usage_take(&to);
    report(&from, &to);
}

/* Everyone in every room says `count` things. */
static void say_all(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        for (unsigned room = 0; room < plan.rooms; room++) {
            publish(room, i % plan.members, now_us());
            if (published - completed > plan.window)
                loop_run(now_us() + 1000, all_completed);
        }
        loop_run(now_us() + DRAIN_US, all_completed);
    }
    if (completed < published)
        die("not everything arrived before the kill");
}

static bool none_open(void)
{
    for (unsigned i = 0; i < follower_count; i++)
        if (followers[i].stage != STAGE_CLOSED)
            return false;
    return true;
}

static bool all_level(void)
{
    static unsigned from; /* those before it are level */

    while (from < follower_count && check_level(&followers[from]))
        from++;
    return from == follower_count;
}

/* Wait for a line: the server was killed and listens again. */
static void wait_for_go(void)
{
    char line[32];

    (void)printf("READY\n");
    (void)fflush(stdout);
    if (!fgets(line, sizeof(line), stdin))
        die("nobody says that the server is back");
    loop_run(now_us() + 1000000, none_open);
}

static void run_resume(void)
{
    struct conn *then;
    struct usage from, to;

    say_all(plan.behind);
    then = calloc(follower_count, sizeof(*then));
    if (!then)
        die("out of memory");
    memcpy(then, followers, follower_count * sizeof(*then));
    say_all(plan.behind);
    wait_for_go();
    for (unsigned i = 0; i < follower_count; i++) {
        if (followers[i].stage != STAGE_CLOSED)
            conn_drop(&followers[i]);
        memcpy(followers[i].next, then[i].next, sizeof(then[i].next));
        memcpy(followers[i].cursor, then[i].cursor, sizeof(then[i].cursor));
    }
    free(then);
    usage_take(&from);
    opened = wanted = 0;
    check_measure(true);
    dial_all(followers, follower_count);
    loop_run(now_us() + LEVEL_US, all_level);
    usage_take(&to);
    check_measure(false);
    for (unsigned i = 0; i < follower_count; i++)
        lost += !check_level(&followers[i]);
    wait_s(0.5); /* does anything come twice? */
    report(&from, &to);
    (void)printf(",\"level_s\":%.3f", (double)(to.at_us - from.at_us) / 1e6);
}

/* --- the command line
 * ----------------------------------------------------------------- */

static const char help[] =
    "usage: load --server NAME --port PORT [OPTION]...\n"
    "\n"
    "Put one load on one server and print one line of JSON. Exits 1 when a\n"
    "message was lost, came twice or out of order.\n"
    "\n"
    "  --server NAME     rung, rung-socketio, nchan, socketio, ws or ceiling\n"
    "  --via WIRE        ws, sse, longpoll or poll\n"
    "  --shape SHAPE     fanout: --members follow one channel\n"
    "                    rooms: --rooms with --members (1 or 2) each\n"
    "                    idle: connect and stay\n"
    "                    resume: rooms; says READY, waits for a line while "
    "the\n"
    "                    server is killed and started, and comes back\n"
    "  --rooms N --members N\n"
    "  --publishers N    connections that only publish [4]\n"
    "  --window N        messages in flight, without --rate [256]\n"
    "  --rate N          messages a second, on time whatever happens\n"
    "  --seconds S --warm S   measured [3], and before that [1]\n"
    "  --size BYTES      of a payload, 32 to 2048 [64]\n"
    "  --interval MS     between two short polls [1000]\n"
    "  --behind N        resume: messages of a room that were missed [5]\n"
    "  --sources N       connect from 127.0.0.1 to 127.0.0.N in turn [1]\n"
    "  --secret TEXT     Rung: HS256 secret of the app \"bench\"\n"
    "  --pids PID,...    the server's processes: CPU and memory\n";

static const struct option options[] = {
    {"server", required_argument, NULL, 's'},
    {"port", required_argument, NULL, 'p'},
    {"via", required_argument, NULL, 'v'},
    {"shape", required_argument, NULL, 'h'},
    {"rooms", required_argument, NULL, 'r'},
    {"members", required_argument, NULL, 'm'},
    {"publishers", required_argument, NULL, 'P'},
    {"window", required_argument, NULL, 'w'},
    {"rate", required_argument, NULL, 'R'},
    {"seconds", required_argument, NULL, 'S'},
    {"warm", required_argument, NULL, 'W'},
    {"size", required_argument, NULL, 'z'},
    {"interval", required_argument, NULL, 'i'},
    {"behind", required_argument, NULL, 'b'},
    {"sources", required_argument, NULL, 'o'},
    {"secret", required_argument, NULL, 'k'},
    {"pids", required_argument, NULL, 'd'},
    {"help", no_argument, NULL, '?'},
    {NULL, 0, NULL, 0},
};

static void take_option(int c)
{
    const char *text = optarg ? optarg : "";
    unsigned number = (unsigned)strtoul(text, NULL, 10);

    switch (c) {
    case 's':
        plan.server = text;
        break;
    case 'p':
        plan.port = (int)number;
        break;
    case 'v':
        plan.via = text;
        break;
    case 'h':
        plan.shape_name = text;
        break;
    case 'r':
        plan.rooms = number;
        break;
    case 'm':
        plan.members = number;
        break;
    case 'P':
        plan.publishers = number;
        break;
    case 'w':
        plan.window = number;
        break;
    case 'R':
        plan.rate = strtod(text, NULL);
        break;
    case 'S':
        plan.seconds = strtod(text, NULL);
        break;
    case 'W':
        plan.warm_s = strtod(text, NULL);
        break;
    case 'z':
        plan.size = number;
        break;
    case 'i':
        plan.interval_ms = number;
        break;
    case 'b':
        plan.behind = number;
        break;
    case 'o':
        plan.sources = number;
        break;
    case 'k':
        plan.secret = text;
        break;
    case 'd':
        plan.pids = text;
        break;
    default:
        (void)fputs(help, c == '?' && !optopt ? stdout : stderr);
        exit(c == '?' && !optopt ? 0 : 2);
    }
}

static int word(const char *given, const char *const *words, const char *what)
{
    for (int i = 0; words[i]; i++)
        if (strcmp(words[i], given) == 0)
            return i;
    die("%s: not a %s", given, what);
}

static void check_plan(void)
{
    static const char *const wires[] = {"ws", "sse", "longpoll", "poll", NULL};
    static const char *const shapes[] = {"fanout", "rooms", "idle", "resume",
                                         NULL};
    static const char *const names[] = {
        "rung", "rung-socketio", "nchan", "socketio", "ws", "ceiling", NULL};
    static const struct dialect *const dialects[] = {
        &rung_dialect,  &rung_socketio_dialect,
        &nchan_dialect, &socketio_dialect,
        &ws_dialect,    &ceiling_dialect,
    };

    if (!plan.server)
        die("which --server?");
    plan.wire = (enum wire)word(plan.via, wires, "transport");
    plan.shape = (enum shape)word(plan.shape_name, shapes, "shape");
    plan.dialect = dialects[word(plan.server, names, "server")];
    if (plan.size < PAYLOAD_MIN || plan.size > 2048 || !plan.rooms ||
        !plan.members || plan.publishers < 1 || plan.publishers > 4096 ||
        plan.rate > 1e6 || !plan.sources || plan.sources > 250)
        die("a number is out of its range");
    if (plan.shape == SHAPE_FANOUT && (plan.rooms > 1 || plan.publishers > 15))
        die("a fan-out has one room and at most 15 publishers");
    if (plan.shape != SHAPE_FANOUT && plan.shape != SHAPE_IDLE &&
        plan.members > 2)
        die("a room has one or two members");
}

static void raise_limit(void)
{
    struct rlimit limit;
    rlim_t need = (rlim_t)follower_count + poster_count + 16;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < need)
        die("%u connections need RLIMIT_NOFILE %llu, which is %llu",
            follower_count, (unsigned long long)need,
            (unsigned long long)limit.rlim_max);
}

int main(int argc, char **argv)
{
    uint64_t before, after, pss_before, pss_after, began;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
        take_option(c);
    check_plan();
    loop_init();
    check_init();
    make_connections();
    raise_limit();
    if (plan.dialect->prepare)
        plan.dialect->prepare();
    dial_all(posters, poster_count);
    before = server_memory(&pss_before);
    began = now_us();
    dial_all(followers, follower_count);
    began = now_us() - began;
    loop_run(now_us() + SETTLE_US, NULL);
    after = server_memory(&pss_after);
    if (plan.shape == SHAPE_IDLE)
        run_idle();
    else if (plan.shape == SHAPE_RESUME)
        run_resume();
    else
        run_messages();
    (void)printf(",\"connect_s\":%.3f,\"memory_bytes\":%.0f,"
                 "\"memory_per_conn\":%.1f,\"pss_per_conn\":%.1f}\n",
                 (double)began / 1e6, (double)after,
                 ((double)after - (double)before) / follower_count,
                 ((double)pss_after - (double)pss_before) / follower_count);
    return lost || twice || reordered ? 1 : 0;
}
