/* The methods, on a real store and a real sequencer: what they answer, whom
 * they refuse, and what they say when they do. */
#define _XOPEN_SOURCE 700
#include "server/base/clock.h"
#include "server/base/mem.h"
#include "server/method.h"
#include "server/worker.h"

#include <ftw.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SECRET "0123456789abcdef0123456789abcdef"
#define OTHER_SECRET "fedcba9876543210fedcba9876543210"

/* --- a server without connections ----------------------------------------- */

struct house {
    char dir[64];
    struct server server;
    struct worker worker;
    struct worker *workers[1];
    struct port *ports[1];
};

static void on_announce(struct port *port, struct commit *commit)
{
    struct hub *hub = container_of(port, struct worker, port)->hub;

    hub_announce(hub, commit);
    while (!hub_deliver(hub))
        ;
}

static struct config *two_apps_and_the_demo(void)
{
    struct config *config;

    assert_int_equal(config_defaults(&config), ERR_NONE);
    config->demo = true;
    config->user_rate = 1000000;
    assert_int_equal(config_add_key(config, "one", SECRET, NULL, NULL), 0);
    assert_int_equal(config_add_key(config, "two", OTHER_SECRET, NULL, NULL),
                     0);
    assert_int_equal(config_add_key(config, "demo", SECRET, NULL, NULL), 0);
    return config;
}

static void start_worker(struct house *house)
{
    struct worker *worker = &house->worker;

    worker->server = &house->server;
    worker->config = house->server.config;
    worker->now_ms = clock_mono_ms();
    assert_int_equal(uv_loop_init(&worker->loop), 0);
    wheel_init(&worker->wheel, worker->now_ms);
    assert_int_equal(reader_create(&worker->reader, house->server.store), 0);
    assert_int_equal(hub_create(&worker->hub, worker), 0);
    assert_int_equal(auth_create(&worker->auth, worker->config), 0);
    assert_int_equal(port_init(&worker->port, &worker->loop, on_announce), 0);
}

static int open_house(void **state)
{
    struct house *house = calloc(1, sizeof(*house));
    struct store_options store = {
        .dir = house->dir, .map_size_bytes = 64 << 20, .relaxed = true};
    struct sequencer_options options = {.ports = house->ports, .port_count = 1};

    snprintf(house->dir, sizeof(house->dir), "/tmp/rung-methods-XXXXXX");
    assert_non_null(mkdtemp(house->dir));
    assert_int_equal(store_open(&house->server.store, &store, NULL), 0);
    house->server.config = two_apps_and_the_demo();
    house->server.workers = house->workers;
    house->server.worker_count = 1;
    house->workers[0] = &house->worker;
    house->ports[0] = &house->worker.port;
    start_worker(house);
    options.store = house->server.store;
    options.config = house->server.config;
    assert_int_equal(sequencer_start(&house->server.sequencer, &options, NULL),
                     0);
    *state = house;
    return 0;
}

static int remove_one(const char *path, const struct stat *info, int kind,
                      struct FTW *walk)
{
    (void)info, (void)kind, (void)walk;
    return remove(path);
}

static int close_house(void **state)
{
    struct house *house = *state;

    sequencer_stop(house->server.sequencer);
    uv_run(&house->worker.loop, UV_RUN_NOWAIT); /* its last letters */
    port_close(&house->worker.port, NULL);
    uv_run(&house->worker.loop, UV_RUN_DEFAULT);
    hub_destroy(house->worker.hub);
    auth_destroy(house->worker.auth);
    reader_destroy(house->worker.reader);
    uv_loop_close(&house->worker.loop);
    store_close(house->server.store);
    config_unref(house->server.config);
    assert_int_equal(nftw(house->dir, remove_one, 8, FTW_DEPTH), 0);
    free(house);
    return 0;
}

/* --- calling -------------------------------------------------------------- */

struct waiting {
    struct call call;
    int ends;
};

static void ended(struct call *call)
{
    container_of(call, struct waiting, call)->ends++;
}

/* "one/alice" or "one/alice/phone" or "one/alice//7" (inbox 7). */
static struct identity person(const char *who)
{
    struct identity identity = {.expires_ms = clock_wall_ms() + 3600000};
    const char *inbox = strstr(who, "//");

    if (sscanf(who, "%64[^/]/%64[^/]/%64[^/]", identity.app, identity.user,
               identity.device) < 2)
        abort();
    if (inbox)
        identity.inbox = strtoull(inbox + 2, NULL, 10);
    return identity;
}

/* The parameters have ' for ", so that they can be read. */
static void run_text(struct house *house, struct waiting *w, const char *who,
                     const char *method, const char *text)
{
    struct identity identity = {0};
    struct jtext_object params;
    struct failure why;
    char *json = strdup(text);
    size_t size = strlen(json);

    for (char *c = json; *c; c++)
        if (*c == '\'')
            *c = '"';
    if (params_read(&params, span_of(json), 1 << 20, &why)) {
        print_error("%s: %s\n", text, why.message);
        abort();
    }
    if (who)
        identity = person(who);
    memset(w, 0, sizeof(*w));
    w->call.worker = &house->worker;
    w->call.method = span_of(method);
    w->call.params = &params;
    w->call.who = who ? &identity : NULL;
    w->call.done = ended;
    method_run(&w->call);
    /* Borrowed until method_run() returned, no longer: */
    w->call.who = NULL;
    w->call.params = NULL;
    memset(&identity, 0xaa, sizeof(identity));
    memset(&params, 0xaa, sizeof(params));
    memset(json, 0xaa, size);
    free(json);
    while (!w->ends)
        uv_run(&house->worker.loop, UV_RUN_ONCE);
    assert_int_equal(w->ends, 1);
}

/* Takes `params`. */
static void run_params(struct house *house, struct waiting *w, const char *who,
                       const char *method, json_t *params)
{
    char *text = json_dumps(params, JSON_COMPACT);

    run_text(house, w, who, method, text);
    mem_free(text);
    json_decref(params);
}

/* The result of a call, taken from it; owned. */
static json_t *result_of(struct waiting *w)
{
    json_t *result =
        json_loadb(w->call.result.data, w->call.result.size, 0, NULL);

    assert_true(json_is_object(result));
    buf_fini(&w->call.result);
    return result;
}

static json_t *ok(struct house *house, const char *who, const char *method,
                  const char *params)
{
    struct waiting w;

    run_text(house, &w, who, method, params);
    if (w.call.failure.err)
        print_error("%s %s %s: %s\n", who, method, params,
                    w.call.failure.message);
    assert_int_equal(w.call.failure.err, ERR_NONE);
    return result_of(&w);
}

static void did(struct house *house, const char *who, const char *method,
                const char *params)
{
    json_decref(ok(house, who, method, params));
}

