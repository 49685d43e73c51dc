/* A Rung client of C and sockets:  cc -o rung rung.c; ./rung http://HOST:PORT
 * USER-OR-TOKEN CURSOR-FILE Sends each line "to<TAB>text" of stdin, prints
 * "seq<TAB>from<TAB>text" for each message; \t \n \r \\ stand for a tab, a
 * line's end, a return and a backslash. */
#define _XOPEN_SOURCE 700
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static char host[256], port[8] = "80", token[4096], cursor[64] = "0";
static const char *file;
static unsigned attempt; /* failures in a row */

/* ---- JSON: a value is a place in an answer that whole() has looked at ---- */

/* Drop the blanks between tokens; true for one object that came to its end. */
static bool whole(char *text)
{
    bool quoted = false, object = *text == '{';
    int depth = 0;
    char *to = text;

    for (char *p = text; *p; p++) {
        if (quoted && *p == '\\' && p[1])
            *to++ = *p++;
        else if (*p == '"')
            quoted = !quoted;
        else if (!quoted && strchr(" \t\r\n", *p))
            continue;
        else if (!quoted)
            depth += (*p == '{' || *p == '[') - (*p == '}' || *p == ']');
        *to++ = *p;
    }
    *to = '\0';
    return object && !quoted && !depth;
}

/* Behind the value at p. */
static const char *behind(const char *p)
{
    int depth = 0;

    do {
        if (!*p)
            return p;
        if (*p == '"')
            for (p++; *p != '"'; p++)
                p += *p == '\\';
        depth += (*p == '{' || *p == '[') - (*p == '}' || *p == ']');
        p++;
    } while (depth > 0 || !strchr(",:]}", *p));
    return p;
}

/* A member of the object at p, or nothing: "", and room to look behind. */
static const char *member(const char *p, const char *name)
{
    static const char none[2];
    size_t size = strlen(name);

    if (*p != '{')
        return none;
    for (p++; *p == '"'; p += *p == ',') {
        const char *key = p + 1, *value = behind(p);
        if (*value++ != ':')
            return none;
        if (!strncmp(key, name, size) && key[size] == '"')
            return value;
        p = behind(value);
    }
    return none;
}

static long number(const char *p)
{
    return strtol(p, NULL, 10);
}

/* A character as our lines have it. */
static void put(unsigned c, FILE *out)
{
    static const char chars[] = "\t\n\r\\", names[] = "tnr\\";
    const char *escaped = c && c < 0x80 ? strchr(chars, (int)c) : NULL;
    int more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;

    if (escaped)
        fprintf(out, "\\%c", names[escaped - chars]);
    else
        fputc((int)(more ? 0xffU << (7 - more) | c >> 6 * more : c), out);
    while (more--)
        fputc((int)(0x80 | (c >> 6 * more & 0x3f)), out);
}

/* Is \uXXXX at p? */
static bool unit(const char *p, unsigned *c)
{
    char digits[5] = "";

    if (p[0] != '\\' || p[1] != 'u' ||
        strspn(p + 2, "0123456789abcdefABCDEF") < 4)
        return false;
    memcpy(digits, p + 2, 4);
    *c = (unsigned)strtoul(digits, NULL, 16);
    return true;
}

/* The JSON string at p as our lines have it. */
static void put_string(const char *p, FILE *out)
{
    static const char names[] = "bfnrt", chars[] = "\b\f\n\r\t";

    for (p++; *p && *p != '"'; p++) {
        unsigned c, low;
        if (*p != '\\') {
            fputc(*p, out);
        } else if (unit(p, &c)) {
            p += 5;
            if (c >> 10 == 0x36 && unit(p + 1, &low)) {
                c = 0x10000 + (c - 0xd800) * 0x400 + (low - 0xdc00);
                p += 6;
            }
            put(c, out);
        } else {
            const char *name = strchr(names, *++p);
            put((unsigned)(name ? chars[name - names] : *p), out);
        }
    }
}

