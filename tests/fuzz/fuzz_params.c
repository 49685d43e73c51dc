/* Any bytes as parameters: what is accepted is an object that says the same
 * when written and read again; what is refused is refused in words that are
 * JSON. */
#include "server/method.h"

#include <stdint.h>
#include <stdlib.h>

#define MAX_BYTES 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_refusal(const struct failure *why)
{
    struct buf out;
    json_t *told;

    buf_init(&out, 4096);
    failure_write(&out, why);
    told = buf_status(&out) ? NULL : json_loadb(out.data, out.size, 0, NULL);
    if (!why->err || !told)
        abort();
    json_decref(told);
    buf_fini(&out);
}

static void check_same(const json_t *params)
{
    char *text = json_dumps(params, JSON_COMPACT | JSON_SORT_KEYS);
    json_t *again;
    struct failure why;

    if (!text)
        abort();
    again = params_parse(span_of(text), SIZE_MAX, &why);
    if (!again || !json_equal(params, again))
        abort();
    json_decref(again);
    free(text); /* jansson's */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct failure why = {0};
    json_t *params =
        params_parse((struct span){(const char *)data, size}, MAX_BYTES, &why);

    if (!params) {
        check_refusal(&why);
        return 0;
    }
    if (!json_is_object(params))
        abort();
    check_same(params);
    json_decref(params);
    return 0;
}
