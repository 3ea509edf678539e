/* Fuzzes the native scanner without Python: libFuzzer calls it with one input after another
   (scripts/campaign.sh fuzz scan).

   An input is one byte that picks the format, one for the settings, one for each further format of a list,
   one for where blocks are cut, and the log. Where the settings keep hosts, one is told by the last of the
   fields that nobody wants, or by the member `h`. A format that is not among FORMATS is spelled out by the bytes
   that follow. Each input is counted by every instruction set, cut in other places and with another seed, and
   without the cache of cores: all must find the same. Each block has a heap of its own, as long as it is, so
   that ASan sees every byte that is read behind it.

   Built with SCAN_SMALL, a few lines fill the table and the times, so that spills are the rule. */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "isa.h"
#include "limits.h"
#include "program.h"
#include "scanner.h"
#include "sizes.h"
#include "table.h"

#define NEED(condition)                                                                                      \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "line %d: expected " #condition "\n", __LINE__);                                 \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

enum { FIELDS_MOST = 9, LITERAL_MOST = 12, PASSES = 2 };

struct piece {
    enum role role;
    const char *literal; /* behind the field; of a member its path */
};
enum kind { TEXT, JSON, LTSV, COMBINED };

static const struct format {
    const char *head;
    struct piece pieces[FIELDS_MOST]; /* up to the one with no literal */
    int is_lenient;
    enum kind kind;
} FORMATS[] = {
    /* default, common and combined */
    {"", {{SKIPPED, "\t"}, {METHOD, " "}, {ROUTE, "\t"}, {STATUS, "\t"}, {BYTES, ""}}, 1, TEXT},
    {"",
     {{SKIPPED, " - "}, {SKIPPED, " ["}, {SKIPPED, "] \""}, {REQUEST, "\" "}, {STATUS, " "}, {BYTES, ""}},
     0,
     TEXT},
    {"",
     {{SKIPPED, " - "},
      {SKIPPED, " ["},
      {TIME, "] \""},
      {REQUEST, "\" "},
      {STATUS, " "},
      {BYTES, " \""},
      {SKIPPED, "\" \""},
      {SKIPPED, "\""}},
     0,
     TEXT},
    /* No method; the status first; the size before the status; a field before, with the
       same stop; a time in a core; a core up to the end */
    {"", {{ROUTE, " "}, {STATUS, ""}}, 0, TEXT},
    {"", {{STATUS, " "}, {METHOD, " "}, {ROUTE, " "}, {BYTES, ""}}, 0, TEXT},
    {"[", {{TIME, "] \""}, {REQUEST, "\" "}, {BYTES, " "}, {STATUS, ""}}, 0, TEXT},
    {"", {{SKIPPED, "|"}, {SKIPPED, "|"}, {ROUTE, "|"}, {STATUS, "|"}, {BYTES, ""}}, 0, TEXT},
    {"", {{METHOD, " "}, {TIME, " "}, {ROUTE, " "}, {STATUS, ""}}, 0, TEXT},
    {"", {{STATUS, " "}, {ROUTE, ""}}, 0, TEXT},
    /* Literals that begin alike, or are longer than a word; quotes at both ends */
    {"", {{ROUTE, "--> "}, {STATUS, "---"}, {BYTES, "---------- "}, {SKIPPED, "--"}}, 0, TEXT},
    {"\"", {{REQUEST, "\" \""}, {STATUS, "\" \""}, {SKIPPED, "\" \""}, {BYTES, "\""}}, 0, TEXT},
    /* JSON */
    {"", {{REQUEST, "request"}, {STATUS, "status"}, {BYTES, "size"}, {TIME, "time"}}, 0, JSON},
    {"",
     {{METHOD, "a.m"},
      {ROUTE, "a.b"},
      {ROUTE, "a.b.c"},
      {ROUTE, "a.m"},
      {STATUS, "s"},
      {STATUS, "a.s"},
      {TIME, "t.t"},
      {BYTES, ""}},
     0,
     JSON},
    /* Labels */
    {"", {{REQUEST, "req"}, {ROUTE, "uri"}, {STATUS, "status"}, {BYTES, "size"}, {TIME, "time"}}, 0, LTSV},
    /* The combined family, of whose fields the roles count */
    {"", {{TIME, "] \""}, {REQUEST, "\" "}, {STATUS, " "}, {BYTES, " \""}, {SKIPPED, ""}}, 0, COMBINED},
    /* Durations: behind the agent, in a core, with the size last, before all else */
    {"",
     {{SKIPPED, " ["},
      {TIME, "] \""},
      {REQUEST, "\" "},
      {STATUS, " "},
      {BYTES, " \""},
      {SKIPPED, "\" \""},
      {SKIPPED, "\" "},
      {DURATION, ""}},
     0,
     TEXT},
    {"", {{METHOD, " "}, {DURATION, " "}, {ROUTE, "\t"}, {STATUS, "\t"}, {BYTES, ""}}, 1, TEXT},
    {"", {{DURATION, "|"}, {ROUTE, "|"}, {STATUS, "|"}, {BYTES, ""}}, 0, TEXT},
    {"", {{REQUEST, "request"}, {STATUS, "status"}, {DURATION, "took"}, {SIGN, "sign"}}, 0, JSON},
    {"", {{REQUEST, "req"}, {STATUS, "status"}, {DURATION, "reqtime"}, {DURATION, "apptime"}}, 0, LTSV},
};
/* The one that is spelled out is in the midst of them: where it was when there were so many. */
enum { FORMATS_LEN = sizeof FORMATS / sizeof *FORMATS, SPELLED_OUT = 15 };

