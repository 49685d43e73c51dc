/* Is it what was sent, all of it, once, in order? And how late?
 *
 * A payload is "~", the side (1 digit), the room (7 hex digits), its number
 * (8), when it was made (10), filling, "|". In the rooms shape each follower
 * expects the next number of each side of its room. In the fan-out the first
 * follower to get its k-th message says what the k-th is, and for all the
 * others the k-th must be the same one.
 *
 * same_note: followers of one channel are sent the same bytes over and over.
 * The caller remembers the last bytes and what they meant; when the next
 * follower gets equal bytes and stands at the same place, check_again() counts
 * them unread.
 */
#define _GNU_SOURCE /* memmem() */
#include "bench/load/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOT_MAX (1u << 20) /* latencies are counted by the microsecond … */
#define SLOTS (SLOT_MAX + 4096) /* … and beyond 1 s by 16 ms */

/* One message of the fan-out. */
struct sent {
    uint64_t id; /* side and number */
    uint64_t made_us;
    uint32_t copies;
};

uint64_t published, completed, deliveries, slowest_us, delivered_us;
uint64_t lost, twice, reordered;
void (*on_completed)(unsigned room, unsigned side);

static struct sent *order;
static size_t order_count, order_room;
static uint32_t *numbers; /* the next of each room's side, or publisher */
static uint8_t *copies;   /* rooms: of the message under way, of each side */
static uint32_t *latency, *due_numbers;
static uint64_t latency_count;
static bool measuring;

void check_init(void)
{
    size_t sources = plan.shape == SHAPE_FANOUT ? plan.publishers + 1
                                                : (size_t)plan.rooms * 2;

    numbers = calloc(sources, sizeof(*numbers));
    due_numbers = calloc(sources, sizeof(*due_numbers));
    copies = calloc(sources, 1);
    latency = calloc(SLOTS, sizeof(*latency));
    if (!numbers || !copies || !latency || !due_numbers)
        die("out of memory");
}

/* --- making -----------------------------------------------------------------
 */

static void put_hex(char *out, uint64_t value, int digits)
{
    while (digits-- > 0) {
        out[digits] = "0123456789abcdef"[value & 15];
        value >>= 4;
    }
}

size_t check_make(char *out, unsigned room, unsigned side, uint64_t made_us)
{
    size_t source = plan.shape == SHAPE_FANOUT ? side : room * 2 + side;

    out[0] = PAYLOAD_MARK;
    put_hex(out + 1, side, 1);
    put_hex(out + 2, room, 7);
    put_hex(out + 9, numbers[source]++, 8);
    put_hex(out + 17, made_us, 10);
    memset(out + 27, 'x', plan.size - 28);
    out[plan.size - 1] = PAYLOAD_END;
    published++;
    return plan.size;
}

/* --- reading ----------------------------------------------------------------
 */

static bool take_hex(const char *text, int digits, uint64_t *out)
{
    uint64_t value = 0;

    while (digits-- > 0) {
        unsigned char c = (unsigned char)*text++;
        unsigned digit = c - '0';

        if (digit > 9)
            digit = c - 'a' + 10u;
        if (digit > 15)
            return false;
        value = value << 4 | digit;
    }
    *out = value;
    return true;
}

static void note_latency(uint64_t made_us)
{
    uint64_t us = delivered_us > made_us ? delivered_us - made_us : 0;
    uint64_t slot = us < SLOT_MAX ? us : SLOT_MAX + (us - SLOT_MAX) / 16384;

    if (!measuring)
        return;
    latency[slot < SLOTS ? slot : SLOTS - 1]++;
    latency_count++;
    if (us > slowest_us)
        slowest_us = us;
}

static void complain(const struct conn *conn, const char *what, uint64_t got,
                     uint64_t expected)
{
    static int said;

    if (said++ < 5)
        (void)fprintf(stderr,
                      "load: %s %s: follower %u: %s: got %llu, expected %llu\n",
                      plan.server, plan.via, conn->index, what,
                      (unsigned long long)got, (unsigned long long)expected);
}

/* --- fan-out -----------------------------------------------------------------
 */

static void add_to_order(struct conn *conn, uint64_t id, uint64_t made_us)
{
    unsigned source = (unsigned)(id >> 32);
    uint32_t number = (uint32_t)id;

    if (order_count == order_room) {
        order_room = order_room ? order_room * 2 : 65536;
        order = realloc(order, order_room * sizeof(*order));
        if (!order)
            die("out of memory");
    }
    if (source > plan.publishers)
        die("a message of nobody");
    if (number != due_numbers[source]) {
        complain(conn, "number", number, due_numbers[source]);
        if (number > due_numbers[source])
            lost += number - due_numbers[source];
        else
            twice++;
    }
    due_numbers[source] = number + 1;
    order[order_count++] = (struct sent){id, made_us, 0};
}