/* A part of our line as a JSON string: \t \n \r \\ mean the same in both. */
static void quote(const char *p, size_t size, FILE *out)
{
    fputc('"', out);
    for (const char *end = p + size; p < end; p++)
        if (*p == '\\' && p + 1 < end && strchr("\\tnr", p[1]))
            fprintf(out, "\\%c", *++p);
        else if (*p == '"' || *p == '\\')
            fprintf(out, "\\%c", *p);
        else if ((unsigned char)*p < ' ')
            fprintf(out, "\\u%04x", (unsigned)*p);
        else
            fputc(*p, out);
    fputc('"', out);
}

/* ---- HTTP: version 1.0, where the close ends the answer ------------------ */

/* Ask; the socket that the answer will come on, or -1. */
static int ask(const char *path, const char *body)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    struct timeval limit = {.tv_sec = 40};
    int fd = -1;

    if (getaddrinfo(host, port, &hints, &found))
        return -1;
    for (struct addrinfo *at = found; at && fd < 0; at = at->ai_next) {
        fd = socket(at->ai_family, at->ai_socktype, at->ai_protocol);
        if (fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen)) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    dprintf(
        fd,
        "%s %s HTTP/1.0\r\nHost: %s:%s\r\n%s%s%sContent-Length: %zu\r\n\r\n%s",
        body ? "POST" : "GET", path, host, port,
        *token ? "Authorization: Bearer " : "", token, *token ? "\r\n" : "",
        body ? strlen(body) : 0, body ? body : "");
    return fd; /* had it failed, so would the reading */
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* The definite answer on a socket, for the caller to free, or NULL after a
 * pause: ask again. *status tells a refusal from a result. */
static char *answer(int fd, int *status)
{
    char *text = NULL, part[4096];
    size_t size = 0;
    ssize_t got = 0;
    FILE *all = open_memstream(&text, &size);

    while (fd >= 0 && (got = read(fd, part, sizeof(part))) > 0)
        fwrite(part, 1, (size_t)got, all);
    fclose(all);
    close(fd);
    char *body = strstr(text, "\r\n\r\n");
    *status = size > 12 ? (int)strtol(text + 9, NULL, 10) : 0;
    memmove(text, body ? body + 4 : "", body ? strlen(body + 4) + 1 : 1);
    bool complete = whole(text);
    if ((*status == 200 && complete) ||
        (*status >= 300 && *status < 500 && *status != 429)) {
        attempt = 0;
        return text;
    }
    /* Full jitter: evenly from 0 to a ceiling that doubles up to 32 s. */
    long after =
        complete ? number(member(member(text, "error"), "retry_after_ms")) : 0;
    pause_ms(after + random() % (500L << (attempt < 6 ? attempt : 6)));
    attempt++;
    free(text);
    return NULL;
}

static void refused(const char *why)
{
    fprintf(stderr, "refused: %s\n", why);
}

/* ---- the client ---------------------------------------------------------- */

static void send_line(const char *line, size_t size)
{
    const char *tab = memchr(line, '\t', size), *end = line + size;
    unsigned char id[16] = {0};
    char *message, *result;
    size_t length;
    int status;
    FILE *out = open_memstream(&message, &length),
         *dice = fopen("/dev/urandom", "rb");

    if (!dice || fread(id, sizeof(id), 1, dice) != 1)
        exit(1);
    fclose(dice);
    fputs("{\"to\":", out);
    quote(line, (size_t)((tab ? tab : end) - line), out);
    fputs(",\"client_msg_id\":\"",
          out); /* once, so that stored and sent again is */
    for (size_t i = 0; i < sizeof(id); i++) /* not doubled */
        fprintf(out, "%02x", id[i]);
    fputs("\",\"body\":{\"text\":", out);
    quote(tab ? tab + 1 : end, (size_t)(end - (tab ? tab + 1 : end)), out);
    fputs("}}", out);
    fclose(out);
    while (!(result = answer(ask("/v1/message.send", message), &status)))
        ;
    if (status != 200)
        refused(result);
    if (status == 401)
        exit(1); /* no token, no client */
    free(result);
    free(message);
}

