/* A conversation as its members are shown it.
 *
 * Errors   a store's error; ERR_NOMEM.
 * Memory   results are owned by the caller; the reader is begun by the caller.
 */
#ifndef RUNG_METHODS_VIEW_H
#define RUNG_METHODS_VIEW_H

#include "server/methods/target.h"

/* What its CREATE said, beyond what apply reads: its JSON text's span. */
struct span conversation_text(const struct conversation *conv,
                              struct conv_settings *settings);
json_t *settings_json(const struct conv_settings *settings);

/* The answer of conversation.get and .create. `parts` is the name taken apart.
 */
MUST_CHECK enum err view_whole(struct reader *reader,
                               const struct viewer *viewer,
                               const struct conv_name *parts,
                               const struct conversation *conv, json_t **out);
/* The same for two people who have said nothing yet. */
json_t *view_unborn(const struct viewer *viewer, const struct target *target);

/* A row of conversation.list, with its last message. */
MUST_CHECK enum err view_row(struct reader *reader, const char *epoch,
                             const struct viewer *viewer,
                             const struct conversation *conv, json_t **out);

#endif
