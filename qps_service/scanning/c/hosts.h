/* Virtual hosts: the twin of what combined.py says of where one stands, and line.py of what a key has of it. */

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

/* Whether it ends here, or a colon and digits do; with `least` digits. */
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

/* Whether a word may be a name with a port or without, or an address. */
static int is_name(struct span word)
{
    for (size_t i = 0; i < word.len; i++) {
        uint8_t byte = word.start[i];
        int is_first = is_digit(byte) || is_letter(byte) || byte == '_';
        if (!is_first && (i ? !memchr("-.:]", byte, 4) : byte != '['))
            return 0;
    }
    return word.len > 0;
}

static int has_port(struct span word)
{
    const uint8_t *colon = memchr(word.start, ':', word.len), *end = word.start + word.len;
    return colon && colon + 1 < end && is_port(colon, end, 1);
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
    int is_first = is_address(words[0]);
    struct span second = words[1];
    second.len -= second.len > 1 && second.start[second.len - 1] == ',';
    if (is_address(second))
        host = words[is_first && found < 4];
    else if (is_first || has_port(words[0]))
        host = words[is_first];
    else
        return (struct span){NULL, 0};
    return is_name(host) ? host : (struct span){NULL, 0};
}
