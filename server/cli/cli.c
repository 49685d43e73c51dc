/* What the subcommands share: how they complain. */
#include "server/cli/cli.h"
#include "server/nearest.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int cli_fail(const char *command, const struct failure *why)
{
    (void)fprintf(stderr, "rung %s: %s\n", command, why->message);
    return why->err == ERR_BAD_REQUEST ? CLI_USAGE : CLI_FAILED;
}

int cli_misuse(const char *command, const char *fmt, ...)
{
    va_list args;

    (void)fprintf(stderr, "rung %s: ", command);
    va_start(args, fmt);
    (void)vfprintf(stderr, fmt, args);
    va_end(args);
    (void)fprintf(stderr, "\nTry: rung %s --help\n", command);
    return CLI_USAGE;
}

int cli_bad_option(const char *command, int answer, char *const *argv,
                   const struct option *known)
{
    const char *given = argv[optind - 1];
    struct nearest nearest;
    char typed[64];

    if (answer == ':')
        return cli_misuse(command, "%s: wants a value", given);
    (void)snprintf(typed, sizeof(typed), "%.*s", (int)strcspn(given, "="),
                   given);
    nearest_init(&nearest, typed + strspn(typed, "-"));
    for (; known->name; known++) {
        if (strcmp(typed + strspn(typed, "-"), known->name) == 0)
            return cli_misuse(command, "%s: takes no value", typed);
        nearest_offer(&nearest, known->name);
    }
    if (nearest.best)
        return cli_misuse(command, "%s: unknown option; did you mean --%s?",
                          typed, nearest.best);
    return cli_misuse(command, "%s: unknown option", typed);
}
