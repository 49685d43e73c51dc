/* message.history: one conversation by seq, forward or backward. */
#ifndef RUNG_METHODS_HISTORY_H
#define RUNG_METHODS_HISTORY_H

#include "server/methods/methods.h"

MUST_CHECK enum err message_history(struct call *call);

#endif
