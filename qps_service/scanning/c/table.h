/* What was counted: a table of keys, each with its requests and bytes.

   Keys are chosen by whoever sends requests. So the hash has a random seed (NH of UMAC, RFC 4418, over 64-bit
   words, which two different keys of one length share with a probability of 2**-64 at most), nothing of
   it can be observed from outside, and the table takes KEYS_LIMIT keys of KEY_BYTES_LIMIT bytes together:
   then it has to be emptied. Entries keep the order in which they came. */

#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bytes.h"
#include "limits.h"

/* HASH_STRIPE: bytes that are hashed with as much of the seed, before it is used again. */
enum { HASH_STRIPE = 256, SEED_WORDS = HASH_STRIPE / 8 + 4 };

struct entry {
    uint64_t hash;
    uint64_t bytes;      /* lower half of the sum */
    uint64_t more_bytes; /* upper half */
    /* Sizes that are still to be added: 16 bits for each digit's sum, those of the 10s, 1,000s and so on, and
       those of the 1s, 100s and so on, the last digit highest. */
    uint64_t odd_digits, even_digits;
    uint64_t requests;
    uint32_t key; /* where it begins in `names` */
    uint32_t key_len;
    uint32_t method_len; /* 0 where the format has no method */
    uint32_t status;
};

struct table {
    uint64_t seed[SEED_WORDS];
    struct entry *entries; /* KEYS_LIMIT; they stay where they are */
    uint64_t *slots;       /* upper half of the hash, and entry + 1; 0 where free */
    uint8_t *names;        /* the keys' bytes, SLACK more than are used */
    uint32_t used, room;
    uint32_t names_used, names_room;
    uint64_t slot_mask;
    uint64_t probes; /* slots that were looked at and held another key, since the table was made */
};

/* Most keys have up to 32 bytes: all take the same way, since the processor could not guess between two. */
static inline uint64_t hash_key(const uint64_t *seed, const uint8_t *p, size_t len, uint32_t status)
{
    const uint64_t *last = seed + HASH_STRIPE / 8;
    unsigned __int128 sum = (unsigned __int128)(((uint64_t)status << 32 | len) + last[0]) * last[1];
    for (; len > HASH_STRIPE; p += HASH_STRIPE, len -= HASH_STRIPE) {
        for (int i = 0; i < HASH_STRIPE / 8; i += 2)
            sum += (unsigned __int128)(load64(p + 8 * i) + seed[i]) * (load64(p + 8 * i + 8) + seed[i + 1]);
        sum = (unsigned __int128)((uint64_t)sum ^ last[2]) * ((uint64_t)(sum >> 64) ^ last[3]);
    }
    for (; len > 32; p += 16, len -= 16, seed += 2)
        sum += (unsigned __int128)(load64(p) + seed[0]) * (load64(p + 8) + seed[1]);
    sum +=
        (unsigned __int128)(load_some(p, len) + seed[0]) * (load_some(p + 8, len_behind(len, 8)) + seed[1]);
    sum += (unsigned __int128)(load_some(p + 16, len_behind(len, 16)) + seed[2]) *
           (load_some(p + 24, len_behind(len, 24)) + seed[3]);
    sum = (unsigned __int128)((uint64_t)sum ^ last[2]) * ((uint64_t)(sum >> 64) ^ last[3]);
    return (uint64_t)sum ^ (uint64_t)(sum >> 64);
}

/* Whether two keys of `len` bytes are the same; SLACK bytes more than that can be read of both. */
static inline int same(const uint8_t *one, const uint8_t *other, size_t len)
{
    for (; len > 32; one += 16, other += 16, len -= 16)
        if ((load64(one) ^ load64(other)) | (load64(one + 8) ^ load64(other + 8)))
            return 0;
    uint64_t differ = load_some(one, len) ^ load_some(other, len);
    for (size_t at = 8; at < 32; at += 8)
        differ |= load_some(one + at, len_behind(len, at)) ^ load_some(other + at, len_behind(len, at));
    return !differ;
}

/* The kernel takes back the pages within a block, whose bytes are not needed any more, and has zeros for them
   if they are used again. free() alone may keep what it was given. */
