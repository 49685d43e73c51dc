/* The conversation a call speaks of, and what the caller may see of it.
 *
 * What exists and is not yours: a group of your app and inbox says not_member,
 * as does any conversation between two other people, existing or not; whatever
 * lies in another inbox or app is not_found.
 *
 * Errors   what was put into call->failure.
 * Memory   a target points into itself: do not copy it. target.conv is borrowed
 *          from the reader until reader_end().
 */
#ifndef RUNG_METHODS_TARGET_H
#define RUNG_METHODS_TARGET_H

#include "server/methods/methods.h"
#include "store/name.h"
#include "store/reader.h"

struct target {
    char text[CONVERSATION_MAX_BYTES];
    struct span name;       /* canonical, into text */
    struct conv_name parts; /* spans into text */
    bool by_number;         /* named by its short_id */
    bool exists;
    struct conversation conv; /* when it exists */
};

/* From the parameter `conversation`: a name or a short_id. Tells whether the
 * caller may name it at all, not whether it exists. No reader may be begun. */
MUST_CHECK enum err target_named(struct call *call, struct target *out);
/* The caller and one other user, in the caller's inbox. */
void target_of_two(struct call *call, struct span other, struct target *out);
/* Look it up: fills exists and conv. A conversation of two that has no entry
 * yet is a success that does not exist. The reader is begun. */
MUST_CHECK enum err target_look(struct call *call, struct reader *reader,
                                struct target *target);

/* The seqs a viewer may read, ascending, apart from each other, and kept. */
#define SIGHT_MAX 64
struct sight {
    struct {
        uint64_t from, to;
    } ranges[SIGHT_MAX];
    size_t count;
    bool present; /* in it now */
    bool ever;    /* in it now or once */
};
MUST_CHECK enum err sight_of(struct reader *reader, const struct viewer *viewer,
                             const struct conversation *conv,
                             struct sight *out);
uint64_t sight_first(const struct sight *sight); /* 0: nothing to be seen */
uint64_t sight_last(const struct sight *sight);

#endif
