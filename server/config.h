/* Every setting in one struct, grown from one table: default, unit, allowed
 * range, help. The same table makes the flags (--user-rate), the environment
 * (RUNG_USER_RATE), the JSON config file ("user_rate") and the page in
 * docs/OPERATIONS.md (`rung serve --settings-markdown`). Flags beat environment
 * beats file beats default.
 *
 * Units    in each name.
 * Errors   ERR_BAD_REQUEST with a message that names the option as the user
 *          wrote it, what was given and what is accepted.
 *          ERR_NOMEM, or ERR_IO for a demo key that cannot be read or made.
 * Threads  filled before threads start. SIGHUP makes a new `struct config` and
 *          hands it over whole; readers hold a reference.
 * Memory   config_load() gives an owned config; config_unref() frees it. All
 *          strings belong to the config.
 */
#ifndef RUNG_CONFIG_H
#define RUNG_CONFIG_H

#include "server/base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum durability { DURABILITY_SYNC, DURABILITY_RELAXED };

/* T(field, type, default text, min, max, help); `type` is TEXT, NUMBER, FLAG or
 * CHOICE (min/max are 0; the accepted words stand in the help's brackets). */
#define SETTINGS(T)                                                            \
    T(listen, TEXT, "localhost:8080", 0, 0,                                    \
      "HOST:PORT to listen on; port 0 takes a free one and prints it")         \
    T(listen_tcp, TEXT, "", 0, 0,                                              \
      "HOST:PORT for raw TCP, a JSON object a line; empty: none")              \
    T(data, TEXT, "./data", 0, 0, "directory of the message log")              \
    T(workers, NUMBER, "0", 0, 256, "worker threads; 0 means one per core")    \
    T(demo, FLAG, "false", 0, 0,                                               \
      "enable the app \"demo\" and its login by name")                         \
    T(durability, CHOICE, "sync", 0, 0,                                        \
      "[sync|relaxed] sync: a reply means fsynced; relaxed: fsync at an "      \
      "interval, and replies say so")                                          \
    T(sync_interval_ms, NUMBER, "100", 1, 60000,                               \
      "fsync interval with --durability relaxed")                              \
    T(map_size_mb, NUMBER, "65536", 1, 16777216,                               \
      "largest size of the log's map (address space, not disk), in MiB")       \
    T(max_connections, NUMBER, "100000", 1, 10000000,                          \
      "connections in all; more are refused")                                  \
    T(max_connections_per_address, NUMBER, "0", 0, 10000000,                   \
      "connections of one IP address (of IPv6, one /64); 0: no limit, for "    \
      "behind a proxy all have its address")                                   \
    T(header_timeout_ms, NUMBER, "10000", 100, 600000,                         \
      "time a peer has for a request's head, and for the first ws frame")      \
    T(body_timeout_ms, NUMBER, "30000", 100, 600000,                           \
      "time a peer has for a request's body or a ws message, and to take "     \
      "an answer")                                                             \
    T(idle_timeout_ms, NUMBER, "75000", 1000, 3600000,                         \
      "time a keep-alive connection may wait between two requests")            \
    T(max_message_bytes, NUMBER, "65536", 1024, 16777216,                      \
      "largest request body or ws frame, and so message")                      \
    T(connection_rate, NUMBER, "1000", 1, 10000000,                            \
      "requests per second of one connection (burst: twice that)")             \
    T(user_rate, NUMBER, "2000", 1, 10000000,                                  \
      "requests per second of one user (burst: twice that)")                   \
    T(max_parked_per_user, NUMBER, "1000", 1, 1000000,                         \
      "parked long polls and open streams of one user")                        \
    T(heartbeat_ms, NUMBER, "25000", 100, 600000,                              \
      "interval of heartbeats, with jitter of a tenth below it")               \
    T(token_grace_ms, NUMBER, "5000", 0, 600000,                               \
      "how long a stream outlives its expired token")                          \
    T(bye_spread_ms, NUMBER, "5000", 0, 600000,                                \
      "a draining server tells each client a delay of up to this")             \
    T(drain_timeout_ms, NUMBER, "10000", 100, 600000,                          \
      "time for in-flight requests to end after SIGTERM")                      \
    T(retention_interval_ms, NUMBER, "60000", 50, 86400000,                    \
      "how often retention is applied")                                        \
    T(retention_max_count, NUMBER, "0", 0, 9007199254740991,                   \
      "entries kept per conversation unless it says otherwise; 0 keeps all")   \
    T(retention_max_age_s, NUMBER, "0", 0, 9007199254740991,                   \
      "age kept per conversation unless it says otherwise; 0 keeps all")       \
    T(stream_max_bytes, NUMBER, "67108864", 4096, 9007199254740991,            \
      "a stream is recycled after so many bytes")                              \
    T(stream_max_ms, NUMBER, "3600000", 100, 86400000,                         \
      "a stream is recycled after so long")                                    \
    T(allowed_origins, TEXT, "", 0, 0,                                         \
      "origins besides the own host, comma-separated; * allows every one")     \
    T(socketio_path, TEXT, "/socket.io/", 0, 0,                                \
      "where Socket.IO is spoken; nowhere when empty")                         \
    T(socketio_v3, FLAG, "false", 0, 0,                                        \
      "let in Socket.IO clients of Engine.IO 3 (socket.io-client 2.x)")        \
    T(socketio_ping_interval_ms, NUMBER, "25000", 100, 600000,                 \
      "how long after the last one a Socket.IO client is pinged")              \
    T(socketio_ping_timeout_ms, NUMBER, "20000", 100, 600000,                  \
      "time a Socket.IO client has to answer a ping")                          \
    T(socketio_max_payload_bytes, NUMBER, "1000000", 1024, 16777216,           \
      "largest Socket.IO payload: one POST, one frame")                        \
    T(socketio_max_waiting_bytes, NUMBER, "4194304", 65536, 1073741824,        \
      "what waits for one Socket.IO client to take it, at most")               \
    T(socketio_max_sessions, NUMBER, "100000", 1, 10000000,                    \
      "Socket.IO clients of one worker")                                       \
    T(web, TEXT, "", 0, 0,                                                     \
      "serve the page from this directory instead of the built-in files")      \
    T(trace_points, NUMBER, "4096", 0, 1048576,                                \
      "deliveries that each worker remembers for rung trace; 0: none")         \
    T(stall_ms, NUMBER, "5000", 100, 600000,                                   \
      "/healthz fails when a worker or the sequencer is silent for so long")   \
    T(queue_wait_ms, NUMBER, "5000", 1000, 600000,                             \
      "time a message may wait to be stored; then it is refused, overloaded")  \
    T(log_level, CHOICE, "info", 0, 0,                                         \
      "[error|warn|info|debug] the least serious diagnostics that are "        \
      "printed")                                                               \
    T(log_format, CHOICE, "text", 0, 0,                                        \
      "[text|json] how diagnostics are printed, on stderr")

