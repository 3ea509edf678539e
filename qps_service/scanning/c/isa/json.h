/* A line of JSON: the twin of JsonReader, with which the pure scanner reads it.

   A template, without a guard: compiled once for each instruction set (isa.h). */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../bytes.h"
#include "../limits.h"
#include "../program.h"
#include "../scanner.h"
#include "../values.h"
#include "find.h"

struct PER_ISA(walk) {
    const struct program *program;
    const uint8_t *p, *end;
    struct span *found; /* one for each member, in the format's order; `start` is NULL where there is none */
    uint64_t nulls;     /* a bit for each member that is `null` */
    int depth;
};

/* The byte after blanks; -1 at the end. */
static inline int PER_ISA(next)(struct PER_ISA(walk) * w)
{
    while (w->p < w->end && (*w->p == ' ' || *w->p == '\t' || *w->p == '\r'))
        w->p++;
    return w->p < w->end ? *w->p : -1;
}

/* What is between the quotes of the string that begins here. */
static inline int PER_ISA(string)(struct PER_ISA(walk) * w, struct span *text)
{
    if (w->p == w->end || *w->p != '"')
        return 0;
    const uint8_t *p = ++w->p;
    for (;;) {
        p = PER_ISA(find_either)(p, w->end, '"', '\\');
        if (p >= w->end)
            return 0;
        if (*p == '"')
            break;
        p += 2;
        if (p > w->end)
            return 0;
    }
    *text = (struct span){w->p, (size_t)(p - w->p)};
    w->p = p + 1;
    return 1;
}

static int PER_ISA(object)(struct PER_ISA(walk) * w, uint64_t members, size_t prefix);

/* A value. `exact`: members whose path ends here; `inside`: those whose path goes on, after `prefix` bytes.
 */
static int PER_ISA(value)(struct PER_ISA(walk) * w, uint64_t exact, uint64_t inside, size_t prefix)
{
    struct span text;
    switch (PER_ISA(next)(w)) {
    case '{':
        return PER_ISA(object)(w, inside, prefix);
    case '[':
        if (++w->depth > DEPTH_LIMIT)
            return 0;
        w->p++;
        if (PER_ISA(next)(w) != ']') {
            for (;;) {
                if (!PER_ISA(value)(w, 0, 0, 0))
                    return 0;
                if (PER_ISA(next)(w) != ',')
                    break;
                w->p++;
            }
            if (PER_ISA(next)(w) != ']')
                return 0;
        }
        w->p++;
        w->depth--;
        return 1;
    case '"':
        if (!PER_ISA(string)(w, &text))
            return 0;
        break;
    default:
        text.start = w->p;
        while (w->p < w->end && is_word(*w->p))
            w->p++;
        text.len = (size_t)(w->p - text.start);
        if (!text.len)
            return 0;
        if (text.len == 4 && !memcmp(text.start, "null", 4)) {
            w->nulls |= exact;
            exact = 0;
        }
    }
    for (; exact; exact &= exact - 1) {
        struct span *found = &w->found[__builtin_ctzll(exact)];
        if (!found->start)
            *found = text;
    }
    return 1;
}

/* An object. `members`: those whose path is that of the object, `prefix` bytes long, and goes on. */
static int PER_ISA(object)(struct PER_ISA(walk) * w, uint64_t members, size_t prefix)
{
    struct span name;
    if (++w->depth > DEPTH_LIMIT)
        return 0;
    w->p++;
    if (PER_ISA(next)(w) != '}') {
        for (;;) {
            if (!PER_ISA(string)(w, &name) || PER_ISA(next)(w) != ':')
                return 0;
            w->p++;
            uint64_t exact = 0, inside = 0;
            uint64_t left = members;
            if (!prefix) /* behind an empty name stands a dot, or nothing */
                left &= w->program->members_by_first[name.len ? *name.start : '.'];
            for (; left; left &= left - 1) {
                int i = __builtin_ctzll(left);
                const struct member *m = &w->program->members[i];
                size_t rest = m->len - prefix;
                if (rest < name.len || (name.len && m->path[prefix] != *name.start) ||
                    memcmp(m->path + prefix, name.start, name.len))
                    continue;
                if (rest == name.len)
                    exact |= 1ULL << i;
                else if (m->path[prefix + name.len] == '.')
                    inside |= 1ULL << i;
            }
            if (!PER_ISA(value)(w, exact, inside, prefix + name.len + 1))
                return 0;
            if (PER_ISA(next)(w) != ',')
                break;
            w->p++;
            PER_ISA(next)(w);
        }
        if (PER_ISA(next)(w) != '}')
            return 0;
    }
    w->p++;
    w->depth--;
    return 1;
}

/* Where the fields of the program g are in [p, end); 0 if that is not one object. Strings are decoded into
   s->text. */
static int PER_ISA(json)(struct scanner *s, const struct program *g, const uint8_t *p, const uint8_t *end,
                         struct span *fields)
{
    struct span found[MEMBERS_LIMIT];
    memset(found, 0, g->members_len * sizeof *found);
    struct PER_ISA(walk) w = {g, p, end, found, 0, 0};
    uint64_t all = g->members_len == MEMBERS_LIMIT ? ~0ULL : (1ULL << g->members_len) - 1;
    if (PER_ISA(next)(&w) != '{' || !PER_ISA(object)(&w, all, 0) || PER_ISA(next)(&w) >= 0)
        return 0;
    uint8_t *text = s->text;
    for (size_t i = 0; i < g->members_len; i++) {
        struct span *field = &fields[g->members[i].role];
        if (field->start || !found[i].start)
            continue;
        *field = found[i];
        /* A word has no backslash. */
        if (memchr(found[i].start, '\\', found[i].len)) {
            field->start = text;
            field->len = decode(found[i], text);
            text += field->len;
        }
    }
    /* Where a status or a route is `null` there was none. */
    for (; w.nulls; w.nulls &= w.nulls - 1) {
        enum role role = g->members[__builtin_ctzll(w.nulls)].role;
        struct span *field = &fields[role == REQUEST ? ROUTE : role];
        if ((role == STATUS || role == ROUTE || role == REQUEST) && !field->start)
            *field = (struct span){s->text, 0};
    }
    return 1;
}
