/* A program: what a LogFormat and the settings of its log say of how lines look, made once and never changed.

   What can fail does so for want of memory, with -1, and leaves what program_close() takes. */

#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "limits.h"
#include "values.h"

/* What a field tells. Python numbers them alike. */
enum role { SKIPPED, METHOD, ROUTE, REQUEST, STATUS, BYTES, TIME, DURATION, LOGGER, SIGN, HOST, ROLES };

/* Members, a bit each. */
typedef unsigned __int128 member_set;

static inline int first_of(member_set members)
{
    uint64_t low = (uint64_t)members;
    return low ? __builtin_ctzll(low) : 64 + __builtin_ctzll((uint64_t)(members >> 64));
}

struct literal {
    uint8_t *bytes;
    size_t len;
    uint64_t word, mask; /* the first 8 bytes, and which of them there are */
};

struct field {
    enum role role;
    int is_quoted;
    int is_list;            /* it ends at a blank, but for one behind a comma, or around a colon */
    struct literal literal; /* what follows; nothing for the field at the end of the line */
};

/* What stands around the request in most lines of the combined family, `] "` and `" 200 ` with any status,
   read as little-endian words. */
#define OPENING_MASK 0x0000000000ffffffULL
#define OPENING_WORD 0x000000000022205dULL
#define CLOSING_MASK 0x0000ff000000ffffULL
#define CLOSING_WORD 0x0000200000002022ULL

/* The fields of a format that isa/quoted.h reads, with literals of 8 bytes at most: those before the request,
   `leads` of them, the request, the status, the size, and what stands behind that up to the last measure. */
enum { SHAPE_LIMIT = 16 };
struct shape {
    struct {
        uint64_t word, mask;
        size_t len;
        enum role role;
        int is_quoted, is_list;
    } parts[SHAPE_LIMIT];
    size_t leads, parts_len;
    /* Whether a duration ends the line, behind fields in quotes: then it is the last part, and what stands
       before it up to those is looked for from the line's end. */
    int has_tail;
    uint64_t tail_word, tail_mask;
    size_t tail_len;
};

struct member {
    uint8_t *path; /* with 8 bytes behind it */
    size_t len;
    enum role role;
    unsigned zeros;    /* of a duration's unit */
    member_set beside; /* those that a line has to have as well */
};

/* Members in the order of their paths, from one to before another: those that begin alike. */
struct range {
    unsigned begin, end;
};

/* A compiled LogFormat: `head` and fields for text, members where fields have names. Of the combined family
   the roles of the fields are all that counts (isa/combined.h). */
struct program {
    struct literal head;
    struct field *fields;
    size_t fields_len;
    struct member members[MEMBERS_LIMIT];
    unsigned members_len;
    uint8_t by_path[MEMBERS_LIMIT];     /* their numbers in the order of their paths */
    struct range members_by_first[256]; /* those whose path begins with a byte */
    member_set deciding;                /* those that are no measures */
    unsigned zeros;                     /* of the unit that a duration among the fields has */
    int is_lenient, is_combined, is_ltsv, keep_query, keep_host;
    size_t max_line;
    int64_t span;  /* seconds; 0 where times are not wanted */
    size_t status; /* the number of its field */
    size_t last;   /* of the last field that has a role: nothing behind it is looked at */
    size_t
        tail; /* of the first field of those in quotes behind which a duration ends the line, or fields_len */
    int is_raw; /* whether a quote ends the request, or the route, and the status is what follows */
    int has_core;
    size_t core_first, core_last; /* numbers of its first and last field */
    /* One byte ends every field but those within a core, `before` of them stand before it, `within` in it and
       at its end, and the size ends the line: isa/lines.h can read its lines. */
    int is_delimited;
    uint8_t delimiter;
    unsigned before, within;
    int is_quoted; /* isa/quoted.h can read its lines */
    struct shape shape;
    struct program *next; /* that of the next format of a list, for lines which this one rejects; or NULL */
};

static int literal_set(struct literal *l, const void *bytes, size_t len)
{
    uint8_t first[8] = {0};
    l->bytes = malloc(len + 1);
    if (!l->bytes)
        return -1;
    memcpy(l->bytes, bytes, len);
    memcpy(first, bytes, len < 8 ? len : 8);
    l->len = len;
    l->word = load64(first);
    l->mask = len < 8 ? (1ULL << (8 * len)) - 1 : ~0ULL;
    return 0;
}

/* A program whose lines begin with these bytes, for so many fields. All of it was zeros. */
static int program_open(struct program *g, const void *head, size_t len, size_t fields)
{
    g->fields = calloc(fields + 1, sizeof *g->fields);
    return g->fields ? literal_set(&g->head, head, len) : -1;
}

/* The next field. No role but SKIPPED comes twice, only behind the last field there may be nothing, and no
   literal has a byte that ends a line. It is no list unless that is set. */
