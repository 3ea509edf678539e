/* Counting one line, whatever it looks like: the twin of line.py, which says what a line means.

   It ends in one entry of the table or as one reject. The short cuts of quoted.h and lines.h are for lines
   that this would count alike.

   A template, without a guard: compiled once for each instruction set (isa.h). */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../bytes.h"
#include "../core_cache.h"
#include "../hosts.h"
#include "../named_fields.h"
#include "../program.h"
#include "../scanner.h"
#include "../sizes.h"
#include "../table.h"
#include "../timestamps.h"
#include "../values.h"
#include "../wrapping.h"
#include "combined.h" /* and with it json.h and find.h */

/* The first blank in [p, end) that is not within a list; the end if there is none. */
static inline const uint8_t *PER_ISA(end_of_list)(const uint8_t *p, const uint8_t *end)
{
    for (const uint8_t *begin = p; (p = PER_ISA(find)(p, end, ' ')) < end; p++) {
        if (p > begin && p[-1] == ',')
            continue;
        if (end - p > 2 && p[1] == ':' && p[2] == ' ')
            p += 2;
        else
            break;
    }
    return p;
}

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
        } else if (f->is_list) {
            p = PER_ISA(end_of_list)(p, end);
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

/* Whether a literal stands anywhere in [p, end), or is that of the last field. */
static inline int PER_ISA(has_literal)(const uint8_t *p, const uint8_t *end, const struct literal *l)
{
    if (!l->len)
        return 1;
    while ((p = PER_ISA(find)(p, end, *l->bytes)) < end && !starts_with(p, end, l))
        p++;
    return p < end;
}

/* The request, or the route, that begins here, up to the first quote behind which a status can be read; that
   status, and where its literal ends, or NULL if it is cut. The reason why not, or COUNTED. */
static inline enum reason PER_ISA(match_raw)(const struct field *f, const uint8_t *p, const uint8_t *end,
                                             struct span *fields, const uint8_t **next)
{
    const struct literal *behind = &f[1].literal;
    const uint8_t *odd = NULL;
    int is_first = 1;
    for (const uint8_t *quote = p; (quote = PER_ISA(find_quote)(quote, end, f->is_quoted)) < end; quote++) {
        int fits = starts_with(quote, end, &f->literal);
        if (fits && read_status(quote + f->literal.len, end, behind, &fields[STATUS], next)) {
            fields[f->role] = (struct span){p, (size_t)(quote - p)};
            return COUNTED;
        }
        if (is_first && fits)
            odd = quote + f->literal.len;
        is_first &= !fits && !f->is_quoted;
    }
    return odd && PER_ISA(has_literal)(odd, end, behind) ? BAD_STATUS : BAD_FIELDS;
}

/* Where the fields from f to `last` are, behind the status, as far as they go: those that decide may be cut.
 */
static inline void PER_ISA(match_behind)(const struct field *f, const struct field *last,
                                         const struct field *tail, const uint8_t *p, const uint8_t *end,
                                         struct span *fields)
{
    for (const struct field *each = f; each <= last; each++)
        fields[each->role] = (struct span){NULL, 0};
    for (; p && f <= last; f++) {
        const uint8_t *begin = p, *stop = end;
        if (f == tail) {
            fields[DURATION] = behind_last(p, end, &last[-1].literal);
            return;
        }
        if (PER_ISA(match_some)(f, f + 1, &p, end, fields))
            continue;
        if (f->role != METHOD && f->role != ROUTE && f->role != REQUEST)
            return;
        if (*f->literal.bytes == '"') {
            stop = PER_ISA(find_quote)(begin, end, f->is_quoted);
        } else {
            size_t most = at_most(f->literal.len - 1, (size_t)(end - begin));
            while (most && memcmp(end - most, f->literal.bytes, most))
                most--;
            stop = end - most;
        }
        fields[f->role] = (struct span){begin, (size_t)(stop - begin)};
        return;
    }
}

/* Where the format's fields are in [p, end), as far as they are there. The reason why the line is no request,
   or COUNTED. */
static inline enum reason PER_ISA(match)(const struct program *g, const uint8_t *p, const uint8_t *end,
                                         struct span *fields)
{
    const struct field *status = g->fields + g->status;
    const uint8_t *next;
    if (g->status == g->fields_len || !starts_with(p, end, &g->head))
        return BAD_FIELDS;
    p += g->head.len;
    if (!PER_ISA(match_some)(g->fields, status - g->is_raw, &p, end, fields))
        return BAD_FIELDS;
    if (g->is_raw) {
        enum reason reason = PER_ISA(match_raw)(status - 1, p, end, fields, &next);
        if (reason != COUNTED)
            return reason;
    } else if (!read_status(p, end, &status->literal, &fields[STATUS], &next)) {
        return PER_ISA(has_literal)(p, end, &status->literal) ? BAD_STATUS : BAD_FIELDS;
    }
    if (g->last > g->status)
        PER_ISA(match_behind)(status + 1, g->fields + g->last, g->fields + g->tail, next, end, fields);
    return COUNTED;
}

/* A text with no blanks at its ends, and one in place of several; `out` has room for it. */
static inline struct span PER_ISA(with_single_blanks)(struct span text, uint8_t *out)
{
    const uint8_t *p = text.start, *end = p + text.len;
    if (text.len - 1 < STEP - 1) {
        /* Most have none but single ones within. */
        uint64_t blanks = PER_ISA(equal)(p, ' ') & ((1ULL << text.len) - 1);
        if (!(blanks & (blanks >> 1 | 1 | 1ULL << (text.len - 1))))
            return text;
    }
    while (p < end && *p == ' ')
        p++;
    while (p < end && end[-1] == ' ')
        end--;
    text = (struct span){p, (size_t)(end - p)};
    const uint8_t *blank = p;
    while ((blank = PER_ISA(find)(blank, end, ' ')) < end && blank[1] != ' ')
        blank++;
    if (blank >= end)
        return text;
    size_t len = (size_t)(blank - p);
    memcpy(out, p, len);
    for (p = blank; p < end; p++)
        if (*p != ' ' || p[1] != ' ')
            out[len++] = *p;
    return (struct span){out, len};
}

/* Splits `GET /path HTTP/1.1`; where there is no method, or `-`, it has no bytes. */
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
    *method = (struct span){p, (size_t)(blank - p) * !(blank == p + 1 && *p == '-')};
    *target = (struct span){rest, (size_t)(stop - rest)};
}

