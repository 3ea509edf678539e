/* Virtual hosts: the twin of what combined.py says of where one stands, and line.py of what a key has of it.
 */

#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "bytes.h"
#include "values.h"
#include "wrapping.h"

/* Whether it can stand in a key, where a blank ends it. */
static inline int is_host(struct span text)
{
    return text.len && !memchr(text.start, ' ', text.len);
}

static inline int is_hex(uint8_t byte)
{
    return is_digit(byte) || ((byte | 32) >= 'a' && (byte | 32) <= 'f');
}

/* Whether a word ends here, or behind a colon and digits, `least` of them. */
static int is_port(const uint8_t *p, const uint8_t *end, size_t least)
{
    return p == end || (*p == ':' && (size_t)(end - p) > least && are_digits(p + 1, (size_t)(end - p) - 1));
}

/* Whether a word is an address, as far as it takes to tell it from a name. */
static int is_address(struct span word)
{
    const uint8_t *p = word.start, *end = p + word.len;
    size_t colons = 0, dots = 0, dots_at_port = 0, letters = 0;
    if (*p == '[') {
        for (p++; p < end && (is_hex(*p) || *p == '.' || *p == ':');)
            p++;
        return p < end && *p == ']' && is_port(p + 1, end, 0);
    }
    for (; p < end; p++) {
        if (*p == ':' && !colons++)
            dots_at_port = dots;
        else if (*p != ':' && *p != '.' && !is_hex(*p))
            return 0;
        dots += *p == '.';
        letters += is_hex(*p) && !is_digit(*p);
    }
    return colons > 1 || (!letters && dots == 3 && (!colons || dots_at_port == 3));
}

/* Whether a word may be a host: with a dot or a port, and a letter or four parts. */
static int is_name(struct span word)
{
    const uint8_t *p = word.start, *end = p + word.len;
    size_t dots = 0, letters = 0;
    if (*p == '[')
        return is_address(word);
    if (*p == '-' || *p == '.')
        return 0;
    for (; p < end && *p != ':'; p++) {
        int is_mark = *p == '-' || *p == '.';
        dots += *p == '.';
        letters += is_letter(*p) || *p == '_';
        if (!is_mark && !is_digit(*p) && !is_letter(*p) && *p != '_')
            return 0;
    }
    return p > word.start && (dots || p < end) && (letters || dots == 3) && is_port(p, end, 1);
}

static int has_port(struct span word)
{
    const uint8_t *p = word.start, *end = p + word.len, *closing = memchr(p, ']', word.len);
    p = *p == '[' ? (closing ? closing + 1 : end) : memchr(p, ':', word.len);
    return p && p < end && is_port(p, end, 1);
}

/* The host in what stands before the time of a line of the combined family; nothing if it is not there. */
static struct span host_before(const uint8_t *p, const uint8_t *end)
{
    struct span words[4], host;
    const uint8_t *start = behind_prefix(p, end);
    size_t found = 0;
    for (p = skip_blanks(start ? start : p, end); p < end && found < 4; p = skip_blanks(p, end)) {
        const uint8_t *word = p;
        while (p < end && !is_blank(*p))
            p++;
        words[found++] = (struct span){word, (size_t)(p - word)};
    }
    if (found < 3)
        return (struct span){NULL, 0};
    struct span second = words[1];
    second.len -= second.start[second.len - 1] == ','; /* one of a list, perhaps */
    int is_first = is_address(words[0]), is_second = second.len && is_address(second);
    if (is_first && (!is_second || found < 4))
        host = words[1];
    else if ((is_second && !is_first) || has_port(words[0]))
        host = words[0];
    else
        return (struct span){NULL, 0};
    return is_name(host) ? host : (struct span){NULL, 0};
}