static int add_field(struct program *g, enum role role, int is_quoted, const void *literal, size_t len)
{
    struct field *f = &g->fields[g->fields_len];
    f->role = role;
    f->is_quoted = is_quoted;
    if (literal_set(&f->literal, literal, len) < 0)
        return -1;
    g->fields_len++;
    return 0;
}

static int is_behind(const struct member *one, const struct member *other)
{
    int order = memcmp(one->path, other->path, at_most(one->len, other->len));
    return order > 0 || (!order && one->len > other->len);
}

/* Find the order of a program's members. */
static void sort_members(struct program *g)
{
    for (unsigned i = 0; i < g->members_len; i++) {
        unsigned place = i;
        for (; place && is_behind(&g->members[g->by_path[place - 1]], &g->members[i]); place--)
            g->by_path[place] = g->by_path[place - 1];
        g->by_path[place] = (uint8_t)i;
    }
    for (unsigned i = 0; i < g->members_len; i++) {
        struct range *begun = &g->members_by_first[g->members[g->by_path[i]].path[0]];
        *begun = (struct range){begun->end ? begun->begin : i, i + 1};
    }
}

/* The next of MEMBERS_LIMIT members at most. */
static int add_member(struct program *g, enum role role, const void *path, size_t len)
{
    struct member *m = &g->members[g->members_len];
    m->role = role;
    m->path = calloc(1, len + 8);
    if (!m->path)
        return -1;
    memcpy(m->path, path, len);
    m->len = len;
    member_set bit = (member_set)1 << g->members_len++;
    g->deciding |= role == METHOD || role == ROUTE || role == REQUEST || role == STATUS ? bit : 0;
    return 0;
}

/* With those behind it, which are its own. */
static void program_close(struct program *g)
{
    if (g->next)
        program_close(g->next);
    free(g->next);
    for (size_t i = 0; i < g->fields_len; i++)
        free(g->fields[i].literal.bytes);
    for (size_t i = 0; i < g->members_len; i++)
        free(g->members[i].path);
    free(g->fields);
    free(g->head.bytes);
}

static size_t count_quotes(const struct literal *l)
{
    size_t quotes = 0;
    for (size_t i = 0; i < l->len; i++)
        quotes += l->bytes[i] == '"';
    return quotes;
}

/* Whether lines are as isa/quoted.h reads them: fields, a quoted request, the status, the size, measures and
   what is between, anything. No literal before the size's has a quote but those around the request. If so,
   its shape is made. */
static int is_quoted(struct program *g)
{
    struct shape *h = &g->shape;
    *h = (struct shape){.leads = g->core_first};
    const struct field *request = &g->fields[g->core_first], *size = request + 2;
    if (g->head.len || !g->core_first || g->core_last != g->core_first + 1 ||
        g->core_last + 1 >= g->fields_len || g->last <= g->core_last || request->role != REQUEST ||
        !request->is_quoted || g->last >= SHAPE_LIMIT || size->role != BYTES ||
        is_digit(request[1].literal.bytes[0]))
        return 0;
    const struct field *last = g->fields + g->last;
    h->has_tail = g->tail < g->fields_len;
    if (h->has_tail) {
        h->tail_word = last[-1].literal.word;
        h->tail_mask = last[-1].literal.mask;
        h->tail_len = last[-1].literal.len;
    }
    if (h->has_tail && (h->tail_len > 8 || g->tail <= g->core_last + 1))
        return 0;
    last = h->has_tail ? g->fields + g->tail - 1 : last;
    for (const struct field *f = g->fields; f <= last; f++) {
        int is_around = f == request || f + 1 == request;
        if ((f < size && f->is_list) || (f <= size && f->is_quoted != (f == request)) || f->literal.len > 8 ||
            (f < size && count_quotes(&f->literal) != (size_t)is_around) ||
            (f + 1 == request && f->literal.bytes[f->literal.len - 1] != '"'))
            return 0;
        h->parts[h->parts_len].role = f->role;
        h->parts[h->parts_len].is_quoted = f->is_quoted;
        h->parts[h->parts_len].is_list = f->is_list;
        h->parts[h->parts_len].word = f->literal.word;
        h->parts[h->parts_len].mask = f->literal.mask;
        h->parts[h->parts_len++].len = f->literal.len;
    }
    return 1;
}

/* The number of the first of the fields in quotes that nobody wants, behind which a duration ends the line;
   that of the end if it does not. */
static size_t find_tail(const struct program *g)
{
    size_t i = g->fields_len - 1;
    if (!g->fields_len || g->fields[i].role != DURATION || g->fields[i].literal.len)
        return g->fields_len;
    while (i - 1 > g->status && g->fields[i - 1].role == SKIPPED && g->fields[i - 1].is_quoted)
        i--;
    return i < g->fields_len - 1 ? i : g->fields_len;
}

