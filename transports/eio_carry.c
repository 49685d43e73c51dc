/* Exchanges: a request's way to the worker that has its session, and its
 * answer's way back. The errands of one exchange go one after the other over
 * the same two mailboxes, so they arrive in the order in which they left. */
#include "transports/eio_carry.h"

#include "server/guests.h"

#include <string.h>

/* --- home ---------------------------------------------------------------- */

static void exchange_free(struct eio_exchange *exchange)
{
    eio_ask_fini(&exchange->ask);
    guests_end_session(exchange->home->server->guests, exchange->guest);
    buf_fini(&exchange->copy);
    buf_fini(&exchange->answer);
    mem_free(exchange);
}

static void maybe_free(struct eio_exchange *exchange)
{
    if (exchange->ended && !exchange->away && !exchange->routing)
        exchange_free(exchange);
}

static void reply(struct eio_exchange *exchange, struct span body)
{
    struct reply reply = {
        .status = exchange->status,
        .type = exchange->type,
        .body = body,
        .for_anyone = true,
    };

    exchange->ended = true;
    if (exchange->request)
        request_reply(exchange->request, &reply);
    exchange->request = NULL;
}

/* --- errands ------------------------------------------------------------- */

static void back(struct errand *errand, struct worker *worker,
                 struct eio_exchange *exchange)
{
    (void)errand;
    worker_call_ends(worker);
    exchange->away--;
}

static void expecting_back(struct errand *errand, struct worker *worker)
{
    struct eio_exchange *exchange =
        container_of(errand, struct eio_exchange, expecting);

    back(errand, worker, exchange);
    maybe_free(exchange);
}

static void asking_back(struct errand *errand, struct worker *worker)
{
    struct eio_exchange *exchange =
        container_of(errand, struct eio_exchange, asking);

    back(errand, worker, exchange);
    reply(exchange,
          (struct span){exchange->answer.data, exchange->answer.size});
    maybe_free(exchange);
}

static void forgetting_back(struct errand *errand, struct worker *worker)
{
    struct eio_exchange *exchange =
        container_of(errand, struct eio_exchange, forgetting);

    back(errand, worker, exchange);
    exchange->ended = true;
    maybe_free(exchange);
}

static void send_back(struct eio_exchange *exchange, struct errand *errand,
                      void (*run)(struct errand *, struct worker *))
{
    errand->run = run;
    worker_send(exchange->home, errand);
}

static void expecting_there(struct errand *errand, struct worker *worker)
{
    struct eio_exchange *exchange =
        container_of(errand, struct eio_exchange, expecting);

    eio_take_expected(worker->eio, exchange);
    send_back(exchange, errand, expecting_back);
}

static void asking_there(struct errand *errand, struct worker *worker)
{
    struct eio_exchange *exchange =
        container_of(errand, struct eio_exchange, asking);

    exchange->asked = true;
    eio_take(worker->eio, exchange);
}

/* Its answer may be on its way already; if not, it comes back unanswered. */
static void forgetting_there(struct errand *errand, struct worker *worker)
{
    struct eio_exchange *exchange =
        container_of(errand, struct eio_exchange, forgetting);
    bool waits = exchange->asked && !exchange->answered;

    (void)worker;
    if (!exchange->answered)
        eio_take_left(exchange);
    if (waits)
        send_back(exchange, &exchange->asking, asking_back);
    send_back(exchange, errand, forgetting_back);
}

static void send_there(struct eio_exchange *exchange, struct errand *errand,
                       void (*run)(struct errand *, struct worker *))
{
    exchange->away++;
    worker_call_begins(exchange->home);
    errand->run = run;
    worker_send(exchange->there, errand);
}

/* --- there --------------------------------------------------------------- */

void eio_answer(struct eio_exchange *exchange, int status, const char *type,
                struct span body)
{
    if (exchange->answered)
        return;
    exchange->answered = true;
    exchange->status = status;
    exchange->type = type;
    if (exchange->home == exchange->there) {
        reply(exchange, body);
        maybe_free(exchange);
        return;
    }
    buf_append_span(&exchange->answer, body);
    if (buf_status(&exchange->answer)) {
        exchange->status = 503;
        buf_reset(&exchange->answer);
    }
    send_back(exchange, &exchange->asking, asking_back);
}

/* --- what a request does ------------------------------------------------- */

struct eio_exchange *eio_exchange_create(struct worker *home,
                                         struct eio_ask *ask)
{
    struct eio_exchange *exchange = mem_zalloc(sizeof(*exchange));

    if (!exchange) {
        eio_ask_fini(ask);
        return NULL;
    }
    eio_exchange_init(exchange);
    exchange->ask = *ask;
    exchange->home = home;
    exchange->there = eio_owner(home, ask);
    buf_init(&exchange->copy, SIZE_MAX / 2);   /* the body is bounded */
    buf_init(&exchange->answer, SIZE_MAX / 2); /* and so are packets */
    return exchange;
}

void eio_exchange_expect(struct eio_exchange *exchange)
{
    if (exchange->home == exchange->there)
        eio_take_expected(exchange->home->eio, exchange);
    else
        send_there(exchange, &exchange->expecting, expecting_there);
}

static void gone(void *owner)
{
    struct eio_exchange *exchange = owner;

    exchange->request = NULL;
    if (exchange->home != exchange->there) {
        send_there(exchange, &exchange->forgetting, forgetting_there);
        return;
    }
    eio_take_left(exchange);
    exchange->ended = true;
    maybe_free(exchange);
}

void eio_exchange_lost(struct eio_exchange *exchange)
{
    gone(exchange);
}

static bool copy_body(struct eio_exchange *exchange)
{
    buf_append_span(&exchange->copy, exchange->body);
    exchange->body = (struct span){exchange->copy.data, exchange->copy.size};
    return !buf_status(&exchange->copy);
}

void eio_exchange_run(struct eio_exchange *exchange, struct request *request)
{
    exchange->request = request;
    exchange->body = request_body(request);
    exchange->routing = true;
    if (exchange->home == exchange->there) {
        eio_take(exchange->home->eio, exchange);
    } else if (copy_body(exchange)) {
        send_there(exchange, &exchange->asking, asking_there);
    } else {
        exchange->status = 503;
        exchange->type = "application/json";
        reply(exchange, SPAN("{}"));
    }
    exchange->routing = false;
    if (exchange->ended)
        maybe_free(exchange);
    else
        request_park(request, gone, exchange);
}
