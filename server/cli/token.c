/* rung token: mint a token for trying things out, or look into one. */
#include "server/auth.h"
#include "server/base/buf.h"
#include "server/base/clock.h"
#include "server/base/mem.h"
#include "server/cli/cli.h"
#include "server/config.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FILE_MAX_BYTES 16384
#define TTL_DEFAULT_S 86400

static const char usage[] =
    "usage: rung token mint --app APP --user USER KEY [OPTION]...\n"
    "       rung token inspect [KEY] [TOKEN]\n\n"
    "mint prints an HS256 token; inspect prints a token's header and claims\n"
    "(from stdin without TOKEN) and, given a key, whether it verifies.\n\n"
    "The key is one of\n"
    "  --secret TEXT          the app's HS256 secret\n"
    "  --secret-file FILE     the same, from a file's first line\n"
    "  --config FILE          the server's config file: the app's first "
    "secret\n"
    "  --data DIR             the demo's own, kept beside its log\n"
    "  --public-key FILE      PEM, for inspect\n\n"
    "mint takes, too\n"
    "  --app APP              the app (default demo)\n"
    "  --user USER            who the token speaks for\n"
    "  --device DEVICE        which device of theirs\n"
    "  --inbox N              which inbox (default 0)\n"
    "  --ttl SECONDS          how long it is good (default 86400)\n"
    "  -h, --help             print this\n";

struct request {
    char *app, *user, *device, *secret, *secret_file, *config, *data;
    char *public_key; /* all of them borrowed from argv */
    uint64_t inbox, ttl_s;
};

/* ---- options --------------------------------------------------------------
 */

static bool to_number(const char *text, uint64_t *out)
{
    char *end;

    errno = 0;
    *out = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && !errno &&
           *out <= UINT64_C(9007199254740991);
}

