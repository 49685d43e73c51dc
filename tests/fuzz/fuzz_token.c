/* Any bytes as a token and as a ticket: they never become an identity that
 * breaks the alphabet, and, without our secret, none at all. */
#include "server/auth.h"
#include "server/base/buf.h"
#include "store/name.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The key of the seeds' signatures, so that some inputs get past the check. */
static struct auth *the_auth(void)
{
    static struct auth *auth;
    struct config *config;

    if (auth)
        return auth;
    if (config_defaults(&config) ||
        config_add_key(config, "demo", "0123456789abcdef0123456789abcdef", NULL,
                       NULL) ||
        auth_create(&auth, config))
        abort();
    config_unref(config);
    return auth;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {(const char *)data, size};
    struct identity who;
    struct failure why;

    if (auth_verify(the_auth(), text, &who, &why) == ERR_NONE &&
        (!name_ok(span_of(who.app)) || !name_ok(span_of(who.user)) ||
         (*who.device && !name_ok(span_of(who.device)))))
        abort();
    if (ticket_redeem(text, &who, &why) == ERR_NONE)
        abort(); /* none was issued */
    return 0;
}
