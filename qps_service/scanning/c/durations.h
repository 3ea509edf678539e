/* How long requests took: what a field says, and the bins of each entry of the table. The twin of
   durations.py and latency.py.

   Digits decide, and nothing is a float. The bins of all entries are in one table, which grows as they come
   and takes GROUPS_LIMIT groups of them: then everything has to be taken. There is none, and no memory for
   any, where no request has a duration. */

#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "limits.h"
#include "table.h"
#include "values.h"

/* Nanoseconds. What is longer is no duration; a sum stops where the other does. */
#define LONGEST_DURATION 1000000000000000ULL
#define DURATIONS_LIMIT 0x7fffffffffffffffULL

/* Bins have two digits, 10 to 99, and FIRST_ZEROS to LAST_ZEROS zeros behind them; before those is the bin of
   0, behind them that of 1000 s, and that of all that is longer. */
enum { FIRST_ZEROS = 2, LAST_ZEROS = 10, BINS_A_DECADE = 90 };
enum { LAST_BIN = 2 + (LAST_ZEROS - FIRST_ZEROS + 1) * BINS_A_DECADE };

/* LONGEST_DURATION has so many digits; a number of QUICK_DIGITS is below it. */
enum { DURATION_DIGITS = 16, QUICK_DIGITS = 15, EXPONENT_LIMIT = 1000000000 };

static const uint64_t TENS[] = {1ULL,
                                10ULL,
                                100ULL,
                                1000ULL,
                                10000ULL,
                                100000ULL,
                                1000000ULL,
                                10000000ULL,
                                100000000ULL,
                                1000000000ULL,
                                10000000000ULL,
                                100000000000ULL,
                                1000000000000ULL,
                                10000000000000ULL,
                                100000000000000ULL,
                                1000000000000000ULL};

struct number {
    struct span whole, fraction; /* digits */
    int64_t exponent;
};

static inline struct span digits_at(const uint8_t *p, const uint8_t *end)
{
    const uint8_t *start = p;
    while (p < end && is_digit(*p))
        p++;
    return (struct span){start, (size_t)(p - start)};
}

/* Read a number; whether one begins here. */
static inline int read_number(const uint8_t **at, const uint8_t *end, struct number *n)
{
    const uint8_t *p = *at;
    n->whole = digits_at(p, end);
    p += n->whole.len;
    n->fraction = (struct span){p, 0};
    n->exponent = 0;
    if (end - p > 1 && *p == '.' && is_digit(p[1])) {
        n->fraction = digits_at(p + 1, end);
        p += 1 + n->fraction.len;
    }
    if (end - p > 1 && (*p | 32) == 'e') {
        int is_signed = p[1] == '-' || p[1] == '+';
        struct span digits = digits_at(p + 1 + is_signed, end);
        for (size_t i = 0; i < digits.len; i++) {
            n->exponent = n->exponent * 10 + (digits.start[i] - '0');
            if (n->exponent > EXPONENT_LIMIT)
                n->exponent = EXPONENT_LIMIT;
        }
        if (p[1] == '-')
            n->exponent = -n->exponent;
        if (digits.len)
            p = digits.start + digits.len;
    }
    *at = p;
    return n->whole.len > 0;
}

static inline unsigned digit_of(const struct number *n, size_t i)
{
    const uint8_t *digit = i < n->whole.len ? n->whole.start + i : n->fraction.start + (i - n->whole.len);
    return *digit - (unsigned)'0';
}

/* The number with so many zeros behind it, rounded up; 0 for more than LONGEST_DURATION. */
static int rounded_up_slowly(const struct number *n, unsigned zeros, uint64_t *value)
{
    size_t len = n->whole.len + n->fraction.len, i = 0;
    *value = 0;
    while (i < len && !digit_of(n, i))
        i++;
    if (i == len)
        return 1;
    int64_t point = (int64_t)(n->whole.len + zeros) - (int64_t)i + n->exponent; /* digits before it */
    if (point > DURATION_DIGITS)
        return 0;
    for (; point > 0; point--, i++)
        *value = *value * 10 + (i < len ? digit_of(n, i) : 0);
    while (i < len && !digit_of(n, i))
        i++;
    *value += i < len;
    return *value <= LONGEST_DURATION;
}

