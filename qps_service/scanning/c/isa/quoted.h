/* Lines whose request is quoted, as in the combined format, where there is nothing odd up to their size.
   Nothing behind that is looked at.

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

/* Where the fields of the line [p, end) are, if there is nothing odd up to its size; 0 for any other line,
   which may have the format's shape too. */
static inline int PER_ISA(match_quoted)(const struct shape *h, const uint8_t *p, const uint8_t *end,
                                        struct span *fields)
{
    if (p == end || end[-1] == '\r' || *p == 0xef)
        return 0;
    size_t i = 0;
    for (; i < h->leads; i++) {
        const uint8_t *begin = p;
        p += PER_ISA(zeros)(PER_ISA(equal)(p, (uint8_t)h->parts[i].word));
        if (p >= end || (load64(p) & h->parts[i].mask) != h->parts[i].word)
            return 0;
        if (i == h->time)
            fields[TIME] = (struct span){begin, (size_t)(p - begin)};
        p += h->parts[i].len;
    }
    const uint8_t *quote = p;
    uint64_t quotes, backslashes;
    do {
        quotes = PER_ISA(equal)(quote, '"');
        backslashes = PER_ISA(equal)(quote, '\\');
        if (backslashes & (quotes ^ (quotes - 1))) /* all bits up to the first quote's */
            return 0;
        quote += PER_ISA(zeros)(quotes);
    } while (!quotes && quote < end);
    if (quote >= end || (load64(quote) & h->parts[i].mask) != h->parts[i].word)
        return 0;
    fields[REQUEST] = (struct span){p, (size_t)(quote - p)};
    p = quote + h->parts[i++].len;
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
    s->unmeasured += !count_size(e, fields[BYTES]);
    return g->span && count_time(s, fields[TIME], e->status) < 0 ? FAILED : COUNTED;
}
