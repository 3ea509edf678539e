/* Making programs and scanners, and giving their memory back.

   What can fail does so for want of memory, with -1, and leaves what program_close() and scanner_close()
   take. */

static int literal_set(struct literal *l, const void *bytes, size_t len)
{
    uint8_t first[8] = {0};
    l->bytes = malloc(len + 1);
    if (!l->bytes)
        return -1;
    memcpy(l->bytes, bytes, len);
    memcpy(first, bytes, len < 8 ? len : 8);
    l->len = len;
    l->word = load64(first);
    l->mask = len < 8 ? (1ULL << (8 * len)) - 1 : ~0ULL;
    return 0;
}

/* A program whose lines begin with these bytes, for so many fields. All of it was zeros. */
static int program_open(struct program *g, const void *head, size_t len, size_t fields)
{
    g->fields = calloc(fields + 1, sizeof *g->fields);
    return g->fields ? literal_set(&g->head, head, len) : -1;
}

/* The next field. No role but SKIPPED comes twice, only behind the last field there may be nothing, and no
   literal has a byte that ends a line. */
static int add_field(struct program *g, enum role role, int is_quoted, const void *literal, size_t len)
{
    struct field *f = &g->fields[g->fields_len];
    f->role = role;
    f->is_quoted = is_quoted;
    if (literal_set(&f->literal, literal, len) < 0)
        return -1;
    g->fields_len++;
    return 0;
}

/* The next of MEMBERS_LIMIT members at most. */
static int add_member(struct program *g, enum role role, const void *path, size_t len)
{
    struct member *m = &g->members[g->members_len];
    m->role = role;
    m->path = malloc(len + 1);
    if (!m->path)
        return -1;
    memcpy(m->path, path, len);
    m->len = len;
    g->members_by_first[len ? m->path[0] : '.'] |= 1ULL << g->members_len++;
    return 0;
}

static void program_close(struct program *g)
{
    for (size_t i = 0; i < g->fields_len; i++)
        free(g->fields[i].literal.bytes);
    for (size_t i = 0; i < g->members_len; i++)
        free(g->members[i].path);
    free(g->fields);
    free(g->head.bytes);
}

static size_t count_quotes(const struct literal *l)
{
    size_t quotes = 0;
    for (size_t i = 0; i < l->len; i++)
        quotes += l->bytes[i] == '"';
    return quotes;
}

/* Whether lines are as isa/quoted.h reads them: fields, a quoted request, the status, the size, quoted
   fields. No literal has a quote but where those begin and end. If so, its shape is made. */
static int is_quoted(struct program *g)
{
    struct shape *h = &g->shape;
    *h = (struct shape){.leads = g->core_first, .time = SHAPE_LIMIT};
    const struct field *request = &g->fields[g->core_first], *last = g->fields + g->fields_len - 1;
    if (g->head.len || !g->core_first || g->core_last != g->core_first + 1 ||
        g->core_last + 1 >= g->fields_len || request->role != REQUEST || !request->is_quoted ||
        g->fields_len > SHAPE_LIMIT || request[2].role != BYTES || is_digit(request[1].literal.bytes[0]))
        return 0;
    for (const struct field *f = g->fields; f <= last; f++) {
        int begins = f + 1 == request || (f >= request + 2 && f < last); /* a quoted field behind it */
        if (f->is_quoted != (f == request || f > request + 2) || (f->role == TIME && f > request) ||
            count_quotes(&f->literal) != (size_t)(begins + f->is_quoted) || f->literal.len > 8 ||
            (begins && f->literal.bytes[f->literal.len - 1] != '"'))
            return 0;
        g->quotes += count_quotes(&f->literal);
        if (f->role == TIME)
            h->time = h->parts_len;
        h->parts[h->parts_len].word = f->literal.word;
        h->parts[h->parts_len].mask = f->literal.mask;
        h->parts[h->parts_len++].len = f->literal.len;
    }
    return 1;
}

/* Find out how a program's lines can be read fast. */
static void prepare(struct program *g)
{
    size_t first = g->fields_len, last = 0;
    for (size_t i = 0; i < g->fields_len; i++) {
        enum role role = g->fields[i].role;
        if (role == METHOD || role == ROUTE || role == REQUEST || role == STATUS) {
            first = i < first ? i : first;
            last = i;
        }
    }
    g->has_core = first < g->fields_len;
    g->core_first = first;
    g->core_last = last;
    g->is_quoted = g->has_core && is_quoted(g);
    /* The size must be all that comes after the core. */
    if (!first || !g->has_core || g->head.len || g->span || g->max_line < 64 || last + 2 != g->fields_len ||
        g->fields[last + 1].role != BYTES || g->fields[last + 1].literal.len)
        return;
    g->before = (unsigned)first;
    g->plain_stop = g->fields[last].literal.bytes[0];
    for (size_t i = 0; i <= last; i++) {
        const struct field *f = &g->fields[i];
        int is_stop = f->literal.bytes[0] == g->plain_stop;
        if (f->is_quoted || f->literal.len != 1 || (i < first && !is_stop))
            return;
        g->within += i >= first && is_stop;
    }
    g->is_plain = 1;
}

/* A scanner for a complete program. All of it was zeros. */
static int scanner_open(struct scanner *s, struct program *g, const uint8_t *seed,
                        int (*spill)(struct scanner *))
{
    size_t room = g->max_line + SLACK;
    prepare(g);
    s->program = g;
    s->spill = spill;
    s->round = 1ULL << TAG_ROUND;
    s->scratch = calloc(2, room);
    s->text = calloc(ROLES, room);
    s->cores = calloc(1 << CORES_BITS, sizeof *s->cores);
    return s->scratch && s->text && s->cores ? table_open(&s->table, seed) : -1;
}

static void scanner_close(struct scanner *s)
{
    free(s->times);
    free(s->cores);
    free(s->scratch);
    free(s->text);
    free(s->tail);
    table_close(&s->table);
}
