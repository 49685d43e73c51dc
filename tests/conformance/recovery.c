/* Connection state recovery in memory, as the reference server's adapter has
 * it: the newest events, and the rooms of sockets that were lost. */
#include "server/base/clock.h"
#include "tests/conformance/chat.h"

#include <string.h>

#define EVENTS_MAX 10000
#define LOST_MAX 10000
#define LOST_MS 120000
#define PID_CHARS 32
#define ROOM_NAME_MAX 512 /* of a room: longer ones are not remembered */

struct kept {
    struct sio_message message;
    char to[SIO_ID_CHARS + 1], except[SIO_ID_CHARS + 1]; /* or "" */
    bool in_room;
    struct buf room;
};

struct lost {
    struct list link;
    uint64_t until_ms;
    char *pid;
    char id[SIO_ID_CHARS + 1];
    struct buf rooms; /* names, each with its size in front */
};

struct memory {
    char epoch[9];  /* offsets of another process are none */
    uint64_t count; /* of all events so far; the newest are kept */
    struct kept events[EVENTS_MAX];
    struct list lost;
    size_t lost_count;
};

static void random_text(char *out, size_t size)
{
    static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ_-";
    unsigned char bytes[PID_CHARS];

    random_bytes(bytes, size);
    for (size_t i = 0; i < size; i++)
        out[i] = letters[bytes[i] % 64];
    out[size] = 0;
}

struct memory *memory_create(void)
{
    struct memory *memory = mem_zalloc(sizeof(*memory));

    if (!memory)
        return NULL;
    list_init(&memory->lost);
    random_text(memory->epoch, sizeof(memory->epoch) - 1);
    return memory;
}

char *memory_pid(void)
{
    char *pid = mem_alloc(PID_CHARS + 1);

    if (pid)
        random_text(pid, PID_CHARS);
    return pid;
}

/* --- events --------------------------------------------------------------- */

void memory_offset(const struct memory *memory, struct buf *out)
{
    buf_printf(out, "%s.%llu", memory->epoch,
               (unsigned long long)memory->count + 1);
}

/* How many events somebody with this offset has seen; false: too long ago, or
 * never here. */
static bool read_offset(const struct memory *memory, struct span offset,
                        uint64_t *seen)
{
    uint64_t number = 0;

    if (offset.size < 10 || offset.size > 9 + 16 || offset.data[8] != '.' ||
        memcmp(offset.data, memory->epoch, 8) != 0)
        return false;
    for (size_t i = 9; i < offset.size; i++) {
        if (offset.data[i] < '0' || offset.data[i] > '9')
            return false;
        number = number * 10 + (uint64_t)(offset.data[i] - '0');
    }
    *seen = number;
    return number && number <= memory->count &&
           memory->count - number < EVENTS_MAX;
}

static void forget(struct kept *kept)
{
    sio_message_fini(&kept->message);
    buf_fini(&kept->room);
    memset(kept, 0, sizeof(*kept));
}

void memory_keep(struct memory *memory, const struct sio_message *message,
                 const struct hearers *to)
{
    struct kept *kept = &memory->events[memory->count++ % EVENTS_MAX];

    if (kept->message.text)
        forget(kept);
    kept->message = *message;
    shared_ref(message->text);
    for (unsigned i = 0; i < message->count; i++)
        shared_ref(message->attachments[i]);
    if (to->socket)
        memcpy(kept->to, to->socket->id, sizeof(kept->to));
    if (to->except)
        memcpy(kept->except, to->except->id, sizeof(kept->except));
    kept->in_room = to->room.data != NULL;
    buf_init(&kept->room, ROOM_NAME_MAX);
    buf_append_span(&kept->room, to->room);
}

static bool is_in(const struct sio_socket *socket, struct span room)
{
    const struct sio_stay *stay = NULL;
    struct span name;

    while ((stay = sio_rooms_of(socket, stay, &name)))
        if (span_equal(name, room))
            return true;
    return false;
}

static bool concerns(const struct kept *kept, const struct sio_socket *socket)
{
    if (kept->to[0])
        return !strcmp(kept->to, socket->id);
    if (!strcmp(kept->except, socket->id))
        return false;
    return !kept->in_room ||
           is_in(socket, (struct span){kept->room.data, kept->room.size});
}

void memory_replay(const struct memory *memory, struct sio_socket *socket,
                   struct span offset)
{
    uint64_t seen;

    if (!read_offset(memory, offset, &seen))
        return;
    for (; seen < memory->count; seen++) {
        const struct kept *kept = &memory->events[seen % EVENTS_MAX];

        if (concerns(kept, socket))
            sio_emit(socket, &kept->message);
    }
}

/* --- sockets -------------------------------------------------------------- */

static void drop(struct memory *memory, struct lost *lost)
{
    list_remove(&lost->link);
    memory->lost_count--;
    buf_fini(&lost->rooms);
    mem_free(lost->pid);
    mem_free(lost);
}

/* Oldest first. */
static void drop_old(struct memory *memory)
{
    uint64_t now = clock_mono_ms();

    while (!list_empty(&memory->lost)) {
        struct lost *lost = container_of(memory->lost.next, struct lost, link);

        if (lost->until_ms > now && memory->lost_count <= LOST_MAX)
            return;
        drop(memory, lost);
    }
}

void memory_lose(struct memory *memory, const struct sio_socket *socket,
                 const char *pid)
{
    struct lost *lost = mem_zalloc(sizeof(*lost));
    const struct sio_stay *stay = NULL;
    struct span name;

    if (lost)
        lost->pid = mem_strndup(pid, strlen(pid));
    if (!lost || !lost->pid) {
        mem_free(lost);
        return;
    }
    memcpy(lost->id, socket->id, sizeof(lost->id));
    lost->until_ms = clock_mono_ms() + LOST_MS;
    buf_init(&lost->rooms, SIO_ROOMS_MAX * (ROOM_NAME_MAX + sizeof(size_t)));
    while ((stay = sio_rooms_of(socket, stay, &name))) {
        buf_append(&lost->rooms, &name.size, sizeof(name.size));
        buf_append_span(&lost->rooms, name);
    }
    list_append(&memory->lost, &lost->link);
    memory->lost_count++;
    drop_old(memory);
}

static struct lost *find(struct memory *memory, struct span pid)
{
    drop_old(memory);
    list_each (link, &memory->lost) {
        struct lost *lost = container_of(link, struct lost, link);

        if (span_is(pid, lost->pid))
            return lost;
    }
    return NULL;
}

bool memory_recover(struct memory *memory, struct sio_rooms *rooms,
                    struct sio_socket *socket, struct span pid,
                    struct span offset)
{
    struct lost *lost = find(memory, pid);
    enum err err = ERR_NONE;
    uint64_t seen;

    if (!lost || !read_offset(memory, offset, &seen))
        return false;
    for (size_t at = 0; at < lost->rooms.size && !err;) {
        struct span name = {lost->rooms.data + at + sizeof(name.size), 0};

        memcpy(&name.size, lost->rooms.data + at, sizeof(name.size));
        at += sizeof(name.size) + name.size;
        err = sio_rooms_join(rooms, socket, name);
    }
    memcpy(socket->id, lost->id, sizeof(socket->id));
    drop(memory, lost);
    return !err;
}
