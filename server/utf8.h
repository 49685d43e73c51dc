/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing beyond
 * U+10FFFF. Threads: pure. */
#ifndef RUNG_UTF8_H
#define RUNG_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* How long the sequence at the start of `left` bytes (1 or more) is; 0 when it
 * is not one. */
size_t utf8_sequence(const char *text, size_t left);
bool utf8_valid(const char *text, size_t size);

#endif
