/* How many durable appends a second, by batch size: the store, and bare LMDB
 * putting the same rows into the same tables.
 *
 *     append [--dir DIR] [--seconds S] [--conversations N] [--body BYTES]
 *            [--preload N]
 *
 * Messages go to random conversations of two, with a time-ordered client_msg_id
 * (as the SDK makes them). The directory must be on the disk to be measured.
 */
#include "store/append.h"
#include "server/base/clock.h"
#include "store/inside.h"
#include "store/key.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define USERS 1000

struct plan {
    const char *dir;
    double seconds;
    unsigned conversations;
    unsigned body_bytes;
    unsigned preload;
};

/* One message, made anew each time. */
struct post {
    char conversation[64], from[16], id[40], body[4096];
    unsigned number; /* of the conversation */
};

static uint64_t seed = 88172645463325252u;

static uint64_t roll(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static void make_post(struct post *post, const struct plan *plan, uint64_t i)
{
    unsigned a, b;

    post->number = (unsigned)(roll() % plan->conversations);
    a = 100000 + post->number % USERS;
    b = 200000 + post->number;
    (void)snprintf(post->conversation, sizeof(post->conversation), "0:1:%u:%u",
                   a, b);
    (void)snprintf(post->from, sizeof(post->from), "%u", a);
    (void)snprintf(post->id, sizeof(post->id), "%08x-%04x-7%03x-%04x-%012llx",
                   (unsigned)(i >> 20), (unsigned)(i >> 4 & 0xffff),
                   (unsigned)(roll() & 0xfff), (unsigned)(roll() & 0xffff),
                   (unsigned long long)(roll() & 0xffffffffffff));
    memset(post->body, 'x', plan->body_bytes);
}

static struct entry entry_of(const struct post *post, const struct plan *plan)
{
    return (struct entry){
        .kind = ENTRY_MESSAGE,
        .ts = 1763600000000,
        .app = SPAN("bench"),
        .conversation = span_of(post->conversation),
        .from = span_of(post->from),
        .device = SPAN("phone"),
        .client_msg_id = span_of(post->id),
        .type = SPAN("text"),
        .body = {post->body, plan->body_bytes},
    };
}

static void must(enum err err, const char *what)
{
    if (!err)
        return;
    (void)fprintf(stderr, "append: %s: %s\n", what, err_text(err));
    exit(1);
}

static void store_batch(struct store *store, const struct plan *plan,
                        uint64_t first, unsigned batch)
{
    static struct post post;
    struct append *append;

    must(append_begin(&append, store), "begin");
    for (unsigned i = 0; i < batch; i++) {
        struct applied applied;
        struct entry entry;

        make_post(&post, plan, first + i);
        entry = entry_of(&post, plan);
        must(append_entry(append, &entry, &applied, NULL), "append");
        must(applied.err, "answer");
    }
    must(append_commit(append), "commit");
}

/* The same rows, without a question asked. */
static void bare_batch(struct env *env, const struct plan *plan, uint64_t first,
                       unsigned batch, uint64_t *seqs)
{
    static struct post post;
    static struct buf bytes = {.max = 1 << 20};
    struct tx tx;

    must(tx_begin(&tx, env, true), "begin");
    for (unsigned i = 0; i < batch; i++) {
        unsigned char row[48] = {0};
        struct entry entry;
        struct key key;

        make_post(&post, plan, first + i);
        entry = entry_of(&post, plan);
        entry.lsn = first + i;
        entry.seq = ++seqs[post.number];
        entry.conv = post.number + 1;
        buf_reset(&bytes);
        entry_encode(&bytes, &entry);
        key_log(&key, entry.lsn);
        must(tx_append(&tx, TABLE_LOG, &key,
                       (struct span){bytes.data, bytes.size}),
             "log");
        key_pair(&key, entry.conv, entry.seq);
        must(tx_put(&tx, TABLE_CHAIN, &key, (struct span){(char *)row, 16}),
             "chain");
        key_dedup(&key, entry.client_msg_id, entry.conv);
        must(tx_put(&tx, TABLE_DEDUP, &key, (struct span){(char *)row, 48}),
             "dedup");
    }
    must(tx_commit(&tx), "commit");
}

static struct store *open_store(const struct plan *plan, const char *name)
{
    struct store_options options = {.dir = plan->dir};
    struct store *store;
    struct failure why;
    char dir[512];

    (void)snprintf(dir, sizeof(dir), "%s/%s", plan->dir, name);
    options.dir = dir;
    if (store_open(&store, &options, &why)) {
        (void)fprintf(stderr, "append: %s\n", why.message);
        exit(1);
    }
    return store;
}

/* The benched directories are our own: made above, removed here. */
static void remove_store(const struct plan *plan, const char *name)
{
    static const char *const files[] = {"rung.mdb", "rung.mdb-lock", "lock",
                                        ""};
    char path[600];

    for (int i = 0; i < 4; i++) {
        (void)snprintf(path, sizeof(path), "%s/%s/%s", plan->dir, name,
                       files[i]);
        if (files[i][0])
            (void)unlink(path);
        else
            (void)rmdir(path);
    }
}

static double measure(const struct plan *plan, unsigned batch, bool bare)
{
    const char *name = bare ? "bench-bare" : "bench-store";
    uint64_t *seqs = calloc(plan->conversations, sizeof(*seqs));
    struct store *store = open_store(plan, name);
    uint64_t done = 0, start = 0, us;

    for (;;) {
        bool warm = done < plan->preload;
        unsigned size = warm ? 1000 : batch;

        if (!warm && start == 0)
            start = clock_mono_us();
        if (bare)
            bare_batch(&store->env, plan, done + 1, size, seqs);
        else
            store_batch(store, plan, done + 1, size);
        done += size;
        us = clock_mono_us() - start;
        if (start && (double)us > plan->seconds * 1e6)
            break;
    }
    store_close(store);
    remove_store(plan, name);
    free(seqs);
    return (double)(done - plan->preload) * 1e6 / (double)us;
}

static const struct option options[] = {
    {"dir", required_argument, NULL, 'd'},
    {"seconds", required_argument, NULL, 's'},
    {"conversations", required_argument, NULL, 'c'},
    {"body", required_argument, NULL, 'b'},
    {"preload", required_argument, NULL, 'p'},
    {NULL, 0, NULL, 0},
};

int main(int argc, char **argv)
{
    static const unsigned batches[] = {1, 10, 100, 1000};
    struct plan plan = {".", 3, 1000, 100, 100000};
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'd')
            plan.dir = optarg;
        else if (c == 's')
            plan.seconds = strtod(optarg, NULL);
        else if (c == 'c')
            plan.conversations = (unsigned)strtoul(optarg, NULL, 10);
        else if (c == 'b')
            plan.body_bytes = (unsigned)strtoul(optarg, NULL, 10);
        else if (c == 'p')
            plan.preload = (unsigned)strtoul(optarg, NULL, 10);
        else
            return 2;
    }
    if (plan.conversations == 0 || plan.body_bytes > 4096)
        return 2;
    plan.preload -= plan.preload % 1000;
    (void)printf("%u conversations, bodies of %u bytes, %u entries before\n"
                 "%8s %12s %12s %7s\n",
                 plan.conversations, plan.body_bytes, plan.preload, "batch",
                 "store/s", "bare LMDB/s", "ratio");
    for (int i = 0; i < 4; i++) {
        double bare = measure(&plan, batches[i], true);
        double store = measure(&plan, batches[i], false);

        (void)printf("%8u %12.0f %12.0f %7.2f\n", batches[i], store, bare,
                     store / bare);
        (void)fflush(stdout);
    }
    return 0;
}
