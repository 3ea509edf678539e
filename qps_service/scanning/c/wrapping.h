/* What others put around the lines of a server: the twin of wrapping.py, which lists them. */

#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "bytes.h"
#include "program.h"
#include "values.h"

enum { PREFIX_WORDS = 6 }; /* at most, of what syslog writes before a message */

/* Of docker's object, and of the journal's, which hold the line. */
static uint8_t LOG_MEMBER[3 + 8] = "log", MESSAGE_MEMBER[7 + 8] = "MESSAGE";
static const struct program WRAPPER = {
    .members = {{LOG_MEMBER, 3, ROUTE, 0, 0}, {MESSAGE_MEMBER, 7, ROUTE, 0, 0}},
    .members_len = 2,
    .by_path = {0, 1},
    .members_by_first = {['l'] = {0, 1}, ['M'] = {1, 2}},
    .deciding = 3,
};

/* Behind a text that may be there. */
static const uint8_t *behind(const uint8_t *p, const uint8_t *end, const char *text)
{
    size_t len = strlen(text);
    return (size_t)(end - p) >= len && !memcmp(p, text, len) ? p + len : p;
}

/* Where a word and the blank behind it end; NULL if there is none. */
static const uint8_t *behind_word(const uint8_t *p, const uint8_t *end)
{
    const uint8_t *start = p;
    while (p < end && *p != ' ')
        p++;
    return p > start && p < end ? p + 1 : NULL;
}

static const uint8_t *behind_nuls(const uint8_t *p, const uint8_t *end)
{
    const uint8_t *start = p;
    while (p < end && !*p)
        p++;
    return p > start ? p : NULL;
}

/* Behind a text that has a digit for each 0 of the shape; NULL if it has another. */
static const uint8_t *behind_shape(const uint8_t *p, const uint8_t *end, const char *shape)
{
    for (; *shape; shape++, p++)
        if (p == end || (*shape == '0' ? !is_digit(*p) : *p != (uint8_t)*shape))
            return NULL;
    return p;
}

static const uint8_t *behind_stamp(const uint8_t *p, const uint8_t *end)
{
    p = behind_shape(p, end, "0000-00-00T00:00:00.000000000");
    return p ? behind_word(p, end) : NULL;
}

static const uint8_t *behind_cri(const uint8_t *p, const uint8_t *end)
{
    p = behind_shape(p, end, "0000-00-00T");
    if (!p)
        return NULL;
    while (p < end && *p != ' ')
        p++;
    const uint8_t *stream = behind(p, end, " stdout ");
    stream = stream > p ? stream : behind(p, end, " stderr ");
    if (stream == p || stream == end || (*stream != 'F' && *stream != 'P'))
        return NULL;
    return behind_word(stream, end);
}

static const uint8_t *behind_compose(const uint8_t *p, const uint8_t *end)
{
    p = behind_color(p, end);
    if (p == end || !(is_digit(*p) || is_letter(*p)))
        return NULL;
    while (p < end && (is_word_byte(*p) || *p == '_' || *p == '@') && *p != '+')
        p++;
    const uint8_t *blanks = p;
    while (p < end && *p == ' ')
        p++;
    if (p == blanks || p == end || *p != '|')
        return NULL;
    p = behind(p + 1, end, "\x1b[0m");
    if (p == end || *p != ' ')
        return NULL;
    p = behind(p + 1, end, "\x1b[0m");
    const uint8_t *stamp = behind_stamp(p, end);
    return stamp ? stamp : p;
}

static const uint8_t *behind_pod(const uint8_t *p, const uint8_t *end)
{
    const uint8_t *name = behind(p, end, "[pod/"), *last = name;
    while (last < end && *last != ']' && *last != ' ')
        last++;
    if (name == p || last == name || end - last < 2 || last[0] != ']' || last[1] != ' ')
        return NULL;
    const uint8_t *stamp = behind_stamp(last + 2, end);
    return stamp ? stamp : last + 2;
}

static const uint8_t *behind_message(const uint8_t *p, const uint8_t *end)
{
    const uint8_t *found = behind(p, end, "MESSAGE=");
    return found > p ? found : NULL;
}

/* RFC 5424 */
static const uint8_t *behind_header(const uint8_t *p, const uint8_t *end)
{
    if (p == end || *p++ != '<')
        return NULL;
    const uint8_t *digits = p;
    while (p < end && is_digit(*p))
        p++;
    const uint8_t *version = behind(p, end, ">1 ");
    if (p == digits || version == p)
        return NULL;
    p = version;
    for (int i = 0; i < 5; i++) {
        p = behind_word(p, end);
        if (!p)
            return NULL;
    }
    const uint8_t *data = behind(p, end, "- ");
    if (data > p || p == end || *p != '[')
        return data > p ? data : NULL;
    for (; p + 1 < end; p++)
        if (p[0] == ']' && p[1] == ' ' && p[-1] != '\\')
            return p + 2;
    return NULL;
}

/* RFC 3164 and the like */
static const uint8_t *behind_tag(const uint8_t *p, const uint8_t *end)
{
    for (int i = 0; i < PREFIX_WORDS; i++) {
        const uint8_t *next = behind_word(p, end);
        if (!next)
            return NULL;
        int is_tag = i > 1 && next[-2] == ':';
        for (p = next; p < end && *p == ' ';)
            p++;
        if (is_tag)
            return p;
    }
    return NULL;
}

/* Where what is around a line ends that begins here; NULL if there is nothing around it. */
static const uint8_t *behind_prefix(const uint8_t *p, const uint8_t *end)
{
    static const uint8_t *(*const prefixes[])(const uint8_t *, const uint8_t *) = {
        behind_nuls,  behind_cri,     behind_compose, behind_pod,
        behind_stamp, behind_message, behind_header,  behind_tag};
    const uint8_t *found = NULL;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes && !found; i++)
        found = prefixes[i](p, end);
    return found;
}
