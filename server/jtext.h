/* JSON as text (RFC 8259), read where it stands: checked in one pass, and its
 * values are spans of it. Nothing is built, so what nobody asks for costs only
 * the look at its bytes.
 *
 * It accepts what jansson accepts with JSON_REJECT_DUPLICATES, and of that only
 * what nests at most JTEXT_DEPTH_MAX deep and holds no whole number beyond
 * 2^53 - 1 either way, and no NUL: no invalid UTF-8, no lone surrogate, no
 * \u0000, no real number that a double cannot hold, no key twice in one object
 * (tests/fuzz/fuzz_params.c compares the two).
 *
 * Units    bytes.
 * Errors   ERR_BAD_REQUEST: the text is refused (it does not say why: what is
 *          wrong is looked for only then, see params_read()); ERR_NOMEM.
 * Threads  pure functions.
 * Memory   values are borrowed from the text. Only an object of more members
 *          than JTEXT_MEMBERS takes memory, and while it is checked.
 */
#ifndef RUNG_JTEXT_H
#define RUNG_JTEXT_H

#include "server/base/buf.h"

#define JTEXT_DEPTH_MAX 32
#define JTEXT_LOOSE_DEPTH_MAX 128
#define JTEXT_MEMBERS 16 /* found without another look at the text */
#define JTEXT_INTEGER_MAX ((INT64_C(1) << 53) - 1) /* every reader keeps it */

enum jtext_kind {
    JTEXT_NULL,
    JTEXT_FALSE,
    JTEXT_TRUE,
    JTEXT_INTEGER, /* no fraction, no exponent */
    JTEXT_REAL,
    JTEXT_STRING,
    JTEXT_ARRAY,
    JTEXT_OBJECT
};

struct jtext {
    struct span text; /* all of it: a string with its quotes */
    enum jtext_kind kind;
    bool escaped;   /* a string with a backslash in it */
    bool canonical; /* the text is what body_write() would write */
};

struct jtext_member {
    struct jtext key, value;
};

/* Zeroed: {}. */
struct jtext_object {
    struct jtext_member members[JTEXT_MEMBERS]; /* the first of them */
    size_t count;                               /* of all */
    struct span rest; /* from the first that is not among `members` */
};

/* One value, with nothing but blanks around it. For the tests, which try values
 * of every kind: a request is an object. */
MUST_CHECK enum err jtext_read(struct span text, struct jtext *out);
/* The same when it must be an object. `inner` may be NULL, else the members of
 * its member `inner_name` go there in the same pass. What is not there, or no
 * object, or refused, is {}. */
MUST_CHECK enum err jtext_read_object(struct span text,
                                      struct jtext_object *out,
                                      const char *inner_name,
                                      struct jtext_object *inner);

/* Called with an object when it has ended; false: the text is refused. */
typedef bool jtext_visit(const struct jtext_object *object, void *arg);

/* The same of text that is only passed on: all that the grammar has, so with
 * \u0000, lone surrogates (each says U+FFFD), keys that repeat (the first
 * counts) and numbers that are too large (JTEXT_REAL), but nothing nested
 * deeper than JTEXT_LOOSE_DEPTH_MAX. `visit`, unless NULL, sees every object in
 * it. */
MUST_CHECK enum err jtext_read_loose(struct span text, struct jtext *out,
                                     jtext_visit *visit, void *arg);

/* What was accepted, taken apart: */

/* The members of a JTEXT_OBJECT. */
void jtext_open(const struct jtext *object, struct jtext_object *out);
/* The member of that name; false: there is none. */
bool jtext_get(const struct jtext_object *object, const char *name,
               struct jtext *out);

/* The elements of a JTEXT_ARRAY, one by one:
 *   struct span rest = list.text;
 *   while (jtext_next(&rest, &element)) */
bool jtext_next(struct span *rest, struct jtext *out);
/* The same of what stands between an array's brackets, so that it can be put
 * into another: *rest begins with a value, or is empty. */
bool jtext_next_inside(struct span *rest, struct jtext *out);

/* What a JTEXT_STRING says when it is not `escaped`. */
struct span jtext_plain(const struct jtext *string);
/* Whether a JTEXT_STRING says that. */
bool jtext_says(const struct jtext *string, struct span text);
/* What any JTEXT_STRING says, into out[], which has room for its text;
 * returns how many bytes that are, fewer than the text has. Not terminated. */
size_t jtext_unescape(char *out, const struct jtext *string);
/* The number that a JTEXT_INTEGER is. */
int64_t jtext_integer(const struct jtext *number);

#endif
