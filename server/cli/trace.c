/* rung trace: the life of a message as a timeline. */
#include "server/cli/cli.h"
#include "server/cli/interrupt.h"
#include "server/cli/remote.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BAR_WIDTH 30

static const char usage[] =
    "usage: rung trace [OPTION]... CONVERSATION SEQ\n\n"
    "Prints when a message was submitted, committed, announced to each "
    "worker,\n"
    "written to each device and over what, acknowledged and read. What is "
    "between\n"
    "committed and acknowledged is known while the server still remembers it\n"
    "(its --trace-points). Whoever may read a message may trace it.\n\n"
    "  --url URL             the server (RUNG_URL; default "
    "http://localhost:8080)\n"
    "  --token TOKEN         who asks (RUNG_TOKEN)\n"
    "  --token-file FILE     the same, from a file's first line\n"
    "  --user NAME           the same, by the demo's login\n"
    "  --json                print what the server answers\n"
    "  -h, --help            print this\n\n"
    "examples:\n"
    "  rung trace --user alice 0:1:alice:bob 17\n"
    "  rung trace --token-file t --json 0:2:team 4 | jq '.steps[]'\n";

struct request {
    struct remote_options remote;
    const char *conversation;
    uint64_t seq;
    bool json;
};

static const struct option options[] = {
    {"url", required_argument, NULL, 'U'},
    {"token", required_argument, NULL, 't'},
    {"token-file", required_argument, NULL, 'f'},
    {"user", required_argument, NULL, 'u'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* --- options -------------------------------------------------------------- */

static int take_arguments(struct request *r, int argc, char **argv)
{
    if (argc - optind != 2)
        return cli_misuse("trace", "give a conversation and a seq, such as "
                                   "0:1:alice:bob 17");
    r->conversation = argv[optind];
    if (!remote_number(argv[optind + 1], 1, UINT64_MAX >> 11, &r->seq))
        return cli_misuse("trace", "'%.40s' is not a seq, 1 or more",
                          argv[optind + 1]);
    return CLI_OK;
}

/* CLI_OK, an exit status, or -1: help was printed. */
static int read_options(struct request *r, int argc, char **argv)
{
    int c;

    *r = (struct request){0};
    optind = 0;
    while ((c = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        if (c == 'U')
            r->remote.url = optarg;
        else if (c == 't')
            r->remote.token = optarg;
        else if (c == 'f')
            r->remote.token_file = optarg;
        else if (c == 'u')
            r->remote.user = optarg;
        else if (c == 'j')
            r->json = true;
        else if (c != 'h')
            return cli_bad_option("trace", c, argv, options);
        if (c == 'h') {
            (void)fputs(usage, stdout);
            return -1;
        }
    }
    return take_arguments(r, argc, argv);
}

/* --- the picture ---------------------------------------------------------- */

static const char *string(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static json_int_t number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void print_head(const json_t *trace, json_int_t begin_us)
{
    time_t seconds = (time_t)(begin_us / 1000000);
    char text[40] = "";
    struct tm at;

    if (gmtime_r(&seconds, &at))
        (void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &at);
    printf("%s seq %" JSON_INTEGER_FORMAT ", from %s, %s.%03d UTC\n\n"
           "        ms\n",
           string(trace, "conversation"), number(trace, "seq"),
           string(trace, "from"), text, (int)(begin_us / 1000 % 1000));
}

static void write_whom(char *out, size_t room, const json_t *step)
{
    const char *user = string(step, "user"), *device = string(step, "device");
    const char *over = string(step, "over");
    const json_t *worker = json_object_get(step, "worker");

    *out = '\0';
    if (*over)
        (void)snprintf(out, room, "%s/%s over %s", user, device, over);
    else if (*device)
        (void)snprintf(out, room, "%s/%s", user, device);
    else if (*user)
        (void)snprintf(out, room, "%s, up to %" JSON_INTEGER_FORMAT, user,
                       number(step, "seq"));
    else if (worker)
        (void)snprintf(out, room, "worker %" JSON_INTEGER_FORMAT,
                       json_integer_value(worker));
}

/* How many tenths of a power of ten; 0.1 ms is the least that shows. */
static int tenths(json_int_t us)
{
    uint64_t left = us > 0 ? 1000 + 10 * (uint64_t)us : 0;
    int count = 0;

    while (left > 1100) {
        left = left * 794 / 1000; /* 10 to the power of -0.1 */
        count++;
    }
    return count;
}

/* Logarithmic: what takes a millisecond and what takes an hour both show. */
static int bar(json_int_t us, json_int_t whole_us)
{
    int whole = tenths(whole_us);

    return whole ? BAR_WIDTH * tenths(us) / whole : 0;
}

static void print_step(const json_t *step, json_int_t begin_us,
                       json_int_t end_us)
{
    json_int_t us = number(step, "at_us") - begin_us;
    int size = bar(us, end_us - begin_us);
    char whom[200];

    write_whom(whom, sizeof(whom), step);
    printf("%10.1f  %-13s %-32s ", (double)us / 1000, string(step, "step"),
           whom);
    for (int i = 0; i < size; i++)
        (void)putchar('-');
    (void)puts("*");
}

static void print_trace(const json_t *trace)
{
    const json_t *steps = json_object_get(trace, "steps");
    size_t count = json_array_size(steps);
    json_int_t begin_us = number(json_array_get(steps, 0), "at_us");
    json_int_t end_us = number(json_array_get(steps, count - 1), "at_us");
    json_int_t hidden = number(trace, "hidden");

    print_head(trace, begin_us);
    for (size_t i = 0; i < count; i++)
        print_step(json_array_get(steps, i), begin_us, end_us);
    if (hidden)
        printf("\nwritten to others, too, at least %" JSON_INTEGER_FORMAT
               " times\n",
               hidden);
}

static void print_json(const json_t *trace)
{
    char *text = json_dumps(trace, JSON_COMPACT);

    (void)puts(text ? text : "");
    free(text); /* jansson's */
}

/* -------------------------------------------------------------------------- */

static int ask(struct remote *remote, const struct request *r)
{
    json_t *params = json_pack("{s:s, s:I}", "conversation", r->conversation,
                               "seq", (json_int_t)r->seq);
    json_t *trace = NULL;
    struct failure why;
    int status = CLI_OK;

    if (!params)
        return cli_misuse("trace", "the conversation must be UTF-8");
    if (remote_call(remote, "message.trace", params, &trace, &why))
        status = cli_fail("trace", &why);
    else if (r->json)
        print_json(trace);
    else
        print_trace(trace);
    json_decref(trace);
    json_decref(params);
    if (fflush(stdout)) {
        (void)fprintf(stderr, "rung trace: stdout: %s\n", strerror(errno));
        return CLI_FAILED;
    }
    return status;
}

int cli_trace(int argc, char **argv)
{
    struct request r;
    struct remote remote;
    struct failure why;
    int status = read_options(&r, argc, argv);

    if (status)
        return status < 0 ? CLI_OK : status;
    interrupt_catch();
    if (remote_open(&remote, &r.remote, &why))
        return cli_fail("trace", &why);
    status = ask(&remote, &r);
    remote_close(&remote);
    return status;
}
