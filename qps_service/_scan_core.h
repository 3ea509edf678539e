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

#include "_scan_table.h"

#include "_scan_cores.h"

/* As many ones from CORE_LIMIT - n on as n, and zeros. */
#define ONES 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff
static const uint8_t CORE_MASK[2 * CORE_LIMIT] = {ONES, ONES, ONES, ONES, ONES, ONES, ONES, ONES};
#undef ONES

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

/* The literals of a format that _scan_quoted.h reads, each of 8 bytes at most: those of the fields before the
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
    int is_lenient, keep_query;
    size_t max_line;
    int64_t span; /* seconds; 0 where times are not wanted */
    /* Numbers of the first and last field of a core; is_plain: one byte ends every field but those within a
       core, `before` of them stand before it, `within` in it and at its end, and the size ends the line. */
    size_t core_first, core_last;
    int has_core, is_plain, is_quoted; /* is_quoted: _scan_quoted.h can read its lines, with so many quotes */
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

static inline int is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static inline int is_letter(uint8_t byte)
{
    return (byte | 32) >= 'a' && (byte | 32) <= 'z';
}

static inline int is_word(uint8_t byte)
{
    return is_digit(byte) || is_letter(byte) || byte == '-' || byte == '+' || byte == '.';
}

/* Whether these are all bytes of an HTTP token, and some. */
static int is_token(struct span text)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.start[i];
        if (!is_digit(byte) && !is_letter(byte) && !memchr(others, byte, sizeof others - 1))
            return 0;
    }
    return text.len > 0;
}

/* Whether a literal stands here. None has a byte that is behind a line, so that none matches beyond its end.
 */
static inline int starts_with(const uint8_t *p, const uint8_t *end, const struct literal *l)
{
    return (load64(p) & l->mask) == l->word &&
           (l->len <= 8 || ((size_t)(end - p) >= l->len && !memcmp(p + 8, l->bytes + 8, l->len - 8)));
}

/* `HTTP/?.?`, read as a little-endian word. */
#define VERSION_MASK 0x00ff00ffffffffffULL
#define VERSION 0x002e002f50545448ULL

/* Whether this is `HTTP/` and digits and dots. */
static int is_version(const uint8_t *p, const uint8_t *end)
{
    if (end - p < 6 || memcmp(p, "HTTP/", 5))
        return 0;
    for (p += 5; p < end; p++)
        if (!is_digit(*p) && *p != '.')
            return 0;
    return 1;
}

/* Three digits as a number, or NO_STATUS. */
static inline uint32_t status_of(struct span text)
{
    if (text.len != 3 || !is_digit(text.start[0]) || !is_digit(text.start[1]) || !is_digit(text.start[2]))
        return NO_STATUS;
    return (uint32_t)(text.start[0] - '0') * 100 + (uint32_t)(text.start[1] - '0') * 10 + text.start[2] - '0';
}

/* The values of 1 to 8 digits, one in each byte, the last highest, after zeros; 0 if they are no digits. */
static inline int digits_of(const uint8_t *p, size_t len, uint64_t *digits)
{
    /* What is not a digit has more than 9 in its byte; what comes after the digits is shifted out. */
    *digits = (load64(p) ^ 0x3030303030303030ULL) << (64 - 8 * len);
    return !(((*digits + 0x7676767676767676ULL) | *digits) & 0x8080808080808080ULL);
}

/* A size in bytes: a number below 2**64, of at most 20 digits, or `-`. */
static inline int size_of(struct span text, uint64_t *size)
{
    if (text.len == 1 && *text.start == '-') {
        *size = 0;
        return 1;
    }
    if (text.len < 1 || text.len > 20)
        return 0;
    *size = 0;
    for (size_t i = 0; i < text.len; i++)
        if (!is_digit(text.start[i]) || __builtin_mul_overflow(*size, 10, size) ||
            __builtin_add_overflow(*size, text.start[i] - '0', size))
            return 0;
    return 1;
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

static int hex_of(const uint8_t *p, uint32_t *unit)
{
    *unit = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t low = p[i] | 32;
        if (is_digit(p[i]))
            *unit = *unit << 4 | (uint32_t)(p[i] - '0');
        else if (low >= 'a' && low <= 'f')
            *unit = *unit << 4 | (uint32_t)(low - 'a' + 10);
        else
            return 0;
    }
    return 1;
}

