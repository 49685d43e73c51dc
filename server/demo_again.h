/* The demo's death: the process ends as by kill -9, and begins again.
 *
 * It replaces itself (execve): every thread, socket and buffer is gone in one
 * step of the kernel's and nothing is told, flushed or closed first, as when it
 * is killed. The process keeps its number, so whoever started it, a shell, make
 * or systemd, notices nothing, and nobody has to watch it.
 *
 * Threads  demo_again_ready(), demo_again_alive(): the main thread, before
 *          others start.
 *          demo_again(): any.
 */
#ifndef RUNG_DEMO_AGAIN_H
#define RUNG_DEMO_AGAIN_H

#include "server/base/err.h"

#include <stdint.h>

#define DEMO_DOWN_MAX_MS 30000

/* Remember how this process was started (argv[0] is "serve"; borrowed for
 * ever). When it is one that begins again, this is where it stays dead for a
 * while; a SIGTERM then ends it, with status 0. */
void demo_again_ready(int argc, char **argv);

/* There are handlers for signals: those that came since the death come now. */
void demo_again_alive(void);

/* Die; be back on the port of `url` after down_ms. Returns only if it cannot:
 * why. */
enum err demo_again(const char *listen, const char *url, uint64_t down_ms,
                    struct failure *why);

#endif
