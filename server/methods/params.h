/* Reading a call's parameters. Every error names the parameter and what is
 * accepted; a parameter that is null counts as not given; unknown ones are
 * ignored.
 *
 * Errors   what was put into call->failure (ERR_BAD_REQUEST mostly).
 * Memory   spans are borrowed from the call until method_run() returns: from
 *          the text of its params, or from its scraps where that has escapes.
 */
#ifndef RUNG_METHODS_PARAMS_H
#define RUNG_METHODS_PARAMS_H

#include "server/methods/methods.h"
#include "store/name.h"

/* False: not given, or null. */
bool param_get(const struct call *call, const char *name, struct jtext *out);
bool param_given(const struct call *call, const char *name);
/* What a JTEXT_STRING says. */
MUST_CHECK enum err param_string(struct call *call, const struct jtext *string,
                                 struct span *out);

/* "'limit' must be a whole number from 1 to 200, got 0"; `got` may be NULL. */
MUST_CHECK enum err param_refuse(struct call *call, const char *name,
                                 const char *accepted, const struct jtext *got);

/* A whole number in min..max. Not given: *out stays as it is. */
MUST_CHECK enum err param_number(struct call *call, const char *name,
                                 uint64_t min, uint64_t max, uint64_t *out);
MUST_CHECK enum err param_flag(struct call *call, const char *name, bool *out);
/* A string of 1..max bytes without control characters; not given: data NULL. */
MUST_CHECK enum err param_text(struct call *call, const char *name, size_t max,
                               struct span *out);
/* The same, required. */
MUST_CHECK enum err param_needed_text(struct call *call, const char *name,
                                      size_t max, struct span *out);
/* [A-Za-z0-9_.@-]{1,64}; not given: data NULL. */
MUST_CHECK enum err param_name(struct call *call, const char *name,
                               struct span *out);
/* One of the `words` (NULL-terminated); *out becomes its index. */
MUST_CHECK enum err param_choice(struct call *call, const char *name,
                                 const char *const *words, int *out);
/* A list of at most `max` names, each followed by one NUL, appended to `out` in
 * byte order, without repetition and without `but` (may be empty). */
MUST_CHECK enum err param_names(struct call *call, const char *name, size_t max,
                                struct span but, struct buf *out);

/* For method_run(), at its end. */
void params_forget(struct scrap *scraps);

#endif