static void refused(struct house *house, const char *who, const char *method,
                    const char *params, enum err err, const char *mentions)
{
    struct waiting w;

    run_text(house, &w, who, method, params);
    if (w.call.failure.err != err ||
        !strstr(w.call.failure.message, mentions) || w.call.result.size)
        print_error("%s %s %s: %s: %s\n", who ? who : "nobody", method, params,
                    err_code(w.call.failure.err), w.call.failure.message);
    assert_int_equal(w.call.failure.err, err);
    assert_non_null(strstr(w.call.failure.message, mentions));
    assert_null(strstr(w.call.failure.message, "(null)"));
    assert_int_equal(w.call.result.size, 0);
}

static json_int_t number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_integer(value))
        print_error("no number '%s'\n", key);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    if (!value)
        print_error("no text '%s'\n", key);
    assert_non_null(value);
    return value;
}

static bool flag(const json_t *object, const char *key)
{
    assert_true(json_is_boolean(json_object_get(object, key)));
    return json_is_true(json_object_get(object, key));
}

static void say(struct house *house, const char *who, const char *conversation,
                int times)
{
    char params[200];

    for (int i = 0; i < times; i++) {
        snprintf(params, sizeof(params),
                 "{'conversation':'%s','body':{'n':%d}}", conversation, i);
        did(house, who, "message.send", params);
    }
}

/* The seqs of a history answer, as "1 2 3"; takes the answer. */
static void seqs_are(json_t *answer, const char *expected)
{
    json_t *messages = json_object_get(answer, "messages");
    char found[400] = "";

    for (size_t i = 0; i < json_array_size(messages); i++)
        snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s%lld",
                 i ? " " : "",
                 (long long)number(json_array_get(messages, i), "seq"));
    assert_string_equal(found, expected);
    json_decref(answer);
}

/* --- message.send --------------------------------------------------------- */

static void a_message_gets_its_place(void **state)
{
    json_t *sent = ok(*state, "one/bob", "message.send",
                      "{'to':'alice','client_msg_id':'m1','body':{'t':1}}");

    assert_string_equal(text(sent, "conversation"), "0:1:alice:bob");
    assert_int_equal(number(sent, "seq"), 1);
    assert_int_equal(number(sent, "short_id"), 1);
    assert_non_null(strstr(text(sent, "cursor"), "-1"));
    assert_in_range(number(sent, "ts"), 1, clock_wall_ms());
    assert_false(flag(sent, "duplicate"));
    assert_null(json_object_get(sent, "durability"));
    json_decref(sent);
    sent = ok(*state, "one/12345", "message.send", "{'to':'12333','body':1}");
    assert_string_equal(text(sent, "conversation"), "0:1:12333:12345");
    json_decref(sent);
}

/* Every parameter is read by what it says, however it is spelled. */
static void parameters_may_be_spelled_with_escapes(void **state)
{
    json_t *sent =
        ok(*state, "one/bob", "message.send",
           " { 't\\u006f':'\\u0061lice', 'client_msg_id':'\\u00e9\\/' ,"
           "'type':'te\\u0078t','echo':true,'body':{'\\u0061' : 1.0}}");

    assert_string_equal(text(sent, "conversation"), "0:1:alice:bob");
    json_decref(sent);
    did(*state, "one/bob", "message.send",
        "{'conversation':'0:1:alice\\u003abob','client_msg_id':'\u00e9/',"
        "'body':{'a':1.0}}"); /* the same message */
    seqs_are(ok(*state, "one/alice", "message.history",
                "{'conversation':'\\u0031','limit':9}"),
             "1");
    json_decref(ok(*state, "one/alice", "conversation.create",
                   "{'type':'gr\\u006fup','id':'\\u0067','members':"
                   "[ 'b\\u006fb' , 'bob','alice' ],'settings':{'history':"
                   "'\\u0061ll','retention':{'max_count':7}}}"));
    sent =
        ok(*state, "one/bob", "conversation.get", "{'conversation':'0:2:g'}");
    assert_int_equal(number(sent, "member_count"), 2);
    assert_int_equal(
        number(json_object_get(json_object_get(sent, "settings"), "retention"),
               "max_count"),
        7);
    json_decref(sent);
    refused(*state, "one/bob", "message.send", "{'to':'\\u0020','body':1}",
            ERR_BAD_REQUEST, "got \" \"");
}

static void a_retry_gets_the_first_answer(void **state)
{
    json_t *first =
        ok(*state, "one/bob", "message.send",
           "{'to':'alice','client_msg_id':'m1','body':{'a':1,'b':2}}");
    json_t *again = ok(*state, "one/bob", "message.send",
                       "{'conversation':'0:1:alice:bob','client_msg_id':'m1',"
                       "'body':{'b':2,'a':1}}");

    assert_true(flag(again, "duplicate"));
    json_object_set_new(again, "duplicate", json_false());
    assert_true(json_equal(first, again));
    json_decref(first);
    json_decref(again);
    refused(*state, "one/bob", "message.send",
            "{'to':'alice','client_msg_id':'m1','body':{'a':1}}", ERR_CONFLICT,
            "client_msg_id");
}

/* The order is one device's; who was refused sends again, in order. */
static void numbered_messages_are_taken_in_order(void **state)
{
    const char *who = "one/bob/phone";

    did(*state, who, "message.send", "{'to':'alice','client_seq':4,'body':1}");
    refused(*state, who, "message.send",
            "{'to':'alice','client_seq':6,'body':3}", ERR_CONFLICT,
            "client_seq: 4 was the last of this device here, 5 is next");
    did(*state, who, "message.send", "{'to':'alice','client_seq':5,'body':2}");
    did(*state, who, "message.send", "{'to':'alice','client_seq':6,'body':3}");
    did(*state, "one/bob/tv", "message.send",
        "{'to':'alice','client_seq':0,'body':4}");
    refused(*state, who, "message.send",
            "{'to':'alice','client_seq':5,'body':2}", ERR_CONFLICT,
            "7 is next");
    did(*state, who, "message.send", "{'to':'alice','body':5}");
}

/* What is stored is one spelling, whose decimals are not longer than needed. */
static void a_body_comes_back_as_it_was_said(void **state)
{
    json_t *page;
    char *body;

    did(*state, "one/bob", "message.send",
        "{'to':'alice','body':{'z':[0.1,-2.5e-3,1e300],'a':{'y':1,'b':'\u00e9/"
        "'}}}");
    page = ok(*state, "one/alice", "message.history",
              "{'conversation':'0:1:alice:bob'}");
    body = json_dumps(
        json_object_get(json_array_get(json_object_get(page, "messages"), 0),
                        "body"),
        JSON_COMPACT | JSON_REAL_PRECISION(15));
    assert_string_equal(
        body, "{\"a\":{\"b\":\"\u00e9/\",\"y\":1},\"z\":[0.1,-0.0025,1e300]}");
    mem_free(body);
    json_decref(page);
    did(*state, "one/bob", "message.send",
        "{'to':'alice','client_msg_id':'x','body':0.1}");
    did(*state, "one/bob", "message.send",
        "{'to':'alice','client_msg_id':'x','body':1.0E-1}");
    refused(*state, "one/bob", "message.send",
            "{'to':'alice','client_msg_id':'x','body':0.10000000000000002}",
            ERR_CONFLICT, "client_msg_id");
}

