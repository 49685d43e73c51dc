/* What the files of jtext.h share: the place of a scan, and what each of them
 * scans for the others.
 *
 * Errors   a scan returns false when the text is refused, or memory was short
 *          (which `short_of_memory` says).
 * Threads  pure functions; a scan is its caller's.
 * Memory   spans point into the text, which is borrowed; members are kept in the
 *          caller's struct, and nothing is allocated that outlives a scan.
 */
#ifndef RUNG_JTEXT_INSIDE_H
#define RUNG_JTEXT_INSIDE_H

#include "server/jtext.h"

struct jtext_scan {
    const char *at, *end;
    const char *inner_name;     /* of the outermost object's member … */
    struct jtext_object *inner; /* … whose members are kept here, or NULL */
    struct jtext_object *keep;  /* for the value that comes next */
    unsigned depth;
    bool loose; /* only the grammar counts: see jtext_read_loose(); and in
                   what was accepted before, nothing else is looked at */
    jtext_visit *visit; /* NULL: nobody asks */
    void *arg;
    bool canonical; /* of the value being scanned, so far */
    bool short_of_memory;
};

static inline bool jtext_take(struct jtext_scan *scan, char c)
{
    if (scan->at == scan->end || *scan->at != c)
        return false;
    scan->at++;
    return true;
}

/* Behind the opening quote; to behind the closing one. */
bool jtext_scan_string(struct jtext_scan *scan, struct jtext *out);
bool jtext_scan_number(struct jtext_scan *scan, enum jtext_kind *kind);

/* Strings by what they say: the order of their bytes, a beginning before its
 * whole. */
int jtext_compare(const struct jtext *a, const struct jtext *b);

#endif
