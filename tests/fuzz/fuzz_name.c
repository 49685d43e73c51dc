/* Any text as a conversation's name: refused, or written again as it was. */
#include "store/name.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool it)
{
    if (!it)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {(const char *)data, size};
    char out[CONVERSATION_MAX_BYTES];
    struct conv_name name;
    struct span one = {text.data, size / 2};
    struct span other = {size ? text.data + size / 2 : NULL, size - size / 2};

    if (name_ok(one) && name_ok(other)) {
        size_t length = name_p2p(out, 0, one, other);
        char back[CONVERSATION_MAX_BYTES];

        must(!name_parse(&name, (struct span){out, length}));
        must(name_p2p(back, 0, other, one) == length);
        must(memcmp(out, back, length) == 0);
        must((name_compare(one, other) < 0) == (name_compare(other, one) > 0));
    }
    if (name_parse(&name, text))
        return 0;
    must(name_write(out, &name) == size);
    must(memcmp(out, data, size) == 0);
    return 0;
}