#define CONFIG_TEXT const char *
#define CONFIG_NUMBER uint64_t
#define CONFIG_FLAG bool
#define CONFIG_CHOICE int /* index of the word in its brackets */

struct app_config; /* an app's keys; see auth.h */

struct config {
#define T(field, type, fallback, min, max, help) CONFIG_##type field;
    SETTINGS(T)
#undef T
    /* Only from the config file: "apps": {"<app>": {"hs256": ["secret", …],
     * "public_keys": ["<PEM or path of a PEM file>", …]}}. With --demo an app
     * "demo" with a random secret exists besides, kept in <data>/demo.key (mode
     * 0600) so that demo tokens outlive a restart. */
    struct app_config *apps;
    size_t app_count;
    char *path; /* of the config file, or NULL */
    atomic_int refs;
};

/* Read argv (from the subcommand on: argv[0] is "serve"), environment and file.
 * `--help` prints to stdout and gives ERR_END; so do --check-config (after
 * checking, prints "ok") and --settings-markdown. argv is copied. */
MUST_CHECK enum err config_load(struct config **out, int argc, char **argv,
                                struct failure *why);
/* Defaults only, for tests and for tools. */
MUST_CHECK enum err config_defaults(struct config **out);
/* The same flags and environment with the file read anew (SIGHUP). */
MUST_CHECK enum err config_reload(struct config **out, const struct config *old,
                                  struct failure *why);
/* One more key for `app`, which is made if need be: an HS256 secret or a public
 * key's PEM text (the other NULL). Only while one thread knows the config.
 * ERR_BAD_REQUEST: a bad name, a key that we cannot use. */
MUST_CHECK enum err config_add_key(struct config *config, const char *app,
                                   const char *hs256, const char *pem,
                                   struct failure *why);
/* The keys of an app, or NULL. */
const struct app_config *config_app(const struct config *config,
                                    const char *app);
struct config *config_ref(struct config *config);
void config_unref(struct config *config);

#endif
