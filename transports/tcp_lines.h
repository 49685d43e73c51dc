/* Lines taken apart from bytes that come in any pieces; and whether it is JSON
 * objects that are spoken at all, which the first byte tells.
 *
 * Units    bytes; a line without its end, LF or CRLF.
 * Errors   whatever is not LINES_LINE or LINES_MORE is for good: the connection
 *          must be closed.
 * Threads  pure.
 * Memory   a line points into what was given, or into the struct when it came
 * in parts. It is valid until the next call.
 */
#ifndef RUNG_TCP_LINES_H
#define RUNG_TCP_LINES_H

#include "server/base/buf.h"

/* All zero: nothing has come yet. */
struct tcp_lines {
    struct buf part; /* of a line that has come in part */
    bool spoken;     /* its first byte has come, and is right */
    bool handed;     /* `part` was the last line */
};

enum lines_found {
    LINES_MORE, /* everything is taken */
    LINES_LINE,
    LINES_FOREIGN, /* the first byte that is not blank is no '{' */
    LINES_TOO_LARGE,
    LINES_NO_MEMORY,
};

/* Take the next line of at most `max` bytes that is not empty from the *size
 * bytes at *data, and move both on. */
enum lines_found tcp_lines_next(struct tcp_lines *in, size_t max,
                                const char **data, size_t *size,
                                struct span *line);
/* Nothing more comes: the line that nothing ended. False: there is none. */
bool tcp_lines_rest(struct tcp_lines *in, struct span *line);
void tcp_lines_fini(struct tcp_lines *in);

#endif
