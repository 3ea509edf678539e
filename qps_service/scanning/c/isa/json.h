/* An object of JSON: the twin of json_members.py, which says how one is read.

   A template, without a guard: compiled once for each instruction set (isa.h). */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../bytes.h"
#include "../limits.h"
#include "../named_fields.h"
#include "../program.h"
#include "../values.h"
#include "find.h"

/* One through an object; it ends at the line's end. */
struct PER_ISA(walk) {
    const struct program *program;
    const uint8_t *p, *end;
    struct values *values;
};

static inline const uint8_t *PER_ISA(skip_blanks)(const uint8_t *p, const uint8_t *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\r'))
        p++;
    return p;
}

/* The next byte that is no blank; -1 at the end. */
static inline int PER_ISA(next)(struct PER_ISA(walk) * w)
{
    w->p = PER_ISA(skip_blanks)(w->p, w->end);
    return w->p < w->end ? *w->p : -1;
}

/* What is between the quotes of the string that begins here; all that is left is taken if it has no end. */
static inline int PER_ISA(string)(struct PER_ISA(walk) * w, struct span *text)
{
    const uint8_t *p = ++w->p;
    for (;;) {
        p = PER_ISA(find_either)(p, w->end, '"', '\\');
        if (p >= w->end) {
            w->p = w->end;
            return 0;
        }
        if (*p == '"')
            break;
        p += 2;
    }
    *text = (struct span){w->p, (size_t)(p - w->p)};
    w->p = p + 1;
    return 1;
}

/* The first comma with a quote behind it, or brace that closes, from p on; `end` if there is none. */
static const uint8_t *PER_ISA(find_on)(const uint8_t *p, const uint8_t *end, int depth)
{
    for (; (p = PER_ISA(find_either)(p, end, ',', '}')) < end; p++) {
        const uint8_t *behind = PER_ISA(skip_blanks)(p + 1, end);
        int byte = behind < end ? *behind : -1;
        if (*p == ',' ? byte == '"' : byte < 0 || (depth > 1 && (byte == ',' || byte == '}' || byte == ']')))
            return p;
    }
    return end;
}

/* To the next member's quote, the brace that closes, or the end; where that is told. */
static inline const uint8_t *PER_ISA(go_on)(struct PER_ISA(walk) * w, int depth)
{
    int byte = PER_ISA(next)(w);
    if (byte != '}') {
        const uint8_t *behind = byte == ',' ? PER_ISA(skip_blanks)(w->p + 1, w->end) : w->end;
        if (behind >= w->end || *behind != '"')
            w->p = PER_ISA(find_on)(w->p, w->end, depth);
    }
    const uint8_t *stop = w->p;
    if (w->p < w->end && *w->p == ',') {
        w->p++;
        PER_ISA(next)(w);
    }
    return stop;
}

/* A value that is a string or a word, or should be, for the members `exact`. */
static inline void PER_ISA(value)(struct PER_ISA(walk) * w, struct range exact, int is_word, int depth)
{
    const uint8_t *start = w->p;
    struct span text = {start, 0};
    if (is_word) {
        while (w->p < w->end && is_word_byte(*w->p))
            w->p++;
    } else if (!PER_ISA(string)(w, &text)) {
        text = (struct span){start + 1, (size_t)(w->end - start) - 1};
        note(w->program, w->values, exact, text, 0, 1);
        return;
    }
    const uint8_t *end = w->p;
    int byte = PER_ISA(next)(w), is_over = byte < 0 || byte == ',' || byte == '}';
    const uint8_t *behind = w->p, *stop = PER_ISA(go_on)(w, depth), *last = end;
    if (exact.begin == exact.end)
        return;
    if (!is_over || stop != behind) {
        while (stop > start && (stop[-1] == ' ' || stop[-1] == '\t' || stop[-1] == '\r'))
            stop--;
        if (!is_over || (is_word && are_times(start, stop)))
            last = stop;
    }
    if (is_word)
        text.len = (size_t)(last - start);
    else if (last > end && last[-1] == '"')
        text.len = (size_t)(last - 1 - text.start);
    note(w->program, w->values, exact, text, is_word, is_word && last == w->end);
}

static void PER_ISA(object)(struct PER_ISA(walk) * w, struct range members, size_t prefix, int depth);

