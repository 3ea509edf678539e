/* A scanner: what was counted of the lines of one program, and the memory that it needs for that.

   Whatever lines say, it is in one of three places: requests in the table, rejects by their reasons, and the
   times of requests. spill() takes all of it over where there would be too much. What fails does so for want
   of memory, or because spill() did, with -1. */

#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "core_cache.h"
#include "durations.h"
#include "limits.h"
#include "program.h"
#include "table.h"

/* Why a line is rejected, in the order of the REASONS that Python has, or what else came of it: UNREAD by a
   short cut, COUNTED, or FAILED. */
enum reason { BAD_FIELDS, BAD_STATUS, TOO_LONG, REASONS, UNREAD = REASONS, COUNTED, FAILED };

enum { STATUS_CLASSES = 10 }; /* 0xx to 9xx */

struct time_span {
    int64_t begin; /* Unix seconds */
    uint64_t requests[STATUS_CLASSES];
};

struct scanner {
    struct program *program;
    struct table table;
    struct durations durations;
    uint64_t number; /* of the round: what was counted since everything was taken */
    uint64_t round;  /* as tags have it */
    uint64_t rejects[REASONS];
    uint64_t unmeasured; /* requests whose size is not known */
    /* Of the block that is being scanned, whatever is spilled meanwhile. */
    uint64_t block_lines, block_rejects;
    enum reason sample_reason;
    uint8_t sample[SAMPLE_LIMIT];
    size_t sample_len;
    int has_sample;
    struct time_span *times; /* sorted by `begin` */
    size_t times_len, times_room, last_time;
    uint64_t untimed[STATUS_CLASSES];
    uint8_t time_text[TIME_TEXT_LIMIT]; /* of the line before, and what it stands for */
    size_t time_text_len;
    int64_t time_begin;
    int is_time;
    uint8_t *scratch; /* a key whose parts do not stand together */
    uint8_t *blanks;  /* a request whose blanks were put right */
    uint8_t *text;    /* decoded strings */
    uint8_t *inner;   /* a line that was in a string */
    uint8_t *tail;    /* the end of a block, with room behind it */
    size_t tail_room;
    int (*spill)(struct scanner *); /* takes over and clears what was counted; -1 if that failed */
};

static void begin_round(struct scanner *s)
{
    s->number = next_round();
    s->round = round_tag(s->number);
}

/* A scanner for a complete program. All of it was zeros. */
static int scanner_open(struct scanner *s, struct program *g, const uint8_t *seed,
                        int (*spill)(struct scanner *))
{
    size_t room = g->max_line + SLACK;
    prepare(g);
    s->program = g;
    s->spill = spill;
    begin_round(s);
    s->scratch = calloc(3, room);
    s->blanks = calloc(1, room);
    s->text = calloc(ROLES, room);
    s->inner = calloc(1, room);
    int is_there = s->scratch && s->blanks && s->text && s->inner;
    return is_there ? table_open(&s->table, seed) : -1;
}

static void scanner_close(struct scanner *s)
{
    free(s->times);
    free(s->scratch);
    free(s->blanks);
    free(s->text);
    free(s->inner);
    free(s->tail);
    durations_close(&s->durations);
    table_close(&s->table);
}

static void scanner_clear(struct scanner *s)
{
    durations_clear(&s->durations, s->table.used);
    table_clear(&s->table);
    begin_round(s);
    memset(s->rejects, 0, sizeof s->rejects);
    s->unmeasured = 0;
    s->has_sample = 0;
    s->times_len = s->last_time = 0;
    memset(s->untimed, 0, sizeof s->untimed);
}

/* Give back the memory that much traffic took, where nothing is counted now: of hundreds of logs each may
   have had as much. */
static inline void scanner_shrink(struct scanner *s)
{
    size_t room = s->program->max_line + SLACK;
    table_shrink(&s->table);
    durations_close(&s->durations);
    give_back(s->scratch, 3 * room);
    give_back(s->blanks, room);
    give_back(s->text, ROLES * room);
    free(s->tail);
    s->tail = NULL;
    s->tail_room = 0;
}

/* Room for the duration of one more request, before that is counted; -1 if that failed. */
static int make_duration_room(struct scanner *s)
{
    struct durations *d = &s->durations;
    if ((d->used >= GROUPS_LIMIT || d->is_full) && s->spill(s) < 0)
        return -1;
    return durations_have_room(d) ? 0 : durations_grow(d, s->table.seed[0]);
}

static inline int has_duration_room(struct scanner *s, struct span text)
{
    return !text.start || durations_have_room(&s->durations) || make_duration_room(s) == 0;
}

/* Count how long a request of this entry took, if this text tells it. Where a connection is switched to
   another protocol, it is how long that lived. */
static inline void count_duration(struct scanner *s, const struct entry *e, struct span text, unsigned zeros)
{
    enum { SWITCHED = 101 };
    uint64_t duration;
    if (text.start && e->status != SWITCHED && nanoseconds_of(text, zeros, &duration))
        add_duration(&s->durations, s->table.seed[0], (uint32_t)(e - s->table.entries), duration);
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
