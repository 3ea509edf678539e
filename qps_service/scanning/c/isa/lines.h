/* Counting lines, in the fastest way that their format allows: delimited ones where they stand, quoted ones
   by what is around their request, all others one by one.

   The last of the templates, which brings all others.

   A template, without a guard: compiled once for each instruction set (isa.h). */

#include <stddef.h>
#include <stdint.h>

#include "../bytes.h"
#include "../core_cache.h"
#include "../limits.h"
#include "../program.h"
#include "../scanner.h"
#include "../sizes.h"
#include "../values.h"
#include "quoted.h" /* and with it line.h and find.h */

/* Count a short line of a delimited format whose core is known; 0 for any other line.

   The core's end is guessed by the number of stops before it: if the bytes up to there are a known core, then
   that is where it ends, since a line is read from left to right. */
static inline __attribute__((always_inline)) int PER_ISA(delimited)(const uint8_t *p, const uint8_t *end,
                                                                    unsigned before, unsigned within,
                                                                    uint8_t delimiter, struct core *cores,
                                                                    const uint64_t *seed, uint64_t round)
{
    uint64_t stops = PER_ISA(equal)(p, delimiter), digits;
    for (unsigned i = 1; i < before; i++)
        stops &= stops - 1;
    const uint8_t *start = p + PER_ISA(zeros)(stops) + 1;
    for (unsigned i = 0; i < within; i++)
        stops &= stops - 1;
    const uint8_t *stop = p + PER_ISA(zeros)(stops);
    size_t len = (size_t)(stop - start), size_len = (size_t)(end - stop) - 1;
    if (stop >= end || len < CORE_LEAST)
        return 0;
    const struct core *core = core_at(cores, seed, start, len, 0);
    uint64_t differ = (core->tag ^ (round | len)) | PER_ISA(differ)(start, len, core->bytes);
    differ |= *p == '{'; /* an object may be around a line */
    if (differ || size_len - 1 >= 8 || !digits_of(stop + 1, size_len, &digits))
        return 0;
    count_digits(core->entry, digits);
    return 1;
}

/* As lines(), for a delimited format. Each line's end is found when it is read: that is less work than to
   find many first, and the processor reads ahead by itself. */
static int PER_ISA(delimited_lines)(struct scanner *s, const uint8_t *p, const uint8_t *end)
{
    struct span fields[ROLES] = {{NULL, 0}};
    const struct program *g = s->program;
    const unsigned before = g->before, within = g->within;
    const int is_default = before == 1 && within == 2; /* for this the compiler needs no loops */
    const uint8_t delimiter = g->delimiter;
    struct core *cores = all_cores;
    const uint64_t *seed = s->table.seed;
    uint64_t round = s->round;
    for (const uint8_t *stop; p < end; p = stop + 1) {
        uint64_t newlines = PER_ISA(equal)(p, '\n');
        stop = p + PER_ISA(zeros)(newlines);
        s->block_lines++;
        if (newlines &&
            (is_default ? PER_ISA(delimited)(p, stop, 1, 2, delimiter, cores, seed, round)
                        : PER_ISA(delimited)(p, stop, before, within, delimiter, cores, seed, round)))
            continue;
        if (!newlines)
            stop = PER_ISA(find)(stop, end, '\n');
        if (settle(s, PER_ISA(line)(s, p, stop, fields), p, stop) < 0)
            return -1;
        round = s->round;
    }
    return 0;
}

/* Count the lines of [p, end), which ends on a newline; SLACK bytes more can be read. -1 if that failed.

   Where lines end is found for many of them at a time: then reading one does not wait for the one before. */
static int PER_ISA(lines)(struct scanner *s, const uint8_t *p, const uint8_t *end)
{
    if (s->program->is_delimited)
        return PER_ISA(delimited_lines)(s, p, end);
    struct span fields[ROLES] = {{NULL, 0}};
    const uint8_t *ends[LINES_AHEAD + STEP + GROUP], *from = p;
    const struct program *g = s->program;
    const struct shape shape = g->shape;
    const int is_quoted = g->is_quoted, is_combined = g->is_combined;
    const size_t max_line = g->max_line;
    while (p < end) {
        size_t found = 0;
        for (; from < end && found < LINES_AHEAD; from += STEP) {
            uint64_t valid = end - from < STEP ? (1ULL << (end - from)) - 1 : ~0ULL;
            uint64_t newlines = PER_ISA(equal)(from, '\n') & valid;
            size_t next = found + (size_t)__builtin_popcountll(newlines);
            for (size_t i = found; newlines || i == found; i += GROUP)
                for (int j = 0; j < GROUP; j++, newlines &= newlines - 1)
                    ends[i + (size_t)j] = from + PER_ISA(zeros)(newlines);
            found = next;
        }
        for (size_t i = 0; i < found; p = ends[i++] + 1) {
            const uint8_t *stop = ends[i];
            enum reason reason = UNREAD;
            if (is_quoted && *p != '{' && (size_t)(stop - p) <= max_line &&
                (is_combined ? PER_ISA(match_plain)(p, stop, fields)
                             : PER_ISA(match_quoted)(&shape, p, stop, fields)))
                reason = PER_ISA(count_quoted)(s, fields);
            if (reason == UNREAD)
                reason = PER_ISA(line)(s, p, stop, fields);
            if (settle(s, reason, p, stop) < 0)
                return -1;
        }
        s->block_lines += found;
    }
    return 0;
}
