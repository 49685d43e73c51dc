/* Apply: what an accepted entry does to the derived tables. It trusts the entry
 * (decide.h made the decisions and wrote them into it) and reads nothing but
 * the entry and the tables, so that applying the log again makes the same
 * tables, byte for byte.
 *
 * number_note: users are numbered in the order of their first appearance in a
 * *kept* entry. CREATE, JOIN and LEAVE stay whole for ever; a MESSAGE may be
 * trimmed, so trim.c keeps a stub of each message that created its conversation
 * or numbered its sender. Replaying a trimmed log thus numbers alike.
 */
#ifndef RUNG_STORE_APPLY_H
#define RUNG_STORE_APPLY_H

#include "store/rows.h"

/* from_no: the sender's number when the caller knows it, else 0. Touches every
 * table but `meta` and `log`. ERR_DAMAGED: the entry does not fit the tables.
 */
MUST_CHECK enum err apply_entry(const struct tx *tx, const struct entry *entry,
                                uint64_t from_no);

#endif
