/* The settings as a table, and that table printed: for `--help` and for the
 * page in docs/OPERATIONS.md.
 *
 * Errors   whatever the stream keeps. Threads: any. Memory: static.
 */
#ifndef RUNG_CONFIG_HELP_H
#define RUNG_CONFIG_HELP_H

#include "server/config.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum setting_type {
    SETTING_TEXT,
    SETTING_NUMBER,
    SETTING_FLAG,
    SETTING_CHOICE
};

struct setting {
    const char *field; /* "user_rate" */
    enum setting_type type;
    size_t offset; /* in struct config */
    const char *fallback;
    uint64_t min, max;
    const char *help;
};

#define T(field, type, fallback, min, max, help) SETTING_AT_##field,
enum { SETTINGS(T) SETTING_COUNT };
#undef T

extern const struct setting setting_list[SETTING_COUNT]; /* config.c's */

void config_print_help(FILE *out);
void config_print_markdown(FILE *out);

#endif