static void relaxed_durability_is_admitted(void **state)
{
    struct house *house = *state;
    json_t *sent;

    house->worker.config->durability = DURABILITY_RELAXED;
    sent = ok(house, "one/bob", "message.send", "{'to':'alice','body':1}");
    assert_string_equal(text(sent, "durability"), "relaxed");
    json_decref(sent);
}

static void a_short_id_is_accepted_wherever_a_name_is(void **state)
{
    json_t *sent =
        ok(*state, "one/bob", "message.send", "{'to':'alice','body':1}");

    assert_int_equal(number(sent, "short_id"), 1);
    json_decref(sent);
    did(*state, "one/alice", "message.send", "{'conversation':1,'body':2}");
    did(*state, "one/alice", "message.send", "{'conversation':'1','body':2}");
    seqs_are(ok(*state, "one/alice", "message.history", "{'conversation':'1'}"),
             "1 2 3");
    did(*state, "one/alice", "message.read", "{'conversation':1,'seq':3}");
    did(*state, "one/alice", "conversation.get", "{'conversation':1}");
    refused(*state, "one/alice", "message.history", "{'conversation':99}",
            ERR_NOT_FOUND, "no such conversation");
    refused(*state, "two/alice", "message.history", "{'conversation':1}",
            ERR_NOT_FOUND, "no such conversation");
    refused(*state, "one/eve", "message.history", "{'conversation':1}",
            ERR_NOT_MEMBER, "not in this conversation");
}

/* --- message.history ------------------------------------------------------ */

static void history_is_half_open_by_seq(void **state)
{
    json_t *page;

    say(*state, "one/bob", "0:1:alice:bob", 7);
#define HISTORY(params)                                                        \
    ok(*state, "one/alice", "message.history",                                 \
       "{'conversation':'0:1:alice:bob'" params "}")
    seqs_are(HISTORY(""), "1 2 3 4 5 6 7");
    seqs_are(HISTORY(",'after':5"), "6 7");
    seqs_are(HISTORY(",'after':7"), "");
    seqs_are(HISTORY(",'before':3"), "1 2");
    seqs_are(HISTORY(",'before':1"), "");
    seqs_are(HISTORY(",'after':2,'limit':2"), "3 4");
    seqs_are(HISTORY(",'before':5,'limit':2"), "3 4");
    seqs_are(HISTORY(",'limit':2"), "6 7");
    page = HISTORY(",'limit':7");
    assert_false(flag(page, "more"));
    assert_int_equal(number(page, "first_seq"), 1);
    assert_int_equal(number(page, "last_seq"), 7);
    json_decref(page);
    page = HISTORY(",'after':2,'limit':4");
    assert_true(flag(page, "more"));
    json_decref(page);
    page = HISTORY(",'limit':6");
    assert_true(flag(page, "more"));
    json_decref(page);
#undef HISTORY
}

static void history_shows_events_as_streams_do(void **state)
{
    json_t *page, *event;

    did(*state, "one/bob", "message.send",
        "{'to':'alice','client_msg_id':'m1','type':'note','body':['x',null]}");
    page = ok(*state, "one/alice", "message.history",
              "{'conversation':'0:1:alice:bob'}");
    event = json_array_get(json_object_get(page, "messages"), 0);
    assert_string_equal(text(event, "event"), "message");
    assert_string_equal(text(event, "from"), "bob");
    assert_string_equal(text(event, "type"), "note");
    assert_string_equal(text(event, "client_msg_id"), "m1");
    assert_int_equal(json_array_size(json_object_get(event, "body")), 2);
    json_decref(page);
}

static void history_stays_within_a_mebibyte(void **state)
{
    char *params = malloc(70000);
    json_t *page;
    size_t count;

    snprintf(params, 70000, "{'to':'alice','body':'%060000d'}", 7);
    for (int i = 0; i < 20; i++)
        did(*state, "one/bob", "message.send", params);
    free(params);
    page = ok(*state, "one/alice", "message.history",
              "{'conversation':'0:1:alice:bob','after':0}");
    count = json_array_size(json_object_get(page, "messages"));
    assert_in_range(count, 16, 17);
    assert_true(flag(page, "more"));
    json_decref(page);
}

static void who_left_and_came_back_sees_both_times(void **state)
{
    json_t *page;

    did(*state, "one/alice", "conversation.create",
        "{'type':'group','id':'g','members':['bob']}"); /* 1 */
    say(*state, "one/alice", "0:2:g", 1);               /* 2 */
    did(*state, "one/bob", "conversation.leave", "{'conversation':'0:2:g'}");
    say(*state, "one/alice", "0:2:g", 2); /* 4 5 */
    seqs_are(ok(*state, "one/bob", "message.history",
                "{'conversation':'0:2:g','after':0}"),
             "1 2 3");
    refused(*state, "one/bob", "message.send",
            "{'conversation':'0:2:g','body':1}", ERR_NOT_MEMBER, "not in");
    refused(*state, "one/bob", "conversation.get", "{'conversation':'0:2:g'}",
            ERR_NOT_MEMBER, "not in");
    did(*state, "one/alice", "conversation.invite",
        "{'conversation':'0:2:g','user':'bob'}"); /* 6 */
    say(*state, "one/alice", "0:2:g", 1);         /* 7 */
    seqs_are(ok(*state, "one/bob", "message.history",
                "{'conversation':'0:2:g','after':0}"),
             "1 2 3 6 7");
    seqs_are(ok(*state, "one/bob", "message.history",
                "{'conversation':'0:2:g','before':7,'limit':3}"),
             "2 3 6");
    page = ok(*state, "one/bob", "message.history",
              "{'conversation':'0:2:g','after':3,'limit':1}");
    assert_true(flag(page, "more"));
    assert_int_equal(number(page, "last_seq"), 7);
    seqs_are(page, "6");
}

static void newcomers_see_what_the_settings_let_them(void **state)
{
    did(*state, "one/alice", "conversation.create",
        "{'type':'group','id':'g','settings':{'history':'all'}}");
    say(*state, "one/alice", "0:2:g", 1);
    did(*state, "one/alice", "conversation.invite",
        "{'conversation':'0:2:g','users':['bob','bob']}");
    seqs_are(
        ok(*state, "one/bob", "message.history", "{'conversation':'0:2:g'}"),
        "1 2 3");
    did(*state, "one/bob", "conversation.leave", "{'conversation':'0:2:g'}");
    did(*state, "one/alice", "conversation.invite",
        "{'conversation':'0:2:g','user':'bob'}");
    seqs_are(
        ok(*state, "one/bob", "message.history", "{'conversation':'0:2:g'}"),
        "1 2 3 4 5");
}