static inline int rounded_up(const struct number *n, unsigned zeros, uint64_t *value)
{
    uint64_t digits = 0;
    if (n->exponent || n->whole.len + n->fraction.len > QUICK_DIGITS)
        return rounded_up_slowly(n, zeros, value);
    for (size_t i = 0; i < n->whole.len; i++)
        digits = digits * 10 + (uint64_t)(n->whole.start[i] - '0');
    for (size_t i = 0; i < n->fraction.len; i++)
        digits = digits * 10 + (uint64_t)(n->fraction.start[i] - '0');
    if (n->fraction.len > zeros) {
        uint64_t part = TENS[n->fraction.len - zeros];
        *value = digits / part + (digits % part > 0);
        return 1;
    }
    return !__builtin_mul_overflow(digits, TENS[zeros - n->fraction.len], value) &&
           *value <= LONGEST_DURATION;
}

/* Read a unit; how long it is, 0 where none stands here. */
static inline size_t read_unit(const uint8_t *p, const uint8_t *end, unsigned *zeros, unsigned *times)
{
    size_t left = (size_t)(end - p);
    *times = 1;
    if (left >= 3 && (!memcmp(p, "\xc2\xb5s", 3) || !memcmp(p, "\xce\xbcs", 3))) {
        *zeros = 3;
        return 3;
    }
    if (left >= 2 && p[1] == 's' && (*p == 'm' || *p == 'u' || *p == 'n')) {
        *zeros = *p == 'm' ? 6 : *p == 'u' ? 3 : 0;
        return 2;
    }
    if (!left || (*p != 's' && *p != 'm' && *p != 'h'))
        return 0;
    *zeros = 9;
    *times = *p == 's' ? 1 : *p == 'm' ? 60 : 3600;
    return 1;
}

/* Read a duration in a unit of so many zeros, or in units of its own; whether it is one. */
static inline int read_duration(const uint8_t **at, const uint8_t *end, unsigned zeros, uint64_t *value)
{
    struct number number;
    unsigned own, times;
    size_t len;
    *value = 0;
    if (!read_number(at, end, &number))
        return 0;
    if (!(len = read_unit(*at, end, &own, &times)))
        return rounded_up(&number, zeros, value);
    for (;;) {
        uint64_t part;
        if (!rounded_up(&number, own, &part))
            return 0;
        *value += part * times;
        *at += len;
        if (*value > LONGEST_DURATION)
            return 0;
        if (*at == end || !is_digit(**at))
            return 1;
        if (!read_number(at, end, &number) || !(len = read_unit(*at, end, &own, &times)))
            return 0;
    }
}

/* The duration that a field says as most do: a number with a point, of 8 bytes at most. 0 where it says it in
   another way, or tells none. */
static inline int plain_nanoseconds_of(struct span text, unsigned zeros, uint64_t *duration)
{
    uint64_t word = load64(text.start), digits;
    uint64_t others = word ^ 0x2e2e2e2e2e2e2e2eULL; /* the first point is the first byte of 0 */
    uint64_t points = (others - 0x0101010101010101ULL) & ~others & 0x8080808080808080ULL;
    if (text.len > 8 || !points)
        return 0;
    size_t whole = (size_t)__builtin_ctzll(points) / 8, fraction = text.len - whole - 1;
    uint64_t before = (1ULL << (8 * whole)) - 1;
    if (!whole || fraction - 1 >= 7 || fraction > zeros ||
        !digits_in((word & before) | (word >> 8 & ~before), text.len - 1, &digits))
        return 0;
    *duration = number_of(digits) * TENS[zeros - fraction];
    return *duration <= LONGEST_DURATION;
}