/* An array, of which nothing counts; whether it is one. */
static int PER_ISA(array)(struct PER_ISA(walk) * w, int depth)
{
    struct span text;
    if (depth > DEPTH_LIMIT) {
        w->p = w->end;
        return 0;
    }
    w->p++;
    if (PER_ISA(next)(w) == ']') {
        w->p++;
        return 1;
    }
    for (;; w->p++) {
        const uint8_t *start = w->p;
        int first = PER_ISA(next)(w), is_odd = 0;
        if (first == '{') {
            PER_ISA(object)(w, (struct range){0, 0}, 0, depth + 1);
        } else if (first == '[') {
            is_odd = !PER_ISA(array)(w, depth + 1);
        } else if (first == '"') {
            is_odd = !PER_ISA(string)(w, &text);
        } else {
            for (start = w->p; w->p < w->end && is_word_byte(*w->p);)
                w->p++;
            is_odd = w->p == start;
        }
        if (is_odd)
            return 0;
        if (PER_ISA(next)(w) != ',')
            break;
    }
    if (PER_ISA(next)(w) != ']')
        return 0;
    w->p++;
    return 1;
}

/* Any member of an object, up to what follows it. `members`: those whose path is that of the object, `prefix`
   bytes long, and goes on. */
static inline void PER_ISA(member)(struct PER_ISA(walk) * w, struct range members, size_t prefix, int depth)
{
    struct span name;
    struct range inside;
    if (*w->p != '"') {
        PER_ISA(go_on)(w, depth);
        return;
    }
    if (!PER_ISA(string)(w, &name))
        return;
    if (PER_ISA(next)(w) != ':') {
        PER_ISA(go_on)(w, depth);
        return;
    }
    w->p++;
    struct range exact = named(w->program, members, prefix, name, &inside);
    int first = PER_ISA(next)(w);
    if (first == '{') {
        PER_ISA(object)(w, inside, prefix + name.len + 1, depth + 1);
        PER_ISA(go_on)(w, depth);
    } else if (first == '[') {
        PER_ISA(array)(w, depth + 1);
        PER_ISA(go_on)(w, depth);
    } else if (first >= 0) {
        PER_ISA(value)(w, exact, first != '"', depth);
    }
}

static void PER_ISA(object)(struct PER_ISA(walk) * w, struct range members, size_t prefix, int depth)
{
    if (depth > DEPTH_LIMIT) {
        w->p = w->end;
        return;
    }
    w->p++;
    if (PER_ISA(next)(w) == '}') {
        w->p++;
        return;
    }
    while (w->p < w->end) {
        PER_ISA(member)(w, members, prefix, depth);
        if (w->p < w->end && *w->p == '}') {
            w->p++;
            return;
        }
    }
}

/* What the first object in [p, end) says of a program's members, and where it begins; NULL if there is none.
 */
static inline const uint8_t *PER_ISA(json)(const struct program *g, const uint8_t *p, const uint8_t *end,
                                           struct values *values)
{
    for (;; p++) {
        p = PER_ISA(find)(p, end, '{');
        if (p >= end)
            return NULL;
        const uint8_t *name = PER_ISA(skip_blanks)(p + 1, end);
        if (name < end && *name == '"')
            break;
    }
    struct PER_ISA(walk) w = {g, p, end, values};
    PER_ISA(object)(&w, all_members(g), 0, 1);
    return p;
}

/* Whether a field between tabs in [p, end) is the logger of a message. */
static inline int PER_ISA(has_message)(const uint8_t *p, const uint8_t *end)
{
    while ((p = PER_ISA(find)(p, end, '\t')) < end) {
        p++;
        if (is_message((struct span){p, (size_t)(end - p)}))
            return 1;
    }
    return 0;
}

/* What the labels of LTSV in [p, end) say. */
static inline void PER_ISA(ltsv)(const struct program *g, const uint8_t *p, const uint8_t *end,
                                 struct values *values)
{
    for (const uint8_t *stop;; p = stop + 1) {
        struct range inside;
        stop = PER_ISA(find)(p, end, '\t');
        const uint8_t *colon = PER_ISA(find)(p, stop, ':');
        if (colon < stop) {
            struct range exact = named(g, all_members(g), 0, (struct span){p, (size_t)(colon - p)}, &inside);
            struct span text = {colon + 1, (size_t)(stop - colon) - 1};
            note(g, values, exact, text, 1, !text.len && stop == end);
        }
        if (stop >= end)
            return;
    }
}
