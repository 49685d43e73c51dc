/* What an operator asks: /healthz and /metrics. Threads: any worker's loop;
 * what it reads of others is atomic. */
#ifndef RUNG_HEALTH_H
#define RUNG_HEALTH_H

#include "transports/request.h"

/* 200 or 503 with {"status","workers":[{"silent_ms"}…],"sequencer":{…}}: silent
 * for longer than stall_ms is stalled. */
void health_serve(struct request *request);
/* Prometheus text. */
void metrics_serve(struct request *request);

#endif
