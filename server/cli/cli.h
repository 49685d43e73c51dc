/* The subcommands: one line each, in the order of `rung --help`. A subcommand
 * gets argv from its own name on, prints its result on stdout and what went
 * wrong on stderr, and returns the exit status.
 *
 * Errors   0 success; 1 it could not be done; 2 it was asked for wrongly.
 */
#ifndef RUNG_CLI_H
#define RUNG_CLI_H

#include "server/base/err.h"

/* X(name, what it does) */
#define CLI_LIST(X)                                                            \
    X(serve, "run the server")                                                 \
    X(token, "mint and inspect tokens")                                        \
    X(send, "send a message")                                                  \
    X(tail, "follow a user's messages or one conversation")                    \
    X(trace, "show the life of a message, from its sender to its readers")     \
    X(check, "verify every invariant of a store, rebuild what is derived")     \
    X(backup, "copy a store while it is in use")                               \
    X(version, "print the versions of rung and of its libraries")

#define X(name, help) int cli_##name(int argc, char **argv);
CLI_LIST(X)
#undef X

#define CLI_OK 0
#define CLI_FAILED 1
#define CLI_USAGE 2

/* Print "rung token: <message>" on stderr and return the exit status that
 * suits: CLI_USAGE for ERR_BAD_REQUEST, else CLI_FAILED. */
int cli_fail(const char *command, const struct failure *why);
/* The same for a message of one's own; CLI_USAGE, with a hint at --help. */
int cli_misuse(const char *command, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* After getopt_long() with a leading ":" gave '?' or ':': say which option it
 * did not like, and why. CLI_USAGE. */
struct option;
int cli_bad_option(const char *command, int answer, char *const *argv,
                   const struct option *known);

#endif
