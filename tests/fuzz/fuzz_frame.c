/* Any bytes as a text frame: its lines are what is between the line ends, and
 * what passes for a method call is one. */
#include "server/method.h"
#include "transports/frame_lines.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BYTES 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool it)
{
    if (!it)
        abort();
}

static void look_at(struct span line)
{
    struct jtext_object object, params;
    struct frame_call request;
    struct failure why = {0};

    if (request_read(&object, &params, line, MAX_BYTES, &why)) {
        must(why.err && why.message[0]);
        return;
    }
    if (frame_call_of(&object, &request, &why)) {
        must(why.err == ERR_BAD_REQUEST && why.message[0] == '\'');
        return;
    }
    must(request.method.kind == JTEXT_STRING);
    must(!request.id.size ||
         (request.id.data > line.data &&
          request.id.data + request.id.size < line.data + line.size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = {(const char *)data, size}, line;
    const char *passed = rest.data;

    while (frame_line(&rest, &line)) {
        must(line.size && !memchr(line.data, '\n', line.size));
        must(line.data >= passed && line.data + line.size <= rest.data);
        passed = rest.data;
        look_at(line);
    }
    must(rest.size == 0);
    return 0;
}
