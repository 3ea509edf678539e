/* Lines whose request is quoted, as in the combined format, read by where quotes are.

   All quotes and backslashes of many lines are found before the lines are read. Where no backslash stands
   before a line's second quote, the first two are those around its request: then nothing has to be looked for
   but what stands before them. Nothing behind the size is looked at.

   A template, without a guard: compiled once for each instruction set (isa.h). */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../bytes.h"
#include "../core_cache.h"
#include "../limits.h"
#include "../program.h"
#include "../scanner.h"
#include "../sizes.h"
#include "../table.h"
#include "../timestamps.h"
#include "../values.h"
#include "line.h" /* and with it find.h */

struct PER_ISA(marks) {
    const uint8_t *at[MARKS_AHEAD + GROUP]; /* room for what note() writes too much */
    size_t len, next;                       /* the first `next` are those of lines that were read */
};

static inline void PER_ISA(note)(struct PER_ISA(marks) * m, const uint8_t *from, uint64_t found)
{
    size_t next = m->len + (size_t)__builtin_popcountll(found);
    for (size_t i = m->len; found; i += GROUP)
        for (int j = 0; j < GROUP; j++, found &= found - 1)
            m->at[i + (size_t)j] = from + PER_ISA(zeros)(found);
    m->len = next;
}

static inline void PER_ISA(forget)(struct PER_ISA(marks) * m)
{
    m->len -= m->next;
    memmove(m->at, m->at + m->next, m->len * sizeof *m->at);
    m->next = 0;
}

/* Pass what is before p; `most` is a guess how much that is. */
static inline void PER_ISA(pass)(struct PER_ISA(marks) * m, const uint8_t *p, size_t most)
{
    size_t next = m->next + most;
    if (next <= m->len && (!most || m->at[next - 1] < p))
        m->next = next;
    while (m->next < m->len && m->at[m->next] < p)
        m->next++;
}

struct PER_ISA(ahead) {
    struct PER_ISA(marks) quotes, backslashes;
};

static inline void PER_ISA(forget_all)(struct PER_ISA(ahead) * a)
{
    a->quotes.len = a->quotes.next = a->backslashes.len = a->backslashes.next = 0;
}

/* Note what is in the STEP bytes from `from`; `valid` has a bit for each that counts. */
static inline void PER_ISA(look_ahead)(struct PER_ISA(ahead) * a, const uint8_t *from, uint64_t valid)
{
    const size_t most = MARKS_AHEAD - STEP;
    /* What is forgotten is missed where the format has its first quote: such a line is read as any other. */
    if (a->quotes.len > most || a->backslashes.len > most) {
        PER_ISA(forget_all)(a);
        return;
    }
    uint64_t backslashes = PER_ISA(equal)(from, '\\') & valid;
    PER_ISA(note)(&a->quotes, from, PER_ISA(equal)(from, '"') & valid);
    if (backslashes)
        PER_ISA(note)(&a->backslashes, from, backslashes);
}

/* Where the fields of the line [p, end) are, if there is nothing odd up to its size; 0 for any other line,
   which may have the format's shape too. The first of the quotes and backslashes that are ahead is not before
   p. */
static inline int PER_ISA(match_quoted)(const struct shape *h, const struct PER_ISA(ahead) * a,
                                        const uint8_t *p, const uint8_t *end, struct span *fields)
{
    const struct PER_ISA(marks) *b = &a->backslashes;
    const uint8_t *const *quotes = a->quotes.at + a->quotes.next;
    if (a->quotes.next + 2 > a->quotes.len || quotes[1] >= end || end[-1] == '\r' || *p == 0xef ||
        (b->next < b->len && b->at[b->next] < quotes[1]))
        return 0;
    size_t i = 0;
    for (; i < h->leads; i++) {
        const uint8_t *begin = p;
        p += PER_ISA(zeros)(PER_ISA(equal)(p, (uint8_t)h->parts[i].word));
        /* The quote is in the line: what is behind it is not looked at. */
        if (p > *quotes || (load64(p) & h->parts[i].mask) != h->parts[i].word)
            return 0;
        if (i == h->time)
            fields[TIME] = (struct span){begin, (size_t)(p - begin)};
        p += h->parts[i].len;
    }
    if (p != *quotes + 1 || (load64(quotes[1]) & h->parts[i].mask) != h->parts[i].word)
        return 0;
    fields[REQUEST] = (struct span){p, (size_t)(quotes[1] - p)};
    p = quotes[1] + h->parts[i++].len;
    fields[STATUS] = (struct span){p, 3};
    p += 3;
    if (p > end || (load64(p) & h->parts[i].mask) != h->parts[i].word)
        return 0;
    p += h->parts[i++].len;
    const uint8_t *size_end = end;
    if (h->parts[i].len) {
        size_end = p + PER_ISA(zeros)(PER_ISA(equal)(p, (uint8_t)h->parts[i].word));
        if (size_end >= end || (load64(size_end) & h->parts[i].mask) != h->parts[i].word)
            return 0;
    }
    fields[BYTES] = (struct span){p, (size_t)(size_end - p)};
    return 1;
}

/* Count what the fields of one line say, as count() does; the reason why not, or UNREAD for a line that has
   to be read as any other.

   The core is the request alone, up to its query if that is left out, and the status: neither the method nor
   what is left of the target depends on what follows. A request that ends after some bytes has another core
   than one that has a query there, since it may end in a version: their tags differ. */
static inline enum reason PER_ISA(count_quoted)(struct scanner *s, const struct span *fields)
{
    const struct program *g = s->program;
    const uint8_t *start = fields[REQUEST].start;
    size_t whole = fields[REQUEST].len;
    uint64_t cuts = g->keep_query ? 0 : PER_ISA(equal)(start, '?') | PER_ISA(equal)(start, '#');
    size_t len = at_most(whole, PER_ISA(zeros)(cuts));
    uint64_t more =
        (load64(fields[STATUS].start) & 0xffffff) << TAG_STATUS_SHIFT | (len < whole ? TAG_IS_CUT : 0);
    int has_core = len >= CORE_LEAST && (len == whole || cuts);
    struct core *core = core_at(s->cores, s->table.seed, start, has_core ? len : CORE_LEAST, more);
    struct entry *e = core->entry;
    if (!has_core || (core->tag ^ (s->round | more | len)) | PER_ISA(differ)(start, len, core->bytes)) {
        enum reason reason;
        int unused;
        if (status_of(fields[STATUS]) == NO_STATUS)
            return UNREAD;
        e = PER_ISA(entry)(s, fields, &reason, &unused);
        if (!e)
            return reason;
        if (has_core)
            core_set(core, start, len, s->round | more | len, e);
    }
    s->unmeasured += !count_size(e, fields[BYTES]);
    return g->span && count_time(s, fields[TIME], e->status) < 0 ? FAILED : COUNTED;
}
