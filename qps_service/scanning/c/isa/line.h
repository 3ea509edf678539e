/* Counting lines: the twin of qps_service/line.py, which says what a line means, and of _scan_py.py.

   Included once for each instruction set after find.h. */

/* Where the fields from f to before `last` are, from *start on; 0 if the line has another shape. */
static inline int FIND(match_some)(const struct field *f, const struct field *last, const uint8_t **start,
                                   const uint8_t *end, struct span *fields)
{
    const uint8_t *p = *start;
    for (; f < last; f++) {
        const uint8_t *begin = p;
        if (!f->literal.len) {
            p = end;
        } else if (f->is_quoted) {
            while ((p = FIND(find_either)(p, end, '"', '\\')) < end && *p == '\\')
                if ((p += 2) > end)
                    return 0;
            if (!starts_with(p, end, &f->literal))
                return 0;
        } else {
            while ((p = FIND(find)(p, end, f->literal.bytes[0])) < end && !starts_with(p, end, &f->literal))
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
static inline int FIND(match)(const struct program *g, const uint8_t *p, const uint8_t *end,
                              struct span *fields)
{
    if (!starts_with(p, end, &g->head))
        return 0;
    p += g->head.len;
    return FIND(match_some)(g->fields, g->fields + g->fields_len, &p, end, fields) && p == end;
}

/* Splits `GET /path HTTP/1.1`; where there is no method it has no bytes. */
static inline void FIND(split_request)(struct span request, struct span *method, struct span *target)
{
    const uint8_t *p = request.start, *end = p + request.len;
    const uint8_t *blank = FIND(find)(p, end, ' ');
    const uint8_t *rest = blank < end ? blank + 1 : end, *stop = end;
    /* HTTP/1.1 and the like, or else a closer look. */
    if (end - rest >= 9 && end[-9] == ' ' && (load64(end - 8) & VERSION_MASK) == VERSION &&
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
static struct entry *FIND(entry)(struct scanner *s, const struct span *fields, enum reason *reason,
                                 int *is_cut)
{
    const struct program *g = s->program;
    struct span method = fields[METHOD], target = fields[ROUTE];
    uint64_t unused;
    *reason = BAD_FIELDS;
    if (!fields[STATUS].start || !(fields[REQUEST].start || target.start))
        return NULL;
    if (fields[REQUEST].start)
        FIND(split_request)(fields[REQUEST], &method, &target);
    else if (!method.start)
        method = (struct span){(const uint8_t *)"-", 1};
    const uint8_t *cut = target.start + target.len;
    if (!g->keep_query)
        cut = FIND(find_either)(target.start, cut, '?', '#');
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
static inline enum reason FIND(count)(struct scanner *s, const struct span *fields, int has_core)
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
            is_known = core->tag == (s->round | len) && !FIND(differ)(start, len, core->bytes);
        }
    }
    if (is_known) {
        e = core->entry;
    } else {
        e = FIND(entry)(s, fields, &reason, &is_cut);
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
static inline enum reason FIND(line)(struct scanner *s, const uint8_t *p, const uint8_t *end,
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
        if (!FIND(json)(s, p, end, fields))
            return BAD_FIELDS;
    } else {
        int fits = FIND(match)(g, p, end, fields);
        if (g->is_lenient && (!fits || status_of(fields[STATUS]) == NO_STATUS)) {
            struct span others[ROLES];
            memset(others, 0, sizeof others);
            if (match_blanks(g, p, end, others))
                return FIND(count)(s, others, 0);
        }
        if (!fits)
            return BAD_FIELDS;
    }
    return FIND(count)(s, fields, g->has_core);
}

/* Count a short line of a plain format whose core is known; 0 for any other line.

   The core's end is guessed by the number of stops before it: if the bytes up to there are a known core, then
   that is where it ends, since a line is read from left to right. */
static inline __attribute__((always_inline)) int FIND(plain)(const uint8_t *p, const uint8_t *end,
                                                             unsigned before, unsigned within,
                                                             uint8_t stop_byte, struct core *cores,
                                                             const uint64_t *seed, uint64_t round)
{
    uint64_t stops = FIND(equal)(p, stop_byte), digits;
    for (unsigned i = 1; i < before; i++)
        stops &= stops - 1;
    const uint8_t *start = p + FIND(zeros)(stops) + 1;
    for (unsigned i = 0; i < within; i++)
        stops &= stops - 1;
    const uint8_t *stop = p + FIND(zeros)(stops);
    size_t len = (size_t)(stop - start), size_len = (size_t)(end - stop) - 1;
    if (stop >= end || len < CORE_LEAST)
        return 0;
    const struct core *core = core_at(cores, seed, start, len, 0);
    uint64_t differ = (core->tag ^ (round | len)) | FIND(differ)(start, len, core->bytes);
    if (differ || size_len - 1 >= 8 || !digits_of(stop + 1, size_len, &digits))
        return 0;
    count_digits(core->entry, digits);
    return 1;
}

/* As lines(), for a plain format. Each line's end is found when it is read: that is less work than to find
   many first, and the processor reads ahead by itself. */
static int FIND(plain_lines)(struct scanner *s, const uint8_t *p, const uint8_t *end)
{
    struct span fields[ROLES] = {{NULL, 0}};
    const struct program *g = s->program;
    const unsigned before = g->before, within = g->within;
    const int is_default = before == 1 && within == 2; /* for this the compiler needs no loops */
    const uint8_t stop_byte = g->plain_stop;
    struct core *cores = s->cores;
    const uint64_t *seed = s->table.seed;
    uint64_t round = s->round;
    for (const uint8_t *stop; p < end; p = stop + 1) {
        uint64_t newlines = FIND(equal)(p, '\n');
        stop = p + FIND(zeros)(newlines);
        s->block_lines++;
        if (newlines && (is_default ? FIND(plain)(p, stop, 1, 2, stop_byte, cores, seed, round)
                                    : FIND(plain)(p, stop, before, within, stop_byte, cores, seed, round)))
            continue;
        if (!newlines)
            stop = FIND(find)(stop, end, '\n');
        if (settle(s, FIND(line)(s, p, stop, fields), p, stop) < 0)
            return -1;
        round = s->round;
    }
    return 0;
}

#include "quoted.h"

/* Count the lines of [p, end), which ends on a newline; SLACK bytes more can be read. -1 if that failed.

   Where lines end is found for many of them at a time: then reading one does not wait for the one before. */
static int FIND(lines)(struct scanner *s, const uint8_t *p, const uint8_t *end)
{
    if (s->program->is_plain)
        return FIND(plain_lines)(s, p, end);
    struct span fields[ROLES] = {{NULL, 0}};
    const uint8_t *ends[LINES_AHEAD + 68], *from = p;
    const struct program *g = s->program;
    const struct shape shape = g->shape;
    const size_t quotes = g->is_quoted ? g->quotes : 0, max_line = g->max_line;
    struct FIND(ahead) ahead;
    FIND(forget_all)(&ahead);
    while (p < end) {
        size_t found = 0;
        for (; from < end && found < LINES_AHEAD; from += 64) {
            uint64_t valid = end - from < 64 ? (1ULL << (end - from)) - 1 : ~0ULL;
            if (quotes)
                FIND(look_ahead)(&ahead, from, valid);
            uint64_t newlines = FIND(equal)(from, '\n') & valid;
            size_t next = found + (size_t)__builtin_popcountll(newlines);
            /* Mostly there are up to 4: all are handled alike, since how many cannot be guessed. */
            for (size_t i = found; newlines || i == found; i += 4)
                for (int j = 0; j < 4; j++, newlines &= newlines - 1)
                    ends[i + (size_t)j] = from + FIND(zeros)(newlines);
            found = next;
        }
        for (size_t i = 0; i < found; p = ends[i++] + 1) {
            const uint8_t *stop = ends[i];
            enum reason reason = REASONS;
            if (quotes && (size_t)(stop - p) <= max_line &&
                FIND(match_quoted)(&shape, &ahead, quotes, p, stop, fields)) {
                ahead.quotes.next += quotes;
                reason = FIND(count_quoted)(s, fields);
            }
            if (reason == REASONS) {
                reason = FIND(line)(s, p, stop, fields);
                FIND(pass)(&ahead.quotes, stop);
                FIND(pass)(&ahead.backslashes, stop);
            }
            if (settle(s, reason, p, stop) < 0)
                return -1;
        }
        s->block_lines += found;
        FIND(forget)(&ahead.quotes);
        FIND(forget)(&ahead.backslashes);
    }
    return 0;
}