/* Likewise in any way. */
static __attribute__((noinline)) int any_nanoseconds_of(struct span text, unsigned zeros, uint64_t *duration)
{
    const uint8_t *p = text.start, *end = p + text.len;
    int is_known = 0;
    *duration = 0;
    for (;;) {
        uint64_t part = 0;
        if (p < end && *p == '-') {
            p++;
        } else if (!read_duration(&p, end, zeros, &part)) {
            return 0;
        } else {
            is_known = 1;
        }
        *duration += part;
        if (*duration > LONGEST_DURATION)
            return 0;
        if (p == end)
            return is_known;
        if (end - p >= 2 && p[0] == ',' && p[1] == ' ')
            p += 2;
        else if (end - p >= 3 && !memcmp(p, " : ", 3))
            p += 3;
        else
            return 0;
    }
}

/* The duration that a field says; 0 where it tells none. */
static inline int nanoseconds_of(struct span text, unsigned zeros, uint64_t *duration)
{
    return plain_nanoseconds_of(text, zeros, duration) || any_nanoseconds_of(text, zeros, duration);
}

/* How many zeros the bin has at least of a duration that begins with this bit. */
static const uint8_t ZEROS_AT_LEAST[64] = {2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  3,  3,
                                           3,  4,  4,  4,  5,  5,  5,  5,  6,  6,  6,  7,  7,  7,  8,  8,
                                           8,  8,  9,  9,  9,  10, 10, 10, 11, 11, 11, 11, 11, 11, 11, 11,
                                           11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11};

/* 2**64 / 10**i, rounded up. To multiply by it, and to leave out the lower 64 bits, divides by 10**i, rounded
   down, what is below 2**64 / 10**i: a number of two digits and SHORT_ZEROS zeros at most. */
enum { SHORT_ZEROS = 8 };
static const uint64_t RECIPROCALS[] = {0,
                                       0x199999999999999aULL,
                                       0x028f5c28f5c28f5dULL,
                                       0x004189374bc6a7f0ULL,
                                       0x00068db8bac710ccULL,
                                       0x0000a7c5ac471b48ULL,
                                       0x000010c6f7a0b5eeULL,
                                       0x000001ad7f29abcbULL,
                                       0x0000002af31dc462ULL};

static inline uint32_t bin_of(uint64_t duration)
{
    if (!duration)
        return 0;
    unsigned zeros = ZEROS_AT_LEAST[63 - __builtin_clzll(duration)];
    zeros += duration > 99 * TENS[zeros];
    if (zeros > LAST_ZEROS)
        return LAST_BIN - (duration <= 100 * TENS[LAST_ZEROS]);
    /* Most take a few seconds at most: their numbers need not be divided. */
    uint64_t digits = zeros <= SHORT_ZEROS
                          ? (uint64_t)((unsigned __int128)(duration - 1) * RECIPROCALS[zeros] >> 64) + 1
                          : (duration + TENS[zeros] - 1) / TENS[zeros];
    return 1 + (zeros - FIRST_ZEROS) * BINS_A_DECADE + (uint32_t)(digits > 10 ? digits - 10 : 0);
}

/* Bins that stand next to each other, of one entry: what a processor reads at once, since most durations of
   an entry are near each other. */
enum { GROUP_BITS = 6, GROUP_BINS = 15 };

struct group {
    uint32_t key; /* the number of its entry, and its own in GROUP_BITS, and 1; 0 where free */
    uint32_t requests[GROUP_BINS];
};

/* Of one entry. */
struct duration_sum {
    uint64_t total, longest;
};

/* One that is still to be counted, in this bin of the group with this key. */
struct waiting_duration {
    uint64_t duration;
    uint32_t key, bin;
};

struct durations {
    struct group *groups;      /* by hash: slot_mask + 1 */
    struct duration_sum *sums; /* KEYS_LIMIT; zeros where an entry has none */
    uint32_t used, room;       /* of the groups; where they meet there is to be made room */
    uint32_t slot_mask;
    unsigned shift; /* so many bits of a hash are too many */
    int is_full;    /* a bin has nearly as many requests as it can */
    /* Counted together, so that one need not wait until the bins of the one before are read. */
    struct waiting_duration waiting[DURATIONS_WAITING];
    uint32_t waiting_len;
};