static bool is(const char *value, const char *text)
{
    return !strncmp(value + 1, text, strlen(text)) &&
           value[1 + strlen(text)] == '"';
}

static void handle(const char *got)
{
    const char *event = member(got, "events");
    const char *next = member(got, "cursor");
    char path[4096];
    long bye_ms = 0;

    for (; event[0] && event[1] == '{'; event = behind(event)) {
        const char *kind = member(++event, "event");
        const char *text = member(member(event, "body"), "text");
        if (is(kind, "message")) {
            printf("%ld\t", number(member(event, "seq")));
            put_string(member(event, "from"), stdout);
            fputs(*text == '"' ? "\t" : "\t[", stdout);
            put_string(*text == '"' ? text : member(event, "type"), stdout);
            fputs(*text == '"' ? "\n" : "]\n", stdout);
        } else if (is(kind, "gap") || is(kind, "reset") || is(kind, "bye")) {
            /* gap: retention took some. reset: another log. bye: come back
             * later. */
            fprintf(stderr, "%.*s\n", (int)(behind(event) - event), event);
            bye_ms = number(member(event, "retry_after_ms"));
        }
    }
    fflush(stdout);
    if (*next == '"')
        snprintf(cursor, sizeof(cursor), "%.*s", (int)strcspn(next + 1, "\""),
                 next + 1);
    snprintf(path, sizeof(path), "%s.new", file);
    FILE *out = fopen(path, "w");
    if (!out || fprintf(out, "%s\n", cursor) < 0 || fclose(out) ||
        rename(path, file)) {
        perror(path);
        exit(1);
    }
    pause_ms(bye_ms); /* all handled: never again */
}

int main(int argc, char **argv)
{
    char path[128], login[256], *got = NULL, *line = NULL;
    bool typing = true;
    size_t room = 0;
    int status = 0, fd = -1;

    if (argc != 4 ||
        sscanf(argv[1], "http://%255[^:/]:%7[0-9]", host, port) < 1) {
        fputs("usage: rung http://HOST:PORT USER-OR-TOKEN CURSOR-FILE\n",
              stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    srandom((unsigned)time(NULL) ^ (unsigned)getpid() << 16);
    setvbuf(stdin, NULL, _IONBF, 0); /* or poll() would not see what it holds */
    file = argv[3];

    if (!strncmp(argv[2], "eyJ", 3) &&
        strchr(argv[2], '.') != strrchr(argv[2], '.')) {
        snprintf(token, sizeof(token), "%s", argv[2]);
    } else {
        snprintf(login, sizeof(login), "{\"user\":\"%.64s\"}", argv[2]);
        while (!(got = answer(ask("/v1/demo.login", login), &status)))
            ;
        const char *value = member(got, "token");
        if (status == 200)
            snprintf(token, sizeof(token), "%.*s",
                     (int)strcspn(value + 1, "\""), value + 1);
        else
            refused(got);
        free(got);
    }
    if (!*token)
        return 1;
    FILE *in = fopen(file, "r");
    if (in && fscanf(in, "%63s", cursor) == 1)
        fclose(in);

    for (;;) { /* one poll is always parked; a line is sent as soon as it is
                  there */
        snprintf(path, sizeof(path), "/v1/longpoll?wait=25&cursor=%s", cursor);
        if (fd < 0)
            fd = ask(path, NULL);
        struct pollfd on[] = {{fd, POLLIN, 0}, {typing ? 0 : -1, POLLIN, 0}};
        if (fd >= 0 && poll(on, 2, 40000) > 0 && on[1].revents) {
            ssize_t size = getline(&line, &room, stdin);
            typing = size >= 0; /* what comes is printed after the end, too */
            if (typing)
                send_line(line, (size_t)size - (line[size - 1] == '\n'));
            if (!on[0].revents)
                continue;
        }
        got = answer(fd, &status);
        fd = -1;
        if (got && status != 200) {
            refused(got);
            return 1;
        }
        if (got)
            handle(got);
        free(got);
    }
}
