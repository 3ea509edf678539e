/* What others put around the lines of a server: the twin of wrapping.py, which lists them. */

#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "bytes.h"
#include "program.h"
#include "values.h"

enum { PREFIX_WORDS = 6 }; /* at most, of what syslog writes before a message */

/* Of docker's object, which holds the line. */
static uint8_t LOG_MEMBER[3 + 8] = "log";
static const struct program WRAPPER = {
    .members = {{LOG_MEMBER, 3, ROUTE, 0, 0}},
    .members_len = 1,
    .members_by_first = {['l'] = {0, 1}},
    .deciding = 1,
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

static const uint8_t *behind_cri(const uint8_t *p, const uint8_t *end)
{
    static const char shape[] = "0000-00-00T";
    for (const char *each = shape; *each; each++, p++)
        if (p == end || (*each == '0' ? !is_digit(*p) : *p != *each))
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
    const uint8_t *color = behind(p, end, "\x1b[");
    if (color > p) {
        while (color < end && (is_digit(*color) || *color == ';'))
            color++;
        p = behind(color, end, "m");
        if (p == color)
            return NULL;
    }
    if (p == end || !(is_digit(*p) || is_letter(*p)))
        return NULL;
    while (p < end && (is_word_byte(*p) || *p == '_') && *p != '+')
        p++;
    const uint8_t *blanks = p;
    while (p < end && *p == ' ')
        p++;
    if (p == blanks || p == end || *p != '|')
        return NULL;
    p = behind(p + 1, end, "\x1b[0m");
    return p < end && *p == ' ' ? behind(p + 1, end, "\x1b[0m") : NULL;
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
        behind_nuls, behind_cri, behind_compose, behind_header, behind_tag};
    const uint8_t *found = NULL;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes && !found; i++)
        found = prefixes[i](p, end);
    return found;
}
