/* What the native scanner is without Python: a program that says how lines look, and a scanner that counts
   blocks of them. Everything that it reads may have been written by an attacker. */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* SCAN_PLAIN is for tests that are to be built soon. */
#if defined __x86_64__ && !defined SCAN_PLAIN
#define SCAN_X86
#elif defined __aarch64__ && !defined SCAN_PLAIN
#define SCAN_ARM
#endif

#if defined SCAN_X86
#include <immintrin.h>
#elif defined SCAN_ARM
#include <arm_neon.h>
#endif

/* How many bytes behind a block are read, and never used. */
enum { SLACK = 64 };

/* What is kept before it has to be taken, and room for how much of it is made at first; 1 << CORES_BITS cores
   in the cache; LINES_AHEAD lines, and MARKS_AHEAD quotes, that are found before they are read; SIZES_WAITING
   sizes of digits of 9 at most, for whose sums 16 bits are still enough, before they are added. */
#if !defined SCAN_SMALL
enum { KEYS_LIMIT = 32 * 1024, KEY_BYTES_LIMIT = 4 * 1024 * 1024, TIMES_LIMIT = 4096 };
enum { KEYS_AT_FIRST = 128, KEY_BYTES_AT_FIRST = 4096, TIMES_AT_FIRST = 64 };
enum { CORES_BITS = 14, LINES_AHEAD = 128, MARKS_AHEAD = 2048, SIZES_WAITING = 4096 };
#else /* for tests: a few lines fill everything */
enum { KEYS_LIMIT = 16, KEY_BYTES_LIMIT = 2048, TIMES_LIMIT = 4 };
enum { KEYS_AT_FIRST = 2, KEY_BYTES_AT_FIRST = 16, TIMES_AT_FIRST = 1 };
enum { CORES_BITS = 3, LINES_AHEAD = 3, MARKS_AHEAD = 100, SIZES_WAITING = 2 };
#endif

#include "table.h"

#include "core_cache.h"

/* In the order of REASONS in line.py. */
enum reason { BAD_FIELDS, BAD_HTTP, BAD_STATUS, BAD_BYTES, TOO_LONG, REASONS, COUNTED, FAILED };
enum role { SKIPPED, METHOD, ROUTE, REQUEST, STATUS, BYTES, TIME, ROLES };
enum { MEMBERS_LIMIT = 64, DEPTH_LIMIT = 64, SAMPLE_LIMIT = 256, NO_STATUS = 1000 };

struct span {
    const uint8_t *start; /* NULL where there is none */
    size_t len;
};

struct literal {
    uint8_t *bytes;
    size_t len;
    uint64_t word, mask; /* the first 8 bytes, and which of them there are */
};

struct field {
    enum role role;
    int is_quoted;
    struct literal literal; /* what follows; nothing for the field at the end of the line */
};

/* The literals of a format that isa/quoted.h reads, each of 8 bytes at most: those of the fields before the
   request, `leads` of them, of the request, the status and the size, and of the fields behind it. */
enum { SHAPE_LIMIT = 16 };
struct shape {
    struct {
        uint64_t word, mask;
        size_t len;
    } parts[SHAPE_LIMIT];
    size_t leads, parts_len, time; /* time: which lead it is, or SHAPE_LIMIT */
};

struct member {
    uint8_t *path;
    size_t len;
    enum role role;
};

/* A compiled LogFormat: `head` and fields for text, members for JSON. */
struct program {
    struct literal head;
    struct field *fields;
    size_t fields_len;
    struct member members[MEMBERS_LIMIT];
    size_t members_len;
    uint64_t members_by_first[256]; /* those whose path begins with a byte */
    int is_lenient, keep_query;
    size_t max_line;
    int64_t span; /* seconds; 0 where times are not wanted */
    /* Numbers of the first and last field of a core; is_plain: one byte ends every field but those within a
       core, `before` of them stand before it, `within` in it and at its end, and the size ends the line. */
    size_t core_first, core_last;
    int has_core, is_plain, is_quoted; /* is_quoted: isa/quoted.h can read its lines, with so many quotes */
    unsigned before, within;
    size_t quotes;
    struct shape shape;
    uint8_t plain_stop;
};

struct time_span {
    int64_t begin; /* Unix seconds */
    uint64_t requests[10];
};

struct scanner {
    struct program *program;
    struct table table;
    struct core *cores; /* 1 << CORES_BITS; pages that are never needed are never there */
    uint64_t round;     /* how often everything was taken, above the bits of a core's length */
    uint64_t rejects[REASONS];
    uint64_t block_lines,
        block_rejects; /* of the block that is being scanned, whatever is spilled meanwhile */
    enum reason sample_reason;
    uint8_t sample[SAMPLE_LIMIT];
    size_t sample_len;
    int has_sample;
    struct time_span *times; /* sorted by `begin` */
    size_t times_len, times_room, last_time;
    uint64_t untimed[10];
    uint8_t time_text[64]; /* of the line before, and what it stands for */
    size_t time_text_len;
    int64_t time_begin;
    int is_time;
    uint8_t *scratch; /* a key whose parts do not stand together */
    uint8_t *text;    /* decoded strings */
    uint8_t *tail;    /* the end of a block, with room behind it */
    size_t tail_room;
    int (*spill)(struct scanner *); /* takes over and clears what was counted; -1 if that failed */
};

