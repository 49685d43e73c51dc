/* The nearest known word by edit distance (optimal string alignment). */
#include "server/nearest.h"

#include <string.h>

#define WORD_MAX 47

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Three rows of the usual table are enough: a swap looks two rows back. */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][WORD_MAX + 1];
    size_t a_size = strlen(a), b_size = strlen(b);

    for (size_t j = 0; j <= b_size; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t *now = rows[i % 3], *up = rows[(i + 2) % 3];
        const size_t *upper = rows[(i + 1) % 3];

        now[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            now[j] = least(up[j], now[j - 1]) + 1;
            now[j] = least(now[j], up[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], upper[j - 2] + 1);
        }
    }
    return rows[a_size % 3][b_size];
}

void nearest_init(struct nearest *nearest, const char *typed)
{
    size_t length = strlen(typed);

    nearest->typed = typed;
    nearest->best = NULL;
    nearest->distance = least(length / 3 + 2, length); /* and no further */
}

void nearest_offer(struct nearest *nearest, const char *known)
{
    if (strlen(nearest->typed) > WORD_MAX || strlen(known) > WORD_MAX)
        return;

    size_t now = distance(nearest->typed, known);

    if (now < nearest->distance) {
        nearest->distance = now;
        nearest->best = known;
    }
}
