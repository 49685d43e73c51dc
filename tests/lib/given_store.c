/* Fixtures for the store's tests. See given_store.h. */
#include "tests/lib/given_store.h"

#include "store/inside.h"

#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX ((size_t)64 << 20)
#define STINTS_MAX 4096

static void must(bool it, const char *what)
{
    if (it)
        return;
    (void)fprintf(stderr, "given_store: %s\n", what);
    abort();
}

char *given_path(const struct given *given, const char *name)
{
    static char path[300];

    (void)snprintf(path, sizeof(path), "%s/%s", given->dir, name);
    return path;
}

struct given *given_store_of(uint64_t map_size_bytes)
{
    struct given *given = calloc(1, sizeof(*given));
    const char *tmp = getenv("TMPDIR");

    must(given != NULL, "no memory");
    (void)snprintf(given->dir, sizeof(given->dir), "%.90s/rung-test-XXXXXX",
                   tmp && *tmp ? tmp : "/tmp");
    must(mkdtemp(given->dir) != NULL, "no directory");
    given->map_size_bytes = map_size_bytes;
    given->ts = 1000;
    given_reopen(given);
    return given;
}

struct given *given_store(void)
{
    return given_store_of(0);
}

void given_close(struct given *given)
{
    store_close(given->store);
    given->store = NULL;
}

void given_reopen(struct given *given)
{
    struct store_options options = {.dir = given->dir,
                                    .map_size_bytes = given->map_size_bytes};
    struct failure why;

    given_close(given);
    if (store_open(&given->store, &options, &why))
        must(false, why.message);
}

void remove_dir(const char *dir)
{
    DIR *list = opendir(dir);
    char path[600];

    if (!list)
        return;
    for (struct dirent *one; (one = readdir(list));) {
        (void)snprintf(path, sizeof(path), "%s/%s", dir, one->d_name);
        if (one->d_name[0] != '.')
            (void)unlink(path);
    }
    (void)closedir(list);
    (void)rmdir(dir);
}

void given_end(struct given *given)
{
    given_close(given);
    remove_dir(given->dir);
    free(given);
}

/* --- entries -------------------------------------------------------------- */

static struct entry an_entry(enum entry_kind kind, const char *conversation,
                             const char *from)
{
    return (struct entry){
        .kind = kind,
        .app = SPAN(GIVEN_APP),
        .conversation = span_of(conversation),
        .from = span_of(from),
        .device = SPAN("phone"),
    };
}

struct entry a_message(const char *conversation, const char *from,
                       const char *client_msg_id, const char *body)
{
    struct entry entry = an_entry(ENTRY_MESSAGE, conversation, from);

    entry.client_msg_id = span_of(client_msg_id);
    entry.type = SPAN("text");
    entry.body = span_of(body);
    return entry;
}

struct entry a_numbered(const char *conversation, const char *from,
                        const char *device, uint64_t client_seq)
{
    struct entry entry = a_message(conversation, from, "", "x");

    entry.device = span_of(device);
    entry.mark = client_seq + 1;
    return entry;
}

/* "a b" → "a\0b\0"; in a ring, so that a few live at once. */
static struct span user_list(const char *users)
{
    static char ring[4][ENTRY_USERS_MAX + 80];
    static int next;
    char *room = ring[next++ % 4];
    size_t size = strlen(users);

    if (size == 0)
        return (struct span){0};
    memcpy(room, users, size + 1);
    for (size_t i = 0; i < size; i++)
        if (room[i] == ' ')
            room[i] = '\0';
    return (struct span){room, size + 1};
}

struct entry a_create(const char *conversation, const char *from,
                      const char *flags, const char *users)
{
    static char lines[8][32];
    struct entry entry = an_entry(ENTRY_CREATE, conversation, from);
    char *line =
        lines[(strchr(flags, 'h') ? 1 : 0) | (strchr(flags, 'j') ? 2 : 0) |
              (strchr(flags, 'o') ? 4 : 0)];

    (void)snprintf(line, sizeof(lines[0]), "rung1 %c%c%c 0 0\n{}",
                   strchr(flags, 'h') ? 'h' : '-',
                   strchr(flags, 'j') ? 'j' : '-',
                   strchr(flags, 'o') ? 'o' : '-');
    entry.body = span_of(line);
    entry.users = user_list(users);
    return entry;
}

struct entry a_join(const char *conversation, const char *from,
                    const char *users)
{
    struct entry entry = an_entry(ENTRY_JOIN, conversation, from);

    entry.users = user_list(users);
    return entry;
}

struct entry a_leave(const char *conversation, const char *from)
{
    return an_entry(ENTRY_LEAVE, conversation, from);
}

struct entry a_mark(enum entry_kind kind, const char *conversation,
                    const char *from, uint64_t mark)
{
    struct entry entry = an_entry(kind, conversation, from);

    entry.mark = mark;
    return entry;
}

enum err try_append(struct given *given, struct entry entry,
                    struct applied *applied)
{
    struct append *append = NULL;
    enum err err = append_begin(&append, given->store);

    *applied = (struct applied){0};
    if (err)
        return err;
    if (entry.ts == 0)
        entry.ts = given->ts++;
    err = append_entry(append, &entry, applied, NULL);
    if (err) {
        append_abort(append);
        return err;
    }
    return append_commit(append);
}

struct applied append_one(struct given *given, struct entry entry)
{
    struct applied applied;
    enum err err = try_append(given, entry, &applied);

    must(err == ERR_NONE, err_text(err));
    return applied;
}