/* --- marks ---------------------------------------------------------------- */

static void reading_moves_the_mark_and_the_unread_count(void **state)
{
    json_t *answer;

    say(*state, "one/bob", "0:1:alice:bob", 3);
    say(*state, "one/alice", "0:1:alice:bob", 1);
    answer = ok(*state, "one/alice", "conversation.get",
                "{'conversation':'0:1:alice:bob'}");
    assert_int_equal(number(answer, "unread"), 3);
    json_decref(answer);
    did(*state, "one/alice", "message.read",
        "{'conversation':'0:1:alice:bob','seq':2}");
    answer = ok(*state, "one/alice", "conversation.get",
                "{'conversation':'0:1:alice:bob'}");
    assert_int_equal(number(answer, "unread"), 1);
    assert_int_equal(number(answer, "read_seq"), 2);
    json_decref(answer);
    answer = ok(*state, "one/alice", "message.read",
                "{'conversation':'0:1:alice:bob','seq':99}");
    assert_int_equal(number(answer, "seq"), 4);
    json_decref(answer);
    did(*state, "one/bob", "message.ack",
        "{'conversation':'0:1:alice:bob','seq':4}");
    answer = ok(*state, "one/bob", "conversation.get",
                "{'conversation':'0:1:alice:bob'}");
    assert_int_equal(number(answer, "delivered_seq"), 4);
    assert_int_equal(number(answer, "read_seq"), 0);
    json_decref(answer);
}

static void a_cursor_is_acknowledged_only_in_its_log(void **state)
{
    struct house *house = *state;
    const char *epoch = store_epoch(house->server.store);
    char params[80];
    json_t *answer;

    say(house, "one/bob", "0:1:alice:bob", 3);
    snprintf(params, sizeof(params), "{'cursor':'%s-2'}", epoch);
    answer = ok(house, "one/alice", "message.ack", params);
    assert_non_null(strstr(text(answer, "cursor"), "-2"));
    json_decref(answer);
    did(house, "one/alice", "message.ack", "{'cursor':'0'}");
    snprintf(params, sizeof(params), "{'cursor':'%s-400'}", epoch);
    refused(house, "one/alice", "message.ack", params, ERR_BAD_REQUEST,
            "ahead of the log");
    refused(house, "one/alice", "message.ack",
            strcmp(epoch, "deadbeef") ? "{'cursor':'deadbeef-1'}"
                                      : "{'cursor':'00000000-1'}",
            ERR_BAD_REQUEST, "'cursor' must be of this log");
}

/* --- conversations -------------------------------------------------------- */

static void a_group_is_what_it_was_created_as(void **state)
{
    json_t *group =
        ok(*state, "one/alice", "conversation.create",
           "{'type':'group','id':'team','name':'The "
           "\u00e9quipe','members':['carol',"
           "'bob','alice','bob'],'settings':{'joinable':true,'retention':"
           "{'max_age_s':3600,'max_count':100}}}");
    json_t *members = json_object_get(group, "members");
    json_t *settings = json_object_get(group, "settings");

    assert_string_equal(text(group, "conversation"), "0:2:team");
    assert_string_equal(text(group, "type"), "group");
    assert_string_equal(text(group, "name"), "The \u00e9quipe");
    assert_string_equal(text(group, "creator"), "alice");
    assert_int_equal(number(group, "last_seq"), 1);
    assert_int_equal(number(group, "first_seq"), 1);
    assert_int_equal(number(group, "member_count"), 3);
    assert_int_equal(json_array_size(members), 3);
    assert_string_equal(text(json_array_get(members, 0), "user"), "alice");
    assert_string_equal(text(json_array_get(members, 0), "role"), "owner");
    assert_string_equal(text(json_array_get(members, 2), "role"), "member");
    assert_string_equal(text(settings, "history"), "join");
    assert_true(flag(settings, "joinable"));
    assert_int_equal(
        number(json_object_get(settings, "retention"), "max_age_s"), 3600);
    assert_int_equal(
        number(json_object_get(settings, "retention"), "max_count"), 100);
    json_decref(group);
    refused(*state, "one/bob", "conversation.create",
            "{'type':'group','id':'team'}", ERR_CONFLICT, "exists");
}

static void an_id_is_made_when_none_is_given(void **state)
{
    json_t *one =
        ok(*state, "one/alice", "conversation.create", "{'type':'group'}");
    json_t *other =
        ok(*state, "one/alice", "conversation.create", "{'type':'group'}");

    assert_int_equal(strlen(text(one, "conversation")), 4 + 16);
    assert_string_not_equal(text(one, "conversation"),
                            text(other, "conversation"));
    assert_true(json_is_null(json_object_get(one, "name")));
    json_decref(one);
    json_decref(other);
}

static void a_channel_is_open_to_the_app(void **state)
{
    json_t *channel = ok(*state, "one/alice", "conversation.create",
                         "{'type':'channel','id':'news'}");

    assert_string_equal(text(channel, "type"), "channel");
    assert_int_equal(number(channel, "member_count"), 0);
    json_decref(channel);
    say(*state, "one/alice", "0:3:news", 1);
    refused(*state, "one/bob", "message.send",
            "{'conversation':'0:3:news','body':1}", ERR_FORBIDDEN, "owner");
    seqs_are(
        ok(*state, "one/bob", "message.history", "{'conversation':'0:3:news'}"),
        "1 2");
    did(*state, "one/bob", "conversation.get", "{'conversation':'0:3:news'}");
    did(*state, "one/bob", "message.read",
        "{'conversation':'0:3:news','seq':1}");
    did(*state, "one/bob", "conversation.join", "{'conversation':'0:3:news'}");
    did(*state, "one/bob", "conversation.leave", "{'conversation':'0:3:news'}");
    did(*state, "one/bob", "conversation.invite",
        "{'conversation':'0:3:news','users':['carol']}");
    seqs_are(
        ok(*state, "one/bob", "message.history", "{'conversation':'0:3:news'}"),
        "1 2");
    did(*state, "one/alice", "conversation.create",
        "{'type':'channel','id':'plaza','settings':{'open':true}}");
    say(*state, "one/bob", "0:3:plaza", 1);
}

static void two_who_said_nothing_have_an_empty_conversation(void **state)
{
    json_t *view = ok(*state, "one/alice", "conversation.get",
                      "{'conversation':'0:1:alice:bob'}");

    assert_int_equal(number(view, "last_seq"), 0);
    assert_string_equal(text(view, "peer"), "bob");
    assert_int_equal(number(view, "member_count"), 2);
    json_decref(view);
    view = ok(*state, "one/alice", "message.history",
              "{'conversation':'0:1:alice:bob'}");
    assert_int_equal(number(view, "last_seq"), 0);
    assert_int_equal(number(view, "first_seq"), 0);
    seqs_are(view, "");
    view = ok(*state, "one/alice", "message.read",
              "{'conversation':'0:1:alice:bob','seq':3}");
    assert_int_equal(number(view, "seq"), 0);
    json_decref(view);
    view = ok(*state, "one/alice", "conversation.get",
              "{'conversation':'0:1:alice:alice'}");
    assert_int_equal(number(view, "member_count"), 1);
    json_decref(view);
}