#include "values.h"

/* Whether a literal stands here. None has a byte that is behind a line, so that none matches beyond its end.
 */
static inline int starts_with(const uint8_t *p, const uint8_t *end, const struct literal *l)
{
    return (load64(p) & l->mask) == l->word &&
           (l->len <= 8 || ((size_t)(end - p) >= l->len && !memcmp(p + 8, l->bytes + 8, l->len - 8)));
}

/* The fields of a line whose literals are all runs of blanks and tabs. */
static int match_blanks(const struct program *g, const uint8_t *p, const uint8_t *end, struct span *fields)
{
    for (size_t i = 0; i < g->fields_len; i++) {
        const uint8_t *start = p;
        while (p < end && *p != ' ' && *p != '\t')
            p++;
        if (p == start)
            return 0;
        fields[g->fields[i].role] = (struct span){start, (size_t)(p - start)};
        const uint8_t *stop = p;
        while (p < end && (*p == ' ' || *p == '\t'))
            p++;
        if (p == stop && i + 1 < g->fields_len)
            return 0;
    }
    return p == end;
}

static void reject(struct scanner *s, enum reason reason, const uint8_t *line, size_t len)
{
    s->rejects[reason]++;
    s->block_rejects++;
    if (s->has_sample)
        return;
    s->has_sample = 1;
    s->sample_reason = reason;
    s->sample_len = len < SAMPLE_LIMIT ? len : SAMPLE_LIMIT;
    memcpy(s->sample, line, s->sample_len);
}

/* Keep what came of the line [p, end); -1 if that failed. */
static inline int settle(struct scanner *s, enum reason reason, const uint8_t *p, const uint8_t *end)
{
    if (reason != COUNTED && reason != FAILED)
        reject(s, reason, p, (size_t)(end - p));
    return reason == FAILED ? -1 : 0;
}

static void add_digits(struct entry *e)
{
    uint64_t size = 0;
    for (int i = 0; i < 64; i += 16) {
        size = size * 10 + (e->odd_digits >> i & 0xffff);
        size = size * 10 + (e->even_digits >> i & 0xffff);
    }
    e->odd_digits = e->even_digits = 0;
    e->more_bytes += __builtin_add_overflow(e->bytes, size, &e->bytes);
}

/* Count a request whose size has these digits (digits_of). */
static inline void count_digits(struct entry *e, uint64_t digits)
{
    e->odd_digits += digits & 0x00ff00ff00ff00ffULL;
    e->even_digits += digits >> 8 & 0x00ff00ff00ff00ffULL;
    if (++e->requests % SIZES_WAITING == 0)
        add_digits(e);
}

static inline void count_request(struct entry *e, uint64_t size)
{
    if (++e->requests % SIZES_WAITING == 0)
        add_digits(e);
    e->more_bytes += __builtin_add_overflow(e->bytes, size, &e->bytes);
}

/* Count a request whose size is this text; 0 if that is none. */
static inline int count_size(struct entry *e, struct span text)
{
    uint64_t number;
    if (text.len - 1 < 8 && digits_of(text.start, text.len, &number)) {
        count_digits(e, number);
        return 1;
    }
    if (!size_of(text, &number))
        return 0;
    count_request(e, number);
    return 1;
}

#include "program.h"
#include "timestamps.h"

#include "isa.h"

/* Count the lines of a block; the last one may lack its newline. -1 if that failed. */
static int scan_block(struct scanner *s, lines_function lines, const uint8_t *block, size_t len)
{
    s->block_lines = s->block_rejects = 0;
    if (!len)
        return 0;
    size_t whole = len > SLACK ? len - SLACK : 0;
    while (whole && block[whole - 1] != '\n')
        whole--;
    if (lines(s, block, block + whole) < 0)
        return -1;
    size_t rest = len - whole;
    if (!rest)
        return 0;
    if (rest + 1 + SLACK > s->tail_room) {
        free(s->tail);
        s->tail_room = rest + 1 + SLACK;
        s->tail = malloc(s->tail_room);
        if (!s->tail) {
            s->tail_room = 0;
            return -1;
        }
    }
    memcpy(s->tail, block + whole, rest);
    if (s->tail[rest - 1] != '\n')
        s->tail[rest++] = '\n';
    memset(s->tail + rest, 0, SLACK);
    return lines(s, s->tail, s->tail + rest);
}

static void scanner_clear(struct scanner *s)
{
    table_clear(&s->table);
    s->round += 1ULL << TAG_ROUND;
    memset(s->rejects, 0, sizeof s->rejects);
    s->has_sample = 0;
    s->times_len = s->last_time = 0;
    memset(s->untimed, 0, sizeof s->untimed);
}