struct applied append_ok(struct given *given, struct entry entry)
{
    struct applied applied = append_one(given, entry);

    must(applied.err == ERR_NONE,
         applied.words ? applied.words : err_text(applied.err));
    must(applied.lsn > 0, "nothing was written");
    return applied;
}

void append_refused(struct given *given, struct entry entry, enum err err)
{
    lsn before = store_head(given->store);
    struct applied applied = append_one(given, entry);

    if (applied.err != err)
        (void)fprintf(stderr, "answered %s\n", err_text(applied.err));
    must(applied.err == err, "not that refusal");
    must(applied.lsn == 0 && applied.seq == 0, "a refusal has no place");
    must(store_head(given->store) == before, "a refusal left a trace");
}

/* --- looking -------------------------------------------------------------- */

static void print_finding(const char *text, void *arg)
{
    (void)arg;
    (void)fprintf(stderr, "found: %s\n", text);
}

uint64_t problems_of(struct store *store)
{
    struct store_check check = {.finding = print_finding};
    struct failure why;
    uint64_t found;

    if (store_verify(store, &check, &found, &why))
        must(false, why.message);
    return found;
}

static void dump_span(struct buf *out, struct span span)
{
    buf_append(out, &span.size, sizeof(span.size));
    buf_append_span(out, span);
}

void dump_tables(struct store *store, bool with_log, struct buf *out)
{
    struct tx tx;

    must(!tx_begin(&tx, &store->env, false), "no transaction");
    for (int t = 0; t < TABLE_COUNT; t++) {
        struct scan scan;
        enum err err;

        if (t == TABLE_META || (t == TABLE_LOG && !with_log))
            continue;
        buf_append_text(out, table_name((enum table)t));
        must(!scan_open(&scan, &tx, (enum table)t), "no scan");
        for (err = scan_first(&scan); !err; err = scan_next(&scan)) {
            dump_span(out, scan.key);
            dump_span(out, scan.value);
        }
        must(err == ERR_END, "a scan failed");
        scan_close(&scan);
    }
    tx_abort(&tx);
    must(!buf_status(out), "no room for the dump");
}

struct reader *given_reader(struct given *given)
{
    struct reader *reader = NULL;

    must(!reader_create(&reader, given->store), "no reader");
    must(!reader_begin(reader), "no snapshot");
    return reader;
}

void reader_done(struct reader *reader)
{
    reader_end(reader);
    reader_destroy(reader);
}

bool write_entry(const struct entry *entry, struct span bytes, void *buf)
{
    static const char letters[] = "?mcjlrdt";
    struct entry again;
    struct buf *out = buf;

    must(!entry_decode(&again, bytes) && again.lsn == entry->lsn,
         "the bytes are not the entry's");
    if (entry->kind == ENTRY_READ || entry->kind == ENTRY_DELIVERED)
        buf_printf(out, "%c%llu:%.*s@%llu ", letters[entry->kind],
                   (unsigned long long)entry->mark, (int)entry->from.size,
                   entry->from.data, (unsigned long long)entry->lsn);
    else
        buf_printf(out, "%c%llu:%.*s:%.*s ", letters[entry->kind],
                   (unsigned long long)entry->seq, (int)entry->from.size,
                   entry->from.data,
                   entry->kind == ENTRY_MESSAGE ? (int)entry->body.size : 0,
                   entry->body.data);
    return true;
}

bool write_gap(const struct gap *gap, void *buf)
{
    buf_printf(buf, "gap%llu-%llu ", (unsigned long long)gap->from,
               (unsigned long long)gap->to);
    return true;
}

const char *text_of_buf(struct buf *buf)
{
    buf_append(buf, "", 1);
    must(!buf_status(buf), "no room for the text");
    buf->size--;
    return buf->data;
}

struct stints {
    struct stint list[STINTS_MAX];
    size_t count;
};

static bool take_stint(const struct stint *stint, void *arg)
{
    struct stints *stints = arg;

    must(stints->count < STINTS_MAX, "too many stints");
    stints->list[stints->count++] = *stint;
    return true;
}

static struct buf *fresh_text(void)
{
    static struct buf ring[4];
    static int next;
    struct buf *buf = &ring[next++ % 4];

    buf_fini(buf);
    buf_init(buf, TEXT_MAX);
    return buf;
}

const char *mixed_of(struct given *given, const char *user, lsn cursor)
{
    static struct stints stints;
    struct reader *reader = given_reader(given);
    struct buf *text = fresh_text();
    bool more;

    stints.count = 0;
    must(!reader_stints(reader, SPAN(GIVEN_APP), span_of(user), take_stint,
                        &stints),
         "no stints");
    must(!mixed_read(reader, span_of(user), stints.list, stints.count, &cursor,
                     store_head(given->store), write_entry, write_gap, text,
                     &more),
         "no mixed chain");
    must(!more, "more, without being stopped");
    must(cursor >= store_head(given->store), "the cursor is not at the head");
    reader_done(reader);
    return text_of_buf(text);
}

const char *chain_of(struct given *given, const char *conversation,
                     uint64_t from, uint64_t to, bool descending)
{
    struct reader *reader = given_reader(given);
    struct buf *text = fresh_text();
    struct conversation conv;

    must(!reader_conversation(reader, SPAN(GIVEN_APP), span_of(conversation),
                              &conv),
         "no such conversation");
    must(!chain_read(reader, conv.no, from, to, descending, write_entry, text),
         "no chain");
    reader_done(reader);
    return text_of_buf(text);
}