static void coming_and_going_is_answered_with_its_place(void **state)
{
    json_t *answer;

    did(*state, "one/alice", "conversation.create",
        "{'type':'group','id':'g'}");
    /* The id is the key; the number, which can be guessed, is not. */
    refused(*state, "one/bob", "conversation.join", "{'conversation':1}",
            ERR_FORBIDDEN, "name");
    answer =
        ok(*state, "one/bob", "conversation.join", "{'conversation':'0:2:g'}");
    assert_int_equal(number(answer, "seq"), 2);
    assert_non_null(text(answer, "cursor"));
    json_decref(answer);
    answer =
        ok(*state, "one/bob", "conversation.join", "{'conversation':'0:2:g'}");
    assert_null(json_object_get(answer, "seq")); /* in already */
    json_decref(answer);
    answer =
        ok(*state, "one/bob", "conversation.leave", "{'conversation':'0:2:g'}");
    assert_int_equal(number(answer, "seq"), 3);
    json_decref(answer);
    did(*state, "one/alice", "conversation.create",
        "{'type':'group','id':'closed','settings':{'joinable':false}}");
    refused(*state, "one/bob", "conversation.join",
            "{'conversation':'0:2:closed'}", ERR_FORBIDDEN, "member");
    refused(*state, "one/bob", "conversation.leave",
            "{'conversation':'0:2:closed'}", ERR_NOT_MEMBER, "not in");
    refused(*state, "one/bob", "conversation.invite",
            "{'conversation':'0:2:closed','user':'carol'}", ERR_NOT_MEMBER,
            "not in");
    refused(*state, "one/alice", "conversation.leave",
            "{'conversation':'0:1:alice:bob'}", ERR_FORBIDDEN, "two people");
    refused(*state, "one/alice", "conversation.invite",
            "{'conversation':'0:1:alice:bob','user':'carol'}", ERR_FORBIDDEN,
            "two people");
}

/* --- conversation.list ---------------------------------------------------- */

/* The names of a list's rows; takes the answer. */
static void rows_are(json_t *answer, const char *expected)
{
    json_t *rows = json_object_get(answer, "conversations");
    char found[400] = "";

    for (size_t i = 0; i < json_array_size(rows); i++)
        snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s%s",
                 i ? " " : "", text(json_array_get(rows, i), "conversation"));
    assert_string_equal(found, expected);
    json_decref(answer);
}

static void the_list_is_newest_first_in_pages(void **state)
{
    json_t *page;
    char params[80];

    rows_are(ok(*state, "one/bob", "conversation.list", "{}"), "");
    say(*state, "one/bob", "0:1:alice:bob", 1);
    did(*state, "one/alice", "conversation.create",
        "{'type':'group','id':'g','members':['bob']}");
    say(*state, "one/carol", "0:1:bob:carol", 1);
    rows_are(ok(*state, "one/bob", "conversation.list", "{}"),
             "0:1:bob:carol 0:2:g 0:1:alice:bob");
    say(*state, "one/alice", "0:1:alice:bob", 1);
    page = ok(*state, "one/bob", "conversation.list", "{'limit':2}");
    assert_true(flag(page, "more"));
    snprintf(params, sizeof(params), "{'limit':2,'before':'%s'}",
             text(page, "before"));
    rows_are(page, "0:1:alice:bob 0:1:bob:carol");
    page = ok(*state, "one/bob", "conversation.list", params);
    assert_false(flag(page, "more"));
    assert_null(json_object_get(page, "before"));
    rows_are(page, "0:2:g");
    did(*state, "one/bob", "conversation.leave", "{'conversation':'0:2:g'}");
    rows_are(ok(*state, "one/bob", "conversation.list", "{}"),
             "0:1:alice:bob 0:1:bob:carol");
}

static void a_row_tells_what_a_list_shows(void **state)
{
    json_t *answer, *row;

    say(*state, "one/bob", "0:1:alice:bob", 2);
    did(*state, "one/bob", "message.ack",
        "{'conversation':'0:1:alice:bob','seq':1}");
    answer = ok(*state, "one/alice", "conversation.list", "{}");
    row = json_array_get(json_object_get(answer, "conversations"), 0);
    assert_string_equal(text(row, "type"), "p2p");
    assert_string_equal(text(row, "peer"), "bob");
    assert_int_equal(number(row, "short_id"), 1);
    assert_int_equal(number(row, "last_seq"), 2);
    assert_int_equal(number(row, "unread"), 2);
    assert_int_equal(number(row, "read_seq"), 0);
    assert_false(flag(row, "muted"));
    assert_false(flag(row, "pinned"));
    assert_int_equal(number(json_object_get(row, "last_message"), "seq"), 2);
    json_decref(answer);
    did(*state, "one/carol", "conversation.create",
        "{'type':'group','id':'g','name':'G'}");
    answer = ok(*state, "one/carol", "conversation.list", "{}");
    row = json_array_get(json_object_get(answer, "conversations"), 0);
    assert_string_equal(text(row, "name"), "G");
    assert_true(json_is_null(json_object_get(row, "last_message")));
    json_decref(answer);
}

/* --- who may what --------------------------------------------------------- */

#define SEND "message.send", "{'conversation':'%s','body':1}"
static const struct {
    const char *method, *params; /* with the conversation for %s */
} on_a_conversation[] = {
    {SEND},
    {"message.history", "{'conversation':'%s'}"},
    {"message.ack", "{'conversation':'%s','seq':1}"},
    {"message.read", "{'conversation':'%s','seq':1}"},
    {"message.trace", "{'conversation':'%s','seq':1}"},
    {"conversation.get", "{'conversation':'%s'}"},
    {"conversation.invite", "{'conversation':'%s','user':'dan'}"},
    {"conversation.join", "{'conversation':'%s'}"},
    {"conversation.leave", "{'conversation':'%s'}"},
};
#define ON_A_CONVERSATION                                                      \
    (sizeof(on_a_conversation) / sizeof(on_a_conversation[0]))

/* Every method that names a conversation refuses `who` with `err`. */
static void all_refused(struct house *house, const char *who,
                        const char *conversation, enum err err)
{
    char params[200];

    for (size_t i = 0; i < ON_A_CONVERSATION; i++) {
        /* Letting oneself in is refused as such. */
        bool join =
            strcmp(on_a_conversation[i].method, "conversation.join") == 0;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(params, sizeof(params), on_a_conversation[i].params,
                 conversation);
#pragma GCC diagnostic pop
        refused(house, who, on_a_conversation[i].method, params,
                join && err == ERR_NOT_MEMBER && !strstr(conversation, ":1:")
                    ? ERR_FORBIDDEN
                    : err,
                "");
    }
}

