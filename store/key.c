/* Keys as bytes. See key.h. */
#include "store/key.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

void u64_put(void *to, uint64_t number)
{
    number = htobe64(number);
    memcpy(to, &number, sizeof(number));
}

uint64_t u64_get(const void *from)
{
    uint64_t number;

    memcpy(&number, from, sizeof(number));
    return be64toh(number);
}

void u32_put(void *to, uint32_t number)
{
    number = htobe32(number);
    memcpy(to, &number, sizeof(number));
}

uint32_t u32_get(const void *from)
{
    uint32_t number;

    memcpy(&number, from, sizeof(number));
    return be32toh(number);
}

static void add(struct key *key, const void *bytes, size_t size)
{
    assert(key->size + size <= KEY_MAX_BYTES);
    if (size > 0)
        memcpy(key->bytes + key->size, bytes, size);
    key->size += size;
}

static void add_number(struct key *key, uint64_t number)
{
    assert(key->size + 8 <= KEY_MAX_BYTES);
    u64_put(key->bytes + key->size, number);
    key->size += 8;
}

void key_log(struct key *key, uint64_t lsn)
{
    key->size = 0;
    add(key, &lsn, sizeof(lsn));
}

uint64_t key_log_get(struct span key)
{
    uint64_t lsn;

    assert(key.size == sizeof(lsn));
    memcpy(&lsn, key.data, sizeof(lsn));
    return lsn;
}

void key_number(struct key *key, uint64_t a)
{
    key->size = 0;
    add_number(key, a);
}

void key_pair(struct key *key, uint64_t a, uint64_t b)
{
    key_number(key, a);
    add_number(key, b);
}

void key_triple(struct key *key, uint64_t a, uint64_t b, uint64_t c)
{
    key_pair(key, a, b);
    add_number(key, c);
}

void key_text(struct key *key, struct span app, struct span name)
{
    key->size = 0;
    add(key, app.data, app.size);
    add(key, "", 1);
    add(key, name.data, name.size);
}

void key_member(struct key *key, uint64_t conv, struct span user)
{
    key_number(key, conv);
    add(key, user.data, user.size);
}

void key_dedup(struct key *key, struct span client_msg_id, uint64_t user_no)
{
    key->size = 0;
    add(key, client_msg_id.data, client_msg_id.size);
    add_number(key, user_no);
}

void key_client_seq(struct key *key, uint64_t conv, uint64_t user_no,
                    struct span device)
{
    key_pair(key, conv, user_no);
    add(key, device.data, device.size);
}

struct span key_span(const struct key *key)
{
    return (struct span){(const char *)key->bytes, key->size};
}

bool key_begins(struct span bytes, uint64_t number)
{
    return bytes.size >= 8 && u64_get(bytes.data) == number;
}

uint64_t key_part(struct span bytes, size_t index)
{
    assert(bytes.size >= 8 * (index + 1));
    return u64_get(bytes.data + 8 * index);
}
