/* A line of JSON: the twin of JsonReader in qps_service/line.py.

   Included once for each instruction set after find.h. */

struct FIND(walk) {
    const struct program *program;
    const uint8_t *p, *end;
    struct span *found; /* one for each member, in the format's order; `start` is NULL where there is none */
    int depth;
};

/* The byte after blanks; -1 at the end. */
static inline int FIND(next)(struct FIND(walk) * w)
{
    while (w->p < w->end && (*w->p == ' ' || *w->p == '\t' || *w->p == '\r'))
        w->p++;
    return w->p < w->end ? *w->p : -1;
}

/* What is between the quotes of the string that begins here. */
static inline int FIND(string)(struct FIND(walk) * w, struct span *text)
{
    if (w->p == w->end || *w->p != '"')
        return 0;
    const uint8_t *p = ++w->p;
    for (;;) {
        p = FIND(find_either)(p, w->end, '"', '\\');
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

static int FIND(object)(struct FIND(walk) * w, uint64_t members, size_t prefix);

/* A value. `exact`: members whose path ends here; `inside`: those whose path goes on, after `prefix` bytes.
 */
static int FIND(value)(struct FIND(walk) * w, uint64_t exact, uint64_t inside, size_t prefix)
{
    struct span text;
    switch (FIND(next)(w)) {
    case '{':
        return FIND(object)(w, inside, prefix);
    case '[':
        if (++w->depth > DEPTH_LIMIT)
            return 0;
        w->p++;
        if (FIND(next)(w) != ']') {
            for (;;) {
                if (!FIND(value)(w, 0, 0, 0))
                    return 0;
                if (FIND(next)(w) != ',')
                    break;
                w->p++;
            }
            if (FIND(next)(w) != ']')
                return 0;
        }
        w->p++;
        w->depth--;
        return 1;
    case '"':
        if (!FIND(string)(w, &text))
            return 0;
        break;
    default:
        text.start = w->p;
        while (w->p < w->end && is_word(*w->p))
            w->p++;
        text.len = (size_t)(w->p - text.start);
        if (!text.len)
            return 0;
        if (text.len == 4 && !memcmp(text.start, "null", 4))
            exact = 0;
    }
    for (; exact; exact &= exact - 1) {
        struct span *found = &w->found[__builtin_ctzll(exact)];
        if (!found->start)
            *found = text;
    }
    return 1;
}

/* An object. `members`: those whose path is that of the object, `prefix` bytes long, and goes on. */
static int FIND(object)(struct FIND(walk) * w, uint64_t members, size_t prefix)
{
    struct span name;
    if (++w->depth > DEPTH_LIMIT)
        return 0;
    w->p++;
    if (FIND(next)(w) != '}') {
        for (;;) {
            if (!FIND(string)(w, &name) || FIND(next)(w) != ':')
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
            if (!FIND(value)(w, exact, inside, prefix + name.len + 1))
                return 0;
            if (FIND(next)(w) != ',')
                break;
            w->p++;
            FIND(next)(w);
        }
        if (FIND(next)(w) != '}')
            return 0;
    }
    w->p++;
    w->depth--;
    return 1;
}

/* Where the format's fields are in [p, end); 0 if that is not one object. Strings are decoded into s->text.
 */
static int FIND(json)(struct scanner *s, const uint8_t *p, const uint8_t *end, struct span *fields)
{
    const struct program *g = s->program;
    struct span found[MEMBERS_LIMIT];
    memset(found, 0, g->members_len * sizeof *found);
    struct FIND(walk) w = {g, p, end, found, 0};
    uint64_t all = g->members_len == 64 ? ~0ULL : (1ULL << g->members_len) - 1;
    if (FIND(next)(&w) != '{' || !FIND(object)(&w, all, 0) || FIND(next)(&w) >= 0)
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
    return 1;
}
