/* Which pages may talk to us. */
#include "server/origin.h"

#include <string.h>
#include <strings.h>

static bool same(struct span a, struct span b)
{
    return a.size == b.size && strncasecmp(a.data, b.data, a.size) == 0;
}

static bool take_prefix(struct span *text, const char *prefix)
{
    size_t size = strlen(prefix);

    if (text->size < size || strncasecmp(text->data, prefix, size) != 0)
        return false;
    text->data += size;
    text->size -= size;
    return true;
}

static struct span without(struct span text, const char *suffix)
{
    size_t size = strlen(suffix);

    if (text.size >= size &&
        memcmp(text.data + text.size - size, suffix, size) == 0)
        text.size -= size;
    return text;
}

/* An Origin leaves its scheme's own port out, a proxy may put it into Host. The
 * scheme itself does not count: a proxy may have taken TLS off. */
bool origin_is_foreign(const struct head *head)
{
    struct span host = head->origin;
    const char *port = ":80";

    if (!host.data)
        return false;
    if (!take_prefix(&host, "http://")) {
        port = ":443";
        if (!take_prefix(&host, "https://"))
            return true;
    }
    host = without(host, port);
    return !host.size || !head->host.data ||
           !same(host, without(head->host, port));
}

/* What could end the policy, or the header, is no origin. */
static bool is_source(struct span text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] <= ' ' || text.data[i] >= 0x7f || text.data[i] == ';')
            return false;
    return text.size > 0;
}

void origin_write_allowed(struct buf *out, const struct config *config)
{
    const char *list = config->allowed_origins;

    while (*list) {
        struct span item = {list, strcspn(list, ", ")};

        if (is_source(item)) {
            buf_append_text(out, " ");
            buf_append_span(out, item);
        }
        list += item.size;
        list += strspn(list, ", ");
    }
}

bool origin_allowed(const struct config *config, const struct head *head)
{
    const char *list = config->allowed_origins;

    if (!origin_is_foreign(head))
        return true;
    while (*list) {
        size_t size = strcspn(list, ", ");

        if (size == 1 && *list == '*')
            return true;
        if (same((struct span){list, size}, head->origin))
            return true;
        list += size;
        list += strspn(list, ", ");
    }
    return false;
}
