/* A transport: one way of moving a cursor along the log.
 *
 * The table below is all that the server knows of a transport. Every call
 * happens on the loop thread of the worker that made the carrier. An
 * implementation embeds struct carrier, finds itself with container_of, and
 * ends with its table, so that the bottom of the file is its summary.
 *
 * deliver_note: deliver() is called while the hub delivers a round. It may close
 * and free its own carrier, and no other.
 */
#ifndef RUNG_TRANSPORT_H
#define RUNG_TRANSPORT_H

#include "server/session.h"

/* A stream that is behind reads the log in bursts of so many bytes, and so many
 * of them before the other connections get their turn. */
#define BURST_BYTES (64u << 10)
#define BURSTS_AT_ONCE 16

struct request; /* an HTTP request, see request.h */

/* Why the server ends a carrier. */
struct farewell {
    const char *reason;  /* "draining", "token_expired", "not_member",
                            "recycled", "unavailable" */
    const char *message; /* words */
    uint32_t retry_after_ms;
    bool come_back; /* reconnect with the cursor; false: not as you are */
};

struct transport {
    const char *name; /* in counters and the URL: "longpoll" → /v1/longpoll */
    enum carried_by by;
    bool stream;   /* greets with hello, gets heartbeats */
    bool own_port; /* is there only when a port for it is configured */

    /* HTTP transports: GET /v1/<name> arrived, identity already checked. Owns
     * the request from here on (answers it, also when it fails). NULL for
     * websocket, which is opened by its host. */
    void (*open)(struct worker *worker, struct request *request,
                 const struct identity *who, const struct follow *follow);

    /* A level carrier gets what one round of commits has for it. Borrowed burst
     * (ref it to keep it). The carrier's cursor is already beyond it. If the peer
     * cannot take it all, keep the rest and call carrier_behind(). NULL for
     * poll. */
    void (*deliver)(struct carrier *carrier, struct burst *burst);

    /* There is more in the log than deliver() may carry at once: the carrier is
     * behind; read on with carrier_next(). NULL for poll. */
    void (*wake)(struct carrier *carrier);

    /* The beat fired. Streams: send a heartbeat with carrier_at() (only called
     * when level). Parked polls: deadline reached, answer empty. */
    void (*beat)(struct carrier *carrier);

    /* Say goodbye for `why`, close the carrier and free it, at once or when the
     * library lets go of it (carrier_close() at once). NULL for poll. */
    void (*end)(struct carrier *carrier, const struct farewell *why);
};

/* The list of transports, NULL-terminated (table.c: the only place that knows
 * them all). */
extern const struct transport *const transports[];
const struct transport *transport_find(struct span name); /* or NULL */

#endif
