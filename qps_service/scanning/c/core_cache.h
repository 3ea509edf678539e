/* Lines that say the same again: a cache from what lines have in common to the entry it counts for.

   Most lines differ from others in address, time and size only. A core is what a line has from its first
   field that says what to count it under to its last, such as `GET /help HTTP/1.1" 200`. Two lines of one
   format whose cores are the same bytes count for the same entry, since a line is read from left to right: so
   one of them need be taken apart. Where the cache misses, that costs time and nothing else.

   One cache is for all scanners of a process: of hundreds of logs each would fill its own. A core is of the
   round of its scanner, and no two scanners ever have one round at a time. Python lets one thread scan. */

#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "bytes.h"
#include "limits.h"
#include "table.h"

/* Bytes of a core. CORE_LIMIT is STEP, so that two can be compared at once. */
enum { CORE_LEAST = 8, CORE_LIMIT = STEP };

/* A tag has, from its lowest bit on: the core's length; for a request that is a core without what follows
   whether its query was left out, and the three bytes of its status; and the last ROUNDS_BITS of the round in
   which its entry was made. */
enum { TAG_IS_CUT = 1 << 8, TAG_STATUS_SHIFT = 9, TAG_ROUND_SHIFT = 33 };

struct core {
    uint8_t bytes[CORE_LIMIT]; /* and zeros */
    struct entry *entry;
    uint64_t tag; /* 0 where there is none */
};

static struct core all_cores[1 << CORES_BITS];
static uint64_t rounds; /* the last one that was begun */

/* The next round: no core that is there fits it. Those of long ago, which would fit again, are emptied. */
static uint64_t next_round(void)
{
    if (!(++rounds & ((1ULL << ROUNDS_BITS) - 1))) {
        memset(all_cores, 0, sizeof all_cores);
        rounds++;
    }
    return rounds;
}

/* Whether the cache was emptied since this round began: others may have it by now. */
static inline int is_past(uint64_t round)
{
    return (round ^ rounds) >> ROUNDS_BITS != 0;
}

static inline uint64_t round_tag(uint64_t round)
{
    return (round & ((1ULL << ROUNDS_BITS) - 1)) << TAG_ROUND_SHIFT;
}

/* As many ones from CORE_LIMIT - n on as n, and zeros. */
#define ONES 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff
static const uint8_t CORE_MASK[2 * CORE_LIMIT] = {ONES, ONES, ONES, ONES, ONES, ONES, ONES, ONES};
#undef ONES

/* Where a core of CORE_LEAST to CORE_LIMIT bytes is, or would be; `more` is what its tag tells besides.

   The words that are hashed overlap, so that they are as many for a short core as for one of 24 bytes. */
static inline struct core *core_at(struct core *cores, const uint64_t *seed, const uint8_t *p, size_t len,
                                   uint64_t more)
{
    size_t last = len - 8;
    uint64_t hash =
        load64(p) * seed[0] + load64(p + last / 2) * seed[1] + load64(p + last) * seed[2] + more * seed[8];
    if (len > 24)
        hash += load64(p + 8) * seed[3] + load64(p + 16) * seed[4] + load64(p + at_most(last, 24)) * seed[5] +
                load64(p + at_most(last, 32)) * seed[6] + load64(p + at_most(last, 40)) * seed[7];
    return &cores[hash >> (64 - CORES_BITS)];
}

static inline void core_set(struct core *core, const uint8_t *p, size_t len, uint64_t tag,
                            struct entry *entry)
{
    memset(core->bytes, 0, CORE_LIMIT);
    memcpy(core->bytes, p, len);
    core->tag = tag;
    core->entry = entry;
}
