/* Every setting, read from four places and checked in one: each place turns
 * what it holds into text, and setting_set() turns the text into the value or
 * into an error that names the setting the way its writer spelled it. */
#include "server/config.h"
#include "server/base/list.h"
#include "server/base/mem.h"
#include "server/config_parts.h"
#include "server/demo_key.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct setting setting_list[SETTING_COUNT] = {
#define T(field, type, fallback, min, max, help)                               \
    {                                                                          \
        #field,                                                                \
        SETTING_##type,                                                        \
        offsetof(struct config, field),                                        \
        fallback,                                                              \
        min,                                                                   \
        max,                                                                   \
        help},
    SETTINGS(T)
#undef T
};

/* What stands behind each `struct config`: how it came to be, so that
 * config_reload() can do it again. */
struct loaded {
    struct config config;
    int argc;
    char **argv; /* NULL-terminated; owned */
};

/* ---- one value ----------------------------------------------------------- */

enum err setting_refuse(struct failure *why, const char *name, const char *text,
                        const char *accepted)
{
    return fail(why, ERR_BAD_REQUEST, "%s: '%.60s' is not %s", name, text,
                accepted);
}

static bool parse_number(const char *text, uint64_t *out)
{
    uint64_t number = 0;

    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || number > UINT64_MAX / 10 - 1)
            return false;
        number = number * 10 + (uint64_t)(*text - '0');
    }
    *out = number;
    return true;
}

static enum err set_number(const struct setting *s, void *field,
                           const char *name, const char *text,
                           struct failure *why)
{
    char accepted[96];
    uint64_t number;

    if (parse_number(text, &number) && number >= s->min && number <= s->max) {
        *(uint64_t *)field = number;
        return ERR_NONE;
    }
    (void)snprintf(accepted, sizeof(accepted),
                   "a whole number from %llu to %llu",
                   (unsigned long long)s->min, (unsigned long long)s->max);
    return setting_refuse(why, name, text, accepted);
}

static enum err set_flag(void *field, const char *name, const char *text,
                         struct failure *why)
{
    static const char *const words[] = {"false", "true", "0",   "1",
                                        "no",    "yes",  "off", "on"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(text, words[i]) == 0) {
            *(bool *)field = i % 2;
            return ERR_NONE;
        }
    return setting_refuse(why, name, text, "true or false");
}

/* The accepted words stand in the help's brackets: "[sync|relaxed] …". */
static enum err set_choice(const struct setting *s, void *field,
                           const char *name, const char *text,
                           struct failure *why)
{
    char accepted[96];
    size_t length = strlen(text);
    const char *word = s->help + 1;

    for (int i = 0;; i++) {
        size_t size = strcspn(word, "|]");

        if (size == length && memcmp(word, text, size) == 0) {
            *(int *)field = i;
            return ERR_NONE;
        }
        if (word[size] == ']')
            break;
        word += size + 1;
    }
    (void)snprintf(accepted, sizeof(accepted), "one of %.*s",
                   (int)strcspn(s->help + 1, "]"), s->help + 1);
    return setting_refuse(why, name, text, accepted);
}

/* HOST:PORT, [v6]:PORT or :PORT. */
static bool address_ok(const char *text)
{
    const char *colon = strrchr(text, ':');
    uint64_t port;

    if (!colon || !parse_number(colon + 1, &port) || port > 65535)
        return false;
    if (text[0] == '[')
        return colon[-1] == ']';
    return memchr(text, ':', (size_t)(colon - text)) == NULL;
}

static enum err set_text(const struct setting *s, void *field, const char *name,
                         const char *text, struct failure *why)
{
    if (s->offset == offsetof(struct config, listen) && !address_ok(text))
        return setting_refuse(why, name, text,
                              "HOST:PORT with a port from 0 to 65535");
    if (s->offset == offsetof(struct config, listen_tcp) && *text &&
        !address_ok(text))
        return setting_refuse(
            why, name, text, "HOST:PORT with a port from 0 to 65535, or empty");
    if (s->offset == offsetof(struct config, data) && !*text)
        return setting_refuse(why, name, text, "the name of a directory");

    char *copy = mem_strndup(text, strlen(text));
    char **owned = field;

    if (!copy)
        return fail_plain(why, ERR_NOMEM);
    mem_free(*owned);
    *owned = copy;
    return ERR_NONE;
}

enum err setting_set(struct config *config, const struct setting *s,
                     const char *name, const char *text, struct failure *why)
{
    void *field = (char *)config + s->offset;

    switch (s->type) {
    case SETTING_NUMBER:
        return set_number(s, field, name, text, why);
    case SETTING_FLAG:
        return set_flag(field, name, text, why);
    case SETTING_CHOICE:
        return set_choice(s, field, name, text, why);
    case SETTING_TEXT:
        break;
    }
    return set_text(s, field, name, text, why);
}

/* ---- loading --------------------------------------------------------------
 */

static enum err set_defaults(struct config *config, struct failure *why)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *s = &setting_list[i];
        enum err rc = setting_set(config, s, s->field, s->fallback, why);

        if (rc)
            return rc;
    }
    return ERR_NONE;
}

