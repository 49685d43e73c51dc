/* What only a server started with --demo offers: a login by name, walls between
 * a device and its transports, and a death. */
#include "server/base/mem.h"
#include "server/demo_again.h"
#include "server/demo_rungs.h"
#include "server/methods/params.h"
#include "server/worker.h"
#include "transports/transport.h"

#include <string.h>

#define DEMO_APP "demo"
#define DEMO_TTL_S 86400
#define DEMO_TTL_MAX_S UINT64_C(2592000) /* 30 days */
#define DOWN_DEFAULT_MS 3000

static enum err demo_only(struct call *call)
{
    if (call->worker->config->demo)
        return ERR_NONE;
    return fail(&call->failure, ERR_NOT_FOUND,
                "%.*s is there only on a server started with --demo",
                (int)call->method.size, call->method.data);
}

/* --- login ---------------------------------------------------------------- */

static const char *demo_secret(const struct config *config)
{
    const struct app_config *app = config_app(config, DEMO_APP);

    return app && app->hs256 ? app->hs256[0] : NULL;
}

/* What a token says of itself is what its bearer is told. */
static enum err answer_login(struct call *call, const char *token)
{
    struct identity who;
    enum err err =
        auth_verify(call->worker->auth, span_of(token), &who, &call->failure);

    if (err)
        return err;
    return call_result(call,
                       json_pack("{s:s, s:s, s:s, s:I}", "token", token, "user",
                                 who.user, "app", who.app, "expires_ms",
                                 (json_int_t)who.expires_ms));
}

/* {user, ttl_s?} → {token, user, app, expires_ms} */
static enum err demo_login(struct call *call)
{
    const char *secret = demo_secret(call->worker->config);
    struct span user;
    uint64_t ttl_s = DEMO_TTL_S;
    char name[NAME_MAX_BYTES + 1], *token;
    enum err err = demo_only(call);

    if (!err && !secret)
        return fail_plain(&call->failure, ERR_UNAVAILABLE);
    if (!err)
        err = param_name(call, "user", &user);
    if (!err && !user.data)
        return param_refuse(call, "user", "given as a string", NULL);
    if (!err)
        err = param_number(call, "ttl_s", 1, DEMO_TTL_MAX_S, &ttl_s);
    if (err)
        return err;
    memcpy(name, user.data, user.size);
    name[user.size] = '\0';

    struct mint mint = {
        .secret = secret, .app = DEMO_APP, .user = name, .ttl_s = ttl_s};

    err = auth_mint(&token, &mint, &call->failure);
    if (err)
        return err;
    err = answer_login(call, token);
    mem_free(token);
    return err;
}

/* --- walls ---------------------------------------------------------------- */

static enum err refuse_transport(struct call *call, const char *parameter,
                                 const char *name, bool buffered)
{
    return fail(&call->failure, ERR_BAD_REQUEST,
                buffered ? "'%s' must list streams over HTTP (sse, stream, "
                           "multipart, iframe), got \"%.64s\""
                         : "'%s' must list transports, as session.info names "
                           "them, got \"%.64s\"",
                parameter, name);
}

/* A websocket has no answer that a proxy could hold back, and a poll's answer
 * ends. */
static bool can_be_buffered(const struct transport *transport)
{
    return transport->stream && transport->open;
}

static enum err take_transports(struct call *call, const char *parameter,
                                bool buffered, uint32_t *bits)
{
    struct buf names;
    enum err err;

    *bits = 0;
    buf_init(&names, BY_COUNT * (NAME_MAX_BYTES + 1) + 1);
    err = param_names(call, parameter, BY_COUNT, SPAN(""), &names);
    for (size_t at = 0; !err && at < names.size;) {
        const char *name = names.data + at;
        const struct transport *found = transport_find(span_of(name));

        if (found && (!buffered || can_be_buffered(found)))
            *bits |= 1u << found->by;
        else
            err = refuse_transport(call, parameter, name, buffered);
        at += strlen(name) + 1;
    }
    buf_fini(&names);
    return err;
}

/* What is carried already must end, on every worker. */
static void end_hindered(struct worker *worker, const struct identity *who)
{
    const struct server *server = worker->server;

    hub_end_hindered(worker->hub, who);
    for (size_t i = 0; i < server->worker_count; i++)
        if (server->workers[i] != worker)
            worker_end_hindered(server->workers[i], who);
}

/* {transports?, buffered?, device?} → {}: from now on this device of mine
 * cannot use these; not given: can use all again. */
static enum err demo_block(struct call *call)
{
    struct identity who = *call->who;
    uint32_t blocked, buffered;
    enum err err = demo_only(call);

    if (!err)
        err = take_device(call, &who);
    if (!err)
        err = take_transports(call, "transports", false, &blocked);
    if (!err)
        err = take_transports(call, "buffered", true, &buffered);
    if (err)
        return err;
    err = demo_rungs_set(&who, blocked, buffered);
    if (err)
        return fail_plain(&call->failure, err);
    end_hindered(call->worker, &who);
    return call_result(call, json_object());
}

/* --- death ---------------------------------------------------------------- */

/* {down_ms?}: no answer comes; the server is gone, and back after down_ms. */
static enum err demo_kill(struct call *call)
{
    uint64_t down_ms = DOWN_DEFAULT_MS;
    enum err err = demo_only(call);

    if (!err)
        err = param_number(call, "down_ms", 0, DEMO_DOWN_MAX_MS, &down_ms);
    if (err)
        return err;
    return demo_again(call->worker->config->listen, call->worker->server->url,
                      down_ms, &call->failure);
}

const struct method demo_methods[] = {
    {"demo.login", true, demo_login},
    {"demo.block", false, demo_block},
    {"demo.kill", false, demo_kill},
    {0},
};
