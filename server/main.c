/* rung: finds the subcommand and hands over. */
#include "server/cli/cli.h"
#include "server/nearest.h"

#include <stdio.h>
#include <string.h>

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
#define X(name, help) {#name, cli_##name, help},
    CLI_LIST(X)
#undef X
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static int print_help(void)
{
    FILE *out = stdout;

    (void)fputs("usage: rung COMMAND [OPTION]...\n\n"
                "One durable chat log, followed over WebSocket, SSE, long poll "
                "and short poll.\n\n",
                out);
    for (size_t i = 0; i < COMMANDS; i++)
        (void)fprintf(out, "  %-10s%s\n", commands[i].name, commands[i].help);
    (void)fputs("\nrung COMMAND --help tells more. To try it: "
                "rung serve --demo\n",
                out);
    return CLI_OK;
}

static int unknown_command(const char *typed)
{
    struct nearest nearest;

    nearest_init(&nearest, typed);
    for (size_t i = 0; i < COMMANDS; i++)
        nearest_offer(&nearest, commands[i].name);
    (void)fprintf(stderr, "rung: '%s' is not a command", typed);
    if (nearest.best)
        (void)fprintf(stderr, "; did you mean '%s'?", nearest.best);
    (void)fputs("\nTry: rung --help\n", stderr);
    return CLI_USAGE;
}

int main(int argc, char **argv)
{
    const char *typed = argc > 1 ? argv[1] : "--help";

    if (!strcmp(typed, "--help") || !strcmp(typed, "-h") ||
        !strcmp(typed, "help"))
        return print_help();
    if (!strcmp(typed, "--version"))
        typed = "version";
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(typed, commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    return unknown_command(typed);
}