static const struct option options[] = {
    {"app", required_argument, NULL, 'a'},
    {"user", required_argument, NULL, 'u'},
    {"device", required_argument, NULL, 'd'},
    {"inbox", required_argument, NULL, 'i'},
    {"ttl", required_argument, NULL, 't'},
    {"secret", required_argument, NULL, 's'},
    {"secret-file", required_argument, NULL, 'f'},
    {"config", required_argument, NULL, 'c'},
    {"data", required_argument, NULL, 'D'},
    {"public-key", required_argument, NULL, 'p'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static char **text_option(struct request *r, int c)
{
    switch (c) {
    case 'a':
        return &r->app;
    case 'u':
        return &r->user;
    case 'd':
        return &r->device;
    case 's':
        return &r->secret;
    case 'f':
        return &r->secret_file;
    case 'c':
        return &r->config;
    case 'D':
        return &r->data;
    case 'p':
        return &r->public_key;
    default:
        return NULL;
    }
}

/* CLI_OK, an exit status, or -1: help was printed. */
static int read_options(struct request *r, int argc, char **argv)
{
    int c;

    *r = (struct request){.ttl_s = TTL_DEFAULT_S};
    optind = 0;
    while ((c = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        char **text = text_option(r, c);

        if (text) {
            *text = optarg;
        } else if (c == 'h') {
            (void)fputs(usage, stdout);
            return -1;
        } else if (c == 'i' || c == 't') {
            if (!to_number(optarg, c == 'i' ? &r->inbox : &r->ttl_s))
                return cli_misuse("token", "--%s: '%s' is not a whole number",
                                  c == 'i' ? "inbox" : "ttl", optarg);
        } else {
            return cli_bad_option("token", c, argv, options);
        }
    }
    return CLI_OK;
}

/* ---- keys -----------------------------------------------------------------
 */

static enum err read_text(char *room, size_t size, const char *path,
                          struct failure *why)
{
    FILE *file = fopen(path, "re");
    size_t length;

    if (!file)
        return fail(why, ERR_BAD_REQUEST, "%.150s: %s", path, strerror(errno));
    length = fread(room, 1, size - 1, file);
    (void)fclose(file);
    room[length] = '\0';
    return ERR_NONE;
}

/* A config that holds the keys the options name, or no keys at all. */
static enum err load_keys(struct config **out, const struct request *r,
                          const char *app, struct failure *why)
{
    char name[] = "token", flag[] = "--config", data_flag[] = "--data";
    char demo[] = "--demo", text[FILE_MAX_BYTES];
    enum err rc;

    if (r->config)
        return config_load(out, 3, (char *[]){name, flag, r->config, NULL},
                           why);
    if (r->data)
        return config_load(
            out, 4, (char *[]){name, demo, data_flag, r->data, NULL}, why);
    rc = config_defaults(out);
    if (rc)
        return fail_plain(why, rc);
    if (r->secret)
        rc = config_add_key(*out, app, r->secret, NULL, why);
    if (!rc && r->secret_file) {
        rc = read_text(text, sizeof(text), r->secret_file, why);
        text[rc ? 0 : strcspn(text, "\r\n")] = '\0';
        if (!rc)
            rc = config_add_key(*out, app, text, NULL, why);
    }
    if (!rc && r->public_key) {
        rc = read_text(text, sizeof(text), r->public_key, why);
        if (!rc)
            rc = config_add_key(*out, app, NULL, text, why);
    }
    if (rc)
        config_unref(*out);
    return rc;
}

static bool has_key(const struct request *r)
{
    return r->secret || r->secret_file || r->config || r->data || r->public_key;
}

/* ---- mint -----------------------------------------------------------------
 */

static int mint(const struct request *r)
{
    const char *name = r->app ? r->app : "demo";
    struct failure why;
    struct config *config;
    const struct app_config *app;
    char *token;

    if (!r->user)
        return cli_misuse("token", "--user: is needed to mint a token");
    if (!has_key(r) || r->public_key)
        return cli_misuse("token", "a secret is needed to mint a token: "
                                   "--secret, --secret-file, --config or "
                                   "--data");
    if (load_keys(&config, r, name, &why))
        return cli_fail("token", &why);
    app = config_app(config, name);
    if (!app || !app->hs256) {
        config_unref(config);
        return cli_misuse("token", "--app: '%s' has no HS256 secret there",
                          name);
    }

    enum err rc = auth_mint(&token,
                            &(struct mint){.secret = app->hs256[0],
                                           .app = name,
                                           .user = r->user,
                                           .device = r->device,
                                           .inbox = r->inbox,
                                           .ttl_s = r->ttl_s},
                            &why);

    config_unref(config);
    if (rc)
        return cli_fail("token", &why);
    (void)puts(token);
    mem_free(token);
    return CLI_OK;
}

/* ---- inspect --------------------------------------------------------------
 */

/* One base64url part as JSON (a new reference), or NULL. */
static json_t *decode_part(const char *part, size_t size)
{
    unsigned char padded[FILE_MAX_BYTES + 4], text[FILE_MAX_BYTES + 4];
    size_t pad = (4 - size % 4) % 4;
    int length;

    if (size > FILE_MAX_BYTES || pad == 3)
        return NULL;
    for (size_t i = 0; i < size; i++)
        padded[i] = (unsigned char)(part[i] == '-'   ? '+'
                                    : part[i] == '_' ? '/'
                                                     : part[i]);
    memset(padded + size, '=', pad);
    length = EVP_DecodeBlock(text, padded, (int)(size + pad));
    if (length < (int)pad)
        return NULL;
    return json_loadb((const char *)text, (size_t)length - pad, 0, NULL);
}

static bool print_part(const char *title, json_t *part)
{
    char *text = part ? json_dumps(part, JSON_INDENT(2)) : NULL;

    if (text)
        printf("%s %s\n", title, text);
    free(text); /* jansson's */
    return text != NULL;
}

static void print_expiry(json_t *claims)
{
    time_t when = (time_t)json_integer_value(json_object_get(claims, "exp"));
    struct tm utc;
    char text[40];

    if (!when || !gmtime_r(&when, &utc))
        return;
    (void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &utc);
    printf("%s %s\n",
           (uint64_t)when * 1000 <= clock_wall_ms() ? "expired" : "expires",
           text);
}

static int print_verdict(const struct request *r, const char *token,
                         json_t *claims)
{
    const char *app = json_string_value(json_object_get(claims, "app"));
    struct identity who;
    struct failure why;
    struct config *config;
    struct auth *auth;
    enum err rc;

    if (load_keys(&config, r, r->app ? r->app : app ? app : "demo", &why))
        return cli_fail("token", &why);
    rc = auth_create(&auth, config);
    config_unref(config);
    if (rc) {
        (void)fail_plain(&why, rc);
        return cli_fail("token", &why);
    }
    rc = auth_verify(auth, span_of(token), &who, &why);
    auth_destroy(auth);
    if (!rc)
        printf("signature verifies: user %s of app %s\n", who.user, who.app);
    else if (rc == ERR_TOKEN_EXPIRED)
        printf("signature verifies, but %s\n", why.message);
    else
        printf("refused: %s\n", why.message);
    return rc ? CLI_FAILED : CLI_OK;
}

static int inspect(const struct request *r, const char *token)
{
    const char *first = strchr(token, '.');
    const char *second = first ? strchr(first + 1, '.') : NULL;
    int status = CLI_OK;

    if (!second)
        return cli_misuse("token", "this is not a JWT: it has no three parts");

    json_t *head = decode_part(token, (size_t)(first - token));
    json_t *claims = decode_part(first + 1, (size_t)(second - first - 1));

    if (print_part("header", head) && print_part("claims", claims)) {
        print_expiry(claims);
        if (has_key(r))
            status = print_verdict(r, token, claims);
    } else {
        status = cli_misuse("token", "this is not a JWT: no base64url JSON");
    }
    json_decref(head);
    json_decref(claims);
    return status;
}

static int inspect_given(const struct request *r, const char *token)
{
    char line[FILE_MAX_BYTES];

    if (token && strcmp(token, "-") != 0)
        return inspect(r, token);
    if (!fgets(line, sizeof(line), stdin))
        return cli_misuse("token", "no token on stdin");
    line[strcspn(line, " \r\n")] = '\0';
    return inspect(r, line);
}

int cli_token(int argc, char **argv)
{
    struct request r;
    int status = read_options(&r, argc, argv);
    const char *verb = argv[optind];
    int more = argc - optind - 1;

    if (status)
        return status < 0 ? CLI_OK : status;
    if (verb && !strcmp(verb, "mint") && more == 0)
        return mint(&r);
    if (verb && !strcmp(verb, "inspect") && more <= 1)
        return inspect_given(&r, argv[optind + 1]);
    if (verb && more >= 0 &&
        (!strcmp(verb, "mint") || !strcmp(verb, "inspect")))
        return cli_misuse("token", "'%s' is not expected here", argv[argc - 1]);
    return cli_misuse("token", "say mint or inspect");
}
