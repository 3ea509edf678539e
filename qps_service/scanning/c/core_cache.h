/* Lines that say the same again: a cache from what lines have in common to the entry it counts for.

   Most lines differ from others in address, time and size only. A core is what a line has from its first
   field that says what to count it under to its last, such as `GET /help HTTP/1.1" 200`. Two lines of one
   format whose cores are the same bytes count for the same entry, since a line is read from left to right: so
   one of them need be taken apart. Where the cache misses, that costs time and nothing else. */

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
   whether its query was left out, and the three bytes of its status; and the round in which its entry was
   made. */
enum { TAG_IS_CUT = 1 << 8, TAG_STATUS_SHIFT = 9, TAG_ROUND_SHIFT = 33 };

struct core {
    uint8_t bytes[CORE_LIMIT]; /* and zeros */
    struct entry *entry;
    uint64_t tag; /* 0 where there is none */
};

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
