/* conversation.list: the caller's conversations, newest first. */
#ifndef RUNG_METHODS_LIST_H
#define RUNG_METHODS_LIST_H

#include "server/methods/methods.h"

MUST_CHECK enum err conversation_list(struct call *call);

#endif
