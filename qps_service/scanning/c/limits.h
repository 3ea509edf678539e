/* How much there may be of anything, and how much is made room for at first.

   Whoever writes lines decides how many there are of what: nothing grows beyond these numbers. SCAN_SMALL is
   for tests: a few lines reach them. */

#pragma once

/* What is kept before it has to be taken: keys, their bytes, spans of time, and groups of bins of durations.
 */
#if !defined SCAN_SMALL
enum { KEYS_LIMIT = 32 * 1024, KEY_BYTES_LIMIT = 4 * 1024 * 1024, TIMES_LIMIT = 4096 };
enum { GROUPS_LIMIT = 64 * 1024 };
#else
enum { KEYS_LIMIT = 16, KEY_BYTES_LIMIT = 2048, TIMES_LIMIT = 4 };
enum { GROUPS_LIMIT = 12 };
#endif

/* For how much of it there is room at first. */
#if !defined SCAN_SMALL
enum { KEYS_AT_FIRST = 128, KEY_BYTES_AT_FIRST = 4096, TIMES_AT_FIRST = 64, GROUPS_AT_FIRST = 64 };
#else
enum { KEYS_AT_FIRST = 2, KEY_BYTES_AT_FIRST = 16, TIMES_AT_FIRST = 1, GROUPS_AT_FIRST = 1 };
#endif

/* 1 << CORES_BITS cores in the cache; LINES_AHEAD lines that are found before they are read; SIZES_WAITING
   sizes before they are added: of digits of 9 at most, for whose sums 16 bits are enough; 1 << ROUNDS_BITS
   rounds until the cache is emptied. */
#if !defined SCAN_SMALL
enum { CORES_BITS = 14, LINES_AHEAD = 128, SIZES_WAITING = 4096, ROUNDS_BITS = 31 };
#else
enum { CORES_BITS = 3, LINES_AHEAD = 3, SIZES_WAITING = 2, ROUNDS_BITS = 2 };
#endif

/* Bytes of a line: an empty table takes the key of any. */
enum { LINE_LIMIT = KEY_BYTES_LIMIT / 4 };

/* Members of a format, a bit each in 128; objects and arrays within each other; bytes of a rejected line, and
   of the text of a time, that are kept. */
enum { MEMBERS_LIMIT = 128, DEPTH_LIMIT = 64, SAMPLE_LIMIT = 256, TIME_TEXT_LIMIT = 64 };
