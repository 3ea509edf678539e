/* What the texts in a line stand for: tokens, versions, numbers and strings of JSON. The twin of what
   line.py, and for strings decode() in Python, say of them. */

#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "bytes.h"

enum { NO_STATUS = 1000 };

static inline int is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static inline int are_digits(const uint8_t *p, size_t len)
{
    while (len && is_digit(p[len - 1]))
        len--;
    return !len;
}

static inline int is_letter(uint8_t byte)
{
    return (byte | 32) >= 'a' && (byte | 32) <= 'z';
}

/* Whether a word of JSON may have it. */
static inline int is_word_byte(uint8_t byte)
{
    return is_digit(byte) || is_letter(byte) || byte == '-' || byte == '+' || byte == '.';
}

static inline int is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

/* Whether these are times of several upstreams, as nginx writes them: with points, unlike other numbers. */
static int are_times(const uint8_t *p, const uint8_t *end)
{
    int items = 0, has_point = 0;
    for (;; items++) {
        const uint8_t *start = p;
        for (; p < end && (is_digit(*p) || *p == '-' || *p == '.'); p++)
            has_point |= *p == '.';
        if (p == start)
            return 0;
        if (p == end)
            return items && has_point;
        if (end - p > 2 && p[0] == ',' && p[1] == ' ')
            p += 2;
        else if (end - p > 3 && !memcmp(p, " : ", 3))
            p += 3;
        else
            return 0;
    }
}

static inline const uint8_t *skip_blanks(const uint8_t *p, const uint8_t *end)
{
    while (p < end && is_blank(*p))
        p++;
    return p;
}

/* Whether these are all bytes of an HTTP token, and some. */
static int is_token(struct span text)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.start[i];
        if (!is_digit(byte) && !is_letter(byte) && !memchr(others, byte, sizeof others - 1))
            return 0;
    }
    return text.len > 0;
}

/* Where a colour ends that begins here, as terminals know it; p if none does. */
static inline const uint8_t *behind_color(const uint8_t *p, const uint8_t *end)
{
    const uint8_t *color = p + 2;
    if (end - p < 3 || p[0] != 0x1b || p[1] != '[')
        return p;
    while (color < end && (is_digit(*color) || *color == ';'))
        color++;
    return color < end && *color == 'm' ? color + 1 : p;
}

/* A request without what makes it appear in colours. */
static inline struct span uncolored(struct span text)
{
    const uint8_t *p = text.start, *end = p + text.len, *next = behind_color(p, end);
    if (next == p)
        return text;
    for (; next > p; next = behind_color(p, end))
        p = next;
    if (end - p >= 4 && !memcmp(end - 4, "\x1b[0m", 4))
        end -= 4;
    return (struct span){p, (size_t)(end - p)};
}

/* `HTTP/?.?`, read as a little-endian word. */
#define HTTP_VERSION_MASK 0x00ff00ffffffffffULL
#define HTTP_VERSION_WORD 0x002e002f50545448ULL

/* Whether this is `HTTP/` and digits and dots, or a version without that, as hypercorn writes it. */
static int is_version(const uint8_t *p, const uint8_t *end)
{
    if (end - p == 1)
        return *p == '2' || *p == '3';
    if (end - p == 3 && !memcmp(p, "1.", 2))
        return p[2] == '0' || p[2] == '1';
    if (end - p < 6 || memcmp(p, "HTTP/", 5))
        return 0;
    for (p += 5; p < end; p++)
        if (!is_digit(*p) && *p != '.')
            return 0;
    return 1;
}

/* Three digits as a number, 0 for what stands for no answer, or NO_STATUS. */
static inline uint32_t status_of(struct span text)
{
    const uint8_t *p = text.start;
    if (text.len == 3 && is_digit(p[0]) && is_digit(p[1]) && is_digit(p[2]))
        return (uint32_t)(p[0] - '0') * 100 + (uint32_t)(p[1] - '0') * 10 + p[2] - '0';
    int is_none = text.len == 0 || (text.len == 1 && (*p == '-' || *p == '0')) ||
                  (text.len == 2 && p[0] == '-' && p[1] == '1');
    return is_none ? 0 : NO_STATUS;
}