static inline uint32_t entry_of(uint32_t key)
{
    return (key - 1) >> GROUP_BITS;
}

static inline uint32_t first_bin_of(const struct group *g)
{
    return ((g->key - 1) & ((1U << GROUP_BITS) - 1)) * GROUP_BINS;
}

/* Where the group with this key is most likely. A factor that nobody knows spreads what anybody chose. */
static inline uint32_t slot_of(const struct durations *d, uint64_t factor, uint32_t key)
{
    return (uint32_t)(key * (factor | 1) >> d->shift);
}

/* Where it is, or would be. */
static inline struct group *group_at(const struct durations *d, uint64_t factor, uint32_t key)
{
    uint32_t at = slot_of(d, factor, key);
    while (d->groups[at].key && d->groups[at].key != key)
        at = (at + 1) & d->slot_mask;
    return &d->groups[at];
}

static void durations_close(struct durations *d)
{
    free(d->groups);
    free(d->sums);
    memset(d, 0, sizeof *d);
}

/* Forget those of so many entries; the room stays. */
static void durations_clear(struct durations *d, uint32_t entries)
{
    if (!d->room)
        return;
    memset(d->groups, 0, ((size_t)d->slot_mask + 1) * sizeof *d->groups);
    memset(d->sums, 0, entries * sizeof *d->sums);
    d->used = d->waiting_len = 0;
    d->is_full = 0;
}

/* Room for more groups, where there is not yet that for GROUPS_LIMIT; -1 without memory. */
static int durations_grow(struct durations *d, uint64_t factor)
{
    struct durations old = *d;
    uint32_t room = old.room ? 2 * old.room : GROUPS_AT_FIRST;
    unsigned bits = 1; /* a slot in two is free */
    while (1U << bits < 2 * room)
        bits++;
    if (!d->sums && !(d->sums = calloc(KEYS_LIMIT, sizeof *d->sums)))
        return -1;
    struct group *groups = calloc(1U << bits, sizeof *groups);
    if (!groups)
        return -1;
    d->groups = groups;
    d->room = room < GROUPS_LIMIT ? room : GROUPS_LIMIT;
    d->slot_mask = (1U << bits) - 1;
    d->shift = 64 - bits;
    for (uint32_t i = 0; old.groups && i <= old.slot_mask; i++)
        if (old.groups[i].key)
            *group_at(d, factor, old.groups[i].key) = old.groups[i];
    free(old.groups);
    return 0;
}

/* Whether there is room for as many durations as may wait, of any entries. */
static inline int durations_have_room(const struct durations *d)
{
    return d->used + DURATIONS_WAITING <= d->room && !d->is_full;
}

/* Count those that wait. */
static void durations_settle(struct durations *d, uint64_t factor)
{
    for (uint32_t i = 0; i < d->waiting_len; i++) {
        const struct waiting_duration *one = &d->waiting[i];
        uint64_t duration = one->duration;
        struct group *group = group_at(d, factor, one->key);
        struct duration_sum *sum = &d->sums[entry_of(one->key)];
        d->used += !group->key;
        group->key = one->key;
        d->is_full |= ++group->requests[one->bin] >= UINT32_MAX - DURATIONS_WAITING;
        sum->total += duration;
        sum->total = sum->total > DURATIONS_LIMIT ? DURATIONS_LIMIT : sum->total;
        sum->longest = duration > sum->longest ? duration : sum->longest;
    }
    d->waiting_len = 0;
}

/* Count a duration of the entry with this number; there is room for it. */
static inline void add_duration(struct durations *d, uint64_t factor, uint32_t entry, uint64_t duration)
{
    uint32_t bin = bin_of(duration), group = bin / GROUP_BINS, key = (entry << GROUP_BITS | group) + 1;
    __builtin_prefetch(&d->groups[slot_of(d, factor, key)], 1);
    d->waiting[d->waiting_len++] = (struct waiting_duration){duration, key, bin - group * GROUP_BINS};
    if (d->waiting_len == DURATIONS_WAITING)
        durations_settle(d, factor);
}
