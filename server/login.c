/* Codes that wait for somebody to agree: a table under a lock, for a thing that
 * happens at the pace of people. */
#include "server/login.h"
#include "server/base/clock.h"
#include "server/base/mem.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

struct login {
    unsigned char code[LOGIN_WORD_BYTES], secret[LOGIN_WORD_BYTES];
    uint64_t ends_ms;   /* monotonic */
    uint64_t looked_ms; /* when its device has last been there */
    char *token;        /* APPROVED */
    struct login_view view;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct login *logins[LOGIN_MAX]; /* under `lock`; NULL: free */

static void forget(struct login **at)
{
    mem_free((*at)->token);
    mem_free(*at);
    *at = NULL;
}

/* --- words ---------------------------------------------------------------- */

static void write_word(char out[LOGIN_WORD_ROOM],
                       const unsigned char word[LOGIN_WORD_BYTES])
{
    for (size_t i = 0; i < LOGIN_WORD_BYTES; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", word[i]);
}

static int digit_of(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

static bool read_word(unsigned char out[LOGIN_WORD_BYTES], struct span text)
{
    if (text.size != LOGIN_WORD_ROOM - 1)
        return false;
    for (size_t i = 0; i < LOGIN_WORD_BYTES; i++) {
        int high = digit_of(text.data[2 * i]);
        int low = digit_of(text.data[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        out[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

/* --- the table, under the lock -------------------------------------------- */

/* A device waits as soon as it shows its code. */
static uint64_t spared_until(const struct login *login)
{
    return login->looked_ms +
           (login->view.waiter ? LOGIN_IDLE_MS : LOGIN_UNWAITED_MS);
}

/* Whoever comes by takes out what has expired; and when all places are taken,
 * the one whose device has been away the longest, if that is long: so a flood
 * of codes that nobody shows does not keep out those that somebody does. */
static struct login **free_place(uint64_t now_ms)
{
    struct login **found = NULL, **idle = NULL;

    for (size_t i = 0; i < LOGIN_MAX; i++) {
        struct login **at = &logins[i];

        if (*at && now_ms >= (*at)->ends_ms)
            forget(at);
        if (!*at)
            found = found ? found : at;
        else if (!idle || spared_until(*at) < spared_until(*idle))
            idle = at;
    }
    if (!found && now_ms >= spared_until(*idle)) {
        forget(idle);
        found = idle;
    }
    return found;
}

static struct login **find(struct span code)
{
    unsigned char word[LOGIN_WORD_BYTES];
    uint64_t now_ms = clock_mono_ms();

    if (!read_word(word, code))
        return NULL;
    for (size_t i = 0; i < LOGIN_MAX; i++)
        if (logins[i] && now_ms < logins[i]->ends_ms &&
            auth_equal(logins[i]->code, word, sizeof(word)))
            return &logins[i];
    return NULL;
}

static enum err not_found(struct failure *why)
{
    return fail(why, ERR_NOT_FOUND,
                "'code' is not valid, or not any more: ask for a new one");
}

static bool same_person(const struct identity *a, const struct identity *b)
{
    return strcmp(a->app, b->app) == 0 && strcmp(a->user, b->user) == 0 &&
           a->inbox == b->inbox;
}

/* --- a new code ----------------------------------------------------------- */

static struct login *make(struct span name)
{
    struct login *login = mem_zalloc(sizeof(*login));

    if (!login)
        return NULL;
    random_bytes(login->code, sizeof(login->code));
    random_bytes(login->secret, sizeof(login->secret));
    login->looked_ms = clock_mono_ms();
    login->ends_ms = login->looked_ms + LOGIN_LIFE_MS;
    login->view.expires_ms = clock_wall_ms() + LOGIN_LIFE_MS;
    assert(name.size <= LOGIN_LABEL_MAX);
    if (name.size)
        memcpy(login->view.name, name.data, name.size);
    return login;
}

enum err login_begin(struct span name, char code[LOGIN_WORD_ROOM],
                     char secret[LOGIN_WORD_ROOM], uint64_t *expires_ms,
                     struct failure *why)
{
    struct login *login = make(name);
    struct login **place;

    if (!login)
        return fail_plain(why, ERR_NOMEM);
    write_word(code, login->code);
    write_word(secret, login->secret);
    *expires_ms = login->view.expires_ms;
    pthread_mutex_lock(&lock);
    place = free_place(clock_mono_ms());
    if (place)
        *place = login;
    pthread_mutex_unlock(&lock);
    if (place)
        return ERR_NONE;
    mem_free(login);
    fail(why, ERR_OVERLOADED, "too many are signing in: try again later");
    if (why)
        why->retry_after_ms = LOGIN_LIFE_MS / 8;
    return ERR_OVERLOADED;
}

/* --- the new device ------------------------------------------------------- */

static enum err look(struct span code, struct span secret, bool begin,
                     struct login_view *out, struct failure *why)
{
    unsigned char word[LOGIN_WORD_BYTES];
    enum err rc = ERR_NONE;
    struct login **at;

    pthread_mutex_lock(&lock);
    at = find(code);
    if (at && read_word(word, secret) &&
        auth_equal((*at)->secret, word, sizeof(word))) {
        (*at)->view.waiter += begin;
        (*at)->looked_ms = clock_mono_ms();
        *out = (*at)->view;
    } else {
        rc = not_found(why);
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

enum err login_wait(struct span code, struct span secret,
                    struct login_view *out, struct failure *why)
{
    return look(code, secret, true, out, why);
}

enum err login_look(struct span code, struct span secret,
                    struct login_view *out, struct failure *why)
{
    return look(code, secret, false, out, why);
}

char *login_take(struct span code)
{
    struct login **at;
    char *token = NULL;

    pthread_mutex_lock(&lock);
    at = find(code);
    if (at) {
        token = (*at)->token;
        (*at)->token = NULL;
        forget(at);
    }
    pthread_mutex_unlock(&lock);
    return token;
}

/* --- the device that is signed in ----------------------------------------- */

static enum err not_yours(struct failure *why)
{
    return fail(why, ERR_CONFLICT, "'code' was read by somebody else");
}

enum err login_read(struct span code, const struct identity *who,
                    struct login_view *out, struct failure *why)
{
    enum err rc = ERR_NONE;
    struct login **at;

    pthread_mutex_lock(&lock);
    at = find(code);
    if (!at) {
        rc = not_found(why);
    } else if ((*at)->view.state != LOGIN_NEW &&
               !same_person(&(*at)->view.who, who)) {
        rc = not_yours(why);
    } else {
        if ((*at)->view.state == LOGIN_NEW) {
            (*at)->view.state = LOGIN_SEEN;
            (*at)->view.who = *who;
        }
        *out = (*at)->view;
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

static enum err decide(struct login *login, const struct identity *who,
                       char *token, struct failure *why)
{
    if (login->view.state != LOGIN_NEW && !same_person(&login->view.who, who))
        return not_yours(why);
    if (login->view.state > LOGIN_SEEN)
        return fail(why, ERR_CONFLICT, "'code' has been decided already");
    login->view.who = *who;
    login->view.state = token ? LOGIN_APPROVED : LOGIN_REFUSED;
    login->token = token;
    return ERR_NONE;
}

enum err login_decide(struct span code, const struct identity *who, char *token,
                      struct failure *why)
{
    struct login **at;
    enum err rc;

    pthread_mutex_lock(&lock);
    at = find(code);
    rc = at ? decide(*at, who, token, why) : not_found(why);
    pthread_mutex_unlock(&lock);
    if (rc)
        mem_free(token);
    return rc;
}
