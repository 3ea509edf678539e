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

static int number_of(const uint8_t *p, int digits, int *number)
{
    *number = 0;
    for (int i = 0; i < digits; i++) {
        if (!is_digit(p[i]))
            return 0;
        *number = *number * 10 + (p[i] - '0');
    }
    return 1;
}

/* A zone such as +01:00 or +0100, or what is left; 0 if it is neither. Seconds are those ahead of UTC. */
static int zone_of(const uint8_t *p, const uint8_t *end, int may_have_colon, int64_t *ahead)
{
    int hours, minutes, colon = may_have_colon && end - p == 6 && p[3] == ':';
    if (end - p != 5 + colon || (*p != '+' && *p != '-'))
        return 0;
    if (!number_of(p + 1, 2, &hours) || !number_of(p + 3 + colon, 2, &minutes))
        return 0;
    *ahead = (hours * 60 + minutes) * (*p == '-' ? -60 : 60);
    return 1;
}

/* Days from 1970-01-01 to the first of a month (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
 */
static int64_t days_to(int year, int month)
{
    int64_t y = year - (month <= 2), era = y / 400, of_era = y - era * 400;
    int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int unix_time_of(int year, int month, int day, int hour, int minute, int second, int64_t ahead,
                        int64_t *time)
{
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 ||
        second > 60)
        return 0;
    *time = (days_to(year, month) + day - 1) * 86400 + hour * 3600 + minute * 60 + second - ahead;
    return 1;
}

/* 24/Nov/2026:14:50:08 +0000 */
static int clf_of(const uint8_t *p, const uint8_t *end, int64_t *time)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int day, year, hour, minute, second, month = 0;
    int64_t ahead = 0;
    if (p < end && *p == '[')
        p++;
    if (p < end && end[-1] == ']')
        end--;
    if (end - p < 20 || p[2] != '/' || p[6] != '/' || p[11] != ':' || p[14] != ':' || p[17] != ':')
        return 0;
    while (month < 12 && memcmp(months + 3 * month, p + 3, 3))
        month++;
    if (!number_of(p, 2, &day) || !number_of(p + 7, 4, &year) || !number_of(p + 12, 2, &hour) ||
        !number_of(p + 15, 2, &minute) || !number_of(p + 18, 2, &second))
        return 0;
    p += 20;
    if (p < end && (*p != ' ' || !zone_of(p + 1, end, 0, &ahead)))
        return 0;
    return unix_time_of(year, month + 1, day, hour, minute, second, ahead, time);
}

/* 2026-11-24T14:50:08.123+01:00 */
static int iso_of(const uint8_t *p, const uint8_t *end, int64_t *time)
{
    int year, month, day, hour, minute, second;
    int64_t ahead = 0;
    if (end - p < 19 || p[4] != '-' || p[7] != '-' || (p[10] != 'T' && p[10] != ' ') || p[13] != ':' ||
        p[16] != ':')
        return 0;
    if (!number_of(p, 4, &year) || !number_of(p + 5, 2, &month) || !number_of(p + 8, 2, &day) ||
        !number_of(p + 11, 2, &hour) || !number_of(p + 14, 2, &minute) || !number_of(p + 17, 2, &second))
        return 0;
    p += 19;
    if (end - p >= 2 && (*p == '.' || *p == ',') && is_digit(p[1]))
        for (p++; p < end && is_digit(*p); p++)
            ;
    if (end - p == 1 && *p == 'Z')
        p++;
    if (p < end && !zone_of(p, end, 1, &ahead))
        return 0;
    return unix_time_of(year, month, day, hour, minute, second, ahead, time);
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
    return unix_of(p, end, time) || clf_of(p, end, time) || iso_of(p, end, time);
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
