/* Signing in by a code that a device shows and another reads (server/login.h):
 * the classic use of a long poll.
 *
 * look_note: who waits looks at the code four times a second. What is waited
 * for is a person with a phone: so nothing need be wired between the worker
 * that waits and the one where it is approved, and the end of the wait, of the
 * code and of the server are found in the same look. */
#include "server/login.h"
#include "server/base/clock.h"
#include "server/base/mem.h"
#include "server/methods/params.h"
#include "server/worker.h"

#include <string.h>

#define LOOK_MS 250
#define WAIT_DEFAULT_S 25
#define WAIT_MAX_S 60
#define TOKEN_MAX_BYTES 8192

static const char *const state_names[] = {"new", "seen", "approved", "refused",
                                          NULL};

/* {name?} → {code, secret, expires_ms} */
static enum err begin(struct call *call)
{
    char code[LOGIN_WORD_ROOM], secret[LOGIN_WORD_ROOM];
    uint64_t expires_ms;
    struct span name;
    enum err err = param_text(call, "name", LOGIN_LABEL_MAX, &name);

    if (!err)
        err = login_begin(name, code, secret, &expires_ms, &call->failure);
    if (err)
        return err;
    return call_result(call,
                       json_pack("{s:s, s:s, s:I}", "code", code, "secret",
                                 secret, "expires_ms", (json_int_t)expires_ms));
}

/* --- waiting -------------------------------------------------------------- */

struct wait {
    struct call *call;
    struct wheel_node look;
    uint64_t until_ms;
    uint64_t waiter;
    enum login_state known; /* what the device has been told */
    char code[LOGIN_WORD_ROOM], secret[LOGIN_WORD_ROOM];
};

static struct span code_of(const struct wait *wait)
{
    return span_of(wait->code);
}

/* The token that was agreed to: who it is for, told by itself. */
static json_t *describe_token(struct call *call, const char *token)
{
    struct identity who;

    if (auth_verify(call->worker->auth, span_of(token), &who, &call->failure))
        return NULL;
    return json_pack("{s:s, s:s, s:s, s:s, s:I}", "state", "approved", "token",
                     token, "user", who.user, "app", who.app, "expires_ms",
                     (json_int_t)who.expires_ms);
}

static enum err answer_approved(struct call *call, struct span code)
{
    char *token = login_take(code);
    json_t *told;

    if (!token) /* another answer was faster */
        return fail(&call->failure, ERR_NOT_FOUND, "'code' was used");
    told = describe_token(call, token);
    mem_free(token);
    return call->failure.err ? call->failure.err : call_result(call, told);
}

static enum err answer(struct call *call, struct span code,
                       const struct login_view *view)
{
    json_t *told;

    if (view->state == LOGIN_APPROVED)
        return answer_approved(call, code);
    if (view->state == LOGIN_REFUSED)
        mem_free(login_take(code));
    told = json_pack("{s:s, s:I}", "state", state_names[view->state],
                     "expires_ms", (json_int_t)view->expires_ms);
    if (told && view->state == LOGIN_SEEN &&
        json_object_set_new(told, "user", json_string(view->who.user))) {
        json_decref(told);
        told = NULL;
    }
    return call_result(call, told);
}

/* What has become of the code is not this one's to tell: another wait for it
 * has begun, or nobody would hear the answer, with which it would be used. */
static bool is_deaf(const struct wait *wait, const struct login_view *view)
{
    const struct call *call = wait->call;

    return view->waiter != wait->waiter || (call->left && call->left(call));
}

static bool is_over(const struct wait *wait, const struct login_view *view)
{
    return view->state != wait->known || is_deaf(wait, view) ||
           wait->call->worker->draining || clock_mono_ms() >= wait->until_ms;
}

static void look_later(struct wait *wait)
{
    wheel_arm(&wait->call->worker->wheel, &wait->look,
              clock_mono_ms() + LOOK_MS);
}

static void wait_end(struct wait *wait)
{
    struct call *call = wait->call;

    mem_free(wait);
    call_end(call);
}

/* See look_note. */
static void look(struct wheel_node *node)
{
    struct wait *wait = container_of(node, struct wait, look);
    struct call *call = wait->call;
    struct login_view view;

    if (login_look(code_of(wait), span_of(wait->secret), &view,
                   &call->failure)) {
        wait_end(wait);
        return;
    }
    if (!is_over(wait, &view)) {
        look_later(wait);
        return;
    }
    if (is_deaf(wait, &view))
        view.state = LOGIN_NEW;
    (void)answer(call, code_of(wait), &view); /* call->failure has it */
    wait_end(wait);
}

static enum err take_word(struct call *call, const char *parameter,
                          char out[LOGIN_WORD_ROOM])
{
    struct span text;
    enum err err =
        param_needed_text(call, parameter, LOGIN_WORD_ROOM - 1, &text);

    if (err)
        return err;
    memcpy(out, text.data, text.size);
    out[text.size] = '\0';
    return ERR_NONE;
}

