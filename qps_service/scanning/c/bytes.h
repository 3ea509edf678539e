/* Bytes, and how they are read: many at once, some of them in vain.

   Everything that is read here may be followed by SLACK bytes that are read too, and never used. Whoever
   hands over a block, or a text that is kept, sees to it that they are there. */

#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* STEP bytes are looked at together: what is found in them has a bit each in 64. It is noted in groups of
   GROUP, since how much there is cannot be guessed by the processor, but mostly it is no more than that. */
enum { STEP = 64, GROUP = 4, SLACK = STEP };

struct span {
    const uint8_t *start; /* NULL where there is none */
    size_t len;
};

static inline uint64_t load64(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* The first `len` of 8 bytes; 8 can be read, whatever `len` is. */
static inline uint64_t load_some(const uint8_t *p, size_t len)
{
    uint64_t word = load64(p);
    return len < 8 ? word & ((1ULL << (8 * len)) - 1) : word;
}

/* What is left of `len` behind `taken`. */
static inline size_t len_behind(size_t len, size_t taken)
{
    return len > taken ? len - taken : 0;
}

static inline size_t at_most(size_t number, size_t limit)
{
    return number < limit ? number : limit;
}