static void give_back(void *block, size_t len)
{
    const uintptr_t page = 4096; /* where it is more, the kernel refuses some, and nothing is lost */
    uintptr_t from = ((uintptr_t)block + page - 1) & ~(page - 1),
              until = ((uintptr_t)block + len) & ~(page - 1);
    if (block && from < until)
        (void)madvise((void *)from, until - from, MADV_DONTNEED);
}

static int table_resize(struct table *t, uint32_t room)
{
    uint64_t slots = 2 * (uint64_t)room, *fresh = calloc(slots, sizeof *fresh);
    if (!fresh)
        return -1;
    free(t->slots);
    t->slots = fresh;
    t->slot_mask = slots - 1;
    t->room = room;
    for (uint32_t i = 0; i < t->used; i++) {
        uint64_t at = t->entries[i].hash & t->slot_mask;
        while (fresh[at])
            at = (at + 1) & t->slot_mask;
        fresh[at] = (t->entries[i].hash & ~0xffffffffULL) | (i + 1);
    }
    return 0;
}

/* Room for entries and their names; what there was before belongs to somebody else. It takes memory as it is
   used, if it rests: else what was just free is there again, at no cost. */
static int table_fill(struct table *t, int rests)
{
    uint8_t *names = calloc(1, KEY_BYTES_AT_FIRST + SLACK);
    struct entry *entries = malloc(KEYS_LIMIT * sizeof *entries);
    if (!names || !entries) {
        free(names);
        free(entries);
        return -1;
    }
    if (rests)
        give_back(entries, KEYS_LIMIT * sizeof *entries);
    t->names = names;
    t->names_room = KEY_BYTES_AT_FIRST;
    t->entries = entries;
    return 0;
}

static int table_open(struct table *t, const uint8_t *seed)
{
    memcpy(t->seed, seed, sizeof t->seed);
    return table_fill(t, 1) < 0 || table_resize(t, KEYS_AT_FIRST) < 0 ? -1 : 0;
}

static void table_close(struct table *t)
{
    free(t->entries);
    free(t->slots);
    free(t->names);
}

static void table_clear(struct table *t)
{
    memset(t->slots, 0, (t->slot_mask + 1) * sizeof *t->slots);
    t->used = t->names_used = 0;
}

/* An empty table has no more room than at first. */
static void table_shrink(struct table *t)
{
    if (t->room > KEYS_AT_FIRST)
        (void)table_resize(t, KEYS_AT_FIRST); /* without memory it stays as it is */
}

/* The key's entry; NULL if there is none, and *free_slot is where it would go. */
static inline struct entry *table_find(struct table *t, uint64_t hash, const uint8_t *key, size_t len,
                                       uint32_t status, uint64_t *free_slot)
{
    uint64_t at = hash & t->slot_mask;
    for (uint64_t slot; (slot = t->slots[at]); at = (at + 1) & t->slot_mask) {
        struct entry *e = &t->entries[(uint32_t)slot - 1];
        if ((slot ^ hash) >> 32 == 0 && e->key_len == len && e->status == status &&
            same(t->names + e->key, key, len))
            return e;
        t->probes++;
    }
    *free_slot = at;
    return NULL;
}

static inline int table_is_full(const struct table *t, size_t len)
{
    return t->used >= KEYS_LIMIT || t->names_used + len > KEY_BYTES_LIMIT;
}

/* A new entry, with nothing counted yet; NULL without memory. The table must not be full, nor have the key.
 */
static struct entry *table_add(struct table *t, uint64_t hash, const uint8_t *key, size_t len,
                               uint32_t status, uint64_t slot)
{
    if (t->used == t->room) {
        if (table_resize(t, 2 * t->room) < 0)
            return NULL;
        for (slot = hash & t->slot_mask; t->slots[slot];)
            slot = (slot + 1) & t->slot_mask;
    }
    while (t->names_used + len > t->names_room) {
        uint8_t *names = realloc(t->names, 2 * (size_t)t->names_room + SLACK);
        if (!names)
            return NULL;
        t->names = names;
        memset(names + t->names_room + SLACK, 0, t->names_room);
        t->names_room *= 2;
    }
    struct entry *e = &t->entries[t->used++];
    *e = (struct entry){.hash = hash, .key = t->names_used, .key_len = (uint32_t)len, .status = status};
    memcpy(t->names + t->names_used, key, len);
    t->names_used += (uint32_t)len;
    t->slots[slot] = (hash & ~0xffffffffULL) | t->used;
    return e;
}
