/* Numbers: whether they are, and whether every reader keeps them. */
#include "server/jtext_inside.h"

#include <assert.h>
#include <jansson.h>

#define EXPONENT_MAX INT64_C(1000000000000) /* beyond any text's length */
#define DOUBLE_EXPONENT 308                 /* the largest double is 1.8e308 */

static bool at_digit(const struct jtext_scan *scan)
{
    return scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9';
}

/* Digits; how many, 0 when there are none. */
static int64_t scan_digits(struct jtext_scan *scan)
{
    const char *from = scan->at;

    while (at_digit(scan))
        scan->at++;
    return scan->at - from;
}

/* Behind the "e". */
static bool scan_exponent(struct jtext_scan *scan, int64_t *exponent)
{
    bool negative = jtext_take(scan, '-');

    if (!negative)
        (void)jtext_take(scan, '+');
    if (!at_digit(scan))
        return false;
    for (*exponent = 0; at_digit(scan); scan->at++)
        if (*exponent < EXPONENT_MAX)
            *exponent = *exponent * 10 + (*scan->at - '0');
    if (negative)
        *exponent = -*exponent;
    return true;
}

/* The power of ten of the first digit that counts, were there no exponent;
 * false: the number is 0. */
static bool first_power(struct span number, int64_t *power)
{
    const char *at = number.data, *end = at + number.size;
    int64_t whole = 0, zeros = 0;

    at += *at == '-';
    if (*at != '0') {
        while (at + whole < end && at[whole] >= '0' && at[whole] <= '9')
            whole++;
        *power = whole - 1;
        return true;
    }
    if (++at == end || *at++ != '.')
        return false;
    while (at + zeros < end && at[zeros] == '0')
        zeros++;
    *power = -zeros - 1;
    return at + zeros < end && at[zeros] >= '1' && at[zeros] <= '9';
}

/* A double holds what is below 1e308, and nothing from 1e309 on; in between
 * strtod() decides, the way jansson asks it. */
static bool real_fits(struct jtext_scan *scan, struct span number,
                      int64_t exponent)
{
    int64_t power;
    json_t *value;
    json_error_t error;

    if (scan->loose || !first_power(number, &power) ||
        power + exponent < DOUBLE_EXPONENT)
        return true;
    if (power + exponent > DOUBLE_EXPONENT)
        return false;
    value = json_loadb(number.data, number.size, JSON_DECODE_ANY, &error);
    if (!value && json_error_code(&error) == json_error_out_of_memory)
        scan->short_of_memory = true;
    json_decref(value);
    return value != NULL;
}

static bool scan_integer(struct jtext_scan *scan, const char *from)
{
    int64_t magnitude;
    struct jtext number = {.text = {from, (size_t)(scan->at - from)},
                           .kind = JTEXT_INTEGER};

    if (number.text.size > 17) /* of 2^53 and its sign */
        return false;
    magnitude = jtext_integer(&number);
    if (*from == '-' && magnitude == 0)
        scan->canonical = false;
    return magnitude <= JTEXT_INTEGER_MAX && magnitude >= -JTEXT_INTEGER_MAX;
}

bool jtext_scan_number(struct jtext_scan *scan, enum jtext_kind *kind)
{
    const char *from = scan->at;
    int64_t exponent = 0;

    (void)jtext_take(scan, '-');
    if (!jtext_take(scan, '0') && !scan_digits(scan))
        return false;
    if (at_digit(scan)) /* behind a 0 */
        return false;

    bool fraction = jtext_take(scan, '.');

    if (fraction && !scan_digits(scan))
        return false;

    struct span number = {from, (size_t)(scan->at - from)};
    bool scaled = jtext_take(scan, 'e') || jtext_take(scan, 'E');

    if (scaled && !scan_exponent(scan, &exponent))
        return false;
    if (!fraction && !scaled) {
        bool fits = scan_integer(scan, from);

        *kind = fits ? JTEXT_INTEGER : JTEXT_REAL;
        return fits || scan->loose;
    }
    *kind = JTEXT_REAL;
    scan->canonical = false;
    number.size = (size_t)(scan->at - from);
    return real_fits(scan, number, exponent);
}

int64_t jtext_integer(const struct jtext *number)
{
    bool negative = *number->text.data == '-';
    int64_t value = 0;

    assert(number->kind == JTEXT_INTEGER);
    for (size_t i = negative; i < number->text.size; i++)
        value = value * 10 + (number->text.data[i] - '0');
    return negative ? -value : value;
}
