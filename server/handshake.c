/* What a WebSocket handshake must look like. */
#include "server/handshake.h"

#include "server/origin.h"

#include <ctype.h>

bool handshake_wanted(const struct head *head)
{
    if (span_is(head->method, "OPTIONS"))
        return false;
    return (head->upgrade && head->websocket) || span_is(head->path, WS_PATH);
}

/* base64 of 16 bytes: 22 digits, of which the last has 4 zero bits, and "==".
 */
static bool key_ok(struct span key)
{
    if (key.size != 24 || key.data[22] != '=' || key.data[23] != '=')
        return false;
    for (size_t i = 0; i < 22; i++) {
        unsigned char c = (unsigned char)key.data[i];

        if (!isalnum(c) && c != '+' && c != '/')
            return false;
    }
    return key.data[21] == 'A' || key.data[21] == 'Q' || key.data[21] == 'g' ||
           key.data[21] == 'w';
}

enum err handshake_check(const struct config *config, const struct head *head,
                         struct failure *why)
{
    if (!span_is(head->method, "GET"))
        return fail(why, ERR_METHOD_NOT_ALLOWED,
                    "a WebSocket is opened with GET");
    if (!head->upgrade || !head->websocket || head->minor < 1)
        return fail(why, ERR_UNSUPPORTED_VERSION,
                    "here WebSocket is spoken: ask for it with HTTP/1.1, "
                    "Connection: Upgrade and Upgrade: websocket");
    if (!head->ws_version.data || !span_is(head->ws_version, "13"))
        return fail(why, ERR_UNSUPPORTED_VERSION,
                    "Sec-WebSocket-Version must be 13");
    if (!head->ws_key.data || !key_ok(head->ws_key))
        return fail(why, ERR_BAD_REQUEST,
                    "Sec-WebSocket-Key must be 16 bytes in base64");
    if (head->length || head->transfer_encoding)
        return fail(why, ERR_BAD_REQUEST,
                    "a WebSocket handshake carries no body");
    if (head->ws_protocols && !head->ws_protocol_ok)
        return fail(why, ERR_BAD_REQUEST,
                    "Sec-WebSocket-Protocol must offer " WS_SUBPROTOCOL);
    if (!origin_allowed(config, head))
        return fail(why, ERR_FORBIDDEN,
                    "this Origin may not connect; see allowed_origins");
    return ERR_NONE;
}