static void strangers_are_refused_by_every_method(void **state)
{
    say(*state, "one/bob", "0:1:alice:bob", 1);
    did(*state, "one/alice", "conversation.create",
        "{'type':'group','id':'g','members':['bob'],'settings':"
        "{'joinable':false}}");
    all_refused(*state, "one/eve", "0:2:g", ERR_NOT_MEMBER);
    all_refused(*state, "one/eve", "0:2:nowhere", ERR_NOT_FOUND);
    all_refused(*state, "one/eve", "0:3:nowhere", ERR_NOT_FOUND);
    /* Whether two others talk is nobody's business. */
    all_refused(*state, "one/eve", "0:1:alice:bob", ERR_NOT_MEMBER);
    all_refused(*state, "one/eve", "0:1:alice:zoe", ERR_NOT_MEMBER);
    all_refused(*state, "one/eve", "0:2:", ERR_BAD_REQUEST);
    all_refused(*state, "one/eve", "0:1:bob:alice", ERR_BAD_REQUEST);
    rows_are(ok(*state, "one/eve", "conversation.list", "{}"), "");
}

static void apps_share_nothing_over_any_method(void **state)
{
    json_t *answer;

    did(*state, "one/alice", "message.send",
        "{'to':'bob','client_msg_id':'m1','body':1}");
    did(*state, "one/alice", "conversation.create",
        "{'type':'group','id':'g','members':['bob']}");
    did(*state, "one/alice", "conversation.create",
        "{'type':'channel','id':'c','settings':{'open':true}}");
    all_refused(*state, "two/alice", "0:2:g", ERR_NOT_FOUND);
    all_refused(*state, "two/alice", "0:3:c", ERR_NOT_FOUND);
    all_refused(*state, "two/alice", "1", ERR_NOT_FOUND);
    all_refused(*state, "two/alice", "2", ERR_NOT_FOUND);
    rows_are(ok(*state, "two/alice", "conversation.list", "{}"), "");
    seqs_are(ok(*state, "two/alice", "message.history",
                "{'conversation':'0:1:alice:bob'}"),
             "");
    /* The same ids are other ids. */
    answer = ok(*state, "two/alice", "message.send",
                "{'to':'bob','client_msg_id':'m1','body':2}");
    assert_int_equal(number(answer, "seq"), 1);
    assert_false(flag(answer, "duplicate"));
    json_decref(answer);
    did(*state, "two/alice", "conversation.create",
        "{'type':'group','id':'g'}");
    seqs_are(ok(*state, "one/bob", "message.history",
                "{'conversation':'0:1:alice:bob'}"),
             "1");
}

static void inboxes_share_nothing(void **state)
{
    json_t *answer;

    say(*state, "one/alice", "0:1:alice:bob", 1);
    did(*state, "one/alice", "conversation.create",
        "{'type':'group','id':'g','members':['bob']}");
    all_refused(*state, "one/bob//7", "0:2:g", ERR_NOT_FOUND);
    all_refused(*state, "one/bob//7", "0:1:alice:bob", ERR_NOT_FOUND);
    all_refused(*state, "one/bob//7", "2", ERR_NOT_FOUND);
    rows_are(ok(*state, "one/bob//7", "conversation.list", "{}"), "");
    answer =
        ok(*state, "one/bob//7", "message.send", "{'to':'alice','body':1}");
    assert_string_equal(text(answer, "conversation"), "7:1:alice:bob");
    json_decref(answer);
    rows_are(ok(*state, "one/bob//7", "conversation.list", "{}"),
             "7:1:alice:bob");
    rows_are(ok(*state, "one/bob", "conversation.list", "{}"),
             "0:2:g 0:1:alice:bob");
}

static void every_method_wants_to_know_who_asks(void **state)
{
    static const char open[] = " auth demo.login login.begin login.wait ";
    char looked_for[64];

    for (const char *const *name = method_names(); *name; name++) {
        snprintf(looked_for, sizeof(looked_for), " %s ", *name);
        if (!strstr(open, looked_for))
            refused(*state, NULL, *name, "{}", ERR_UNAUTHORIZED, "token");
    }
    refused(*state, "one/alice", "message.destroy", "{}", ERR_NOT_FOUND,
            "'message.destroy'");
    refused(*state, NULL, "", "{}", ERR_NOT_FOUND, "no method");
}

/* --- wrong parameters ----------------------------------------------------- */

#define LONG_65                                                                \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define AB "'conversation':'0:1:alice:bob'"

