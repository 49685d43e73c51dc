/* The apps of a config and their keys. */
#include "server/auth.h"
#include "server/base/mem.h"
#include "server/config_parts.h"
#include "store/name.h"

#include <string.h>

#define SECRET_MIN_BYTES 32

const struct app_config *config_app(const struct config *config,
                                    const char *app)
{
    for (size_t i = 0; i < config->app_count; i++)
        if (strcmp(config->apps[i].app, app) == 0)
            return &config->apps[i];
    return NULL;
}

size_t texts_count(char **list)
{
    size_t length = 0;

    while (list && list[length])
        length++;
    return length;
}

void texts_free(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        mem_free(list[i]);
    mem_free(list);
}

/* Add a copy of `text` to a NULL-terminated list. */
enum err texts_add(char ***list, const char *text, struct failure *why)
{
    size_t length = texts_count(*list);
    char **longer = mem_realloc(*list, (length + 2) * sizeof(*longer));

    if (!longer)
        return fail_plain(why, ERR_NOMEM);
    *list = longer;
    longer[length + 1] = NULL;
    longer[length] = mem_strndup(text, strlen(text));
    return longer[length] ? ERR_NONE : fail_plain(why, ERR_NOMEM);
}

/* The app's place in the config, made if need be; NULL: no memory. */
static struct app_config *app_place(struct config *config, const char *app)
{
    for (size_t i = 0; i < config->app_count; i++)
        if (strcmp(config->apps[i].app, app) == 0)
            return &config->apps[i];

    struct app_config *more =
        mem_realloc(config->apps, (config->app_count + 1) * sizeof(*more));

    if (!more)
        return NULL;
    config->apps = more;

    struct app_config *place = &more[config->app_count];

    memset(place, 0, sizeof(*place));
    place->app = mem_strndup(app, strlen(app));
    if (!place->app)
        return NULL;
    config->app_count++;
    return place;
}

enum err config_add_key(struct config *config, const char *app,
                        const char *hs256, const char *pem, struct failure *why)
{
    if (!name_ok(span_of(app)))
        return setting_refuse(why, "apps", app,
                              "an app's name: 1 to 64 of A-Z a-z 0-9 _ . @ -");
    if (hs256 && strlen(hs256) < SECRET_MIN_BYTES)
        return fail(why, ERR_BAD_REQUEST,
                    "apps.%s.hs256: a secret needs %d bytes or more "
                    "(RFC 7518, section 3.2)",
                    app, SECRET_MIN_BYTES);
    if (pem && !auth_key_alg(pem))
        return fail(why, ERR_BAD_REQUEST,
                    "apps.%s.public_keys: not a PEM public key of RSA (2048 "
                    "bits or more), EC P-256 or Ed25519",
                    app);

    struct app_config *place = app_place(config, app);

    if (!place)
        return fail_plain(why, ERR_NOMEM);

    enum err rc = ERR_NONE;

    if (hs256)
        rc = texts_add(&place->hs256, hs256, why);
    if (!rc && pem)
        rc = texts_add(&place->public_keys, pem, why);
    return rc;
}

void config_free_apps(struct config *config)
{
    for (size_t i = 0; i < config->app_count; i++) {
        mem_free(config->apps[i].app);
        texts_free(config->apps[i].hs256);
        texts_free(config->apps[i].public_keys);
    }
    mem_free(config->apps);
}