/* The values of the first 1 to 8 digits of a word, one in each byte, the last highest, after zeros; 0 if they
   are no digits. */
static inline int digits_in(uint64_t word, size_t len, uint64_t *digits)
{
    /* What is not a digit has more than 9 in its byte; what comes after the digits is shifted out. */
    *digits = (word ^ 0x3030303030303030ULL) << (64 - 8 * len);
    return !(((*digits + 0x7676767676767676ULL) | *digits) & 0x8080808080808080ULL);
}

static inline int digits_of(const uint8_t *p, size_t len, uint64_t *digits)
{
    return digits_in(load64(p), len, digits);
}

/* The number that these are: of two digits, of four, of all. */
static inline uint64_t number_of(uint64_t digits)
{
    digits = (digits * 10 + (digits >> 8)) & 0x00ff00ff00ff00ffULL;
    digits = (digits * 100 + (digits >> 16)) & 0x0000ffff0000ffffULL;
    return (uint32_t)(digits * 10000 + (digits >> 32));
}

/* A size in bytes: a number below 2**64, of at most 20 digits. */
static inline int size_of(struct span text, uint64_t *size)
{
    if (text.len < 1 || text.len > 20)
        return 0;
    *size = 0;
    for (size_t i = 0; i < text.len; i++)
        if (!is_digit(text.start[i]) || __builtin_mul_overflow(*size, 10, size) ||
            __builtin_add_overflow(*size, text.start[i] - '0', size))
            return 0;
    return 1;
}

static int hex_of(const uint8_t *p, uint32_t *unit)
{
    *unit = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t low = p[i] | 32;
        if (is_digit(p[i]))
            *unit = *unit << 4 | (uint32_t)(p[i] - '0');
        else if (low >= 'a' && low <= 'f')
            *unit = *unit << 4 | (uint32_t)(low - 'a' + 10);
        else
            return 0;
    }
    return 1;
}

/* What a JSON string stands for, written to `out`, which has room for as much; its length. */
static size_t decode(struct span text, uint8_t *out)
{
    static const char names[] = "bfnrt/\"\\", values[] = "\b\f\n\r\t/\"\\";
    const uint8_t *p = text.start, *end = p + text.len;
    uint8_t *begin = out;
    while (p < end) {
        uint32_t unit, low;
        const char *name;
        if (*p != '\\' || end - p < 2) {
            *out++ = *p++;
        } else if (p[1] == 'u' && end - p >= 6 && hex_of(p + 2, &unit)) {
            p += 6;
            if (unit >> 10 == 0x36 && end - p >= 6 && p[0] == '\\' && p[1] == 'u' && hex_of(p + 2, &low) &&
                low >> 10 == 0x37) {
                unit = 0x10000 + ((unit & 0x3ff) << 10) + (low & 0x3ff);
                p += 6;
            } else if (unit >> 11 == 0x1b) {
                unit = 0xfffd;
            }
            if (unit < 0x80) {
                *out++ = (uint8_t)unit;
            } else if (unit < 0x800) {
                *out++ = (uint8_t)(0xc0 | unit >> 6);
                *out++ = (uint8_t)(0x80 | (unit & 0x3f));
            } else {
                if (unit < 0x10000) {
                    *out++ = (uint8_t)(0xe0 | unit >> 12);
                } else {
                    *out++ = (uint8_t)(0xf0 | unit >> 18);
                    *out++ = (uint8_t)(0x80 | (unit >> 12 & 0x3f));
                }
                *out++ = (uint8_t)(0x80 | (unit >> 6 & 0x3f));
                *out++ = (uint8_t)(0x80 | (unit & 0x3f));
            }
        } else if (p[1] && (name = strchr(names, p[1]))) {
            *out++ = (uint8_t)values[name - names];
            p += 2;
        } else {
            *out++ = *p++;
            *out++ = *p++;
        }
    }
    return (size_t)(out - begin);
}
