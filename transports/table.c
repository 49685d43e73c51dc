/* The list of transports: the only place that knows them all. */
#include "transports/transport.h"

extern const struct transport websocket_transport;
extern const struct transport sse_transport;
extern const struct transport longpoll_transport;
extern const struct transport poll_transport;
extern const struct transport stream_transport;
extern const struct transport multipart_transport;
extern const struct transport iframe_transport;
extern const struct transport jsonp_transport;
extern const struct transport tcp_transport;
extern const struct transport socketio_transport;

const struct transport *const transports[] = {
    &websocket_transport,
    &sse_transport,
    &longpoll_transport,
    &poll_transport,
    &stream_transport,
    &multipart_transport,
    &iframe_transport,
    &jsonp_transport,
    &tcp_transport,
    &socketio_transport,
    NULL,
};

const struct transport *transport_find(struct span name)
{
    for (size_t i = 0; transports[i]; i++)
        if (span_is(name, transports[i]->name))
            return transports[i];
    return NULL;
}