struct input {
    const uint8_t *p, *end;
};

static uint8_t next_byte(struct input *in)
{
    return in->p < in->end ? *in->p++ : 0;
}

/* Bytes up to a newline or LITERAL_MOST of them, as no literal has a newline. */
static size_t next_literal(struct input *in, uint8_t *bytes)
{
    size_t len = 1 + next_byte(in) % LITERAL_MOST, taken = 0;
    while (taken < len && in->p < in->end && *in->p != '\n' && *in->p != '\r')
        bytes[taken++] = *in->p++;
    return taken;
}

/* A format that the input spells out: `logformat` in which each role comes once. */
static void spell_out(struct program *g, struct input *in)
{
    uint8_t before[LITERAL_MOST], literal[LITERAL_MOST];
    size_t fields = 1 + next_byte(in) % FIELDS_MOST;
    size_t before_len = next_byte(in) & 1 ? next_literal(in, before) : 0, len = 1;
    unsigned known = 0;
    NEED(!program_open(g, before, before_len, fields));
    for (size_t i = 0; i < fields && len; i++) {
        enum role role = next_byte(in) % LOGGER; /* and SIGN, which text has none of */
        role = known >> role & 1 ? SKIPPED : role;
        known |= 1U << role;
        len = i + 1 < fields || next_byte(in) & 1 ? next_literal(in, literal) : 0;
        int is_quoted = before_len && len && before[before_len - 1] == '"' && *literal == '"';
        NEED(!add_field(g, role, is_quoted, literal, len));
        g->fields[i].is_list = role == SKIPPED && len && *literal == ' ';
        memcpy(before, literal, before_len = len);
    }
}

/* The last field without a role tells the host, if that is kept; likewise a member more. */
static void add_host(struct program *g)
{
    if (!g->keep_host || g->is_combined)
        return;
    if (g->members_len)
        NEED(!add_member(g, HOST, "h", 1));
    for (size_t i = g->fields_len; i; i--)
        if (g->fields[i - 1].role == SKIPPED) {
            g->fields[i - 1].role = HOST;
            return;
        }
}

