/* The command line: options grown from the table of settings, by getopt_long.
 */
#include "server/config_parts.h"
#include "server/nearest.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

/* "user_rate" as "--user-rate" or "RUNG_USER_RATE". */
const char *setting_spelled(char room[SETTING_NAME_ROOM], const char *field,
                            bool flag)
{
    size_t at = 0;

    at +=
        (size_t)snprintf(room, SETTING_NAME_ROOM, "%s", flag ? "--" : "RUNG_");
    for (; *field && at + 1 < SETTING_NAME_ROOM; field++) {
        char c = *field;

        if (flag)
            c = c == '_' ? '-' : c;
        else if (c >= 'a' && c <= 'z')
            c = (char)(c - 'a' + 'A');
        room[at++] = c;
    }
    room[at] = '\0';
    return room;
}

enum { OPT_CONFIG = SETTING_COUNT, OPT_CHECK, OPT_MARKDOWN, OPT_HELP };

#define OPT_COUNT (OPT_HELP + 1)
#define OPT_BASE 256 /* beyond any character */

static enum err unknown_option(const char *given, const struct option *known,
                               struct failure *why)
{
    struct nearest nearest;
    char typed[SETTING_NAME_ROOM];

    (void)snprintf(typed, sizeof(typed), "%.*s", (int)strcspn(given, "="),
                   given);
    nearest_init(&nearest, typed + strspn(typed, "-"));
    for (; known->name; known++)
        nearest_offer(&nearest, known->name);
    if (nearest.best)
        return fail(why, ERR_BAD_REQUEST,
                    "%s: unknown option; did you mean --%s?", typed,
                    nearest.best);
    return fail(why, ERR_BAD_REQUEST, "%s: unknown option; see --help", typed);
}

static void fill_options(struct option *options,
                         char names[SETTING_COUNT][SETTING_NAME_ROOM])
{
    for (int i = 0; i < SETTING_COUNT; i++) {
        bool flag = setting_list[i].type == SETTING_FLAG;

        (void)setting_spelled(names[i], setting_list[i].field, true);
        options[i] = (struct option){
            names[i] + 2, flag ? optional_argument : required_argument, NULL,
            OPT_BASE + i};
    }
    options[OPT_CONFIG] = (struct option){"config", required_argument, NULL,
                                          OPT_BASE + OPT_CONFIG};
    options[OPT_CHECK] = (struct option){"check-config", no_argument, NULL,
                                         OPT_BASE + OPT_CHECK};
    options[OPT_MARKDOWN] = (struct option){"settings-markdown", no_argument,
                                            NULL, OPT_BASE + OPT_MARKDOWN};
    options[OPT_HELP] =
        (struct option){"help", no_argument, NULL, OPT_BASE + OPT_HELP};
    options[OPT_COUNT] = (struct option){NULL, 0, NULL, 0};
}

static void take_option(struct command_line *line, int which)
{
    switch (which) {
    case OPT_CONFIG:
        line->path = optarg;
        break;
    case OPT_CHECK:
        line->check = true;
        break;
    case OPT_MARKDOWN:
        line->markdown = true;
        break;
    case OPT_HELP:
        line->help = true;
        break;
    default: /* only a flag's text may be left out */
        line->texts[which] = optarg ? optarg : "true";
    }
}

enum err config_read_flags(struct command_line *line, int argc, char **argv,
                           struct failure *why)
{
    char names[SETTING_COUNT][SETTING_NAME_ROOM];
    struct option options[OPT_COUNT + 1];
    int c;

    memset(line, 0, sizeof(*line));
    fill_options(options, names);
    optind = 0; /* begin anew, whoever used getopt before */
    while ((c = getopt_long(argc, argv, "+:h", options, NULL)) != -1) {
        if (c == 'h')
            line->help = true;
        else if (c == ':')
            return fail(why, ERR_BAD_REQUEST, "%.60s: wants a value",
                        argv[optind - 1]);
        else if (c == '?' && optopt >= OPT_BASE)
            return fail(why, ERR_BAD_REQUEST, "%.60s: takes no value",
                        argv[optind - 1]);
        else if (c == '?')
            return unknown_option(argv[optind - 1], options, why);
        else
            take_option(line, c - OPT_BASE);
    }
    if (optind < argc)
        return fail(why, ERR_BAD_REQUEST,
                    "'%.60s' is not expected here: %.20s takes only options",
                    argv[optind], argv[0]);
    return ERR_NONE;
}