static const struct {
    const char *method, *params, *mentions;
} wrong[] = {
    {"message.send", "{'body':1}", "exactly one of 'to'"},
    {"message.send", "{'to':'bob'," AB ",'body':1}", "both"},
    {"message.send", "{'to':7,'body':1}", "'to' must be 1 to 64"},
    {"message.send", "{'to':'b b','body':1}", "got \"b b\""},
    {"message.send", "{'to':'bob'}", "'body' must be given"},
    {"message.send", "{'to':'bob','body':1,'type':'a b'}", "'type'"},
    {"message.send", "{'to':'bob','body':1,'type':'a@b'}", "'type'"},
    {"message.send", "{'to':'bob','body':1,'type':''}", "'type'"},
    {"message.send",
     "{'to':'bob','body':1,'type':'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}",
     "1 to 32"},
    {"message.send", "{'to':'bob','body':1,'client_msg_id':''}", "1 to 64"},
    {"message.send", "{'to':'bob','body':1,'client_msg_id':'" LONG_65 "'}",
     "'client_msg_id'"},
    {"message.send", "{'to':'bob','body':1,'client_msg_id':'a\\nb'}",
     "control"},
    {"message.send", "{'to':'bob','body':1,'client_msg_id':'a\\u0085b'}",
     "control"},
    {"message.send", "{'to':'bob','body':1,'client_seq':-1}", "'client_seq'"},
    {"message.send", "{'to':'bob','body':1,'echo':1}", "true or false, got 1"},
    {"message.send", "{'conversation':{},'body':1}", "got an object"},
    {"message.send", "{'conversation':0,'body':1}", "'conversation'"},
    {"message.history", "{}", "'conversation' must be"},
    {"message.history", "{'conversation':'nonsense'}", "got \"nonsense\""},
    {"message.history", "{" AB ",'limit':0}",
     "'limit' must be a whole number from 1 to 200, got 0"},
    {"message.history", "{" AB ",'limit':201}", "from 1 to 200, got 201"},
    {"message.history", "{" AB ",'limit':'5'}", "got \"5\""},
    {"message.history", "{" AB ",'limit':1.5}", "got 1.5"},
    {"message.history", "{" AB ",'after':-1}", "'after'"},
    {"message.history", "{" AB ",'before':0}", "'before'"},
    {"message.history", "{" AB ",'after':1,'before':5}", "not both"},
    {"message.ack", "{}", "either 'cursor'"},
    {"message.ack", "{'cursor':'x'}", "'cursor' must be a cursor"},
    {"message.ack", "{'cursor':5}", "'cursor' must be a cursor"},
    {"message.ack", "{'cursor':'0'," AB "}", "both"},
    {"message.ack", "{" AB "}", "'seq' must be given"},
    {"message.read", "{'seq':1}", "'conversation'"},
    {"message.read", "{" AB "}", "'seq' must be given"},
    {"message.read", "{" AB ",'seq':0}", "'seq' must be a whole number"},
    {"conversation.list", "{'limit':500}", "'limit'"},
    {"conversation.list", "{'before':5}", "'before'"},
    {"conversation.list", "{'before':'x'}", "'before'"},
    {"conversation.get", "{}", "'conversation'"},
    {"conversation.create", "{}", "'type' must be \"group\" or \"channel\""},
    {"conversation.create", "{'type':'p2p'}", "got \"p2p\""},
    {"conversation.create", "{'type':'group','id':'a:b'}", "'id'"},
    {"conversation.create", "{'type':'group','name':''}", "'name'"},
    {"conversation.create", "{'type':'group','members':'bob'}", "'members'"},
    {"conversation.create", "{'type':'group','members':['b','b b']}",
     "'members'"},
    {"conversation.create", "{'type':'channel','members':['bob']}",
     "'members' goes with a group"},
    {"conversation.create", "{'type':'group','settings':[]}", "'settings'"},
    {"conversation.create", "{'type':'group','settings':{'history':'none'}}",
     "\"join\" or \"all\""},
    {"conversation.create", "{'type':'group','settings':{'joinable':'yes'}}",
     "'joinable'"},
    {"conversation.create", "{'type':'group','settings':{'open':0}}", "'open'"},
    {"conversation.create", "{'type':'group','settings':{'retention':5}}",
     "'retention'"},
    {"conversation.create",
     "{'type':'group','settings':{'retention':{'max_count':-1}}}",
     "'max_count'"},
    {"conversation.create",
     "{'type':'group','settings':{'retention':{'max_age_s':1e3}}}",
     "'max_age_s'"},
    {"conversation.invite", "{'conversation':'0:2:g'}", "neither"},
    {"conversation.invite", "{'conversation':'0:2:g','user':'a','users':['b']}",
     "both"},
    {"conversation.invite", "{'conversation':'0:2:g','users':[]}",
     "at least one"},
    {"conversation.invite", "{'conversation':'0:2:g','users':[1]}", "'users'"},
    {"conversation.invite", "{'conversation':'0:2:g','user':'b b'}", "'user'"},
    {"conversation.join", "{}", "'conversation'"},
    {"conversation.leave", "{'conversation':true}", "got true"},
    {"auth", "{}", "'token' must be given"},
    {"auth", "{'token':7}", "'token'"},
    {"auth.refresh", "{}", "'token'"},
    {"ticket", "{'device':'a b'}", "'device'"},
    {"demo.login", "{}", "'user' must be given"},
    {"demo.login", "{'user':'a b'}", "'user'"},
    {"demo.login", "{'user':'a','ttl_s':0}", "'ttl_s'"},
};

static void errors_name_the_parameter_and_what_is_accepted(void **state)
{
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        refused(*state, "one/alice", wrong[i].method, wrong[i].params,
                ERR_BAD_REQUEST, wrong[i].mentions);
}

static void null_is_not_given_and_unknown_is_ignored(void **state)
{
    did(*state, "one/alice", "message.send",
        "{'to':'bob','conversation':null,'type':null,'echo':null,'body':null,"
        "'colour':'red'}");
}

static void a_body_has_its_limit(void **state)
{
    struct house *house = *state;

    house->worker.config->max_message_bytes = 20;
    did(house, "one/alice", "message.send",
        "{'to':'bob','body':'123456789012345678'}");
    refused(house, "one/alice", "message.send",
            "{'to':'bob','body':'1234567890123456789'}", ERR_TOO_LARGE,
            "'body' must take at most 20 bytes");
}

static void a_group_has_its_first_thousand_only(void **state)
{
    struct waiting w;
    json_t *group;
    json_t *members = json_array();

    for (int i = 0; i < 1001; i++) {
        char name[16];

        snprintf(name, sizeof(name), "u%d", i);
        json_array_append_new(members, json_string(name));
    }
    run_params(*state, &w, "one/alice", "conversation.create",
               json_pack("{s:s, s:O}", "type", "group", "members", members));
    assert_int_equal(w.call.failure.err, ERR_BAD_REQUEST);
    assert_non_null(strstr(w.call.failure.message, "got 1001 names"));
    json_array_remove(members, 0);
    run_params(*state, &w, "one/alice", "conversation.create",
               json_pack("{s:s, s:O}", "type", "group", "members", members));
    assert_int_equal(w.call.failure.err, ERR_NONE);
    group = result_of(&w);
    assert_int_equal(number(group, "member_count"), 1001);
    assert_int_equal(json_array_size(json_object_get(group, "members")), 200);
    assert_true(flag(group, "more_members"));
    json_decref(group);
    json_decref(members);
}

/* --- identity ------------------------------------------------------------- */

static char *token_of(const char *app, const char *secret, const char *user)
{
    struct mint mint = {
        .secret = secret, .app = app, .user = user, .ttl_s = 60};
    char *token;

    assert_int_equal(auth_mint(&token, &mint, NULL), ERR_NONE);
    return token;
}

/* Run a method with {token}; takes the token. */
static void with_token(struct house *house, struct waiting *w, const char *who,
                       const char *method, char *token)
{
    run_params(house, w, who, method, json_pack("{s:s}", "token", token));
    mem_free(token);
}

static void a_token_says_who_it_is(void **state)
{
    struct waiting w;
    json_t *said;

    with_token(*state, &w, NULL, "auth", token_of("one", SECRET, "alice"));
    assert_int_equal(w.call.failure.err, ERR_NONE);
    assert_true(w.call.authenticated);
    assert_string_equal(w.call.identity.user, "alice");
    said = result_of(&w);
    assert_string_equal(text(said, "app"), "one");
    assert_string_equal(text(said, "user"), "alice");
    assert_string_equal(text(said, "device"), "default");
    assert_int_equal(number(said, "inbox"), 0);
    json_decref(said);
    with_token(*state, &w, NULL, "auth",
               token_of("one", OTHER_SECRET, "alice"));
    assert_int_equal(w.call.failure.err, ERR_UNAUTHORIZED);
    assert_false(w.call.authenticated);
}

