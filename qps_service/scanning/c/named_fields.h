/* Lines whose fields have names: the twin of named_fields.py. What is found of a program's members, by
   isa/json.h, becomes the fields that count. */

#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "bytes.h"
#include "limits.h"
#include "program.h"
#include "values.h"

/* The values of a program's members, a bit for each: those that there are, those of them that are not to be
   decoded, and those that are `null`. */
struct values {
    member_set known, words, nulls;
    struct span texts[MEMBERS_LIMIT];
};

static inline struct range all_members(const struct program *g)
{
    return (struct range){0, g->members_len};
}

/* Those of `members`, whose paths agree so far in `prefix` bytes, that end with a name, and those that go on
   behind it. */
static inline struct range named(const struct program *g, struct range members, size_t prefix,
                                 struct span name, struct range *inside)
{
    struct range exact = {0, 0};
    uint64_t mask = name.len < 8 ? (1ULL << (8 * name.len)) - 1 : ~0ULL;
    *inside = exact;
    if (!prefix && name.len && members.end) /* in an array there are none */
        members = g->members_by_first[*name.start];
    for (unsigned i = members.begin; i < members.end; i++) {
        const struct member *m = &g->members[g->by_path[i]];
        const uint8_t *path = m->path + prefix;
        size_t rest = m->len - prefix;
        if (rest < name.len || (load64(name.start) ^ load64(path)) & mask ||
            (name.len > 8 && memcmp(path + 8, name.start + 8, name.len - 8)))
            continue;
        if (rest == name.len)
            exact = (struct range){exact.end ? exact.begin : i, i + 1};
        else if (path[name.len] == '.')
            *inside = (struct range){inside->end ? inside->begin : i, i + 1};
    }
    return exact;
}

/* Keep a value for the members `exact` that have none. `is_cut`: the line's end may have cut it; then it is
   no measure. If nothing is left of it, that is nothing in JSON; in LTSV, where it may be whole, a `null`. */
static inline void note(const struct program *g, struct values *values, struct range exact, struct span text,
                        int is_word, int is_cut)
{
    int is_gone = is_cut && !text.len;
    if (exact.begin == exact.end || (is_gone && !g->is_ltsv))
        return;
    int is_null = g->is_ltsv ? is_gone : is_word && text.len == 4 && !memcmp(text.start, "null", 4);
    for (unsigned i = exact.begin; i < exact.end; i++) {
        unsigned number = g->by_path[i];
        member_set bit = (member_set)1 << number;
        if (is_null) {
            values->nulls |= bit;
        } else if (bit & ~values->known & (is_cut ? g->deciding : bit)) {
            values->known |= bit;
            values->words |= is_word ? bit : 0;
            values->texts[number] = text;
        }
    }
}

/* Whether a line is a message about a request that has a line of its own, by who wrote it. */
static inline int is_message(struct span logger)
{
    return (logger.len >= 14 && !memcmp(logger.start, "http.log.error", 14)) ||
           (logger.len >= 14 && !memcmp(logger.start, "http.handlers.", 14));
}

/* The fields that count; strings are decoded to `text`, where there is room for each. How many zeros the unit
   of the duration has, if there is one. */
static inline unsigned fields_of(const struct program *g, const struct values *values, uint8_t *text,
                                 struct span *fields)
{
    unsigned zeros = 0;
    for (member_set left = values->known; left; left &= left - 1) {
        int i = first_of(left);
        const struct member *m = &g->members[i];
        const struct span *found = &values->texts[i];
        struct span *field = &fields[m->role];
        if (field->start || m->beside & ~values->known)
            continue;
        *field = *found;
        zeros = m->role == DURATION ? m->zeros : zeros;
        if (!(values->words >> i & 1) && memchr(found->start, '\\', found->len)) {
            field->start = text;
            field->len = decode(*found, text);
            text += field->len;
        }
    }
    if (fields[REQUEST].len && *fields[REQUEST].start == '/') {
        if (!fields[ROUTE].start)
            fields[ROUTE] = fields[REQUEST];
        fields[REQUEST] = (struct span){NULL, 0};
    }
    struct span *status = &fields[STATUS];
    if (status->len > 4 && status->start[3] == '.' && are_digits(status->start, 3)) {
        size_t end = 4;
        while (end < status->len && status->start[end] == '0')
            end++;
        status->len = end == status->len ? 3 : status->len;
    }
    for (member_set left = values->nulls & ~values->known; left; left &= left - 1) {
        enum role role = g->members[first_of(left)].role;
        struct span *field = &fields[role == STATUS ? STATUS : ROUTE];
        if ((role == STATUS || role == ROUTE || role == REQUEST) && !field->start)
            *field = (struct span){text, 0};
    }
    return zeros;
}
