/* Counting one line, whatever it looks like: the twin of line.py, which says what a line means.

   It ends in one entry of the table or as one reject. The short cuts of quoted.h and lines.h are for lines
   that this would count alike.

   A template, without a guard: compiled once for each instruction set (isa.h). */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../bytes.h"
#include "../core_cache.h"
#include "../program.h"
#include "../scanner.h"
#include "../sizes.h"
#include "../table.h"
#include "../timestamps.h"
#include "../values.h"
#include "json.h" /* and with it find.h */

/* Where the fields from f to before `last` are, from *start on; 0 if the line has another shape. */
static inline int PER_ISA(match_some)(const struct field *f, const struct field *last, const uint8_t **start,
                                      const uint8_t *end, struct span *fields)
{
    const uint8_t *p = *start;
    for (; f < last; f++) {
        const uint8_t *begin = p;
        if (!f->literal.len) {
            p = end;
        } else if (f->is_quoted) {
            while ((p = PER_ISA(find_either)(p, end, '"', '\\')) < end && *p == '\\')
                if ((p += 2) > end)
                    return 0;
            if (!starts_with(p, end, &f->literal))
                return 0;
        } else {
            while ((p = PER_ISA(find)(p, end, f->literal.bytes[0])) < end &&
                   !starts_with(p, end, &f->literal))
                p++;
            if (p == end)
                return 0;
        }
        if (f->role != SKIPPED)
            fields[f->role] = (struct span){begin, (size_t)(p - begin)};
        p += f->literal.len;
    }
    *start = p;
    return 1;
}

/* Where the format's fields are in [p, end); 0 if the line has another shape. */
static inline int PER_ISA(match)(const struct program *g, const uint8_t *p, const uint8_t *end,
                                 struct span *fields)
{
    if (!starts_with(p, end, &g->head))
        return 0;
    p += g->head.len;
    return PER_ISA(match_some)(g->fields, g->fields + g->fields_len, &p, end, fields) && p == end;
}

/* Splits `GET /path HTTP/1.1`; where there is no method it has no bytes. */
static inline void PER_ISA(split_request)(struct span request, struct span *method, struct span *target)
{
    const uint8_t *p = request.start, *end = p + request.len;
    const uint8_t *blank = PER_ISA(find)(p, end, ' ');
    const uint8_t *rest = blank < end ? blank + 1 : end, *stop = end;
    /* HTTP/1.1 and the like, or else a closer look. */
    if (end - rest >= 9 && end[-9] == ' ' && (load64(end - 8) & HTTP_VERSION_MASK) == HTTP_VERSION_WORD &&
        is_digit(end[-3]) && is_digit(end[-1])) {
        stop = end - 9;
    } else {
        const uint8_t *version = end;
        while (version > rest && version[-1] != ' ')
            version--;
        if (is_version(version, end))
            stop = version > rest ? version - 1 : rest;
    }
    *method = (struct span){p, (size_t)(blank - p)};
    *target = (struct span){rest, (size_t)(stop - rest)};
}

/* The entry that the fields of one line count for, added if it is new; NULL and the reason if they do not.
 *is_cut tells whether the target has a query, which is left out. */
