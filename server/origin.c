/* Which pages may talk to us. */
#include "server/origin.h"

#include <string.h>
#include <strings.h>

static bool same(struct span a, struct span b)
{
    return a.size == b.size && strncasecmp(a.data, b.data, a.size) == 0;
}

/* "http://localhost:8080" → "localhost:8080"; empty when it has no host. The
 * scheme does not count: a proxy in front may have taken TLS off. */
static struct span host_of(struct span origin)
{
    for (size_t i = 0; i + 3 <= origin.size; i++)
        if (memcmp(origin.data + i, "://", 3) == 0)
            return (struct span){origin.data + i + 3, origin.size - i - 3};
    return (struct span){0};
}

bool origin_is_foreign(const struct head *head)
{
    struct span host;

    if (!head->origin.data)
        return false;
    host = host_of(head->origin);
    return !host.size || !head->host.data || !same(host, head->host);
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