/* What a JSON string stands for, written to `out`, which has room for as much; its length. */
static size_t decode(struct span text, uint8_t *out)
{
    static const char names[] = "bfnrt/\"\\", values[] = "\b\f\n\r\t/\"\\";
    const uint8_t *p = text.start, *end = p + text.len;
    uint8_t *begin = out;
    while (p < end) {
        uint32_t unit, low;
        const char *name;
        if (*p != '\\' || end - p < 2) {
            *out++ = *p++;
        } else if (p[1] == 'u' && end - p >= 6 && hex_of(p + 2, &unit)) {
            p += 6;
            if (unit >> 10 == 0x36 && end - p >= 6 && p[0] == '\\' && p[1] == 'u' && hex_of(p + 2, &low) &&
                low >> 10 == 0x37) {
                unit = 0x10000 + ((unit & 0x3ff) << 10) + (low & 0x3ff);
                p += 6;
            } else if (unit >> 11 == 0x1b) {
                unit = 0xfffd;
            }
            if (unit < 0x80) {
                *out++ = (uint8_t)unit;
            } else if (unit < 0x800) {
                *out++ = (uint8_t)(0xc0 | unit >> 6);
                *out++ = (uint8_t)(0x80 | (unit & 0x3f));
            } else {
                if (unit < 0x10000) {
                    *out++ = (uint8_t)(0xe0 | unit >> 12);
                } else {
                    *out++ = (uint8_t)(0xf0 | unit >> 18);
                    *out++ = (uint8_t)(0x80 | (unit >> 12 & 0x3f));
                }
                *out++ = (uint8_t)(0x80 | (unit >> 6 & 0x3f));
                *out++ = (uint8_t)(0x80 | (unit & 0x3f));
            }
        } else if (p[1] && (name = strchr(names, p[1]))) {
            *out++ = (uint8_t)values[name - names];
            p += 2;
        } else {
            *out++ = *p++;
            *out++ = *p++;
        }
    }
    return (size_t)(out - begin);
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

#include "_scan_program.h"
#include "_scan_times.h"

#define JOIN_(name, suffix) name##_##suffix
#define JOIN(name, suffix) JOIN_(name, suffix)

#define FIND(name) JOIN(name, plain)
#define FIND_PLAIN
#include "_scan_find.h"
#include "_scan_json.h"
#include "_scan_line.h"
#undef FIND_PLAIN
#undef FIND

#if defined SCAN_X86
#define FIND(name) JOIN(name, sse2)
#define FIND_SSE2
#include "_scan_find.h"
#include "_scan_json.h"
#include "_scan_line.h"
#undef FIND_SSE2
#undef FIND

#if defined __clang__
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2,popcnt"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2,popcnt")
#endif
#define FIND(name) JOIN(name, avx2)
#define FIND_AVX2
#include "_scan_find.h"
#include "_scan_json.h"
#include "_scan_line.h"
#undef FIND_AVX2
#undef FIND
#if defined __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#elif defined SCAN_ARM
#define FIND(name) JOIN(name, neon)
#define FIND_NEON
#include "_scan_find.h"
#include "_scan_json.h"
#include "_scan_line.h"
#undef FIND_NEON
#undef FIND
#endif

typedef int (*lines_function)(struct scanner *, const uint8_t *, const uint8_t *);

/* What this processor can, the best first. */
static const struct level {
    const char *name;
    lines_function lines;
} LEVELS[] = {
#if defined SCAN_X86
    {"avx2", lines_avx2},
    {"sse2", lines_sse2},
#elif defined SCAN_ARM
    {"neon", lines_neon},
#endif
    {"plain", lines_plain},
};
enum { LEVELS_LEN = sizeof LEVELS / sizeof *LEVELS };

static int level_works(const struct level *level)
{
#if defined SCAN_X86
    __builtin_cpu_init();
    if (level->lines == lines_avx2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
               __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
#endif
    (void)level;
    return 1;
}

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
