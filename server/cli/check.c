/* rung check: verify every invariant of a store; rebuild what is derived. */
#include "server/cli/cli.h"
#include "server/cli/progress.h"
#include "store/store.h"

#include <getopt.h>
#include <stdio.h>

#define EXIT_CLEAN 0
#define EXIT_FINDINGS 1
#define EXIT_NOT_CHECKED 2

static const char usage[] =
    "usage: rung check --data DIR [--rebuild]\n\n"
    "Reads the whole store and checks every invariant (docs/FORMAT.md). The\n"
    "store may be in use: this only reads. Findings go to stderr, a summary "
    "to\n"
    "stdout. Exits 0 when all is well, 1 when something was found, 2 when the\n"
    "store could not be checked. Needs room in $TMPDIR (or /tmp).\n\n"
    "  --data DIR   the data directory\n"
    "  --rebuild    first drop what is derived and make it anew from the log;\n"
    "               no server may have the store open\n"
    "  -h, --help   print this\n";

static const struct option options[] = {
    {"data", required_argument, NULL, 'd'},
    {"rebuild", no_argument, NULL, 'r'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct request {
    const char *data;
    bool rebuild, help;
};

static int read_options(struct request *r, int argc, char **argv)
{
    int c;

    *r = (struct request){0};
    optind = 0;
    while ((c = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        if (c == 'd')
            r->data = optarg;
        else if (c == 'r')
            r->rebuild = true;
        else if (c == 'h')
            r->help = true;
        else
            return cli_bad_option("check", c, argv, options);
    }
    if (r->help)
        return CLI_OK;
    if (optind < argc)
        return cli_misuse("check", "'%s': takes options only", argv[optind]);
    if (!r->data)
        return cli_misuse("check", "--data DIR is missing: which store?");
    return CLI_OK;
}

/* One pass over the store, and what it tells on the way. */
struct pass {
    struct progress bar;
    const char *title;
    bool begun;
    uint64_t done;
};

static void on_finding(const char *text, void *arg)
{
    struct pass *pass = arg;

    /* over the bar's line, which is drawn again below */
    (void)fprintf(stderr, "%s%s\n", pass->bar.visible ? "\r\033[K" : "", text);
}

static void on_progress(uint64_t done, uint64_t total, void *arg)
{
    struct pass *pass = arg;

    if (!pass->begun)
        progress_begin(&pass->bar, pass->title, "rows", total);
    pass->begun = true;
    pass->done = done;
    progress_step(&pass->bar, done);
}

static void end_pass(struct pass *pass)
{
    if (pass->begun)
        progress_end(&pass->bar, pass->done);
}

static enum err rebuild(struct store *store, struct failure *why)
{
    struct pass pass = {.title = "rebuilding"};
    struct store_check check = {on_finding, on_progress, &pass};
    enum err err = store_rebuild(store, &check, why);

    end_pass(&pass);
    return err;
}

static enum err verify(struct store *store, uint64_t *found,
                       struct failure *why)
{
    struct pass pass = {.title = "checking"};
    struct store_check check = {on_finding, on_progress, &pass};
    enum err err = store_verify(store, &check, found, why);

    end_pass(&pass);
    return err;
}

static enum err run(struct store *store, bool rebuilding, uint64_t *found,
                    struct failure *why)
{
    uint64_t entries, conversations;
    enum err err = ERR_NONE;

    if (rebuilding)
        err = rebuild(store, why);
    if (!err)
        err = verify(store, found, why);
    if (err)
        return err;
    err = store_count(store, &entries, &conversations);
    if (err)
        return fail_plain(why, err);
    (void)printf("%llu entries, %llu conversations, %llu problem%s\n",
                 (unsigned long long)entries, (unsigned long long)conversations,
                 (unsigned long long)*found, *found == 1 ? "" : "s");
    return ERR_NONE;
}

int cli_check(int argc, char **argv)
{
    struct store_options opening = {0};
    struct store *store = NULL;
    struct failure why;
    struct request r;
    uint64_t found = 0;
    enum err err;
    int status = read_options(&r, argc, argv);

    if (status != CLI_OK)
        return status;
    if (r.help) {
        (void)fputs(usage, stdout);
        return CLI_OK;
    }
    opening.dir = r.data;
    opening.read_only = !r.rebuild;
    if (r.rebuild) { /* a store is not made just to be checked */
        opening.read_only = true;
        err = store_open(&store, &opening, &why);
        store_close(store);
        store = NULL;
        opening.read_only = false;
        if (err) {
            (void)cli_fail("check", &why);
            return EXIT_NOT_CHECKED;
        }
    }
    err = store_open(&store, &opening, &why);
    if (!err)
        err = run(store, r.rebuild, &found, &why);
    store_close(store);
    if (err) {
        (void)cli_fail("check", &why);
        return EXIT_NOT_CHECKED;
    }
    return found > 0 ? EXIT_FINDINGS : EXIT_CLEAN;
}