static void count_copy(struct sent *sent)
{
    deliveries++;
    note_latency(sent->made_us);
    if (++sent->copies < plan.members)
        return;
    completed++;
    if (on_completed)
        on_completed(0, (unsigned)(sent->id >> 32));
}

/* It should have been the one at `at`: was it before, or does it come later? */
static void misplaced(struct conn *conn, uint64_t id, size_t at)
{
    complain(conn, "message", id, order[at].id);
    for (size_t i = at; i-- > 0 && at - i < 4096;)
        if (order[i].id == id) {
            twice++;
            conn->next[0]--; /* the expected one may still come */
            return;
        }
    for (size_t i = at + 1; i < order_count && i - at < 4096; i++)
        if (order[i].id == id) {
            lost += i - at;
            conn->next[0] = (uint32_t)i + 1;
            return;
        }
    reordered++;
}

static void take_fanout(struct conn *conn, uint64_t id, uint64_t made_us)
{
    size_t at = conn->next[0]++;

    if (at == order_count)
        add_to_order(conn, id, made_us);
    if (order[at].id != id)
        misplaced(conn, id, at);
    else
        count_copy(&order[at]);
}

void check_again(struct conn *conn, const struct meaning *meaning)
{
    for (uint32_t i = 0; i < meaning->count; i++)
        count_copy(&order[meaning->from + i]);
    conn->next[0] += meaning->count;
}

/* --- rooms -------------------------------------------------------------------
 */

static void take_room(struct conn *conn, unsigned room, unsigned side,
                      uint32_t number, uint64_t made_us)
{
    unsigned source = room * 2 + side;
    uint32_t expected;

    if (room != conn->room || side > 1)
        die("follower %u was given a message of room %u", conn->index, room);
    expected = conn->next[side];
    if (number != expected) {
        complain(conn, "number", number, expected);
        if (number > expected)
            lost += number - expected;
        else
            twice++;
    }
    conn->next[side] = number + 1;
    deliveries++;
    if (plan.members == 1 || conn->side != side)
        note_latency(made_us);
    if (++copies[source] < plan.members)
        return;
    copies[source] = 0;
    completed++;
    if (on_completed)
        on_completed(room, side);
}

/* --- payloads
 * ----------------------------------------------------------------- */

/* Resume: the cursor of the event that the payload is in. */
static void note_cursor(struct conn *conn, const char *from, const char *to)
{
    static const char key[] = "\"cursor\":\"";
    const char *at = NULL, *found = from;
    size_t size;

    while ((found = memmem(found, (size_t)(to - found), key,
                           sizeof(key) - 1)) != NULL)
        at = found += sizeof(key) - 1;
    if (!at)
        return;
    size = strcspn(at, "\"");
    if (size < sizeof(conn->cursor)) {
        memcpy(conn->cursor, at, size);
        conn->cursor[size] = '\0';
    }
}

size_t check_payloads(struct conn *conn, const char *data, size_t size)
{
    const char *at = data, *end = data + size, *mark;

    while ((mark = memchr(at, PAYLOAD_MARK, (size_t)(end - at))) != NULL) {
        uint64_t side, room, number, made_us;

        if ((size_t)(end - mark) < plan.size)
            return (size_t)(mark - data);
        if (!take_hex(mark + 1, 1, &side) || !take_hex(mark + 2, 7, &room) ||
            !take_hex(mark + 9, 8, &number) ||
            !take_hex(mark + 17, 10, &made_us) ||
            mark[plan.size - 1] != PAYLOAD_END)
            die("%s %s: a damaged payload: %.*s", plan.server, plan.via,
                (int)plan.size, mark);
        if (plan.shape == SHAPE_RESUME)
            note_cursor(conn, at, mark);
        if (plan.shape == SHAPE_FANOUT)
            take_fanout(conn, side << 32 | number, made_us);
        else
            take_room(conn, (unsigned)room, (unsigned)side, (uint32_t)number,
                      made_us);
        at = mark + plan.size;
    }
    return size;
}

/* --- figures
 * ------------------------------------------------------------------ */

void check_measure(bool on)
{
    measuring = on;
    if (!on)
        return;
    memset(latency, 0, SLOTS * sizeof(*latency));
    latency_count = slowest_us = 0;
}

uint64_t check_latency_count(void)
{
    return latency_count;
}

uint64_t check_latency(double part)
{
    uint64_t wanted = (uint64_t)((double)latency_count * part), seen = 0;

    for (uint64_t i = 0; i < SLOTS; i++) {
        seen += latency[i];
        if (seen > wanted)
            return i < SLOT_MAX ? i : SLOT_MAX + (i - SLOT_MAX) * 16384;
    }
    return slowest_us;
}

bool check_level(const struct conn *conn)
{
    if (plan.shape == SHAPE_FANOUT)
        return conn->next[0] == published;
    return conn->next[0] == numbers[(size_t)conn->room * 2] &&
           conn->next[1] == numbers[(size_t)conn->room * 2 + 1];
}
