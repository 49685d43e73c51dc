/* rung backup: copy a store while it is in use. */
#include "server/cli/cli.h"
#include "server/cli/progress.h"
#include "store/store.h"

#include <getopt.h>
#include <stdio.h>

static const char usage[] =
    "usage: rung backup --data DIR --to DIR [--keep-epoch]\n\n"
    "Copies a store, compacted, as it is at this moment; the server may go on\n"
    "using it. The copy gets a new epoch, so that clients who knew the "
    "original\n"
    "notice when the copy takes its place and reload.\n\n"
    "  --data DIR     the data directory to copy\n"
    "  --to DIR       where to: made when missing (its parent is not), must "
    "not hold\n"
    "                 a store\n"
    "  --keep-epoch   keep the epoch: only for a copy that replaces its "
    "original\n"
    "                 before anything more is written to it\n"
    "  -h, --help     print this\n";

static const struct option options[] = {
    {"data", required_argument, NULL, 'd'},
    {"to", required_argument, NULL, 't'},
    {"keep-epoch", no_argument, NULL, 'k'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct request {
    const char *data, *to;
    bool keep_epoch, help;
};

static int read_options(struct request *r, int argc, char **argv)
{
    int c;

    *r = (struct request){0};
    optind = 0;
    while ((c = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        if (c == 'd')
            r->data = optarg;
        else if (c == 't')
            r->to = optarg;
        else if (c == 'k')
            r->keep_epoch = true;
        else if (c == 'h')
            r->help = true;
        else
            return cli_bad_option("backup", c, argv, options);
    }
    if (r->help)
        return CLI_OK;
    if (optind < argc)
        return cli_misuse("backup", "'%s': takes options only", argv[optind]);
    if (!r->data)
        return cli_misuse("backup", "--data DIR is missing: which store?");
    if (!r->to)
        return cli_misuse("backup", "--to DIR is missing: where to?");
    return CLI_OK;
}

struct pass {
    struct progress bar;
    bool begun;
    uint64_t done;
};

static void on_progress(uint64_t done, uint64_t total, void *arg)
{
    struct pass *pass = arg;

    if (!pass->begun)
        progress_begin(&pass->bar, "copying", "B", total);
    pass->begun = true;
    pass->done = done;
    progress_step(&pass->bar, done);
}

int cli_backup(int argc, char **argv)
{
    struct store_options opening = {.read_only = true};
    struct pass pass = {0};
    struct store *store = NULL;
    struct failure why;
    struct request r;
    enum err err;
    int status = read_options(&r, argc, argv);

    if (status != CLI_OK)
        return status;
    if (r.help) {
        (void)fputs(usage, stdout);
        return CLI_OK;
    }
    opening.dir = r.data;
    err = store_open(&store, &opening, &why);
    if (!err)
        err =
            store_backup(store, r.to, !r.keep_epoch, on_progress, &pass, &why);
    if (pass.begun)
        progress_end(&pass.bar, pass.done);
    if (!err)
        (void)printf("copied %s to %s\n", r.data, r.to);
    store_close(store);
    return err ? cli_fail("backup", &why) : CLI_OK;
}
