/* A worker without transports, for tests of the hub: a real store, a real
 * sequencer, and carriers that only take notes.
 *
 * Two ways to write: house_commit() writes one commit of exactly these entries
 * and leaves it to the test when the worker hears of it (or whether at all);
 * house_submit() goes through the sequencer. Every failure fails the test.
 */
#ifndef RUNG_TESTS_GIVEN_HOUSE_H
#define RUNG_TESTS_GIVEN_HOUSE_H

#include "server/hub.h"
#include "server/worker.h"
#include "transports/transport.h"

#include <jansson.h>

struct house {
    char dir[64];
    struct server server;
    struct worker worker;
    struct worker *workers[1];
    struct port *ports[1];
    struct store *store;
};

struct house *given_house(void);
void end_house(struct house *house);

/* --- writing -------------------------------------------------------------- */

/* Entries of the app "demo"; their texts are the caller's. */
struct entry saying(const char *user, const char *conversation,
                    const char *json);
struct entry changing(enum entry_kind kind, const char *by,
                      const char *conversation, struct span users);
struct entry marking(enum entry_kind kind, const char *user,
                     const char *conversation, uint64_t seq);

/* On the disk in one commit; the worker has not heard of it. Each entry must be
 * accepted. */
struct commit *house_commit(struct house *house, const struct entry *entries,
                            size_t count);
/* Now it has; takes the commit. */
void house_announce(struct house *house, struct commit *commit);
/* Both. The lsn of the entry. */
lsn house_write(struct house *house, const struct entry *entry);

/* Through the sequencer, until it is answered. */
struct applied house_submit(struct house *house, const struct entry *entry);
/* Until the worker has heard of all that is on the disk and the sequencer has
 * nothing to do. */
void house_hear(struct house *house);
/* Let so much time pass for the worker's timers. */
void house_wait(struct house *house, uint64_t ms);

/* --- listening ------------------------------------------------------------ */

struct note {
    struct carrier carrier;
    json_t *events; /* everything received, in order */
    bool blocked;   /* the peer takes nothing */
    char *ended;    /* the reason of its end */
    lsn left_at;    /* the cursor that a poll's last answer would carry */
};

enum err try_open(struct house *house, struct note *note, const char *user,
                  const struct follow *follow); /* on the phone */
enum err try_open_on(struct house *house, struct note *note, const char *user,
                     const char *device, const struct follow *follow);
void open_note(struct house *house, struct note *note, const char *user,
               const char *cursor);
void open_chain(struct house *house, struct note *note, const char *user,
                const char *conversation, const char *after);
void read_on(struct note *note);
void end_note(struct note *note);
/* "hi there joined": messages by text, changes and receipts by kind, in the
 * order received. Valid until the next call. */
const char *heard(const struct note *note);
const char *cursor_at(const struct house *house, lsn at);

#endif
