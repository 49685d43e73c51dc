/* Who is calling: tokens and tickets. */
#include "server/base/mem.h"
#include "server/methods/params.h"
#include "server/version.h"
#include "server/worker.h"
#include "transports/transport.h"

#include <string.h>

#define TOKEN_MAX_BYTES 8192

/* The identity behind the parameter `token`. */
static enum err verify(struct call *call, struct identity *who)
{
    struct span token;
    enum err err = param_needed_text(call, "token", TOKEN_MAX_BYTES, &token);

    if (err)
        return err;
    return auth_verify(call->worker->auth, token, who, &call->failure);
}

enum err take_device(struct call *call, struct identity *who)
{
    struct span device;
    enum err err = param_name(call, "device", &device);

    return err ? err : identity_choose_device(who, device, &call->failure);
}

static const char *device_of(const struct identity *who)
{
    return who->device[0] ? who->device : "default";
}

static json_t *describe(const struct identity *who)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:I}", "app", who->app, "user",
                     who->user, "inbox", (json_int_t)who->inbox, "device",
                     device_of(who), "expires_ms", (json_int_t)who->expires_ms);
}

static enum err admit(struct call *call, const struct identity *who)
{
    call->authenticated = true;
    call->identity = *who;
    return call_result(call, describe(who));
}

/* {token, device?} → {app, user, inbox, device, expires_ms} */
static enum err auth(struct call *call)
{
    struct identity who;
    enum err err = verify(call, &who);

    if (!err)
        err = take_device(call, &who);
    return err ? err : admit(call, &who);
}

static bool same_person(const struct identity *a, const struct identity *b)
{
    return strcmp(a->app, b->app) == 0 && strcmp(a->user, b->user) == 0 &&
           a->inbox == b->inbox;
}

/* {token, device?} → as `auth`; the streams of that user and device go on where
 * they are, under the new expiry. */
static enum err auth_refresh(struct call *call)
{
    struct identity who;
    enum err err = verify(call, &who);

    if (err)
        return err;
    if (!same_person(&who, call->who))
        return fail(&call->failure, ERR_FORBIDDEN,
                    "'token' must be for the same app, user and inbox as the "
                    "one it replaces");
    err = take_device(call, &who);
    if (err)
        return err;
    if (!who.device[0])
        memcpy(who.device, call->who->device, sizeof(who.device));
    if (!who.device[0])
        memcpy(who.device, "default", sizeof("default"));
    if (call->carrier)
        carrier_renew(call->carrier, &who);
    carriers_renew(call->worker, &who);
    return admit(call, &who);
}

static json_t *transport_names(const struct config *config)
{
    json_t *names = json_array();

    for (size_t i = 0; transports[i]; i++)
        if ((!transports[i]->own_port || *config->listen_tcp) &&
            json_array_append_new(names, json_string(transports[i]->name))) {
            json_decref(names);
            return NULL;
        }
    return names;
}

/* {} → who I am, where the log's end is, and what this server is. */
static enum err session_info(struct call *call)
{
    struct store *store = worker_store(call->worker);
    char cursor[CURSOR_MAX_BYTES];

    cursor_write(cursor, store_epoch(store), store_head(store));

    json_t *more = json_pack("{s:s, s:s, s:{s:s, s:s}, s:o}", "cursor", cursor,
                             "epoch", store_epoch(store), "server", "name",
                             "rung", "version", RUNG_VERSION, "transports",
                             transport_names(call->worker->config));
    json_t *info = describe(call->who);

    if (json_object_update_new(info, more)) {
        json_decref(info);
        info = NULL;
    }
    return call_result(call, info);
}

/* {device?} → {ticket, expires_ms}: one use, for the URL of a stream. */
static enum err ticket(struct call *call)
{
    struct identity who = *call->who;
    char text[TICKET_MAX_BYTES];
    uint64_t expires_ms = 0;
    enum err err = take_device(call, &who);

    if (err)
        return err;
    err = ticket_issue(text, &who, &expires_ms);
    if (err)
        return fail_plain(&call->failure, err);
    return call_result(call, json_pack("{s:s, s:I}", "ticket", text,
                                       "expires_ms", (json_int_t)expires_ms));
}

const struct method identity_methods[] = {
    {"auth", true, auth},
    {"auth.refresh", false, auth_refresh},
    {"session.info", false, session_info},
    {"ticket", false, ticket},
    {0},
};
