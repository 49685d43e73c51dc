/* A progress bar on a terminal. */
#include "server/cli/progress.h"
#include "server/base/clock.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BAR_WIDTH 28
#define DRAW_EVERY_US 100000

/* "1234 entries" or "5.1 MiB". */
static void amount(char *room, size_t size, double number, const char *unit)
{
    static const char *const sizes[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t i = 0;

    if (strcmp(unit, "B") != 0) {
        (void)snprintf(room, size, "%.0f %s", number, unit);
        return;
    }
    while (number >= 1024 && i + 1 < sizeof(sizes) / sizeof(sizes[0])) {
        number /= 1024;
        i++;
    }
    (void)snprintf(room, size, i ? "%.1f %s" : "%.0f %s", number, sizes[i]);
}

static void draw_share(const struct progress *progress, uint64_t done)
{
    char bar[BAR_WIDTH + 1];
    double share = (double)done / (double)progress->total;
    size_t full;

    if (share > 1)
        share = 1;
    full = (size_t)(share * BAR_WIDTH);
    memset(bar, ' ', BAR_WIDTH);
    memset(bar, '=', full);
    if (full < BAR_WIDTH)
        bar[full] = '>';
    bar[BAR_WIDTH] = '\0';
    (void)fprintf(stderr, "[%s] %3d %%  ", bar, (int)(share * 100));
}

static void draw_time_left(const struct progress *progress, uint64_t done,
                           double seconds)
{
    double left;

    if (!done || done >= progress->total)
        return;
    left = seconds * (double)(progress->total - done) / (double)done;
    if (left < 100 * 3600)
        (void)fprintf(stderr, ", %d:%02d:%02d left", (int)left / 3600,
                      (int)left / 60 % 60, (int)left % 60);
}

static void draw(struct progress *progress, uint64_t done, uint64_t now_us)
{
    double seconds = (double)(now_us - progress->begun_us) / 1e6;
    char number[48], rate[48];

    progress->shown_us = now_us;
    amount(number, sizeof(number), (double)done, progress->unit);
    amount(rate, sizeof(rate), seconds > 0 ? (double)done / seconds : 0,
           progress->unit);
    (void)fprintf(stderr, "\r%s ", progress->title);
    if (progress->total)
        draw_share(progress, done);
    (void)fprintf(stderr, "%s, %s/s", number, rate);
    if (progress->total)
        draw_time_left(progress, done, seconds);
    (void)fputs("\033[K", stderr); /* and nothing of a longer line before */
}

void progress_begin(struct progress *progress, const char *title,
                    const char *unit, uint64_t total)
{
    *progress = (struct progress){.title = title,
                                  .unit = unit,
                                  .total = total,
                                  .begun_us = clock_mono_us(),
                                  .visible = isatty(STDERR_FILENO) == 1};
}

void progress_step(struct progress *progress, uint64_t done)
{
    uint64_t now_us;

    if (!progress->visible)
        return;
    now_us = clock_mono_us();
    if (now_us - progress->shown_us >= DRAW_EVERY_US)
        draw(progress, done, now_us);
}

void progress_end(struct progress *progress, uint64_t done)
{
    if (!progress->visible)
        return;
    draw(progress, done, clock_mono_us());
    (void)fputc('\n', stderr);
    progress->visible = false;
}
