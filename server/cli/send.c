/* rung send: send one message, or each line of stdin, until it is stored. */
#include "server/base/clock.h"
#include "server/cli/cli.h"
#include "server/cli/interrupt.h"
#include "server/cli/remote.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_FOR_S 60
#define RETRY_FOR_MAX_S 86400

static const char usage[] =
    "usage: rung send [OPTION]... (--to USER | --conversation C) TEXT\n"
    "       rung send [OPTION]... (--to USER | --conversation C) --body JSON\n"
    "       rung send [OPTION]... (--to USER | --conversation C) - < LINES\n\n"
    "Prints the server's answer, once the message is stored. A message that "
    "got "
    "no\nanswer is sent again under the same id, so it is stored once.\n\n"
    "  --url URL             the server (RUNG_URL; default "
    "http://localhost:8080)\n"
    "  --token TOKEN         who sends (RUNG_TOKEN)\n"
    "  --token-file FILE     the same, from a file's first line\n"
    "  --user NAME           the same, by the demo's login\n"
    "  --to USER             the receiver\n"
    "  --conversation C      a name such as 0:2:team, or a short_id\n"
    "  --type TYPE           of the message (default text)\n"
    "  --body JSON           the body, instead of {\"text\": TEXT}\n"
    "  --id ID               client_msg_id (default: a new UUID)\n"
    "  --retry-for SECONDS   how long to try (default 60; 0: once)\n"
    "  -h, --help            print this\n\n"
    "examples:\n"
    "  rung send --user alice --to bob 'hello, Bob'\n"
    "  rung send --user alice --conversation 0:2:team --type note "
    "--body '{\"n\":1}'\n"
    "  dmesg -w | rung send --token-file t --conversation 0:3:kernel -\n";

struct sending {
    struct remote_options remote;
    const char *to, *conversation, *type, *body, *id, *text;
    uint64_t retry_for_s;
};