static struct entry *PER_ISA(entry)(struct scanner *s, const struct span *fields, enum reason *reason,
                                    int *is_cut)
{
    const struct program *g = s->program;
    struct span method = fields[METHOD], target = fields[ROUTE];
    uint64_t unused;
    *reason = BAD_FIELDS;
    if (!fields[STATUS].start || !(fields[REQUEST].start || target.start))
        return NULL;
    if (fields[REQUEST].start)
        PER_ISA(split_request)(fields[REQUEST], &method, &target);
    else if (!method.start)
        method = (struct span){(const uint8_t *)"-", 1};
    const uint8_t *cut = target.start + target.len;
    if (!g->keep_query)
        cut = PER_ISA(find_either)(target.start, cut, '?', '#');
    *is_cut = cut != target.start + target.len;

    uint32_t status = status_of(fields[STATUS]);
    *reason = !target.len || !is_token(method)                          ? BAD_HTTP
              : status == NO_STATUS                                     ? BAD_STATUS
              : fields[BYTES].start && !size_of(fields[BYTES], &unused) ? BAD_BYTES
                                                                        : COUNTED;
    if (*reason != COUNTED)
        return NULL;
    target.len = (size_t)(cut - target.start);

    const uint8_t *key = method.start;
    size_t key_len = method.len + 1 + target.len;
    if (target.start != method.start + method.len + 1 || target.start[-1] != ' ') {
        key = s->scratch;
        memcpy(s->scratch, method.start, method.len);
        s->scratch[method.len] = ' ';
        memcpy(s->scratch + method.len + 1, target.start, target.len);
    }
    uint64_t hash = hash_key(s->table.seed, key, key_len, status), slot;
    struct entry *e = table_find(&s->table, hash, key, key_len, status, &slot);
    if (e)
        return e;
    if (table_is_full(&s->table, key_len)) {
        *reason = FAILED;
        if (s->spill(s) < 0)
            return NULL;
        table_find(&s->table, hash, key, key_len, status, &slot);
    }
    e = table_add(&s->table, hash, key, key_len, status, slot);
    *reason = e ? COUNTED : FAILED;
    if (e)
        e->method_len = (uint32_t)method.len;
    return e;
}

/* Count what the fields of one line say; the reason why not. */
static inline enum reason PER_ISA(count)(struct scanner *s, const struct span *fields, int has_core)
{
    const struct program *g = s->program;
    struct core *core = NULL;
    struct entry *e;
    enum reason reason = COUNTED;
    int is_known = 0, is_cut;
    const uint8_t *start = NULL;
    size_t len = 0;
    if (has_core) {
        const struct span *last = &fields[g->fields[g->core_last].role];
        start = fields[g->fields[g->core_first].role].start;
        len = (size_t)(last->start + last->len - start);
        if (len >= CORE_LEAST && len <= CORE_LIMIT) {
            core = core_at(s->cores, s->table.seed, start, len, 0);
            is_known = core->tag == (s->round | len) && !PER_ISA(differ)(start, len, core->bytes);
        }
    }
    if (is_known) {
        e = core->entry;
    } else {
        e = PER_ISA(entry)(s, fields, &reason, &is_cut);
        if (!e)
            return reason;
        if (core && !is_cut) /* a query mostly comes once */
            core_set(core, start, len, s->round | len, e);
    }
    if (!fields[BYTES].start)
        count_request(e, 0);
    else if (!count_size(e, fields[BYTES]))
        return BAD_BYTES;
    return g->span && count_time(s, fields[TIME], e->status) < 0 ? FAILED : COUNTED;
}

/* Count the line [p, end), which has no newline. `fields` is zeros at first: lines of text all have the same.
 */
static inline enum reason PER_ISA(line)(struct scanner *s, const uint8_t *p, const uint8_t *end,
                                        struct span *fields)
{
    const struct program *g = s->program;
    if (end > p && end[-1] == '\r')
        end--;
    if ((size_t)(end - p) > g->max_line)
        return TOO_LONG;
    if (*p == 0xef && end - p >= 3 && p[1] == 0xbb && p[2] == 0xbf)
        p += 3;
    if (g->members_len) {
        memset(fields, 0, ROLES * sizeof *fields);
        if (!PER_ISA(json)(s, p, end, fields))
            return BAD_FIELDS;
    } else {
        int fits = PER_ISA(match)(g, p, end, fields);
        if (g->is_lenient && (!fits || status_of(fields[STATUS]) == NO_STATUS)) {
            struct span others[ROLES];
            memset(others, 0, sizeof others);
            if (match_blanks(g, p, end, others))
                return PER_ISA(count)(s, others, 0);
        }
        if (!fits)
            return BAD_FIELDS;
    }
    return PER_ISA(count)(s, fields, g->has_core);
}