static void make_program(struct program *g, struct input *in, uint8_t settings, uint8_t number, int others)
{
    static const size_t limits[] = {16, 64, 300, LINE_LIMIT};
    static const int64_t spans[] = {0, 1, 3600, INT64_MAX};
    memset(g, 0, sizeof *g);
    g->keep_query = settings & 1;
    g->keep_host = settings >> 7;
    g->span = spans[settings >> 1 & 3];
    g->max_line = limits[settings >> 3 & 3];
    g->zeros = number % 10;
    if (others) {
        g->next = malloc(sizeof *g);
        make_program(g->next, in, settings, next_byte(in), others - 1);
    }
    number %= FORMATS_LEN + 1;
    if (number == SPELLED_OUT) {
        spell_out(g, in);
        add_host(g);
        return;
    }
    const struct format *f = &FORMATS[number - (number > SPELLED_OUT)];
    const char *before = f->head;
    g->is_lenient = f->is_lenient;
    g->is_combined = f->kind == COMBINED;
    g->is_ltsv = f->kind == LTSV;
    NEED(!program_open(g, before, strlen(before), FIELDS_MOST));
    for (size_t i = 0; i < FIELDS_MOST && f->pieces[i].literal; i++) {
        const struct piece *each = &f->pieces[i];
        size_t len = strlen(each->literal);
        int is_quoted = *before && before[strlen(before) - 1] == '"' && *each->literal == '"';
        NEED(!(f->kind == JSON || f->kind == LTSV ? add_member(g, each->role, each->literal, len)
                                                  : add_field(g, each->role, is_quoted, each->literal, len)));
        if (g->members_len) { /* the sign is the last */
            int has_sign = f->pieces[g->members_len].role == SIGN;
            g->members[i].zeros = (unsigned)(number + i) % 10;
            g->members[i].beside = each->role == DURATION && has_sign ? (member_set)2 << i : 0;
        }
        before = each->literal;
    }
    add_host(g);
}

struct row {
    uint8_t *key;
    size_t len, method_len;
    uint32_t status;
    unsigned __int128 bytes;
    uint64_t requests, measured, bins, total, longest; /* bins: those of its durations, summed up */
};

/* What was found in all, however often it was spilled. */
struct found {
    struct scanner scanner; /* the first, so that a spill finds the rest */
    struct row *rows;
    size_t rows_len;
    struct time_span *times;
    size_t times_len;
    uint64_t lines, rejects[REASONS], untimed[STATUS_CLASSES], spills, unmeasured;
    uint8_t sample[SAMPLE_LIMIT];
    size_t sample_len;
    enum reason sample_reason;
    int has_sample;
};

static int compare_rows(const void *one, const void *other)
{
    const struct row *a = one, *b = other;
    int order = memcmp(a->key, b->key, a->len < b->len ? a->len : b->len);
    if (order || a->len != b->len)
        return order ? order : a->len < b->len ? -1 : 1;
    return (int)a->status - (int)b->status;
}

static int compare_times(const void *one, const void *other)
{
    int64_t a = ((const struct time_span *)one)->begin, b = ((const struct time_span *)other)->begin;
    return (a > b) - (a < b);
}

/* Add those of the entry with this number to its row. */
static void take_durations(struct row *row, const struct durations *d, uint32_t entry)
{
    for (uint32_t i = 0; d->used && i <= d->slot_mask; i++)
        for (uint32_t j = 0; d->groups[i].key && entry_of(d->groups[i].key) == entry && j < GROUP_BINS; j++) {
            uint64_t bin = first_bin_of(&d->groups[i]) + j, requests = d->groups[i].requests[j];
            NEED(!requests || bin <= LAST_BIN);
            row->measured += requests;
            row->bins += requests * (bin * bin * 0x9e3779b97f4a7c15ULL + 1);
        }
    row->total = row->measured ? d->sums[entry].total : 0;
    row->longest = row->measured ? d->sums[entry].longest : 0;
    NEED(row->longest <= LONGEST_DURATION && row->longest <= row->total);
}

