/* message.trace, for message.c's table. */
#ifndef RUNG_METHODS_TRACE_H
#define RUNG_METHODS_TRACE_H

#include "server/methods/methods.h"

MUST_CHECK enum err message_trace(struct call *call);

#endif
