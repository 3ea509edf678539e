/* Lines of the combined family, whatever stands around `[time] "request" status size`: the twin of
   combined.py, which says what such a line means.

   A template, without a guard: compiled once for each instruction set (isa.h). */

#include <stddef.h>
#include <stdint.h>

#include "../bytes.h"
#include "../program.h"
#include "../scanner.h"
#include "../values.h"
#include "json.h" /* and with it find.h */

/* What stands here up to a blank. */
static inline struct span PER_ISA(word)(const uint8_t *p, const uint8_t *end)
{
    return (struct span){p, (size_t)(PER_ISA(find_either)(p, end, ' ', '\t') - p)};
}

/* Where the request, the status and the size are, if this quote ends the request that begins at `start`: then
   a status follows. */
static inline int PER_ISA(match_closing)(const uint8_t *start, const uint8_t *quote, const uint8_t *end,
                                         struct span *fields)
{
    const uint8_t *p = skip_blanks(quote + 1, end);
    size_t len = 0;
    while (len <= 3 && p + len < end && !is_blank(p[len]))
        len++;
    if (p == quote + 1 || !len || status_of((struct span){p, len}) == NO_STATUS)
        return 0;
    fields[REQUEST] = (struct span){start, (size_t)(quote - start)};
    fields[STATUS] = (struct span){p, len};
    p = skip_blanks(p + len, end);
    fields[BYTES] = p < end ? PER_ISA(word)(p, end) : (struct span){NULL, 0};
    return 1;
}

/* Where the fields of the line [p, end) are. The reason why it is no request, or COUNTED. */
static enum reason PER_ISA(match_combined)(const uint8_t *p, const uint8_t *end, struct span *fields)
{
    const uint8_t *open = NULL, *start = NULL, *quote; /* start: of the request, if no other has an answer */
    struct span time = {NULL, 0};
    int is_unanswered = 0;
    for (; (p = PER_ISA(find_either)(p, end, '[', ']')) < end; p++) {
        if (*p == '[') {
            open = p + 1;
            continue;
        }
        const uint8_t *opening = skip_blanks(p + 1, end);
        if (!open || opening == p + 1 || opening == end || *opening != '"')
            continue;
        fields[TIME] = (struct span){open, (size_t)(p - open)};
        p = opening;
        quote = PER_ISA(find_quote)(p + 1, end, 1);
        int is_request = quote < end && PER_ISA(match_closing)(p + 1, quote, end, fields);
        if (is_request && fields[STATUS].len == 3)
            return COUNTED;
        if (!start || (is_request && !is_unanswered)) {
            start = p + 1;
            time = fields[TIME];
        }
        is_unanswered |= is_request;
    }
    if (!start)
        return BAD_FIELDS;
    fields[TIME] = time;
    for (quote = start; (quote = PER_ISA(find_quote)(quote, end, 1)) < end; quote++)
        if (PER_ISA(match_closing)(start, quote, end, fields))
            return COUNTED;
    /* What stands where the status would, if it is not the end of the line. */
    quote = PER_ISA(find_quote)(start, end, 1);
    if (quote == end)
        return BAD_FIELDS;
    p = skip_blanks(quote + 1, end);
    struct span odd = PER_ISA(word)(p, end);
    return p > quote + 1 && odd.len && odd.start + odd.len < end ? BAD_STATUS : BAD_FIELDS;
}