/* A part of a key and the blank behind it; where that ends. */
static inline uint8_t *PER_ISA(put)(uint8_t *p, struct span part)
{
    memcpy(p, part.start, part.len);
    p[part.len] = ' ';
    return p + part.len + 1;
}

/* The entry that the fields of one line count for, added if it is new; NULL and the reason if they do not.
 *is_cut tells whether the target has a query, which is left out. */
static struct entry *PER_ISA(entry)(struct scanner *s, const struct span *fields, enum reason *reason,
                                    int *is_cut)
{
    const struct program *g = s->program;
    const struct span nothing = {(const uint8_t *)"-", 1};
    struct span method = fields[METHOD], target = fields[ROUTE];
    uint32_t status = status_of(fields[STATUS]);
    *reason = BAD_STATUS;
    if (status == NO_STATUS)
        return NULL;
    *reason = COUNTED;
    if (fields[REQUEST].start) {
        struct span request = PER_ISA(with_single_blanks)(uncolored(fields[REQUEST]), s->blanks);
        PER_ISA(split_request)(request, &method, &target);
    } else if (target.start) {
        target = PER_ISA(with_single_blanks)(target, s->blanks);
    }
    if (!fields[REQUEST].start && !method.start)
        method = nothing;
    int is_read = target.len && !(target.len == 1 && *target.start == '-') && is_token(method);
    *is_cut = 0;
    if (is_read && !g->keep_query) {
        const uint8_t *stop = target.start + target.len,
                      *cut = PER_ISA(find_either)(target.start, stop, '?', '#');
        *is_cut = cut != stop;
        target.len = (size_t)(cut - target.start);
    }

    if (!is_read)
        method = target = nothing;

    const uint8_t *key = method.start;
    size_t key_len = method.len + 1 + target.len;
    int has_host = is_read && g->keep_host;
    if (has_host || target.start != method.start + method.len + 1 || target.start[-1] != ' ') {
        uint8_t *p = PER_ISA(put)(s->scratch, method);
        if (has_host)
            p = PER_ISA(put)(p, is_host(fields[HOST]) ? fields[HOST] : nothing);
        memcpy(p, target.start, target.len);
        key = s->scratch;
        key_len = (size_t)(p - key) + target.len;
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
static inline enum reason PER_ISA(count)(struct scanner *s, const struct span *fields, int has_core,
                                         unsigned zeros)
{
    const struct program *g = s->program;
    struct core *core = NULL;
    struct entry *e;
    enum reason reason = COUNTED;
    int is_known = 0, is_cut;
    const uint8_t *start = NULL;
    size_t len = 0;
    if (!has_duration_room(s, fields[DURATION]))
        return FAILED;
    const struct span *last = &fields[g->fields[g->core_last].role];
    /* A status that is not there may be one where blanks stand for the literals. */
    if (has_core && last->start && fields[STATUS].len) {
        start = fields[g->fields[g->core_first].role].start;
        len = (size_t)(last->start + last->len - start);
        if (len >= CORE_LEAST && len <= CORE_LIMIT) {
            core = core_at(all_cores, s->table.seed, start, len, 0);
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
    count_duration(s, e, fields[DURATION], zeros);
    s->unmeasured += !count_size(e, fields[BYTES]);
    return g->span && count_time(s, fields[TIME], e->status) < 0 ? FAILED : COUNTED;
}

/* Count the line [p, end) by the program g as it stands, if it is a request; the reason why not. `fields` is
   zeros at first: lines of text all have the same. Only the first program has cores: by another one the same
   bytes may say something else. */
static inline enum reason PER_ISA(read)(struct scanner *s, const struct program *g, const uint8_t *p,
                                        const uint8_t *end, struct span *fields)
{
    if (g->members_len) {
        struct values values;
        const uint8_t *begin = p;
        values.known = values.words = values.nulls = 0;
        memset(fields, 0, ROLES * sizeof *fields);
        if (g->is_ltsv)
            PER_ISA(ltsv)(g, p, end, &values);
        else if (!(begin = PER_ISA(json)(g, p, end, &values)) || PER_ISA(has_message)(p, begin))
            return BAD_FIELDS;
        unsigned zeros = fields_of(g, &values, s->text, fields);
        if (!fields[STATUS].start || !(fields[REQUEST].start || fields[ROUTE].start))
            return BAD_FIELDS;
        return is_message(fields[LOGGER]) ? BAD_FIELDS : PER_ISA(count)(s, fields, 0, zeros);
    }
    enum reason reason =
        g->is_combined ? PER_ISA(match_combined)(p, end, fields) : PER_ISA(match)(g, p, end, fields);
    if (g->is_combined && s->program->keep_host && reason == COUNTED)
        fields[HOST] = host_before(p, fields[TIME].start - 1);
    if (g->is_lenient && (reason != COUNTED || !fields[STATUS].len)) {
        struct span others[ROLES];
        memset(others, 0, sizeof others);
        size_t found = match_blanks(g, p, end, others);
        int is_whole = found == g->fields_len, is_read = status_of(others[STATUS]) != NO_STATUS;
        int is_cut = found > g->status && is_read && others[STATUS].len == 3 && reason != COUNTED;
        if ((is_whole && is_read) || is_cut)
            return PER_ISA(count)(s, others, 0, g->zeros);
        if (is_whole && reason == BAD_FIELDS)
            return BAD_STATUS;
    }
    int has_core = g == s->program && g->has_core;
    return reason == COUNTED ? PER_ISA(count)(s, fields, has_core, g->zeros) : reason;
}

/* What is left of the line *p to *end where what is around it was taken off; 0 if there is nothing around it.
 */
static int PER_ISA(unwrap)(struct scanner *s, const uint8_t **p, const uint8_t **end)
{
    const uint8_t *brace = PER_ISA(skip_blanks)(*p, *end),
                  *name = brace < *end ? PER_ISA(skip_blanks)(brace + 1, *end) : *end;
    if (name < *end && *brace == '{' && *name == '"') {
        struct values values;
        values.known = values.words = values.nulls = 0;
        PER_ISA(json)(&WRAPPER, brace, *end, &values);
        if (!values.known)
            return 0;
        int number = first_of(values.known);
        size_t len = values.texts[number].len;
        if (values.words >> number & 1)
            memcpy(s->inner, values.texts[number].start, len);
        else
            len = decode(values.texts[number], s->inner);
        s->inner[len] = '\n';
        *p = s->inner;
        *end = memchr(s->inner, '\n', len + 1);
    } else {
        *p = behind_prefix(*p, *end);
        if (!*p)
            return 0;
    }
    if (*end > *p && (*end)[-1] == '\r')
        --*end;
    *p = behind(*p, *end, "\xef\xbb\xbf");
    return 1;
}

/* Count what is left of the line [p, end) where what is around it was taken off, if that is a request;
   `reason` if not. */
static enum reason PER_ISA(inner)(struct scanner *s, const struct program *g, const uint8_t *p,
                                  const uint8_t *end, struct span *fields, enum reason reason)
{
    enum reason inner = PER_ISA(unwrap)(s, &p, &end) ? PER_ISA(read)(s, g, p, end, fields) : reason;
    return inner == COUNTED || inner == FAILED ? inner : reason;
}

/* Count the line [p, end) by the program g, as it stands or without what is around it; the reason why not. */
static inline enum reason PER_ISA(line_by)(struct scanner *s, const struct program *g, const uint8_t *p,
                                           const uint8_t *end, struct span *fields)
{
    /* A format that begins with a field would take an object for what is in that. */
    int is_first = *p == '{' && g->fields_len && !g->head.len;
    enum reason reason = is_first ? PER_ISA(inner)(s, g, p, end, fields, UNREAD) : UNREAD;
    if (reason == UNREAD)
        reason = PER_ISA(read)(s, g, p, end, fields);
    if (!is_first && (reason == BAD_FIELDS || reason == BAD_STATUS))
        reason = PER_ISA(inner)(s, g, p, end, fields, reason);
    return reason;
}

/* Count a line that the first program rejects for this reason by the first of the others that can; the reason
   of the one that got furthest if none can. */
static __attribute__((noinline)) enum reason PER_ISA(line_by_others)(struct scanner *s, enum reason reason,
                                                                     const uint8_t *p, const uint8_t *end)
{
    for (const struct program *g = s->program->next; g; g = g->next) {
        struct span fields[ROLES] = {{NULL, 0}};
        enum reason other = PER_ISA(line_by)(s, g, p, end, fields);
        if (other != BAD_FIELDS && other != BAD_STATUS)
            return other;
        if (other == BAD_STATUS)
            reason = other;
    }
    return reason;
}

/* Count the line [p, end), which has no newline; the reason why not. `fields` is as line_by() wants it. */
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
    enum reason reason = PER_ISA(line_by)(s, g, p, end, fields);
    if (g->next && (reason == BAD_FIELDS || reason == BAD_STATUS))
        return PER_ISA(line_by_others)(s, reason, p, end);
    return reason;
}