static void a_refresh_is_for_the_same_person(void **state)
{
    struct waiting w;

    with_token(*state, &w, "one/alice/phone", "auth.refresh",
               token_of("one", SECRET, "alice"));
    assert_int_equal(w.call.failure.err, ERR_NONE);
    assert_true(w.call.authenticated);
    assert_string_equal(w.call.identity.device, "phone");
    buf_fini(&w.call.result);
    with_token(*state, &w, "one/alice", "auth.refresh",
               token_of("one", SECRET, "bob"));
    assert_int_equal(w.call.failure.err, ERR_FORBIDDEN);
    assert_false(w.call.authenticated);
    with_token(*state, &w, "one/alice", "auth.refresh",
               token_of("two", OTHER_SECRET, "alice"));
    assert_int_equal(w.call.failure.err, ERR_FORBIDDEN);
}

static void a_ticket_stands_for_its_holder_once(void **state)
{
    json_t *answer = ok(*state, "one/alice", "ticket", "{'device':'tv'}");
    struct span ticket = span_of(text(answer, "ticket"));
    struct identity who;

    assert_in_range(number(answer, "expires_ms"), clock_wall_ms(),
                    clock_wall_ms() + 31000);
    assert_int_equal(ticket_redeem(ticket, &who, NULL), ERR_NONE);
    assert_string_equal(who.app, "one");
    assert_string_equal(who.user, "alice");
    assert_string_equal(who.device, "tv");
    assert_int_not_equal(ticket_redeem(ticket, &who, NULL), ERR_NONE);
    json_decref(answer);
}

static void the_demo_lets_anyone_in_by_name(void **state)
{
    struct house *house = *state;
    json_t *answer = ok(house, NULL, "demo.login", "{'user':'zoe','ttl_s':5}");
    struct identity who;

    assert_string_equal(text(answer, "app"), "demo");
    assert_int_equal(auth_verify(house->worker.auth,
                                 span_of(text(answer, "token")), &who, NULL),
                     ERR_NONE);
    assert_string_equal(who.user, "zoe");
    assert_int_equal(who.expires_ms, number(answer, "expires_ms"));
    json_decref(answer);
    house->worker.config->demo = false;
    refused(house, NULL, "demo.login", "{'user':'zoe'}", ERR_NOT_FOUND,
            "--demo");
}

static void the_session_tells_where_the_log_ends(void **state)
{
    struct house *house = *state;
    char cursor[CURSOR_MAX_BYTES];
    json_t *answer;

    say(house, "one/bob", "0:1:alice:bob", 2);
    answer = ok(house, "one/alice/phone", "session.info", "{}");
    cursor_write(cursor, store_epoch(house->server.store), 2);
    assert_string_equal(text(answer, "cursor"), cursor);
    assert_string_equal(text(answer, "user"), "alice");
    assert_string_equal(text(answer, "device"), "phone");
    assert_true(json_array_size(json_object_get(answer, "transports")) > 0);
    assert_non_null(text(json_object_get(answer, "server"), "version"));
    json_decref(answer);
}

static void a_user_has_a_rate(void **state)
{
    struct house *house = *state;
    struct waiting w;
    int allowed = 0;

    house->worker.config->user_rate = 5;
    do {
        run_params(house, &w, "one/alice", "session.info", json_object());
        buf_fini(&w.call.result);
        allowed++;
    } while (!w.call.failure.err && allowed < 100);
    assert_int_equal(w.call.failure.err, ERR_RATE_LIMITED);
    assert_in_range(w.call.failure.retry_after_ms, 1, 1000);
    assert_in_range(allowed, 2, 20);
    did(house, "one/bob", "session.info", "{}"); /* another's rate is his own */
    assert_int_equal(
        atomic_load(&house->worker.metrics.errors[ERR_RATE_LIMITED]), 1);
}

/* --- memory --------------------------------------------------------------- */

/* Whichever allocation fails, the call ends once, with unavailable. */
static void a_read_survives_any_failing_allocation(void **state)
{
    static const char *const reads[][2] = {
        {"message.history", "{'conversation':'0:2:g'}"},
        {"conversation.get", "{'conversation':'0:2:g'}"},
        {"conversation.list", "{}"},
        {"message.trace", "{'conversation':'0:2:g','seq':2}"},
        {"session.info", "{}"},
        {"ticket", "{}"},
    };

    did(*state, "one/alice", "conversation.create",
        "{'type':'group','id':'g','name':'G','members':['bob']}");
    say(*state, "one/bob", "0:2:g", 2);
    for (size_t i = 0; i < sizeof(reads) / sizeof(reads[0]); i++) {
        size_t nth = 0;
        struct waiting w;

        do {
            mem_fail_nth(++nth);
            run_text(*state, &w, "one/alice", reads[i][0], reads[i][1]);
            mem_fail_nth(0);
            if (w.call.failure.err)
                assert_int_equal(w.call.failure.err, ERR_UNAVAILABLE);
            buf_fini(&w.call.result);
            assert_true(nth < 2000);
        } while (w.call.failure.err);
        assert_true(nth > 1);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_house, close_house)
    const struct CMUnitTest tests[] = {
        T(a_message_gets_its_place),
        T(parameters_may_be_spelled_with_escapes),
        T(a_retry_gets_the_first_answer),
        T(numbered_messages_are_taken_in_order),
        T(a_body_comes_back_as_it_was_said),
        T(relaxed_durability_is_admitted),
        T(a_short_id_is_accepted_wherever_a_name_is),
        T(history_is_half_open_by_seq),
        T(history_shows_events_as_streams_do),
        T(history_stays_within_a_mebibyte),
        T(who_left_and_came_back_sees_both_times),
        T(newcomers_see_what_the_settings_let_them),
        T(reading_moves_the_mark_and_the_unread_count),
        T(a_cursor_is_acknowledged_only_in_its_log),
        T(a_group_is_what_it_was_created_as),
        T(an_id_is_made_when_none_is_given),
        T(a_channel_is_open_to_the_app),
        T(two_who_said_nothing_have_an_empty_conversation),
        T(coming_and_going_is_answered_with_its_place),
        T(the_list_is_newest_first_in_pages),
        T(a_row_tells_what_a_list_shows),
        T(strangers_are_refused_by_every_method),
        T(apps_share_nothing_over_any_method),
        T(inboxes_share_nothing),
        T(every_method_wants_to_know_who_asks),
        T(errors_name_the_parameter_and_what_is_accepted),
        T(null_is_not_given_and_unknown_is_ignored),
        T(a_body_has_its_limit),
        T(a_group_has_its_first_thousand_only),
        T(a_token_says_who_it_is),
        T(a_refresh_is_for_the_same_person),
        T(a_ticket_stands_for_its_holder_once),
        T(the_demo_lets_anyone_in_by_name),
        T(the_session_tells_where_the_log_ends),
        T(a_user_has_a_rate),
        T(a_read_survives_any_failing_allocation),
    };

    json_set_alloc_funcs(mem_alloc, mem_free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
