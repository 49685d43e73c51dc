/* What was seen, as one line of JSON. */
#include "bench/load/load.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* Of one thread, in nanoseconds; less coarse than the ticks in its stat. */
static uint64_t thread_cpu_ns(const char *pid, const char *tid)
{
    char path[64 + 2 * 256];
    char line[128] = "";
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%s/task/%s/schedstat", pid, tid);
    file = fopen(path, "r");
    if (!file)
        return 0;
    if (!fgets(line, sizeof(line), file))
        line[0] = '\0';
    (void)fclose(file);
    return strtoull(line, NULL, 10);
}

static double process_cpu_s(const char *pid)
{
    char path[64];
    uint64_t ns = 0;
    struct dirent *entry;
    DIR *dir;

    (void)snprintf(path, sizeof(path), "/proc/%s/task", pid);
    dir = opendir(path);
    if (!dir)
        return 0;
    while ((entry = readdir(dir)) != NULL)
        if (entry->d_name[0] != '.')
            ns += thread_cpu_ns(pid, entry->d_name);
    closedir(dir);
    return (double)ns / 1e9;
}

static void each_pid(void (*visit)(const char *pid, void *arg), void *arg)
{
    char copy[256], *rest = copy, *pid;

    (void)snprintf(copy, sizeof(copy), "%s", plan.pids ? plan.pids : "");
    while ((pid = strsep(&rest, ",")) != NULL)
        if (*pid)
            visit(pid, arg);
}

static void add_cpu(const char *pid, void *arg)
{
    *(double *)arg += process_cpu_s(pid);
}

/* The kilobytes of a line "Name:   123 kB", or 0 when it is another. */
static uint64_t kilobytes(const char *line, const char *name)
{
    size_t size = strlen(name);

    if (strncmp(line, name, size) != 0)
        return 0;
    return strtoull(line + size, NULL, 10);
}

static void add_memory(const char *pid, void *arg)
{
    uint64_t *sums = arg;
    char path[64], line[160];
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%s/smaps_rollup", pid);
    file = fopen(path, "r");
    while (file && fgets(line, sizeof(line), file)) {
        sums[0] += kilobytes(line, "Pss:") * 1024;
        sums[1] += kilobytes(line, "Pss_Anon:") * 1024;
        sums[1] += kilobytes(line, "Pss_Shmem:") * 1024;
    }
    if (file)
        (void)fclose(file);
}

uint64_t server_memory(uint64_t *pss)
{
    uint64_t sums[2] = {0};

    each_pid(add_memory, sums);
    *pss = sums[0];
    return sums[1];
}

void usage_take(struct usage *usage)
{
    struct rusage own;

    getrusage(RUSAGE_SELF, &own);
    *usage = (struct usage){
        .own_cpu_s =
            (double)(own.ru_utime.tv_sec + own.ru_stime.tv_sec) +
            (double)(own.ru_utime.tv_usec + own.ru_stime.tv_usec) / 1e6,
        .at_us = now_us(),
        .deliveries = deliveries,
        .messages = completed,
        .rx = rx_bytes,
        .tx = tx_bytes,
        .requests = requests,
    };
    each_pid(add_cpu, &usage->cpu_s);
}

void report(const struct usage *from, const struct usage *to)
{
    double seconds = (double)(to->at_us - from->at_us) / 1e6;
    double count = (double)(to->deliveries - from->deliveries);

    (void)printf("{\"server\":\"%s\",\"via\":\"%s\",\"shape\":\"%s\","
                 "\"rooms\":%u,\"members\":%u,\"size\":%u,\"rate\":%g,"
                 "\"window\":%u,\"publishers\":%u",
                 plan.server, plan.via, plan.shape_name, plan.rooms,
                 plan.members, plan.size, plan.rate, plan.window,
                 plan.publishers);
    (void)printf(",\"seconds\":%.3f,\"deliveries\":%.0f,"
                 "\"deliveries_per_s\":%.0f,\"messages_per_s\":%.0f,"
                 "\"requests_per_s\":%.0f",
                 seconds, count, count / seconds,
                 (double)(to->messages - from->messages) / seconds,
                 (double)(to->requests - from->requests) / seconds);
    (void)printf(",\"server_cpu_s\":%.4f,\"load_cpu_s\":%.4f",
                 to->cpu_s - from->cpu_s, to->own_cpu_s - from->own_cpu_s);
    if (count > 0)
        (void)printf(",\"cpu_s_per_million\":%.4f,\"bytes_in\":%.1f,"
                     "\"bytes_out\":%.1f",
                     (to->cpu_s - from->cpu_s) * 1e6 / count,
                     (double)(to->rx - from->rx) / count,
                     (double)(to->tx - from->tx) / count);
    if (check_latency_count())
        (void)printf(",\"p50_us\":%llu,\"p99_us\":%llu,\"p999_us\":%llu,"
                     "\"max_us\":%llu",
                     (unsigned long long)check_latency(0.5),
                     (unsigned long long)check_latency(0.99),
                     (unsigned long long)check_latency(0.999),
                     (unsigned long long)slowest_us);
    (void)printf(",\"published\":%llu,\"lost\":%llu,\"twice\":%llu,"
                 "\"reordered\":%llu",
                 (unsigned long long)published, (unsigned long long)lost,
                 (unsigned long long)twice, (unsigned long long)reordered);
}