static int take_over(struct scanner *s)
{
    struct found *f = (struct found *)s;
    const struct table *t = &s->table;
    durations_settle(&s->durations, t->seed[0]);
    NEED(s->durations.used <= s->durations.room && s->durations.room <= GROUPS_LIMIT);
    NEED(t->used <= KEYS_LIMIT && t->names_used <= KEY_BYTES_LIMIT && s->times_len <= TIMES_LIMIT);
    f->rows = realloc(f->rows, (f->rows_len + t->used + 1) * sizeof *f->rows);
    f->times = realloc(f->times, (f->times_len + s->times_len + 1) * sizeof *f->times);
    for (uint32_t i = 0; i < t->used; i++) {
        struct entry *e = &t->entries[i];
        add_digits(e);
        struct row *row = &f->rows[f->rows_len++];
        NEED(e->requests && e->status < 1000 && e->method_len < e->key_len);
        NEED(t->names[e->key + e->method_len] == ' ');
        *row = (struct row){.key = malloc(e->key_len),
                            .len = e->key_len,
                            .method_len = e->method_len,
                            .status = e->status,
                            .bytes = e->more_bytes,
                            .requests = e->requests};
        row->bytes = row->bytes << 64 | e->bytes;
        take_durations(row, &s->durations, i);
        NEED(row->measured <= row->requests);
        memcpy(row->key, t->names + e->key, e->key_len);
    }
    for (size_t i = 0; i < s->times_len; i++) {
        NEED(!i || s->times[i - 1].begin < s->times[i].begin);
        f->times[f->times_len++] = s->times[i];
    }
    for (int i = 0; i < REASONS; i++)
        f->rejects[i] += s->rejects[i];
    for (int i = 0; i < STATUS_CLASSES; i++)
        f->untimed[i] += s->untimed[i];
    if (s->has_sample && !f->has_sample) {
        f->has_sample = 1;
        f->sample_reason = s->sample_reason;
        f->sample_len = s->sample_len;
        memcpy(f->sample, s->sample, s->sample_len);
    }
    f->unmeasured += s->unmeasured;
    f->spills++;
    scanner_clear(s);
    return 0;
}

/* Add up what was spilled in parts, and see that every line is in one place. */
static void add_up(struct found *f)
{
    size_t rows = 0, times = 0;
    uint64_t requests = 0, rejects = 0, timed = 0;
    qsort(f->rows, f->rows_len, sizeof *f->rows, compare_rows);
    for (size_t i = 0; i < f->rows_len; i++) {
        requests += f->rows[i].requests;
        if (rows && !compare_rows(&f->rows[rows - 1], &f->rows[i])) {
            NEED(f->rows[rows - 1].method_len == f->rows[i].method_len);
            f->rows[rows - 1].requests += f->rows[i].requests;
            f->rows[rows - 1].bytes += f->rows[i].bytes;
            f->rows[rows - 1].measured += f->rows[i].measured;
            f->rows[rows - 1].bins += f->rows[i].bins;
            f->rows[rows - 1].total += f->rows[i].total; /* no input is as long as the limit */
            if (f->rows[i].longest > f->rows[rows - 1].longest)
                f->rows[rows - 1].longest = f->rows[i].longest;
            free(f->rows[i].key);
        } else {
            f->rows[rows++] = f->rows[i];
        }
    }
    f->rows_len = rows;
    qsort(f->times, f->times_len, sizeof *f->times, compare_times);
    for (size_t i = 0; i < f->times_len; i++) {
        int is_same = times && f->times[times - 1].begin == f->times[i].begin;
        for (int j = 0; j < STATUS_CLASSES; j++)
            timed += f->times[i].requests[j];
        for (int j = 0; is_same && j < STATUS_CLASSES; j++)
            f->times[times - 1].requests[j] += f->times[i].requests[j];
        if (!is_same)
            f->times[times++] = f->times[i];
    }
    f->times_len = times;
    for (int i = 0; i < STATUS_CLASSES; i++)
        timed += f->untimed[i];
    for (int i = 0; i < REASONS; i++)
        rejects += f->rejects[i];
    NEED(f->lines == requests + rejects);
    NEED(f->unmeasured <= requests);
    NEED(timed == (f->scanner.program->span ? requests : 0));
    NEED(f->has_sample == (rejects > 0));
}

