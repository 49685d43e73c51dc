/* Rooms: who is in which, both ways round. */
#define HASH_NONFATAL_OOM 1
#include "transports/sio_rooms.h"

#include <assert.h>
#include <string.h>
#include <uthash.h>

/* A room is there while somebody is in it. */
struct sio_room {
    struct list stays;
    UT_hash_handle hh;
    size_t size;
    char name[];
};

/* A socket in a room. */
struct sio_stay {
    struct sio_socket *socket;
    struct sio_room *room;
    struct list of_socket, in_room;
};

static struct sio_stay *stay_of(struct list *of_socket)
{
    return container_of(of_socket, struct sio_stay, of_socket);
}

void sio_rooms_init(struct sio_rooms *rooms)
{
    list_init(&rooms->sockets);
    rooms->rooms = NULL;
}

void sio_rooms_add(struct sio_rooms *rooms, struct sio_socket *socket)
{
    list_append(&rooms->sockets, &socket->member);
}

static struct sio_room *room_find(const struct sio_rooms *rooms,
                                  struct span name)
{
    struct sio_room *room;

    HASH_FIND(hh, rooms->rooms, name.data, name.size, room);
    return room;
}

static struct sio_room *room_get(struct sio_rooms *rooms, struct span name)
{
    struct sio_room *room = room_find(rooms, name);

    if (room)
        return room;
    room = mem_zalloc(sizeof(*room) + name.size);
    if (!room)
        return NULL;
    list_init(&room->stays);
    room->size = name.size;
    if (name.size)
        memcpy(room->name, name.data, name.size);
    HASH_ADD_KEYPTR(hh, rooms->rooms, room->name, room->size, room);
    if (room->hh.tbl)
        return room;
    mem_free(room);
    return NULL;
}

static void room_release(struct sio_rooms *rooms, struct sio_room *room)
{
    if (!list_empty(&room->stays))
        return;
    assert(rooms->rooms); /* it is in there */
    HASH_DELETE(hh, rooms->rooms, room);
    mem_free(room);
}

static void stay_end(struct sio_rooms *rooms, struct sio_stay *stay)
{
    struct sio_room *room = stay->room;

    list_remove(&stay->of_socket);
    list_remove(&stay->in_room);
    mem_free(stay);
    room_release(rooms, room);
}

void sio_rooms_remove(struct sio_rooms *rooms, struct sio_socket *socket)
{
    list_remove(&socket->member);
    list_each_safe (link, &socket->rooms)
        stay_end(rooms, stay_of(link));
}

static struct sio_stay *stay_find(const struct sio_socket *socket,
                                  struct span room, size_t *count)
{
    *count = 0;
    list_each (link, &socket->rooms) {
        struct sio_stay *stay = stay_of(link);

        if (span_equal((struct span){stay->room->name, stay->room->size}, room))
            return stay;
        ++*count;
    }
    return NULL;
}

enum err sio_rooms_join(struct sio_rooms *rooms, struct sio_socket *socket,
                        struct span name)
{
    struct sio_room *room;
    struct sio_stay *stay;
    size_t count;

    if (stay_find(socket, name, &count))
        return ERR_NONE;
    if (count >= SIO_ROOMS_MAX)
        return ERR_TOO_LARGE;
    room = room_get(rooms, name);
    stay = room ? mem_alloc(sizeof(*stay)) : NULL;
    if (!stay) {
        if (room)
            room_release(rooms, room);
        return ERR_NOMEM;
    }
    stay->socket = socket;
    stay->room = room;
    list_append(&socket->rooms, &stay->of_socket);
    list_append(&room->stays, &stay->in_room);
    return ERR_NONE;
}

void sio_rooms_leave(struct sio_rooms *rooms, struct sio_socket *socket,
                     struct span room)
{
    size_t count;
    struct sio_stay *stay = stay_find(socket, room, &count);

    if (stay)
        stay_end(rooms, stay);
}

const struct sio_stay *sio_rooms_of(const struct sio_socket *socket,
                                    const struct sio_stay *before,
                                    struct span *name)
{
    const struct list *next =
        before ? before->of_socket.next : socket->rooms.next;
    const struct sio_stay *stay;

    if (next == &socket->rooms)
        return NULL;
    stay = container_of(next, const struct sio_stay, of_socket);
    *name = (struct span){stay->room->name, stay->room->size};
    return stay;
}

void sio_rooms_emit(const struct sio_rooms *rooms, struct span name,
                    const struct sio_socket *except,
                    const struct sio_message *message)
{
    const struct sio_room *room = name.data ? room_find(rooms, name) : NULL;

    if (name.data && !room)
        return;
    if (!name.data) {
        list_each (link, &rooms->sockets) {
            struct sio_socket *socket =
                container_of(link, struct sio_socket, member);

            if (socket != except)
                sio_emit(socket, message);
        }
        return;
    }
    list_each (link, &room->stays) {
        struct sio_stay *stay = container_of(link, struct sio_stay, in_room);

        if (stay->socket != except)
            sio_emit(stay->socket, message);
    }
}
