/* The tables of rung.mdb (docs/FORMAT.md), in one list: name, flags, whether
 * the log makes it (a derived table can be dropped and rebuilt).
 */
#ifndef RUNG_STORE_TABLES_H
#define RUNG_STORE_TABLES_H

/* X(NAME, "name", integer keys, derived) */
#define TABLE_LIST(X)                                                          \
    X(META, "meta", 0, 0)                                                      \
    X(LOG, "log", 1, 0)                                                        \
    X(CHAIN, "chain", 0, 1)                                                    \
    X(CONVERSATIONS, "conversations", 0, 1)                                    \
    X(CONVERSATION_NAMES, "conversation_names", 0, 1)                          \
    X(USERS, "users", 0, 1)                                                    \
    X(STINTS, "stints", 0, 1)                                                  \
    X(MEMBERS, "members", 0, 1)                                                \
    X(MARKS, "marks", 0, 1)                                                    \
    X(RECEIPTS, "receipts", 0, 1)                                              \
    X(DEDUP, "dedup", 0, 1)                                                    \
    X(CLIENT_SEQS, "client_seqs", 0, 1)

enum table {
#define X(name, text, integer, derived) TABLE_##name,
    TABLE_LIST(X)
#undef X
        TABLE_COUNT
};

const char *table_name(enum table table);
int table_is_derived(enum table table);

#endif