static void need_same(const struct found *a, const struct found *b)
{
    NEED(a->lines == b->lines && a->unmeasured == b->unmeasured);
    NEED(!memcmp(a->rejects, b->rejects, sizeof a->rejects));
    NEED(!memcmp(a->untimed, b->untimed, sizeof a->untimed));
    NEED(a->has_sample == b->has_sample && a->sample_len == b->sample_len);
    NEED(!a->has_sample || a->sample_reason == b->sample_reason);
    NEED(!memcmp(a->sample, b->sample, a->sample_len));
    NEED(a->rows_len == b->rows_len && a->times_len == b->times_len);
    for (size_t i = 0; i < a->rows_len; i++) {
        NEED(!compare_rows(&a->rows[i], &b->rows[i]));
        NEED(a->rows[i].requests == b->rows[i].requests && a->rows[i].bytes == b->rows[i].bytes);
        NEED(a->rows[i].method_len == b->rows[i].method_len);
        NEED(a->rows[i].measured == b->rows[i].measured && a->rows[i].bins == b->rows[i].bins);
        NEED(a->rows[i].total == b->rows[i].total && a->rows[i].longest == b->rows[i].longest);
    }
    NEED(!memcmp(a->times, b->times, a->times_len * sizeof *a->times));
}

/* Count a text in blocks that end on newlines: the first that stands after `step` bytes or more, each time.
 */
static void count(struct found *f, lines_function lines, const uint8_t *text, size_t len, size_t step)
{
    for (size_t size; len; text += size, len -= size) {
        const uint8_t *newline = step < len ? memchr(text + step, '\n', len - step) : NULL;
        size = newline ? (size_t)(newline - text) + 1 : len;
        uint8_t *block = malloc(size);
        memcpy(block, text, size);
        /* With the room that this block needs, so that reading too much is seen here too. */
        free(f->scanner.tail);
        f->scanner.tail = NULL;
        f->scanner.tail_room = 0;
        NEED(!scan_block(&f->scanner, lines, block, size));
        free(block);
        f->lines += f->scanner.block_lines;
        NEED(f->scanner.block_rejects <= f->scanner.block_lines);
    }
}

/* How an input is counted. */
struct way {
    const struct level *level;
    size_t step;     /* for count() */
    int has_no_core; /* each line is taken apart */
    uint8_t seed;
};

static void run(struct found *f, const struct program *g, struct input log, struct way way)
{
    struct program own = *g;
    uint8_t seed[SEED_WORDS * 8];
    for (size_t i = 0; i < sizeof seed; i++)
        seed[i] = (uint8_t)(way.seed + 77 * i);
    memset(f, 0, sizeof *f);
    NEED(!scanner_open(&f->scanner, &own, seed, take_over));
    if (way.has_no_core)
        own.has_core = own.is_delimited = own.is_quoted = 0;
    for (int i = 0; i < PASSES; i++)
        count(f, way.level->lines, log.p, (size_t)(log.end - log.p), i ? way.step : way.step / 3);
    take_over(&f->scanner);
    add_up(f);
}

static void forget(struct found *f)
{
    for (size_t i = 0; i < f->rows_len; i++)
        free(f->rows[i].key);
    free(f->rows);
    free(f->times);
    scanner_close(&f->scanner);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct level *plain = &LEVELS[LEVELS_LEN - 1];
    struct input in = {data, data + size};
    struct program g;
    struct found expected, found;
    uint8_t number = next_byte(&in), settings = next_byte(&in);
    make_program(&g, &in, settings, number, settings >> 5 & 3);
    size_t step = next_byte(&in) * 4U;
    run(&expected, &g, in, (struct way){plain, 0, 1, 0});
    for (int i = 0; i < LEVELS_LEN; i++) {
        if (!level_works(&LEVELS[i]))
            continue;
        run(&found, &g, in, (struct way){&LEVELS[i], i & 1 ? SIZE_MAX : step, 0, (uint8_t)i});
        need_same(&expected, &found);
        forget(&found);
    }
    forget(&expected);
    program_close(&g);
    return 0;
}
