/* The parts that config.c is put together from: not for anybody else.
 *
 * Errors   as in config.h. Memory: texts are borrowed unless it says otherwise.
 */
#ifndef RUNG_CONFIG_PARTS_H
#define RUNG_CONFIG_PARTS_H

#include "server/config.h"
#include "server/config_help.h"

#include <stdbool.h>

#define SETTING_NAME_ROOM 64 /* for a flag's or a variable's whole name */

/* What the command line says, before any of it is believed. */
struct command_line {
    const char *texts[SETTING_COUNT]; /* borrowed; NULL: not given */
    const char *path;
    bool help, check, markdown;
};

/* config.c: check one text, keep its value. `name` is how its writer spelled
 * the setting. */
MUST_CHECK enum err setting_set(struct config *config, const struct setting *s,
                                const char *name, const char *text,
                                struct failure *why);
/* "<name>: '<text>' is not <accepted>" */
enum err setting_refuse(struct failure *why, const char *name, const char *text,
                        const char *accepted);

/* config_flags.c: "user_rate" as "--user-rate" or "RUNG_USER_RATE". */
const char *setting_spelled(char room[SETTING_NAME_ROOM], const char *field,
                            bool flag);
MUST_CHECK enum err config_read_flags(struct command_line *line, int argc,
                                      char **argv, struct failure *why);

/* config_file.c: settings and apps from a JSON file; keeps its path. */
MUST_CHECK enum err config_read_file(struct config *config, const char *path,
                                     struct failure *why);

/* config_apps.c: a NULL-terminated list of owned texts. */
MUST_CHECK enum err texts_add(char ***list, const char *text,
                              struct failure *why);
size_t texts_count(char **list);
void texts_free(char **list);
void config_free_apps(struct config *config);

#endif