static enum err read_environment(struct config *config, struct failure *why)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *s = &setting_list[i];
        char name[SETTING_NAME_ROOM];
        const char *text = getenv(setting_spelled(name, s->field, false));
        enum err rc;

        if (!text || (!*text && s->type != SETTING_TEXT))
            continue; /* empty: as good as not there */
        rc = setting_set(config, s, name, text, why);
        if (rc)
            return rc;
    }
    return ERR_NONE;
}

static enum err set_from_flags(struct config *config,
                               const struct command_line *line,
                               struct failure *why)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *s = &setting_list[i];
        char name[SETTING_NAME_ROOM];
        enum err rc;

        if (!line->texts[i])
            continue;
        rc = setting_set(config, s, setting_spelled(name, s->field, true),
                         line->texts[i], why);
        if (rc)
            return rc;
    }
    return ERR_NONE;
}

static enum err loaded_create(struct loaded **out)
{
    struct loaded *loaded = mem_zalloc(sizeof(*loaded));

    if (!loaded)
        return ERR_NOMEM;
    atomic_init(&loaded->config.refs, 1);
    *out = loaded;
    return ERR_NONE;
}

/* The command line as "serve --flag …", whether or not the caller's begins
 * with the subcommand. */
static enum err copy_argv(struct loaded *loaded, int argc, char **argv,
                          struct failure *why)
{
    bool named = argc > 0 && argv[0][0] != '-';
    enum err rc = texts_add(&loaded->argv, named ? argv[0] : "serve", why);

    for (int i = named; !rc && i < argc; i++)
        rc = texts_add(&loaded->argv, argv[i], why);
    loaded->argc = (int)texts_count(loaded->argv);
    return rc;
}

static enum err fill(struct config *config, const struct command_line *line,
                     struct failure *why)
{
    const char *path = line->path ? line->path : getenv("RUNG_CONFIG");
    enum err rc = set_defaults(config, why);

    if (!rc && path && *path)
        rc = config_read_file(config, path, why);
    if (!rc)
        rc = read_environment(config, why);
    if (!rc)
        rc = set_from_flags(config, line, why);
    return rc;
}

static enum err add_demo_app(struct config *config, struct failure *why)
{
    char secret[DEMO_KEY_ROOM];
    enum err rc;

    if (!config->demo || config_app(config, "demo"))
        return ERR_NONE;
    rc = demo_key_get(secret, config->data, why);
    if (!rc)
        rc = config_add_key(config, "demo", secret, NULL, why);
    return rc;
}

static enum err load(struct loaded *loaded, struct failure *why)
{
    struct command_line line;
    enum err rc = config_read_flags(&line, loaded->argc, loaded->argv, why);

    if (rc)
        return rc;
    if (line.help || line.markdown) {
        if (line.help)
            config_print_help(stdout);
        else
            config_print_markdown(stdout);
        return fail(why, ERR_END, "printed what was asked for");
    }
    rc = fill(&loaded->config, &line, why);
    if (rc)
        return rc;
    if (line.check) {
        (void)puts("ok");
        return fail(why, ERR_END, "the configuration is good");
    }
    return add_demo_app(&loaded->config, why);
}

enum err config_load(struct config **out, int argc, char **argv,
                     struct failure *why)
{
    struct loaded *loaded;
    enum err rc = loaded_create(&loaded);

    if (rc)
        return fail_plain(why, rc);
    rc = copy_argv(loaded, argc, argv, why);
    if (!rc)
        rc = load(loaded, why);
    if (rc) {
        config_unref(&loaded->config);
        return rc;
    }
    *out = &loaded->config;
    return ERR_NONE;
}

enum err config_defaults(struct config **out)
{
    struct loaded *loaded;
    enum err rc = loaded_create(&loaded);

    if (rc)
        return rc;
    rc = set_defaults(&loaded->config, NULL);
    if (rc) {
        config_unref(&loaded->config);
        return rc;
    }
    *out = &loaded->config;
    return ERR_NONE;
}

enum err config_reload(struct config **out, const struct config *old,
                       struct failure *why)
{
    const struct loaded *before =
        (const void *)((const char *)old - offsetof(struct loaded, config));

    return config_load(out, before->argc, before->argv, why);
}

struct config *config_ref(struct config *config)
{
    int before =
        atomic_fetch_add_explicit(&config->refs, 1, memory_order_relaxed);

    assert(before > 0);
    (void)before;
    return config;
}

void config_unref(struct config *config)
{
    if (!config ||
        atomic_fetch_sub_explicit(&config->refs, 1, memory_order_acq_rel) > 1)
        return;

    struct loaded *loaded = container_of(config, struct loaded, config);

    for (size_t i = 0; i < SETTING_COUNT; i++)
        if (setting_list[i].type == SETTING_TEXT)
            mem_free(*(char **)((char *)config + setting_list[i].offset));
    config_free_apps(config);
    mem_free(config->path);
    texts_free(loaded->argv);
    mem_free(loaded);
}