static enum err take_wait(struct call *call, struct wait *wait)
{
    uint64_t seconds = WAIT_DEFAULT_S;
    int known = LOGIN_NEW;
    enum err err = take_word(call, "code", wait->code);

    if (!err)
        err = take_word(call, "secret", wait->secret);
    if (!err)
        err = param_choice(call, "state", state_names, &known);
    if (!err)
        err = param_number(call, "wait", 0, WAIT_MAX_S, &seconds);
    wait->known = (enum login_state)known;
    wait->until_ms = clock_mono_ms() + seconds * 1000;
    return err;
}

/* {code, secret, state?, wait?} → as soon as the state is another than `state`
 * ("new"), at the latest after `wait` seconds: {state, expires_ms, user?},
 * approved: {state, token, user, app, expires_ms} */
static enum err wait_for(struct call *call)
{
    struct wait asked = {.call = call}, *wait;
    struct login_view view;
    enum err err = take_wait(call, &asked);

    if (!err)
        err = login_wait(code_of(&asked), span_of(asked.secret), &view,
                         &call->failure);
    if (err)
        return err;
    asked.waiter = view.waiter;
    if (is_over(&asked, &view))
        return answer(call, code_of(&asked), &view);
    wait = mem_alloc(sizeof(*wait));
    if (!wait)
        return fail_plain(&call->failure, ERR_NOMEM);
    *wait = asked;
    wheel_node_init(&wait->look, look);
    look_later(wait);
    return ERR_NONE;
}

/* --- deciding ------------------------------------------------------------- */

/* {code} → {name?, state, expires_ms} */
static enum err read_code(struct call *call)
{
    char code[LOGIN_WORD_ROOM];
    struct login_view view;
    json_t *told;
    enum err err = take_word(call, "code", code);

    if (!err)
        err = login_read(span_of(code), call->who, &view, &call->failure);
    if (err)
        return err;
    told = json_pack("{s:s, s:I}", "state", state_names[view.state],
                     "expires_ms", (json_int_t)view.expires_ms);
    if (told && view.name[0])
        (void)json_object_set_new(told, "name", json_string(view.name));
    return call_result(call, told);
}

/* A token that the app's backend made for the new device. */
static enum err take_token(struct call *call, struct span text, char **token)
{
    struct identity who;
    enum err err = auth_verify(call->worker->auth, text, &who, &call->failure);

    if (err)
        return err;
    if (strcmp(who.app, call->who->app) != 0 ||
        strcmp(who.user, call->who->user) != 0 || who.inbox != call->who->inbox)
        return fail(&call->failure, ERR_FORBIDDEN,
                    "'token' must be for your own app, user and inbox");
    *token = mem_strndup(text.data, text.size);
    return *token ? ERR_NONE : fail_plain(&call->failure, ERR_NOMEM);
}

/* Of an app whose secret is known here; it lives as long as the one of the
 * device that agrees, which so cannot prolong itself. */
static enum err mint_token(struct call *call, char **token)
{
    const struct app_config *app =
        config_app(call->worker->config, call->who->app);
    uint64_t now_ms = clock_wall_ms();
    struct mint mint = {.app = call->who->app,
                        .user = call->who->user,
                        .inbox = call->who->inbox};

    if (!app || !app->hs256 || !app->hs256[0])
        return fail(&call->failure, ERR_BAD_REQUEST,
                    "'token' must be given: a token for the new device, from "
                    "the app's backend; this server holds no secret of the "
                    "app");
    if (call->who->expires_ms < now_ms + 1000)
        return fail_plain(&call->failure, ERR_TOKEN_EXPIRED);
    mint.secret = app->hs256[0];
    mint.ttl_s = (call->who->expires_ms - now_ms) / 1000;
    return auth_mint(token, &mint, &call->failure);
}

/* {code, token?} → {} */
static enum err approve(struct call *call)
{
    char code[LOGIN_WORD_ROOM], *token = NULL;
    struct span text = {0};
    enum err err = take_word(call, "code", code);

    if (!err)
        err = param_text(call, "token", TOKEN_MAX_BYTES, &text);
    if (!err)
        err = text.data ? take_token(call, text, &token)
                        : mint_token(call, &token);
    if (!err)
        err = login_decide(span_of(code), call->who, token, &call->failure);
    return err ? err : call_result(call, json_object());
}

/* {code} → {} */
static enum err refuse(struct call *call)
{
    char code[LOGIN_WORD_ROOM];
    enum err err = take_word(call, "code", code);

    if (!err)
        err = login_decide(span_of(code), call->who, NULL, &call->failure);
    return err ? err : call_result(call, json_object());
}

const struct method login_methods[] = {
    {"login.begin", true, begin},     {"login.wait", true, wait_for},
    {"login.read", false, read_code}, {"login.approve", false, approve},
    {"login.refuse", false, refuse},  {0},
};