static const struct option options[] = {
    {"url", required_argument, NULL, 'U'},
    {"token", required_argument, NULL, 't'},
    {"token-file", required_argument, NULL, 'f'},
    {"user", required_argument, NULL, 'u'},
    {"to", required_argument, NULL, 'o'},
    {"conversation", required_argument, NULL, 'c'},
    {"type", required_argument, NULL, 'T'},
    {"body", required_argument, NULL, 'b'},
    {"id", required_argument, NULL, 'i'},
    {"retry-for", required_argument, NULL, 'r'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* --- options -------------------------------------------------------------- */

static const char **text_option(struct sending *s, int c)
{
    switch (c) {
    case 'U':
        return &s->remote.url;
    case 't':
        return &s->remote.token;
    case 'f':
        return &s->remote.token_file;
    case 'u':
        return &s->remote.user;
    case 'o':
        return &s->to;
    case 'c':
        return &s->conversation;
    case 'T':
        return &s->type;
    case 'b':
        return &s->body;
    case 'i':
        return &s->id;
    default:
        return NULL;
    }
}

static int check_options(struct sending *s, int argc, char **argv)
{
    if (!s->to == !s->conversation)
        return cli_misuse("send", "give one of --to and --conversation");
    s->text = optind < argc ? argv[optind++] : NULL;
    if (optind < argc)
        return cli_misuse("send",
                          "'%s' is not expected here; quote a text with spaces",
                          argv[optind]);
    if (!s->text == !s->body)
        return cli_misuse("send", "give either a text or --body");
    if (s->id && s->text && strcmp(s->text, "-") == 0)
        return cli_misuse("send", "--id: goes with one message, not with "
                                  "the lines of stdin");
    return CLI_OK;
}

/* CLI_OK, an exit status, or -1: help was printed. */
static int read_options(struct sending *s, int argc, char **argv)
{
    int c;

    *s = (struct sending){.retry_for_s = RETRY_FOR_S};
    optind = 0;
    while ((c = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        const char **text = text_option(s, c);

        if (text) {
            *text = optarg;
        } else if (c == 'h') {
            (void)fputs(usage, stdout);
            return -1;
        } else if (c == 'r') {
            if (!remote_number(optarg, 0, RETRY_FOR_MAX_S, &s->retry_for_s))
                return cli_misuse("send",
                                  "--retry-for: '%s' is not a whole number "
                                  "from 0 to %d",
                                  optarg, RETRY_FOR_MAX_S);
        } else {
            return cli_bad_option("send", c, argv, options);
        }
    }
    return check_options(s, argc, argv);
}

/* --- one message ---------------------------------------------------------- */

/* UUID version 7 (RFC 9562): the time first, so that ids sort. */
static void make_id(char out[37])
{
    unsigned char b[16];
    uint64_t now = clock_wall_ms();
    size_t at = 0;

    random_bytes(b, sizeof(b));
    for (size_t i = 0; i < 6; i++)
        b[i] = (unsigned char)(now >> (40 - 8 * i));
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x70);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    for (size_t i = 0; i < sizeof(b); i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[at++] = '-';
        at += (size_t)snprintf(out + at, 3, "%02x", b[i]);
    }
}

static void set(json_t *object, const char *key, const char *value)
{
    if (value)
        json_object_set_new(object, key, json_string(value));
}

/* Takes `body`. */
static json_t *params_of(const struct sending *s, json_t *body)
{
    json_t *params = json_object();
    char id[37];

    make_id(id);
    set(params, "to", s->to);
    set(params, "conversation", s->conversation);
    set(params, "type", s->type);
    set(params, "client_msg_id", s->id ? s->id : id);
    if (json_object_set_new(params, "body", body)) {
        json_decref(params);
        return NULL;
    }
    return params;
}

/* What is worth trying again, and when; false: give up. */
static bool wait_for_retry(struct remote *remote, struct failure *why,
                           unsigned attempt, uint64_t deadline_ms)
{
    if (why->err == ERR_TOKEN_EXPIRED && !attempt && remote_renew(remote))
        return true;
    if (!remote_retryable(why->err))
        return false;

    uint64_t delay = remote_backoff_ms(attempt, why->retry_after_ms);

    if (clock_mono_ms() + delay > deadline_ms)
        return false;
    (void)fprintf(stderr, "rung send: %s; again in %.1f s\n", why->message,
                  (double)delay / 1000);
    return interrupt_sleep(delay);
}

static int print_answer(json_t *answer)
{
    char *text = json_dumps(answer, JSON_COMPACT);

    json_decref(answer);
    if (!text || puts(text) < 0 || fflush(stdout)) {
        (void)fprintf(stderr, "rung send: stdout: %s\n", strerror(errno));
        free(text); /* jansson's */
        return CLI_FAILED;
    }
    free(text);
    return CLI_OK;
}

static int send_params(struct remote *remote, const struct sending *s,
                       const json_t *params)
{
    uint64_t deadline_ms = clock_mono_ms() + s->retry_for_s * 1000;
    struct failure why;
    json_t *answer = NULL;

    for (unsigned attempt = 0;
         remote_call(remote, "message.send", params, &answer, &why);
         attempt++) {
        json_decref(answer);
        answer = NULL;
        if (!wait_for_retry(remote, &why, attempt, deadline_ms)) {
            (void)cli_fail("send", &why);
            return CLI_FAILED;
        }
    }
    return print_answer(answer);
}

/* Takes `body`. */
static int send_body(struct remote *remote, const struct sending *s,
                     json_t *body)
{
    json_t *params = params_of(s, body);
    int status;

    if (!params)
        return cli_misuse("send", "the text and the options must be UTF-8");
    status = send_params(remote, s, params);
    json_decref(params);
    return status;
}

/* --- where messages come from --------------------------------------------- */

static int send_lines(struct remote *remote, const struct sending *s)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t size;
    int status = CLI_OK;

    while (!status && !interrupt_wanted() &&
           (size = getline(&line, &room, stdin)) > 0) {
        while (size && (line[size - 1] == '\n' || line[size - 1] == '\r'))
            size--;
        if (size)
            status = send_body(remote, s,
                               json_pack("{s:s%}", "text", line, (size_t)size));
    }
    free(line); /* getline's */
    return status;
}

static int send_all(struct remote *remote, const struct sending *s)
{
    if (s->body)
        return send_body(remote, s, json_loads(s->body, JSON_DECODE_ANY, NULL));
    assert(s->text);
    if (strcmp(s->text, "-") == 0)
        return send_lines(remote, s);
    return send_body(remote, s, json_pack("{s:s}", "text", s->text));
}

static bool is_json(const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    bool is = value != NULL;

    json_decref(value);
    return is;
}

int cli_send(int argc, char **argv)
{
    struct sending s;
    struct remote remote;
    struct failure why;
    int status = read_options(&s, argc, argv);

    if (status)
        return status < 0 ? CLI_OK : status;
    if (s.body && !is_json(s.body))
        return cli_misuse("send", "--body: '%.60s' is not JSON", s.body);
    interrupt_catch();
    if (remote_open(&remote, &s.remote, &why))
        return cli_fail("send", &why);
    status = send_all(&remote, &s);
    remote_close(&remote);
    return status;
}
