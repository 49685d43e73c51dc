/* The config file: JSON, each key a setting, and the apps with their keys. */
#include "server/auth.h"
#include "server/base/mem.h"
#include "server/config_parts.h"
#include "server/nearest.h"
#include "store/name.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PEM_MAX_BYTES 16384

/* A PEM text, or one read from the file that `text` names. */
static enum err add_public_key(struct config *config, const char *app,
                               const char *text, struct failure *why)
{
    char pem[PEM_MAX_BYTES];

    if (strncmp(text, "-----BEGIN", 10) == 0)
        return config_add_key(config, app, NULL, text, why);

    FILE *file = fopen(text, "re");

    if (!file)
        return fail(why, ERR_BAD_REQUEST, "apps.%s.public_keys: %.100s: %s",
                    app, text, strerror(errno));

    size_t size = fread(pem, 1, sizeof(pem) - 1, file);

    (void)fclose(file);
    pem[size] = '\0';
    return config_add_key(config, app, NULL, pem, why);
}

static enum err add_keys(struct config *config, const char *app,
                         const char *kind, json_t *keys, struct failure *why)
{
    bool secret = strcmp(kind, "hs256") == 0;
    size_t i;
    json_t *key;

    if (!secret && strcmp(kind, "public_keys") != 0)
        return fail(why, ERR_BAD_REQUEST,
                    "apps.%s: unknown key '%.40s'; known are hs256 and "
                    "public_keys",
                    app, kind);
    if (!json_is_array(keys))
        return fail(why, ERR_BAD_REQUEST, "apps.%s.%s: is not a list of texts",
                    app, kind);
    json_array_foreach (keys, i, key) {
        enum err rc;

        if (!json_is_string(key))
            return fail(why, ERR_BAD_REQUEST,
                        "apps.%s.%s: is not a list of texts", app, kind);
        if (secret)
            rc = config_add_key(config, app, json_string_value(key), NULL, why);
        else
            rc = add_public_key(config, app, json_string_value(key), why);
        if (rc)
            return rc;
    }
    return ERR_NONE;
}

static enum err read_apps(struct config *config, json_t *apps,
                          struct failure *why)
{
    const char *app, *kind;
    json_t *entry, *keys;

    if (!json_is_object(apps))
        return fail(why, ERR_BAD_REQUEST, "apps: is not an object of apps");
    json_object_foreach (apps, app, entry) {
        if (!name_ok(span_of(app)))
            return config_add_key(config, app, NULL, NULL, why);
        if (!json_is_object(entry))
            return fail(why, ERR_BAD_REQUEST,
                        "apps.%s: is not an object with hs256 or public_keys",
                        app);
        json_object_foreach (entry, kind, keys) {
            enum err rc = add_keys(config, app, kind, keys, why);

            if (rc)
                return rc;
        }
    }
    return ERR_NONE;
}

static const struct setting *setting_named(const char *field)
{
    for (size_t i = 0; i < SETTING_COUNT; i++)
        if (strcmp(setting_list[i].field, field) == 0)
            return &setting_list[i];
    return NULL;
}

static enum err unknown_key(const char *path, const char *key,
                            struct failure *why)
{
    struct nearest nearest;

    nearest_init(&nearest, key);
    nearest_offer(&nearest, "apps");
    for (size_t i = 0; i < SETTING_COUNT; i++)
        nearest_offer(&nearest, setting_list[i].field);
    if (nearest.best)
        return fail(why, ERR_BAD_REQUEST,
                    "%.80s: unknown key '%.60s'; did you mean '%s'?", path, key,
                    nearest.best);
    return fail(why, ERR_BAD_REQUEST, "%.80s: unknown key '%.60s'", path, key);
}

static enum err set_from_json(struct config *config, const struct setting *s,
                              json_t *value, const char *path,
                              struct failure *why)
{
    bool wants_string = s->type == SETTING_TEXT || s->type == SETTING_CHOICE;
    char name[160];

    (void)snprintf(name, sizeof(name), "%.80s: %s", path, s->field);
    if (wants_string && json_is_string(value))
        return setting_set(config, s, name, json_string_value(value), why);

    /* As written, so that "400" with its quotes is no number. */
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    enum err rc;

    if (!text)
        return fail_plain(why, ERR_NOMEM);
    if (wants_string)
        rc = setting_refuse(why, name, text, "a text in quotes");
    else
        rc = setting_set(config, s, name, text, why);
    free(text); /* jansson's */
    return rc;
}

static enum err read_object(struct config *config, json_t *root,
                            const char *path, struct failure *why)
{
    const char *key;
    json_t *value;

    if (!json_is_object(root))
        return fail(why, ERR_BAD_REQUEST, "%.100s: is not a JSON object", path);
    json_object_foreach (root, key, value) {
        const struct setting *s = setting_named(key);
        enum err rc;

        if (s)
            rc = set_from_json(config, s, value, path, why);
        else if (strcmp(key, "apps") == 0)
            rc = read_apps(config, value, why);
        else
            rc = unknown_key(path, key, why);
        if (rc)
            return rc;
    }
    return ERR_NONE;
}

enum err config_read_file(struct config *config, const char *path,
                          struct failure *why)
{
    json_error_t at;
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &at);

    if (!root && at.line < 0)
        return fail(why, ERR_BAD_REQUEST, "--config: %.200s", at.text);
    if (!root)
        return fail(why, ERR_BAD_REQUEST, "%.80s:%d:%d: %.100s", path, at.line,
                    at.column, at.text);

    enum err rc = read_object(config, root, path, why);

    json_decref(root);
    if (rc)
        return rc;
    config->path = mem_strndup(path, strlen(path));
    return config->path ? ERR_NONE : fail_plain(why, ERR_NOMEM);
}
