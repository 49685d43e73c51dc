/* What the parts of the conformance server share. */
#ifndef RUNG_CONFORMANCE_H
#define RUNG_CONFORMANCE_H

#include <stdbool.h>
#include <stdint.h>

struct config;
struct eio_options;
struct eio_server;
struct place;
struct ws_handler;

/* From the command line, before any thread starts. */
struct conformance_options {
    const char *port;
    uint32_t ping_interval_ms, ping_timeout_ms;
    uint64_t max_payload;
    uint32_t connect_timeout_ms;
    bool recovery, eio3;
};
extern struct conformance_options conformance;

extern const struct ws_handler echo_handler;  /* echo.c */
extern const struct eio_server engine_server; /* engine.c */
extern const struct eio_server chat_server;   /* chat.c */
extern const struct place pubsub_place;       /* pubsub.c */
void conformance_eio(const struct config *config, struct eio_options *out);

#endif
