/* simulate SEEDS [-j N] [--steps N] [--without LIST] [--story] [--find]
 *
 * SEEDS is "7" or "1-300". Each seed is one run, in a process of its own. A run
 * that finds something wrong prints its story, made as short as it can be, and
 * the command that tells it again. Exit 1 then. With --find the first failure
 * ends it, and one line says what it was.
 */
#define _GNU_SOURCE
#include "tests/simulate/house.h"
#include "tests/simulate/net.h"
#include "tests/simulate/run.h"
#include "tests/simulate/story.h"

#include "server/base/trace.h"

#include <ftw.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STEPS_MAX 4096
#define STEPS 120
#define JOBS_MAX 64
#define SHRINK_MOST_S 60 /* of the real clock, as is the next */
#define RUN_MOST_S 60    /* one that takes longer hangs */

/* Runs do leave memory behind: that of the lives that were cut short. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0:detect_stack_use_after_return=0";
}

struct order {
    uint64_t first, last;
    unsigned steps, jobs;
    bool left_out[STEPS_MAX];
    bool story, find;
};

/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): there are few */
struct job {
    pid_t pid;
    uint64_t seed;
    int out; /* what it says */
    char *text;
    size_t size;
};

/* --- one run, in a process of its own --------------------------------------
 */

_Noreturn static void be_run(const struct order *order, uint64_t seed,
                             const bool *left_out, int out)
{
    struct run_options options = {
        .seed = seed, .steps = order->steps, .left_out = left_out};
    struct rlimit files = {1024, 1024};
    const char *text;
    size_t size;

    setrlimit(RLIMIT_NOFILE, &files);
    alarm(RUN_MOST_S);
    signal(SIGPIPE, SIG_IGN);
    trace_setup(TRACE_ERROR, false);
    dup2(out, STDERR_FILENO); /* last words come before the story */
    net_mark(out, true);
    run(&options);
    text = story_text(&size);
    while (size) {
        ssize_t written = write(out, text, size);

        if (written <= 0)
            break;
        text += written;
        size -= (size_t)written;
    }
    _exit(story_failed() ? 1 : 0);
}

static struct job start(const struct order *order, uint64_t seed,
                        const bool *left_out)
{
    struct job job = {.seed = seed};
    int ends[2];

    fflush(stdout);
    if (pipe(ends) || (job.pid = fork()) < 0) {
        perror("simulate");
        exit(2);
    }
    if (job.pid == 0) {
        close(ends[0]);
        be_run(order, seed, left_out, ends[1]);
    }
    close(ends[1]);
    job.out = ends[0];
    return job;
}

/* More of what it says; false: that was all. */
static bool listen_to(struct job *job)
{
    char bytes[65536];
    ssize_t size = read(job->out, bytes, sizeof bytes);

    if (size <= 0)
        return false;
    job->text = realloc(job->text, job->size + (size_t)size + 1);
    if (!job->text)
        exit(2);
    memcpy(job->text + job->size, bytes, (size_t)size);
    job->size += (size_t)size;
    job->text[job->size] = 0;
    return true;
}

static int remove_one(const char *path, const struct stat *about, int type,
                      struct FTW *where)
{
    (void)about;
    (void)type;
    (void)where;
    return remove(path);
}

