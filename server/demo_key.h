/* The secret of the app "demo": random, made on first use, kept beside the log
 * so that demo tokens outlive a restart.
 *
 * Errors   ERR_IO, naming the file. Threads: any, but one process at a time.
 * Memory   copied into what the caller provides.
 */
#ifndef RUNG_DEMO_KEY_H
#define RUNG_DEMO_KEY_H

#include "server/base/err.h"

#define DEMO_KEY_ROOM 65 /* 64 hex digits, terminated */

/* Read <data>/demo.key; where there is none, make it (mode 0600), and the
 * directory, too. */
MUST_CHECK enum err demo_key_get(char secret[DEMO_KEY_ROOM], const char *data,
                                 struct failure *why);

#endif
