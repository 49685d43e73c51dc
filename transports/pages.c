/* The demo's files, with their ETags. */
#define _GNU_SOURCE /* O_PATH */
#include "transports/pages.h"

#include "server/assets.h"
#include "server/origin.h"
#include "server/worker.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX_BYTES (8u << 20)
#define PATH_MAX_BYTES 512

#define POLICY                                                                 \
    "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; "  \
    "style-src 'self'; object-src 'none'; base-uri 'none'; "                   \
    "form-action 'self'; frame-ancestors 'self'"

/* The pages that may talk to us may also frame us: so is the chat window
 * embedded (web/rung-embed.js). NULL: no memory. */
static const char *policy_for(struct request *request, struct buf *room)
{
    const struct config *config = request_worker(request)->config;

    buf_init(room, sizeof(POLICY) + 4 * strlen(config->allowed_origins) + 64);
    buf_append_text(room, POLICY);
    origin_write_allowed(room, config);
    buf_append(room, "", 1);
    return buf_status(room) ? NULL : room->data;
}

static bool is_known(struct span known, const char *etag)
{
    return known.data && (span_is(known, "*") || head_list_has(known, etag));
}

static void serve(struct request *request, struct span body, const char *mime,
                  const char *etag, bool lasting)
{
    struct buf room;
    const char *policy = policy_for(request, &room);
    struct reply reply = {
        .type = mime,
        .body = body,
        .lasting = lasting,
        .cacheable = true,
        .headers = {{"ETag", etag},
                    {"Cache-Control", "no-cache"}, /* ask, with the ETag */
                    {"Content-Security-Policy", policy ? policy : POLICY},
                    {"Referrer-Policy", "no-referrer"}},
    };

    if (is_known(request_head(request)->if_none_match, etag)) {
        reply.status = 304;
        reply.body = (struct span){0};
    }
    request_reply(request, &reply);
    buf_fini(&room);
}

/* --- from a directory --------------------------------------------------- */

/* Only plain names between slashes: nothing that starts with a dot, so no way
 * up, and no byte that means something to a file system. */
static bool path_ok(struct span path)
{
    if (path.size >= PATH_MAX_BYTES || path.data[0] != '/')
        return false;
    for (size_t i = 0; i < path.size; i++) {
        char c = path.data[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     (c >= '0' && c <= '9') || c == '-' || c == '_';

        if (!plain && c != '/' && c != '.')
            return false;
        if (i && (c == '.' || c == '/') && path.data[i - 1] == '/')
            return false;
    }
    return true;
}

static enum err read_all(int fd, size_t size, struct buf *out)
{
    buf_init(out, FILE_MAX_BYTES);
    while (out->size < size) {
        char *room = buf_reserve(out, size - out->size);
        ssize_t got = room ? read(fd, room, size - out->size) : -1;

        if (got <= 0)
            return ERR_IO;
        out->size += (size_t)got;
    }
    return ERR_NONE;
}

static bool serve_fd(struct request *request, int fd, const char *path)
{
    struct stat about;
    struct buf text = {0};
    char etag[64];
    bool ok = !fstat(fd, &about) && S_ISREG(about.st_mode) &&
              about.st_size <= (off_t)FILE_MAX_BYTES &&
              !read_all(fd, (size_t)about.st_size, &text);

    if (ok) {
        snprintf(etag, sizeof(etag), "\"%llx-%llx\"",
                 (unsigned long long)about.st_mtim.tv_sec * 1000000000ull +
                     (unsigned long long)about.st_mtim.tv_nsec,
                 (unsigned long long)about.st_size);
        serve(request, (struct span){text.data, text.size}, asset_mime(path),
              etag, false);
    }
    buf_fini(&text);
    return ok;
}

static bool serve_file(struct request *request, const char *dir,
                       struct span path)
{
    char name[PATH_MAX_BYTES + 16];
    int folder, fd;
    bool served = false;

    if (!path_ok(path))
        return false;
    snprintf(name, sizeof(name), ".%.*s%s", (int)path.size, path.data,
             path.data[path.size - 1] == '/' ? "index.html" : "");
    folder = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return false;
    fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0) {
        served = serve_fd(request, fd, name);
        close(fd);
    }
    close(folder);
    return served;
}

/* --- built in ----------------------------------------------------------- */

static bool serve_built_in(struct request *request, struct span path)
{
    char name[PATH_MAX_BYTES];
    const struct asset *asset;

    if (path.size >= sizeof(name))
        return false;
    memcpy(name, path.data, path.size);
    name[path.size] = '\0';
    asset = asset_find(name);
    if (!asset)
        return false;
    serve(request, (struct span){(const char *)asset->data, asset->size},
          asset->mime, asset->etag, true);
    return true;
}

bool pages_serve(struct request *request)
{
    struct span path = request_head(request)->path;
    const char *dir = request_worker(request)->config->web;

    return dir[0] ? serve_file(request, dir, path)
                  : serve_built_in(request, path);
}
