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

/* The values of a program's members: of each role that of the member with the lowest rank. */
struct values {
    struct {
        struct span text;
        int is_word; /* it is not to be decoded */
    } of[ROLES];
    unsigned ranks[ROLES]; /* NO_RANK where there is none */
    unsigned nulls;        /* the roles of those that are `null`, a bit each */
};
#define NO_RANK (~0U)

static inline void begin_values(struct values *values)
{
    memset(values->ranks, 0xff, sizeof values->ranks);
    values->nulls = 0;
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
        const struct member *m = &g->members[i];
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

/* Keep a value for the members `exact`, where none of a lower rank has one. `is_cut`: the line's end may have
   cut it; then it is no measure, and nothing if nothing is left of it. */
static inline void note(const struct program *g, struct values *values, struct range exact, struct span text,
                        int is_word, int is_cut)
{
    if (exact.begin == exact.end || (is_cut && !text.len))
        return;
    int is_null = is_word && !g->is_ltsv && text.len == 4 && !memcmp(text.start, "null", 4);
    for (unsigned i = exact.begin; i < exact.end; i++) {
        const struct member *m = &g->members[i];
        if (is_null)
            values->nulls |= 1U << m->role;
        if (is_null || m->rank >= values->ranks[m->role] || (is_cut && is_measure(m->role)))
            continue;
        values->ranks[m->role] = m->rank;
        values->of[m->role].text = text;
        values->of[m->role].is_word = is_word;
    }
}

/* Whether a line is a message about a request that has a line of its own, by who wrote it. */
static inline int is_message(struct span logger)
{
    return (logger.len >= 14 && !memcmp(logger.start, "http.log.error", 14)) ||
           (logger.len >= 14 && !memcmp(logger.start, "http.handlers.", 14));
}

/* The fields that count; strings are decoded to `text`, where there is room for each. */
static inline void fields_of(const struct values *values, uint8_t *text, struct span *fields)
{
    for (int role = METHOD; role < ROLES; role++) {
        if (values->ranks[role] == NO_RANK)
            continue;
        struct span *field = &fields[role];
        *field = values->of[role].text;
        if (!values->of[role].is_word && memchr(field->start, '\\', field->len)) {
            size_t len = decode(*field, text);
            *field = (struct span){text, len};
            text += len;
        }
    }
    if (fields[REQUEST].len && *fields[REQUEST].start == '/') {
        if (!fields[ROUTE].start)
            fields[ROUTE] = fields[REQUEST];
        fields[REQUEST] = (struct span){NULL, 0};
    }
    struct span *status = &fields[STATUS];
    if (status->len > 4 && status->start[3] == '.' && are_digits(status->start, 3)) {
        size_t zeros = 4;
        while (zeros < status->len && status->start[zeros] == '0')
            zeros++;
        status->len = zeros == status->len ? 3 : status->len;
    }
    if (values->nulls & 1U << STATUS && !status->start)
        *status = (struct span){text, 0};
    if (values->nulls & (1U << ROUTE | 1U << REQUEST) && !fields[ROUTE].start)
        fields[ROUTE] = (struct span){text, 0};
}
