/* Trim: what a TRIM entry takes from the log itself. Messages that dedup still
 * needs, and those that number_note (apply.h) needs, become stubs; the other
 * messages go; CREATE, JOIN and LEAVE stay whole.
 */
#ifndef RUNG_STORE_TRIM_H
#define RUNG_STORE_TRIM_H

#include "store/rows.h"

/* Seqs already+1..trim->mark; call before apply_entry(). */
MUST_CHECK enum err trim_log(const struct tx *tx, const struct entry *trim,
                             uint64_t already, struct buf *scratch);
/* Must a trimmed message leave a stub? */
MUST_CHECK enum err trim_keeps_stub(const struct tx *tx,
                                    const struct entry *message, bool *keeps);

#endif
