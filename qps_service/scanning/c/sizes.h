/* Counting a request in its entry of the table, with its size.

   Most sizes are numbers of a few digits. Their digits are added in columns, 8 at once, and carried now and
   then (add_digits): whoever reads the sum of an entry does that first. */

#pragma once

#include <stdint.h>

#include "bytes.h"
#include "limits.h"
#include "table.h"
#include "values.h"

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

/* Count a request whose size is this text; 0 if that tells none. */
static inline int count_size(struct entry *e, struct span text)
{
    uint64_t number = 0;
    if (text.len - 1 < 8 && digits_of(text.start, text.len, &number)) {
        count_digits(e, number);
        return 1;
    }
    int is_known = text.start && size_of(text, &number);
    count_request(e, is_known ? number : 0);
    return is_known;
}