/* What a run that died has left behind. */
static void clear_away(pid_t pid)
{
    char root[128];

    house_root(pid, root, sizeof root);
    (void)nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Whether it was well. */
static bool end(struct job *job)
{
    int status;

    close(job->out);
    waitpid(job->pid, &status, 0);
    if (!WIFEXITED(status))
        clear_away(job->pid);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool run_alone(const struct order *order, uint64_t seed,
                      const bool *left_out, char **text)
{
    struct job job = start(order, seed, left_out);
    bool well;

    while (listen_to(&job))
        ;
    well = end(&job);
    if (text)
        *text = job.text;
    else
        free(job.text);
    return well;
}

/* The clock of the C library is the runs'. */
static uint64_t real_s(void)
{
    struct timespec now = {0};

    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec;
}

/* --- a failure, made short -------------------------------------------------
 */

/* Leave out as many steps as the failure does not need: halves first, then
 * smaller parts. */
static void shrink(const struct order *order, uint64_t seed, bool *left_out)
{
    uint64_t end = real_s() + SHRINK_MOST_S;

    for (unsigned part = order->steps / 2; part; part /= 2)
        for (unsigned at = 0; at < order->steps && real_s() < end; at += part) {
            bool without[STEPS_MAX];
            unsigned more = 0;

            memcpy(without, left_out, sizeof without);
            for (unsigned i = at; i < at + part && i < order->steps; i++) {
                more += !without[i];
                without[i] = true;
            }
            if (!more)
                continue;
            if (!run_alone(order, seed, without, NULL))
                memcpy(left_out, without, sizeof without);
        }
}

static void print_list(const struct order *order, const bool *left_out)
{
    const char *comma = "";

    for (unsigned i = 0; i < order->steps; i++) {
        unsigned from = i;

        if (!left_out[i])
            continue;
        while (i + 1 < order->steps && left_out[i + 1])
            i++;
        printf(from == i ? "%s%u" : "%s%u-%u", comma, from, i);
        comma = ",";
    }
}

static void explain(const struct order *order, uint64_t seed)
{
    bool left_out[STEPS_MAX];
    char *text = NULL;

    memcpy(left_out, order->left_out, sizeof left_out);
    shrink(order, seed, left_out);
    (void)run_alone(order, seed, left_out, &text);
    printf("\nseed %llu failed. The story:\n\n%s\nTo hear it again:\n"
           "    build/tests/simulate/simulate %llu --steps %u --story "
           "--without ",
           (unsigned long long)seed, text ? text : "(it died)\n",
           (unsigned long long)seed, order->steps);
    print_list(order, left_out);
    printf("\n");
    free(text);
}

/* What was wrong, or its last words. */
static void name_failure(const struct order *order, uint64_t seed)
{
    char *text = NULL;
    const char *wrong;

    (void)run_alone(order, seed, order->left_out, &text);
    wrong = text ? strstr(text, "WRONG: ") : NULL;
    wrong = wrong  ? wrong + strlen("WRONG: ")
            : text ? text
                   : "it hangs, or died";
    printf("seed %llu: %.*s\n", (unsigned long long)seed,
           (int)strcspn(wrong, "\n"), wrong);
    free(text);
}

/* --- all of them -----------------------------------------------------------
 */

static void show_progress(uint64_t done, uint64_t all, uint64_t failed)
{
    enum { WIDTH = 40 };
    int filled = (int)(done * WIDTH / all);

    if (!isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\r[%.*s%*s] %llu of %llu, %llu failed ", filled,
            "########################################", WIDTH - filled, "",
            (unsigned long long)done, (unsigned long long)all,
            (unsigned long long)failed);
}

static struct tally totals;

/* The next number in the text, and on. */
static unsigned next_number(const char **text)
{
    char *end;
    unsigned number;

    *text += strcspn(*text, "0123456789");
    number = (unsigned)strtoul(*text, &end, 10);
    *text = end;
    return number;
}

/* In the order of TALLY_FORMAT. */
static void add_up(const char *text)
{
    const char *at = text ? strstr(text, "tally: ") : NULL;

    if (!at)
        return;
    totals.messages += next_number(&at);
    totals.network += next_number(&at);
    totals.disk += next_number(&at);
    totals.kills += next_number(&at);
    totals.cuts += next_number(&at);
    totals.lines += next_number(&at);
    totals.gaps += next_number(&at);
    totals.restores += next_number(&at);
    totals.resets += next_number(&at);
}

static void wait_for_any(struct job *jobs, unsigned count)
{
    struct pollfd ends[JOBS_MAX];

    for (unsigned i = 0; i < count; i++)
        ends[i] = (struct pollfd){.fd = jobs[i].pid ? jobs[i].out : -1,
                                  .events = POLLIN};
    poll(ends, count, -1);
}

static bool is_readable(const struct job *job)
{
    struct pollfd one = {.fd = job->out, .events = POLLIN};

    return job->pid && poll(&one, 1, 0) > 0;
}

static uint64_t run_all(const struct order *order, uint64_t *failed_seed)
{
    struct job jobs[JOBS_MAX] = {0};
    uint64_t next = order->first, all = order->last - order->first + 1;
    uint64_t done = 0, failed = 0;

    while (done < all) {
        if (failed && order->find) { /* no more of them */
            all -= order->last + 1 - next;
            next = order->last + 1;
        }
        for (unsigned i = 0; i < order->jobs && next <= order->last; i++)
            if (!jobs[i].pid)
                jobs[i] = start(order, next++, order->left_out);
        wait_for_any(jobs, order->jobs);
        for (unsigned i = 0; i < order->jobs; i++) {
            if (!is_readable(&jobs[i]) || listen_to(&jobs[i]))
                continue;
            if (!end(&jobs[i])) {
                if (!failed || jobs[i].seed < *failed_seed)
                    *failed_seed = jobs[i].seed;
                failed++;
            }
            add_up(jobs[i].text);
            free(jobs[i].text);
            jobs[i] = (struct job){0};
            show_progress(++done, all, failed);
        }
    }
    if (isatty(STDERR_FILENO))
        fputc('\n', stderr);
    return failed;
}

/* --- the command line ------------------------------------------------------
 */

_Noreturn static void usage(void)
{
    fputs("usage: simulate SEED|FIRST-LAST [-j N] [--steps N] "
          "[--without 3,7-20] [--story] [--find]\n",
          stderr);
    exit(2);
}

/* "7" or "7-20"; what follows it. */
static char *take_range(char *text, uint64_t *first, uint64_t *last)
{
    char *end;

    *first = *last = strtoull(text, &end, 10);
    if (end == text)
        usage();
    if (*end == '-')
        *last = strtoull(end + 1, &end, 10);
    return end;
}

static void leave_out(struct order *order, char *list)
{
    while (*list) {
        uint64_t first, last;

        list = take_range(list, &first, &last);
        for (uint64_t i = first; i <= last && i < STEPS_MAX; i++)
            order->left_out[i] = true;
        if (*list == ',')
            list++;
        else if (*list)
            usage();
    }
}

static void read_order(struct order *order, int argc, char **argv)
{
    static const struct option longs[] = {
        {"jobs", required_argument, NULL, 'j'},
        {"steps", required_argument, NULL, 's'},
        {"without", required_argument, NULL, 'w'},
        {"story", no_argument, NULL, 't'},
        {"find", no_argument, NULL, 'f'},
        {0},
    };
    int c;

    order->steps = STEPS;
    order->jobs = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    while ((c = getopt_long(argc, argv, "j:", longs, NULL)) != -1) {
        if (c == 'j')
            order->jobs = (unsigned)strtoul(optarg, NULL, 10);
        else if (c == 's')
            order->steps = (unsigned)strtoul(optarg, NULL, 10);
        else if (c == 'w')
            leave_out(order, optarg);
        else if (c == 't')
            order->story = true;
        else if (c == 'f')
            order->find = true;
        else
            usage();
    }
    if (optind + 1 != argc ||
        *take_range(argv[optind], &order->first, &order->last))
        usage();
    if (!order->jobs || order->jobs > JOBS_MAX || order->steps > STEPS_MAX ||
        order->last < order->first)
        usage();
}

int main(int argc, char **argv)
{
    static struct order order;
    uint64_t all, failed, seed = 0;
    char *text = NULL;

    read_order(&order, argc, argv);
    all = order.last - order.first + 1;
    if (order.story) {
        bool well = run_alone(&order, order.first, order.left_out, &text);

        fputs(text ? text : "it died\n", stdout);
        free(text);
        return !well;
    }
    failed = run_all(&order, &seed);
    if (order.find) {
        if (failed)
            name_failure(&order, seed);
        return failed != 0;
    }
    printf("%llu seeds, %llu failed\n", (unsigned long long)all,
           (unsigned long long)failed);
    printf(TALLY_FORMAT "\n", totals.messages, totals.network, totals.disk,
           totals.kills, totals.cuts, totals.lines, totals.gaps,
           totals.restores, totals.resets);
    if (failed)
        explain(&order, seed);
    return failed != 0;
}
