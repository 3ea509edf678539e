/* The times that lines state, and the requests of each span of time.

   A time is read as seconds_of() in Python does, its twin; a text is read once as long as lines repeat it. */

#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "limits.h"
#include "program.h"
#include "scanner.h"
#include "values.h"

/* What is left to be read of a text. */
struct text {
    const uint8_t *p, *end;
};

struct date {
    int year, month, day; /* year: -1 where it comes last */
};

/* Read one byte if it is one of these; whether it was. */
static int take_byte(struct text *t, const char *bytes)
{
    int is_one = t->p < t->end && *t->p && strchr(bytes, *t->p);
    t->p += is_one;
    return is_one;
}

static int take_number(struct text *t, int digits, int *number)
{
    *number = 0;
    for (int i = 0; i < digits; i++, t->p++) {
        if (t->p == t->end || !is_digit(*t->p))
            return 0;
        *number = *number * 10 + (*t->p - '0');
    }
    return 1;
}

/* Read a word of small letters, which may be capitals in the text. */
static int take_word(struct text *t, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(t->end - t->p) < len)
        return 0;
    for (size_t i = 0; i < len; i++)
        if ((t->p[i] | 32) != word[i] || !is_letter(t->p[i]))
            return 0;
    t->p += len;
    return 1;
}

static int take_month(struct text *t, int *month)
{
    static const char names[12][4] = {"jan", "feb", "mar", "apr", "may", "jun",
                                      "jul", "aug", "sep", "oct", "nov", "dec"};
    for (*month = 1; *month <= 12; ++*month)
        if (take_word(t, names[*month - 1]))
            return 1;
    return 0;
}

/* Three letters, as of a day's name. */
static int take_letters(struct text *t)
{
    for (int i = 0; i < 3; i++, t->p++)
        if (t->p == t->end || !is_letter(*t->p))
            return 0;
    return 1;
}

/* 24/Nov/2026:, 24-Nov-2026 or Tue, 24 Nov 2026, and the blank behind */
static int take_day_first(struct text *t, struct date *date)
{
    if (take_letters(&(struct text){t->p, t->end})) {
        t->p += 3;
        take_byte(t, ",");
        if (!take_byte(t, " "))
            return 0;
    }
    if (!take_number(t, 2, &date->day) || t->p == t->end)
        return 0;
    char by[2] = {(char)*t->p};
    return take_byte(t, "-/ ") && take_month(t, &date->month) && take_byte(t, by) &&
           take_number(t, 4, &date->year) && take_byte(t, ": ");
}

/* 2026-11-24T, and the like */
static int take_year_first(struct text *t, struct date *date)
{
    if (!take_number(t, 4, &date->year) || t->p == t->end)
        return 0;
    char by[2] = {(char)*t->p};
    return take_byte(t, "-/") && take_number(t, 2, &date->month) && take_byte(t, by) &&
           take_number(t, 2, &date->day) && take_byte(t, "Tt \t");
}

/* Tue Nov 24, and the blank behind; the year comes last */
static int take_month_first(struct text *t, struct date *date)
{
    if (!take_letters(t) || !take_byte(t, " ") || !take_month(t, &date->month) || !take_byte(t, " "))
        return 0;
    int digits = take_byte(t, " ") ? 1 : 2;
    return take_number(t, digits, &date->day) && take_byte(t, " ");
}

/* 14:50:08.123 */
static int take_clock(struct text *t, int64_t *seconds)
{
    int hour, minute, second;
    if (!take_number(t, 2, &hour) || !take_byte(t, ":") || !take_number(t, 2, &minute) ||
        !take_byte(t, ":") || !take_number(t, 2, &second) || hour > 23 || minute > 59 || second > 60)
        return 0;
    *seconds = hour * 3600 + minute * 60 + second;
    if (t->end - t->p >= 2 && is_digit(t->p[1]) && take_byte(t, ".,"))
        while (t->p < t->end && is_digit(*t->p))
            t->p++;
    return 1;
}

/* A zone, if there is one, such as UTC, Z, +01:00 or +0100, and the blank before it. Seconds are those ahead
   of UTC. */
