/* The table of settings, laid out for eyes. */
#include "server/config_help.h"

#include <string.h>

#define COLUMN 28 /* where explanations begin */
#define WIDTH 78
#define NO_LIMIT UINT64_C(9007199254740991)

/* What stands for the value: "N", "DIR", "sync|relaxed". */
static void placeholder(char *room, size_t size, const struct setting *s)
{
    static const struct {
        size_t offset;
        const char *text;
    } known[] = {
        {offsetof(struct config, listen), "HOST:PORT"},
        {offsetof(struct config, listen_tcp), "HOST:PORT"},
        {offsetof(struct config, data), "DIR"},
        {offsetof(struct config, web), "DIR"},
        {offsetof(struct config, allowed_origins), "LIST"},
    };
    const char *text = s->type == SETTING_NUMBER ? "N" : "TEXT";

    if (s->type == SETTING_CHOICE) {
        (void)snprintf(room, size, "%.*s", (int)strcspn(s->help + 1, "]"),
                       s->help + 1);
        return;
    }
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i].offset == s->offset)
            text = known[i].text;
    (void)snprintf(room, size, "%s", text);
}

/* The help without its brackets. */
static const char *help_of(const struct setting *s)
{
    const char *end = s->type == SETTING_CHOICE ? strchr(s->help, ']') : NULL;

    if (!end)
        return s->help;
    return end[1] == ' ' ? end + 2 : end + 1;
}

static void describe_range(char *room, size_t size, const struct setting *s)
{
    if (s->max == NO_LIMIT)
        (void)snprintf(room, size, "from %llu", (unsigned long long)s->min);
    else
        (void)snprintf(room, size, "%llu to %llu", (unsigned long long)s->min,
                       (unsigned long long)s->max);
}

/* Words from column COLUMN to WIDTH; `at` is where the line stands now. */
static void print_wrapped(FILE *out, const char *text, size_t at)
{
    while (*text) {
        size_t word = strcspn(text, " ");

        if (at > COLUMN && at + 1 + word > WIDTH) {
            (void)fputc('\n', out);
            at = 0;
        }
        if (at < COLUMN)
            at += (size_t)fprintf(out, "%*s", (int)(COLUMN - at), "");
        else
            at += (size_t)fprintf(out, " ");
        at += (size_t)fprintf(out, "%.*s", (int)word, text);
        text += word;
        text += strspn(text, " ");
    }
    (void)fputc('\n', out);
}

/* "  --user-rate=N", then the explanation, on the next line if it is long. */
static void print_option(FILE *out, const char *option, const char *text)
{
    size_t at = (size_t)fprintf(out, "  %s", option);

    if (at >= COLUMN - 1) {
        (void)fputc('\n', out);
        at = 0;
    }
    print_wrapped(out, text, at);
}

static void print_setting(FILE *out, const struct setting *s)
{
    char value[64], option[128], range[64], text[512];

    placeholder(value, sizeof(value), s);
    (void)snprintf(option, sizeof(option), "--%s%s%s", s->field,
                   s->type == SETTING_FLAG ? "" : " ",
                   s->type == SETTING_FLAG ? "" : value);
    for (char *c = option; *c && *c != ' '; c++)
        if (*c == '_')
            *c = '-';
    describe_range(range, sizeof(range), s);
    if (s->type == SETTING_NUMBER)
        (void)snprintf(text, sizeof(text), "%s [%s; default %s]", help_of(s),
                       range, s->fallback);
    else if (s->type == SETTING_FLAG || !*s->fallback)
        (void)snprintf(text, sizeof(text), "%s", help_of(s));
    else
        (void)snprintf(text, sizeof(text), "%s [default %s]", help_of(s),
                       s->fallback);
    print_option(out, option, text);
}

void config_print_help(FILE *out)
{
    (void)fputs(
        "usage: rung serve [OPTION]...\n\n"
        "Serve the message log over WebSocket, SSE, long poll and short poll.\n"
        "Each setting is also an environment variable (RUNG_USER_RATE for\n"
        "--user-rate) and a key of the JSON config file (\"user_rate\"). "
        "Flags\n"
        "beat the environment, which beats the file, which beats the default."
        "\n\n",
        out);
    for (size_t i = 0; i < SETTING_COUNT; i++)
        print_setting(out, &setting_list[i]);
    (void)fputc('\n', out);
    print_option(out, "--config FILE",
                 "read settings and the apps' keys from this JSON file "
                 "(RUNG_CONFIG); SIGHUP reads it anew");
    print_option(out, "--check-config",
                 "only check the settings: print \"ok\" or what is wrong");
    print_option(out, "--settings-markdown",
                 "print this table for docs/OPERATIONS.md");
    print_option(out, "-h, --help", "print this");
}

void config_print_markdown(FILE *out)
{
    (void)fputs("| setting | default | accepts | what it does |\n"
                "|---|---|---|---|\n",
                out);
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *s = &setting_list[i];
        char accepts[64];

        if (s->type == SETTING_NUMBER)
            describe_range(accepts, sizeof(accepts), s);
        else if (s->type == SETTING_FLAG)
            (void)snprintf(accepts, sizeof(accepts), "true, false");
        else
            placeholder(accepts, sizeof(accepts), s);
        (void)fprintf(out, "| `%s` | ", s->field);
        if (*s->fallback)
            (void)fprintf(out, "`%s` | ", s->fallback);
        else
            (void)fputs("empty | ", out);
        for (const char *c = accepts; *c; c++)
            (void)fprintf(out, "%.*s", *c == '|' ? 2 : 1, *c == '|' ? ", " : c);
        (void)fprintf(out, " | %s |\n", help_of(s));
    }
}
