/* Lines whose request is quoted, of the combined family or of a format like it, where there is nothing odd up
   to their size, or a measure behind that. Nothing behind these is looked at.

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

/* The first quote in [p, end); NULL if there is none, or a backslash before it. */
static inline const uint8_t *PER_ISA(plain_quote)(const uint8_t *p, const uint8_t *end)
{
    uint64_t quotes, backslashes;
    do {
        quotes = PER_ISA(equal)(p, '"');
        backslashes = PER_ISA(equal)(p, '\\');
        if (backslashes & (quotes ^ (quotes - 1))) /* all bits up to the first quote's */
            return NULL;
        p += PER_ISA(zeros)(quotes);
    } while (!quotes && p < end);
    return p < end ? p : NULL;
}

/* Where the fields of the line [p, end) are, if there is nothing odd up to its last measure; 0 for any other
   line, which may have the format's shape too. */
static inline int PER_ISA(match_quoted)(const struct shape *h, const uint8_t *p, const uint8_t *end,
                                        struct span *fields)
{
    const uint8_t *start = p;
    if (p == end || end[-1] == '\r' || *p == 0xef)
        return 0;
    size_t i = 0;
    for (; i < h->leads; i++) {
        const uint8_t *begin = p;
        p += PER_ISA(zeros)(PER_ISA(equal)(p, (uint8_t)h->parts[i].word));
        if (p >= end || (load64(p) & h->parts[i].mask) != h->parts[i].word)
            return 0;
        fields[h->parts[i].role] = (struct span){begin, (size_t)(p - begin)};
        p += h->parts[i].len;
    }
    const uint8_t *quote = PER_ISA(plain_quote)(p, end);
    if (!quote || (load64(quote) & h->parts[i].mask) != h->parts[i].word)
        return 0;
    fields[REQUEST] = (struct span){p, (size_t)(quote - p)};
    p = quote + h->parts[i++].len;
    fields[STATUS] = (struct span){p, 3};
    p += 3;
    if (p > end || (load64(p) & h->parts[i].mask) != h->parts[i].word)
        return 0;
    p += h->parts[i++].len;
    for (; i < h->parts_len; i++) {
        const uint8_t *begin = p;
        if (!h->parts[i].len)
            p = end;
        else if (h->parts[i].is_quoted)
            p = PER_ISA(plain_quote)(p, end);
        else
            p = PER_ISA(find)(p, end, (uint8_t)h->parts[i].word);
        if (!p || (load64(p) & h->parts[i].mask) != h->parts[i].word ||
            (h->parts[i].is_list && (p[-1] == ',' || (p[1] == ':' && p[2] == ' '))))
            return 0;
        fields[h->parts[i].role] = (struct span){begin, (size_t)(p - begin)};
        p += h->parts[i].len;
    }
    if (h->has_tail) {
        if (end - start < STEP)
            return 0;
        uint64_t quotes = PER_ISA(equal)(end - STEP, '"');
        const uint8_t *last = end - 1 - __builtin_clzll(quotes | 1);
        if (last < p || (load64(last) & h->tail_mask) != h->tail_word)
            return 0;
        last += h->tail_len;
        fields[DURATION] = (struct span){last, (size_t)(end - last)};
    }
    return 1;
}

/* Likewise of the combined family: one blank between its fields, and a size. No `]` before the time's end may
   be another time's. */
static inline int PER_ISA(match_plain)(const uint8_t *p, const uint8_t *end, struct span *fields)
{
    const uint8_t *open = NULL;
    if (p == end || end[-1] == '\r' || *p == 0xef)
        return 0;
    for (;; p++) {
        uint64_t closings, opens;
        do {
            closings = PER_ISA(equal)(p, ']');
            opens = PER_ISA(equal)(p, '[') & (closings ^ (closings - 1)); /* up to the first of those */
            if (opens)
                open = p + STEP - __builtin_clzll(opens);
            p += PER_ISA(zeros)(closings);
        } while (!closings && p < end);
        if (p >= end || (load64(p) & OPENING_MASK) == OPENING_WORD)
            break;
        if (is_blank(p[1]))
            return 0;
    }
    if (p + 3 > end || !open)
        return 0;
    fields[TIME] = (struct span){open, (size_t)(p - open)};
    const uint8_t *start = p + 3, *quote = PER_ISA(plain_quote)(start, end);
    if (!quote || (load64(quote) & CLOSING_MASK) != CLOSING_WORD)
        return 0;
    fields[REQUEST] = (struct span){start, (size_t)(quote - start)};
    fields[STATUS] = (struct span){quote + 2, 3};
    p = quote + 6;
    if (p >= end)
        return 0;
    size_t len = PER_ISA(zeros)(PER_ISA(equal)(p, ' ') | PER_ISA(equal)(p, '\t'));
    len = at_most(len, (size_t)(end - p));
    fields[BYTES] = (struct span){p, len};
    return len > 0;
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
    if (!has_duration_room(s, fields[DURATION]))
        return FAILED;
    uint64_t cuts = g->keep_query ? 0 : PER_ISA(equal)(start, '?') | PER_ISA(equal)(start, '#');
    size_t len = at_most(whole, PER_ISA(zeros)(cuts));
    uint64_t more =
        (load64(fields[STATUS].start) & 0xffffff) << TAG_STATUS_SHIFT | (len < whole ? TAG_IS_CUT : 0);
    int has_core = len >= CORE_LEAST && (len == whole || cuts);
    struct core *core = core_at(all_cores, s->table.seed, start, has_core ? len : CORE_LEAST, more);
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
    count_duration(s, e, fields[DURATION], g->zeros);
    s->unmeasured += !count_size(e, fields[BYTES]);
    return g->span && count_time(s, fields[TIME], e->status) < 0 ? FAILED : COUNTED;
}
