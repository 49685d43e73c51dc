/* Telling the server what has been received, so that senders see `delivered`:
 * coalesced, at most once a second. A stream needs this; a poll acknowledges by
 * the cursor that it presents next.
 *
 * Errors   an acknowledgement that fails is dropped: a later one covers it.
 * Threads  one at a time; a call blocks for one request, 2 s at most.
 * Memory   borrows the device; keeps a connection of its own, as the remote's
 *          is busy with the stream.
 */
#ifndef RUNG_ACK_H
#define RUNG_ACK_H

#include "server/cli/position.h"
#include "server/cli/remote.h"

struct ack {
    struct http_client *http;
    const char *device; /* or NULL */
    uint64_t sent_ms;
    bool due;
};

MUST_CHECK enum err ack_open(struct ack *out, const char *device);
void ack_close(struct ack *ack);
/* There is something to acknowledge. */
void ack_due(struct ack *ack);
/* Acknowledge all up to `position`, if that is due and, unless `last`, not too
 * soon after the one before. */
void ack_send(struct ack *ack, const struct remote *remote,
              const struct position *position, bool last);

#endif
