/* conversation.create: a group or a channel. */
#ifndef RUNG_METHODS_CREATE_H
#define RUNG_METHODS_CREATE_H

#include "server/methods/methods.h"

MUST_CHECK enum err conversation_create(struct call *call);

#endif
