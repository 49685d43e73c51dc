/* What a Socket.IO client shows to have its connection recovered: a nonce and a
 * seal over it and over who it is, under a key that all nodes derive from the
 * app's own. So a server need not remember it, not over a restart and not for
 * another node.
 *
 * It is no credential: a token is asked for besides. While its connection lives
 * on this server, nobody else gets it.
 *
 * Threads  any; those in use are one table of the process.
 */
#ifndef RUNG_SOCKETIO_PID_H
#define RUNG_SOCKETIO_PID_H

#include "server/auth.h"

#define PID_CHARS 64 /* 16 bytes of nonce and 32 of seal, in base64url */

struct pid {
    char text[PID_CHARS + 1]; /* "": none */
};

/* A new one, in use from now on. */
MUST_CHECK enum err pid_issue(struct pid *out, const struct config *config,
                              const struct identity *who);
enum pid_found {
    PID_WRONG, /* it was not issued to this identity */
    PID_BUSY,  /* it was, and its connection lives */
    PID_TAKEN, /* it was: in use from now on */
};

/* *out is set when it is taken. */
MUST_CHECK enum pid_found pid_take(struct pid *out, struct span text,
                                   const struct config *config,
                                   const struct identity *who);
/* Its connection has ended; "": nothing. */
void pid_release(struct pid *pid);

#endif