/* Find out how a program's lines can be read fast. */
static void prepare(struct program *g)
{
    size_t first = g->fields_len, last = 0;
    int has_duration = 0;
    if (g->next)
        prepare(g->next);
    sort_members(g);
    g->within = 0;
    g->status = g->fields_len;
    for (size_t i = 0; i < g->fields_len; i++) {
        enum role role = g->fields[i].role;
        g->status = role == STATUS ? i : g->status;
        g->last = role == SKIPPED ? g->last : i;
        has_duration |= role == DURATION;
        if (role == METHOD || role == ROUTE || role == REQUEST || role == STATUS || role == HOST) {
            first = i < first ? i : first;
            last = i;
        }
    }
    g->tail = g->status < g->fields_len ? find_tail(g) : g->fields_len;
    const struct field *before = g->fields + g->status - (g->status > 0);
    g->is_raw = g->status && g->status < g->fields_len && *before->literal.bytes == '"' &&
                (before->role == REQUEST || before->role == ROUTE);
    /* A host of the combined family stands before what is a core there, and is none of the fields. */
    g->has_core = first < g->fields_len && !(g->is_combined && g->keep_host);
    g->core_first = first;
    g->core_last = last;
    g->is_quoted = g->has_core && (g->is_combined || is_quoted(g));
    /* The size must be all that comes after the core. */
    if (g->is_combined || has_duration || !first || !g->has_core || g->head.len || g->span ||
        g->max_line < STEP || last + 2 != g->fields_len || g->fields[last + 1].role != BYTES ||
        g->fields[last + 1].literal.len)
        return;
    g->before = (unsigned)first;
    g->delimiter = g->fields[last].literal.bytes[0];
    for (size_t i = 0; i <= last; i++) {
        const struct field *f = &g->fields[i];
        int is_stop = f->literal.bytes[0] == g->delimiter;
        if (f->is_quoted || f->is_list || f->literal.len != 1 || (i < first && !is_stop))
            return;
        g->within += i >= first && is_stop;
    }
    g->is_delimited = 1;
}

/* Whether a literal stands here. None has a byte that is behind a line, so that none matches beyond its end.
 */
static inline int starts_with(const uint8_t *p, const uint8_t *end, const struct literal *l)
{
    return (load64(p) & l->mask) == l->word &&
           (l->len <= 8 || ((size_t)(end - p) >= l->len && !memcmp(p + 8, l->bytes + 8, l->len - 8)));
}

/* What stands behind the last place of [p, end) where a literal is; nothing if it is nowhere. */
static inline struct span behind_last(const uint8_t *p, const uint8_t *end, const struct literal *l)
{
    for (const uint8_t *at = end; at-- > p;)
        if (starts_with(at, end, l) && (size_t)(end - at) >= l->len)
            return (struct span){at + l->len, (size_t)(end - at) - l->len};
    return (struct span){NULL, 0};
}

/* The fields of a line whose literals are all runs of blanks and tabs; how many of them there are, one more
   if the line goes on. */
static size_t match_blanks(const struct program *g, const uint8_t *p, const uint8_t *end, struct span *fields)
{
    for (size_t i = 0; i < g->fields_len; i++) {
        const uint8_t *start = p;
        while (p < end && !is_blank(*p))
            p++;
        if (p == start)
            return i;
        fields[g->fields[i].role] = (struct span){start, (size_t)(p - start)};
        p = skip_blanks(p, end);
    }
    return g->fields_len + (p < end);
}

/* Whether the line ends with what a cut leaves of a literal that begins here, be it nothing. */
static inline int is_begun(const uint8_t *p, const uint8_t *end, const struct literal *l)
{
    size_t len = (size_t)(end - p);
    return len < l->len && !memcmp(p, l->bytes, len);
}

/* The status that begins here, if it can be read: up to the first place where the literal stands that follows
   it, or to the end of the line. *next is where the literal ends, or NULL if it is cut. */
static inline int read_status(const uint8_t *p, const uint8_t *end, const struct literal *l,
                              struct span *status, const uint8_t **next)
{
    size_t left = (size_t)(end - p);
    if (!l->len) {
        *next = NULL;
        *status = (struct span){p, left};
        return status_of(*status) != NO_STATUS;
    }
    for (size_t len = 0; len <= 3 && len <= left; len++) {
        if (!starts_with(p + len, end, l))
            continue;
        *next = p + len + l->len;
        *status = (struct span){p, len};
        return status_of(*status) != NO_STATUS;
    }
    if (left > 3 + l->len || is_begun(p, end, l))
        return 0;
    size_t len = 1;
    if (left >= 3 && is_digit(p[0]) && is_digit(p[1]) && is_digit(p[2]))
        len = 3;
    else if (left >= 2 && p[0] == '-' && p[1] == '1')
        len = 2;
    *next = NULL;
    *status = (struct span){p, len};
    return status_of(*status) != NO_STATUS && is_begun(p + len, end, l);
}