static void take_zone(struct text *t, int64_t *ahead)
{
    struct text zone = *t, more;
    int hours, minutes = 0;
    *ahead = 0;
    take_byte(&zone, " ");
    if (take_word(&zone, "z") || take_word(&zone, "utc") || take_word(&zone, "gmt")) {
        *t = zone;
        return;
    }
    int is_behind = zone.p < zone.end && *zone.p == '-';
    if (!take_byte(&zone, "+-") || !take_number(&zone, 2, &hours))
        return;
    *t = more = zone;
    take_byte(&more, ":");
    if (take_number(&more, 2, &minutes))
        *t = more;
    else
        minutes = 0;
    *ahead = (hours * 60 + minutes) * (is_behind ? -60 : 60);
}

/* Days from 1970-01-01 to the first of a month (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
 */
static int64_t days_to(int year, int month)
{
    int64_t y = year - (month <= 2), era = y / 400, of_era = y - era * 400;
    int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* A date, by one of the ways to write it, and the time of day. */
static int date_of(const uint8_t *p, const uint8_t *end, int64_t *time)
{
    static int (*const ways[])(struct text *, struct date *) = {take_day_first, take_year_first,
                                                                take_month_first};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct text t = {p, end};
        struct date date = {-1, 0, 0};
        int64_t seconds, ahead;
        if (!ways[i](&t, &date) || !take_clock(&t, &seconds))
            continue;
        take_zone(&t, &ahead);
        if (date.year < 0 && (!take_byte(&t, " ") || !take_number(&t, 4, &date.year)))
            continue;
        if (t.p != end || date.year < 1970 || date.month < 1 || date.month > 12 || date.day < 1 ||
            date.day > 31)
            continue;
        *time = (days_to(date.year, date.month) + date.day - 1) * 86400 + seconds - ahead;
        return 1;
    }
    return 0;
}

/* 1795531808.123, or a number of smaller units */
static int unix_of(const uint8_t *p, const uint8_t *end, int64_t *time)
{
    const uint8_t *start = p;
    uint64_t number = 0;
    for (; p < end && is_digit(*p) && p - start < 19; p++)
        number = number * 10 + (uint64_t)(*p - '0');
    long digits = p - start;
    if (!digits)
        return 0;
    if (p < end && *p == '.')
        for (p++; p < end && is_digit(*p); p++)
            ;
    *time = (int64_t)(number / (digits >= 18   ? 1000000000
                                : digits >= 15 ? 1000000
                                : digits >= 12 ? 1000
                                               : 1));
    return p == end;
}

static int seconds_of(struct span text, int64_t *time)
{
    const uint8_t *p = text.start, *end = p + text.len;
    p += p < end && *p == '[';
    end -= p < end && end[-1] == ']';
    return unix_of(p, end, time) || date_of(p, end, time);
}

/* Count a request at the time that this text states; -1 if that failed. */
static int count_time(struct scanner *s, struct span text, uint32_t status)
{
    int is_known = s->time_text_len && text.start && text.len == s->time_text_len;
    if (!is_known || memcmp(text.start, s->time_text, text.len)) {
        int64_t time = 0, span = s->program->span;
        s->is_time = text.start && seconds_of(text, &time);
        s->time_begin = time - time % span - (time % span < 0 ? span : 0);
        s->time_text_len = text.start && text.len <= sizeof s->time_text ? text.len : 0;
        if (s->time_text_len)
            memcpy(s->time_text, text.start, text.len);
    }
    if (!s->is_time) {
        s->untimed[status / 100]++;
        return 0;
    }
    if (s->last_time >= s->times_len || s->times[s->last_time].begin != s->time_begin) {
        size_t low = 0, high = s->times_len;
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (s->times[middle].begin < s->time_begin)
                low = middle + 1;
            else
                high = middle;
        }
        if (low == s->times_len || s->times[low].begin != s->time_begin) {
            if (s->times_len == TIMES_LIMIT) {
                if (s->spill(s) < 0)
                    return -1;
                low = 0;
            }
            if (s->times_len == s->times_room) {
                size_t room = s->times_room ? 2 * s->times_room : TIMES_AT_FIRST;
                struct time_span *times = realloc(s->times, room * sizeof *times);
                if (!times)
                    return -1;
                s->times = times;
                s->times_room = room;
            }
            memmove(s->times + low + 1, s->times + low, (s->times_len - low) * sizeof *s->times);
            s->times[low] = (struct time_span){.begin = s->time_begin};
            s->times_len++;
        }
        s->last_time = low;
    }
    s->times[s->last_time].requests[status / 100]++;
    return 0;
}
