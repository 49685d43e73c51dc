/* What happened, in words. */
#include "tests/simulate/story.h"

#include "server/base/buf.h"
#include "tests/simulate/fiber.h"

#include <stdarg.h>
#include <stdio.h>

struct tally tally;

static struct buf text = {.max = 64u << 20};
static char failed[1024];

static void tell(const char *format, va_list args) PRINTF_LIKE(1, 0);

static void tell(const char *format, va_list args)
{
    char line[1024];
    uint64_t now = time_now_us();

    (void)vsnprintf(line, sizeof line, format, args);
    buf_printf(&text, "%4llu.%06llu  %s\n", (unsigned long long)(now / 1000000),
               (unsigned long long)(now % 1000000), line);
}

void story_tell(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    tell(format, args);
    va_end(args);
}

void story_fail(const char *format, ...)
{
    char why[sizeof failed];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(why, sizeof why, format, args);
    va_end(args);
    story_tell("WRONG: %s", why);
    if (!failed[0])
        (void)snprintf(failed, sizeof failed, "%s", why);
}

const char *story_failed(void)
{
    return failed[0] ? failed : NULL;
}

const char *story_text(size_t *size)
{
    *size = text.size;
    return text.data;
}
