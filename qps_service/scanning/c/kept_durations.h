/* Durations as the ledger keeps them, added up: the twin of what is pure in ledger/durations.py, where the
   form stands. Who looks at days has tens of thousands of them read. */

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "durations.h"

enum { KEPT_BINS = LAST_BIN + 1, CHUNK_BITS = 20, CHUNKS_LIMIT = 3 };
#define REQUESTS_LIMIT ((1ULL << CHUNK_BITS * CHUNKS_LIMIT) - 1)

/* A number of so many bytes, the highest first; whether it is within the limit, which has 63 bits at most. */
static inline int kept_number(const uint8_t *p, size_t len, uint64_t limit, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < len; i++) {
        if (*value >> 55)
            return 0;
        *value = *value << 8 | p[i];
    }
    return *value <= limit;
}

/* A code point as UTF-8 has it, and surrogates; whether there is one. */
static inline int read_code(const uint8_t **at, const uint8_t *end, uint64_t *code)
{
    const uint8_t *p = *at;
    size_t more = *p < 0x80 ? 0 : *p < 0xe0 ? 1 : *p < 0xf0 ? 2 : 3;
    static const uint64_t LEAST[] = {0, 0x80, 0x800, 0x10000};
    *code = more ? *p & (0x3f >> more) : *p;
    if ((*p >= 0x80 && *p < 0xc0) || *p >= 0xf8 || (size_t)(end - p) <= more)
        return 0;
    for (size_t i = 1; i <= more; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (p[i] & 0x3f);
    }
    *at = p + 1 + more;
    return *code >= LEAST[more] && *code <= 0x10ffff;
}

/* Add the requests to those of KEPT_BINS, where there are any to add to, up to as many as can be kept; tell
   the sum and the longest. 0, and nothing is added, where this is not what was kept. */
static int add_kept(const uint8_t *p, size_t len, uint64_t *sums, uint64_t *total, uint64_t *longest)
{
    const uint8_t *end = p + len;
    uint16_t bins[KEPT_BINS];
    uint64_t requests[KEPT_BINS];
    size_t total_len = len ? *p >> 4 : 0, head = len ? 1 + total_len + (*p & 15) : 0;
    size_t used = 0, place = 0, before = 0;
    unsigned shift = 0;
    if (!len || len < head + 3 || !kept_number(p + 1, total_len, DURATIONS_LIMIT, total) ||
        !kept_number(p + 1 + total_len, head - 1 - total_len, LONGEST_DURATION, longest))
        return 0;
    size_t first = (size_t)p[head] << 8 | p[head + 1], map_len = p[head + 2];
    const uint8_t *map = p + head + 3;
    if ((size_t)(end - map) < map_len)
        return 0;
    for (size_t i = 0; i < map_len; i++)
        for (unsigned left = map[i]; left;) {
            unsigned bit = (unsigned)__builtin_clz(left) - 24;
            left &= ~(0x80U >> bit);
            before = used ? before : 8 * i + bit;
            size_t bin = first + 8 * i + bit - before;
            if (bin >= KEPT_BINS)
                return 0;
            bins[used++] = (uint16_t)bin;
        }
    for (p = map + map_len; p < end && used;) {
        uint64_t code;
        if (shift == CHUNKS_LIMIT * CHUNK_BITS || !read_code(&p, end, &code))
            return 0;
        requests[place] = shift ? requests[place] + (code << shift) : code;
        place = place + 1 < used ? place + 1 : 0;
        shift += place ? 0 : CHUNK_BITS;
    }
    if (place || !shift)
        return 0;
    for (size_t i = 0; i < used; i++)
        if (!requests[i])
            return 0;
    for (size_t i = 0; i < used && sums; i++) {
        uint64_t sum = sums[bins[i]] + requests[i];
        sums[bins[i]] = sum < REQUESTS_LIMIT ? sum : REQUESTS_LIMIT;
    }
    return 1;
}
