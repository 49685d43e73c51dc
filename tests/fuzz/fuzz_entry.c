/* Any bytes as an entry: refused, or decoded into what encodes to the same. The
 * settings line of a CREATE's body goes with it.
 */
#include "store/reader.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool it)
{
    if (!it)
        abort();
}

static void try_settings(struct span body)
{
    struct conv_settings settings, again;
    struct span rest;
    struct buf line;

    if (conv_settings_read(&settings, body, &rest))
        return;
    must(rest.data + rest.size == body.data + body.size);
    buf_init(&line, 1000);
    conv_settings_write(&line, &settings);
    must(!buf_status(&line));
    must(!conv_settings_read(&again, (struct span){line.data, line.size},
                             &rest));
    must(rest.size == 0 && again.max_count == settings.max_count &&
         again.max_age_ms == settings.max_age_ms);
    buf_fini(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = {(const char *)data, size};
    unsigned char hash[ENTRY_HASH_BYTES];
    struct entry entry;
    size_t users = 0;
    struct buf out;

    try_settings(bytes);
    (void)entry_intact(bytes);
    if (entry_decode(&entry, bytes))
        return 0;
    for (struct span u = {0}; entry_user(&entry, &u); users++)
        must(u.data >= entry.users.data &&
             u.data + u.size < entry.users.data + entry.users.size);
    must(users <= entry.users.size);
    entry_content_hash(hash, &entry);
    try_settings(entry.body);
    buf_init(&out, size);
    entry_encode(&out, &entry);
    must(!buf_status(&out));
    must(out.size == size && memcmp(out.data, data, size - 4) == 0);
    must(entry_intact((struct span){out.data, out.size}));
    buf_fini(&out);
    return 0;
}
