/* The demo's walls: which transports a device may not use, so that one sees a
 * client look for another. Only `rung serve --demo` ever builds one.
 *
 * Threads  any. A wall is asked for without a lock, and where none was ever
 *          built that is one load.
 * Memory   a fixed table; it ends with the process.
 */
#ifndef RUNG_DEMO_RUNGS_H
#define RUNG_DEMO_RUNGS_H

#include "server/auth.h"
#include "server/metrics.h"

enum demo_way {
    DEMO_OPEN,
    DEMO_BLOCKED,  /* connections are cut without an answer */
    DEMO_BUFFERED, /* they are answered 200, and nothing ever comes through */
};

/* Bits are 1 << enum carried_by. A device that has no name is "default".
 * ERR_OVERLOADED: there are walls for too many devices. */
MUST_CHECK enum err demo_rungs_set(const struct identity *who, uint32_t blocked,
                                   uint32_t buffered);
enum demo_way demo_rungs_way(const struct identity *who, enum carried_by by);

#endif
