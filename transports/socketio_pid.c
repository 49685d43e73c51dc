/* Recovery by a sealed name. */
#define HASH_NONFATAL_OOM 1
#include "transports/socketio_pid.h"

#include "server/base/clock.h"
#include "server/base/mem.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <string.h>
#include <uthash.h>

#define NONCE_BYTES 16
#define SEAL_BYTES 32

struct sealed {
    unsigned char nonce[NONCE_BYTES], seal[SEAL_BYTES];
};

struct used {
    UT_hash_handle hh;
    char text[PID_CHARS];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct used *in_use; /* under `lock` */

/* --- those in use --------------------------------------------------------- */

static enum err use(const struct pid *pid)
{
    struct used *used = mem_zalloc(sizeof(*used)), *other;
    enum err err = ERR_NONE;

    if (!used)
        return ERR_NOMEM;
    memcpy(used->text, pid->text, PID_CHARS);
    pthread_mutex_lock(&lock);
    HASH_FIND(hh, in_use, used->text, PID_CHARS, other);
    if (other) {
        err = ERR_CONFLICT;
    } else {
        HASH_ADD(hh, in_use, text, PID_CHARS, used);
        if (!used->hh.tbl)
            err = ERR_NOMEM;
    }
    pthread_mutex_unlock(&lock);
    if (err)
        mem_free(used);
    return err;
}

void pid_release(struct pid *pid)
{
    struct used *used = NULL;

    if (!pid->text[0])
        return;
    pthread_mutex_lock(&lock);
    HASH_FIND(hh, in_use, pid->text, PID_CHARS, used);
    if (used)
        HASH_DELETE(hh, in_use, used);
    pthread_mutex_unlock(&lock);
    mem_free(used);
    pid->text[0] = 0;
}

/* --- seals ---------------------------------------------------------------- */

/* Names hold no slash, so no two identities read alike. */
static bool seal(unsigned char out[SEAL_BYTES], const char *key,
                 const unsigned char nonce[NONCE_BYTES],
                 const struct identity *who)
{
    unsigned length = SEAL_BYTES;
    struct buf text;
    bool done;

    buf_init(&text, 512);
    buf_append_text(&text, "socket.io pid/");
    buf_append(&text, nonce, NONCE_BYTES);
    buf_printf(&text, "/%s/%llu/%s/%s", who->app,
               (unsigned long long)who->inbox, who->user,
               who->device[0] ? who->device : "default");
    done = !buf_status(&text) &&
           HMAC(EVP_sha256(), key, (int)strlen(key),
                (const unsigned char *)text.data, text.size, out, &length);
    buf_fini(&text);
    return done;
}

/* The keys that an app has: the first seals, any opens. One that is public
 * seals as well as it must, see the header. */
static const char *key_at(const struct app_config *app, size_t i)
{
    for (char **key = app->hs256; key && *key; key++)
        if (!i--)
            return *key;
    for (char **key = app->public_keys; key && *key; key++)
        if (!i--)
            return *key;
    return NULL;
}

static void write_text(struct pid *out, const struct sealed *sealed)
{
    unsigned char text[PID_CHARS + 1];

    EVP_EncodeBlock(text, (const unsigned char *)sealed, sizeof(*sealed));
    for (size_t i = 0; i < PID_CHARS; i++)
        out->text[i] = text[i] == '+'   ? '-'
                       : text[i] == '/' ? '_'
                                        : (char)text[i];
    out->text[PID_CHARS] = 0;
}

static bool read_text(struct sealed *out, struct span text)
{
    unsigned char plain[PID_CHARS], bytes[sizeof(*out)];

    if (text.size != PID_CHARS)
        return false;
    for (size_t i = 0; i < PID_CHARS; i++)
        plain[i] = text.data[i] == '-'   ? '+'
                   : text.data[i] == '_' ? '/'
                                         : (unsigned char)text.data[i];
    if (EVP_DecodeBlock(bytes, plain, PID_CHARS) != sizeof(bytes))
        return false;
    memcpy(out, bytes, sizeof(bytes));
    return true;
}

enum err pid_issue(struct pid *out, const struct config *config,
                   const struct identity *who)
{
    const struct app_config *app = config_app(config, who->app);
    const char *key = app ? key_at(app, 0) : NULL;
    struct sealed sealed;
    enum err err;

    out->text[0] = 0;
    random_bytes(sealed.nonce, sizeof(sealed.nonce));
    if (!key || !seal(sealed.seal, key, sealed.nonce, who))
        return ERR_UNAVAILABLE;
    write_text(out, &sealed);
    err = use(out);
    if (err)
        out->text[0] = 0;
    return err;
}

/* Whether one of the app's keys has sealed it. */
static bool is_sound(const struct sealed *sealed, const struct app_config *app,
                     const struct identity *who)
{
    unsigned char expected[SEAL_BYTES];
    const char *key;

    for (size_t i = 0; (key = key_at(app, i)); i++)
        if (seal(expected, key, sealed->nonce, who) &&
            auth_equal(expected, sealed->seal, SEAL_BYTES))
            return true;
    return false;
}

enum pid_found pid_take(struct pid *out, struct span text,
                        const struct config *config, const struct identity *who)
{
    const struct app_config *app = config_app(config, who->app);
    struct sealed sealed;

    out->text[0] = 0;
    if (!app || !read_text(&sealed, text) || !is_sound(&sealed, app, who))
        return PID_WRONG;
    write_text(out, &sealed);
    if (!use(out))
        return PID_TAKEN;
    out->text[0] = 0;
    return PID_BUSY;
}
