/* An event as a line for people to read. */
#include "server/cli/event_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *string(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

bool event_is_aside(const json_t *event)
{
    const char *kind = string(event, "event");

    if (strcmp(kind, "hello") == 0 || strcmp(kind, "heartbeat") == 0)
        return true;
    return !json_object_get(event, "cursor") && strcmp(kind, "reset") != 0 &&
           strcmp(kind, "gap") != 0;
}

static void print_time(const json_t *event)
{
    json_int_t ts = json_integer_value(json_object_get(event, "ts"));
    time_t seconds = (time_t)(ts / 1000);
    struct tm utc;
    char text[40];

    if (!ts || !gmtime_r(&seconds, &utc))
        return;
    (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
    printf("%s ", text);
}

/* A terminal obeys control characters, so none of a body's gets there: neither
 * those of ASCII nor U+0080 to U+009F, which are C2 80 to C2 9F in UTF-8. */
static void print_plain(const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)text[0];

        if (c == 0xc2 && (unsigned char)text[1] < 0xa0) {
            text++;
            c = ' ';
        }
        (void)putchar(c < 0x20 || c == 0x7f ? ' ' : c);
    }
}

static void print_message(const json_t *event)
{
    const json_t *body = json_object_get(event, "body");
    const char *text = json_string_value(json_object_get(body, "text"));
    char *dump = text ? NULL : json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY);

    printf("%s: ", string(event, "from"));
    print_plain(text ? text : dump ? dump : "");
    free(dump); /* jansson's */
}

void event_print(const json_t *event, struct span json)
{
    const char *kind = string(event, "event");

    print_time(event);
    if (*string(event, "conversation"))
        printf("%s #%" JSON_INTEGER_FORMAT " ", string(event, "conversation"),
               json_integer_value(json_object_get(event, "seq")));
    if (strcmp(kind, "message") == 0)
        print_message(event);
    else if (strcmp(kind, "conversation") == 0)
        printf("* %s by %s", string(event, "change"), string(event, "by"));
    else if (strcmp(kind, "receipt") == 0)
        printf("* %s by %s", string(event, "kind"), string(event, "user"));
    else
        printf("%.*s", (int)json.size, json.data);
    (void)putchar('\n');
}
