/* The demo's files: built in, or with --web from a directory, read anew each
 * time so that who edits them sees the change.
 *
 * Threads  the worker's loop (a small read of a local file may block it: --web
 *          is for development).
 */
#ifndef RUNG_PAGES_H
#define RUNG_PAGES_H

#include "transports/request.h"

/* Answers; false when there is no such file. */
bool pages_serve(struct request *request);

#endif
