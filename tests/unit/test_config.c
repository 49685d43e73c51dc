#define _XOPEN_SOURCE 700 /* nftw() */

/* Settings from flags, environment, file and defaults. */
#include "server/auth.h"
#include "server/base/mem.h"
#include "server/config.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SECRET "a secret of thirty-two bytes, yes"

static char folder[64]; /* of this run's files */

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/rung-config-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *about, int kind,
                      struct FTW *where)
{
    (void)about;
    (void)kind;
    (void)where;
    return remove(path);
}

static int remove_folder(void **state)
{
    (void)state;
    return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* A file of this run with this text; its path lives until the next call. */
static char *given_file(const char *name, const char *text)
{
    static char path[128];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    return path;
}

static enum err load(struct config **out, char **argv, struct failure *why)
{
    int argc = 0;

    memset(why, 0, sizeof(*why));
    while (argv[argc])
        argc++;
    return config_load(out, argc, argv, why);
}

#define ARGS(...)                                                              \
    (char *[])                                                                 \
    {                                                                          \
        "serve", __VA_ARGS__, NULL                                             \
    }

static struct config *loaded(char **argv)
{
    struct config *config = NULL;
    struct failure why;

    if (load(&config, argv, &why))
        fail_msg("refused: %s", why.message);
    return config;
}

static void assert_refused(char **argv, const char *message)
{
    struct config *config = NULL;
    struct failure why;

    assert_int_equal(load(&config, argv, &why), ERR_BAD_REQUEST);
    assert_string_equal(why.message, message);
    assert_null(config);
}

static void every_default_is_within_its_own_range(void **state)
{
    struct config *config;

    (void)state;
    assert_int_equal(config_defaults(&config), ERR_NONE);
    assert_string_equal(config->listen, "localhost:8080");
    assert_string_equal(config->listen_tcp, "");
    assert_int_equal(config->user_rate, 2000);
    assert_int_equal(config->durability, DURABILITY_SYNC);
    assert_false(config->demo);
    assert_int_equal(config->app_count, 0);
    config_unref(config);
    config_unref(NULL);
}

static void flags_set_every_kind_of_setting(void **state)
{
    struct config *config =
        loaded(ARGS("--listen", "[::1]:0", "--user-rate=7", "--durability",
                    "relaxed", "--allowed-origins", "https://a.example"));

    (void)state;
    assert_string_equal(config->listen, "[::1]:0");
    assert_int_equal(config->user_rate, 7);
    assert_int_equal(config->durability, DURABILITY_RELAXED);
    assert_string_equal(config->allowed_origins, "https://a.example");
    config_unref(config);
}

static void the_subcommand_in_front_may_be_missing(void **state)
{
    struct config *config = loaded((char *[]){"--user-rate", "9", NULL});

    (void)state;
    assert_int_equal(config->user_rate, 9);
    config_unref(config);
}

static void flags_beat_environment_beats_file(void **state)
{
    char *path = given_file("three.json", "{\"user_rate\": 1, "
                                          "\"connection_rate\": 1, "
                                          "\"stall_ms\": 1000}");
    struct config *config;

    (void)state;
    setenv("RUNG_USER_RATE", "2", 1);
    setenv("RUNG_CONNECTION_RATE", "2", 1);
    config = loaded(ARGS("--config", path, "--user-rate", "3"));
    unsetenv("RUNG_USER_RATE");
    unsetenv("RUNG_CONNECTION_RATE");
    assert_int_equal(config->user_rate, 3);
    assert_int_equal(config->connection_rate, 2);
    assert_int_equal(config->stall_ms, 1000);
    assert_string_equal(config->path, path);
    config_unref(config);
}

static void a_wrong_flag_names_itself_and_what_it_accepts(void **state)
{
    (void)state;
    assert_refused(ARGS("--user-rate", "x"),
                   "--user-rate: 'x' is not a whole number from 1 to 10000000");
    assert_refused(ARGS("--user-rate", "0"),
                   "--user-rate: '0' is not a whole number from 1 to 10000000");
    assert_refused(ARGS("--user-rate=99999999999999999999999"),
                   "--user-rate: '99999999999999999999999' is not a whole "
                   "number from 1 to 10000000");
    assert_refused(ARGS("--durability", "yes"),
                   "--durability: 'yes' is not one of sync|relaxed");
    assert_refused(ARGS("--demo=maybe"),
                   "--demo: 'maybe' is not true or false");
    assert_refused(
        ARGS("--listen", "8080"),
        "--listen: '8080' is not HOST:PORT with a port from 0 to 65535");
    assert_refused(ARGS("--listen-tcp", "nowhere"),
                   "--listen-tcp: 'nowhere' is not HOST:PORT with a port from "
                   "0 to 65535, or empty");
    assert_refused(ARGS("--user-rate"), "--user-rate: wants a value");
    assert_refused(ARGS("--help=me"), "--help=me: takes no value");
    assert_refused(ARGS("stray"), "'stray' is not expected here: serve takes "
                                  "only options");
}

static void a_mistyped_flag_suggests_the_nearest(void **state)
{
    (void)state;
    assert_refused(ARGS("--usr-rate=3"),
                   "--usr-rate: unknown option; did you mean --user-rate?");
    assert_refused(ARGS("--zzzzzzzz"),
                   "--zzzzzzzz: unknown option; see --help");
}

static void a_wrong_variable_names_itself(void **state)
{
    (void)state;
    setenv("RUNG_STALL_MS", "soon", 1);
    assert_refused(ARGS("--demo=no"), "RUNG_STALL_MS: 'soon' is not a whole "
                                      "number from 100 to 600000");
    unsetenv("RUNG_STALL_MS");
}

/* The file's complaint begins with its path; the rest is compared. */
static void assert_file_refused(const char *text, const char *message)
{
    char *path = given_file("bad.json", text);
    struct config *config = NULL;
    struct failure why;

    assert_int_equal(load(&config, ARGS("--config", path), &why),
                     ERR_BAD_REQUEST);
    if (!strstr(why.message, message))
        fail_msg("'%s' does not say '%s'", why.message, message);
}

static void a_wrong_file_says_where_and_what(void **state)
{
    (void)state;
    assert_file_refused("{\"user_rat\": 1}", "/bad.json: unknown key "
                                             "'user_rat'; did you mean "
                                             "'user_rate'?");
    assert_file_refused("{\"qqqqqqqqqq\": 1}", "unknown key 'qqqqqqqqqq'");
    assert_file_refused("{\"user_rate\": \"400\"}",
                        "user_rate: '\"400\"' is not a whole number");
    assert_file_refused("{\"user_rate\": 1.5}", "is not a whole number");
    assert_file_refused("{\"data\": 5}", "data: '5' is not a text in quotes");
    assert_file_refused("{\"demo\": \"yes\"}", "is not true or false");
    assert_file_refused("[]", "is not a JSON object");
    assert_file_refused("{\n\"demo\" true}", "/bad.json:2:");
    assert_file_refused("{\"demo\": true, \"demo\": false}", "duplicate");
    assert_refused(ARGS("--config", "/nonexistent/f"),
                   "--config: unable to open /nonexistent/f: No such file or "
                   "directory");
}

static void apps_bring_their_keys(void **state)
{
    char *path =
        given_file("apps.json", "{\"apps\": {\"shop\": {\"hs256\": [\"" SECRET
                                "\", \"2" SECRET "\"]}, \"empty\": {}}}");
    struct config *config = loaded(ARGS("--config", path));
    const struct app_config *shop = config_app(config, "shop");

    (void)state;
    assert_int_equal(config->app_count, 1);
    assert_null(config_app(config, "other"));
    assert_string_equal(shop->hs256[0], SECRET);
    assert_string_equal(shop->hs256[1], "2" SECRET);
    assert_null(shop->hs256[2]);
    assert_null(shop->public_keys);
    config_unref(config);
}

static void unusable_keys_are_refused(void **state)
{
    (void)state;
    assert_file_refused("{\"apps\": []}", "apps: is not an object");
    assert_file_refused("{\"apps\": {\"a b\": {}}}", "an app's name");
    assert_file_refused("{\"apps\": {\"a\": 1}}", "apps.a: is not an object");
    assert_file_refused("{\"apps\": {\"a\": {\"hs512\": []}}}",
                        "apps.a: unknown key 'hs512'");
    assert_file_refused("{\"apps\": {\"a\": {\"hs256\": \"x\"}}}",
                        "apps.a.hs256: is not a list");
    assert_file_refused("{\"apps\": {\"a\": {\"hs256\": [\"short\"]}}}",
                        "apps.a.hs256: a secret needs 32 bytes");
    assert_file_refused("{\"apps\": {\"a\": {\"public_keys\": "
                        "[\"-----BEGIN PUBLIC KEY-----\\n\"]}}}",
                        "apps.a.public_keys: not a PEM public key");
    assert_file_refused("{\"apps\": {\"a\": {\"public_keys\": "
                        "[\"/nonexistent.pem\"]}}}",
                        "/nonexistent.pem: No such file");
}

static void the_demos_secret_outlives_a_restart(void **state)
{
    char data[100], key[120], secret[65];
    struct config *config;
    struct stat about;

    (void)state;
    (void)snprintf(data, sizeof(data), "%s/data", folder);
    (void)snprintf(key, sizeof(key), "%s/demo.key", data);
    config = loaded(ARGS("--demo", "--data", data));
    strcpy(secret, config_app(config, "demo")->hs256[0]);
    config_unref(config);
    assert_int_equal(strlen(secret), 64);
    assert_int_equal(stat(key, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    config = loaded(ARGS("--demo", "--data", data));
    assert_string_equal(config_app(config, "demo")->hs256[0], secret);
    config_unref(config);
    config = loaded(ARGS("--data", data));
    assert_null(config_app(config, "demo"));
    config_unref(config);
}

static void a_damaged_demo_key_is_not_overwritten(void **state)
{
    char data[100], key[140];
    struct config *config = NULL;
    struct failure why;
    FILE *file;

    (void)state;
    (void)snprintf(data, sizeof(data), "%s/hurt", folder);
    (void)snprintf(key, sizeof(key), "%s/demo.key", data);
    assert_int_equal(mkdir(data, 0700), 0);
    file = fopen(key, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(load(&config, ARGS("--demo", "--data", data), &why),
                     ERR_IO);
    assert_non_null(strstr(why.message, "demo.key"));
}

static void reloading_reads_the_file_anew_and_keeps_the_flags(void **state)
{
    char *path = given_file("live.json", "{\"user_rate\": 1}");
    struct config *before =
        loaded(ARGS("--config", path, "--connection-rate", "5"));
    struct config *after = NULL;
    struct failure why;

    (void)state;
    given_file("live.json", "{\"user_rate\": 2, \"connection_rate\": 6}");
    assert_int_equal(config_reload(&after, before, &why), ERR_NONE);
    assert_int_equal(before->user_rate, 1);
    assert_int_equal(after->user_rate, 2);
    assert_int_equal(after->connection_rate, 5);
    config_unref(before);

    given_file("live.json", "{");
    before = config_ref(after);
    assert_int_equal(config_reload(&before, after, &why), ERR_BAD_REQUEST);
    assert_ptr_equal(before, after); /* untouched */
    config_unref(after);
    config_unref(before);
}

static void no_failing_allocation_leaks_or_half_succeeds(void **state)
{
    char *path =
        given_file("nth.json", "{\"data\": \"d\", \"apps\": "
                               "{\"a\": {\"hs256\": [\"" SECRET "\"]}}}");
    struct config *config;
    struct failure why;
    enum err rc = ERR_NOMEM;

    (void)state;
    for (size_t nth = 1; rc; nth++) {
        config = NULL;
        mem_fail_nth(nth);
        rc = load(&config, ARGS("--config", path, "--web", "w"), &why);
        mem_fail_nth(0);
        if (rc) {
            assert_int_equal(rc, ERR_NOMEM);
            assert_null(config);
        }
        assert_true(nth < 1000);
    }
    assert_string_equal(config->data, "d");
    assert_string_equal(config->web, "w");
    assert_non_null(config_app(config, "a"));
    config_unref(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_default_is_within_its_own_range),
        cmocka_unit_test(flags_set_every_kind_of_setting),
        cmocka_unit_test(the_subcommand_in_front_may_be_missing),
        cmocka_unit_test(flags_beat_environment_beats_file),
        cmocka_unit_test(a_wrong_flag_names_itself_and_what_it_accepts),
        cmocka_unit_test(a_mistyped_flag_suggests_the_nearest),
        cmocka_unit_test(a_wrong_variable_names_itself),
        cmocka_unit_test(a_wrong_file_says_where_and_what),
        cmocka_unit_test(apps_bring_their_keys),
        cmocka_unit_test(unusable_keys_are_refused),
        cmocka_unit_test(the_demos_secret_outlives_a_restart),
        cmocka_unit_test(a_damaged_demo_key_is_not_overwritten),
        cmocka_unit_test(reloading_reads_the_file_anew_and_keeps_the_flags),
        cmocka_unit_test(no_failing_allocation_leaks_or_half_succeeds),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
