/* Counting a block, by which all lines come in: what the native scanner is without Python.

   Everything that is read may have been written by an attacker. The bytes of a block are all that is read of
   it; what stands within SLACK bytes of its end is copied to where that many more can be read. */

#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "isa.h"
#include "scanner.h"

/* Count the lines of a block; the last one may lack its newline. -1 if that failed. */
static int scan_block(struct scanner *s, lines_function lines, const uint8_t *block, size_t len)
{
    s->block_lines = s->block_rejects = 0;
    if (is_past(s->number))
        begin_round(s);
    if (!len)
        return 0;
    size_t whole = len > SLACK ? len - SLACK : 0;
    while (whole && block[whole - 1] != '\n')
        whole--;
    if (lines(s, block, block + whole) < 0)
        return -1;
    size_t rest = len - whole;
    if (!rest)
        return 0;
    if (rest + 1 + SLACK > s->tail_room) {
        free(s->tail);
        s->tail_room = rest + 1 + SLACK;
        s->tail = malloc(s->tail_room);
        if (!s->tail) {
            s->tail_room = 0;
            return -1;
        }
    }
    memcpy(s->tail, block + whole, rest);
    if (s->tail[rest - 1] != '\n')
        s->tail[rest++] = '\n';
    memset(s->tail + rest, 0, SLACK);
    return lines(s, s->tail, s->tail + rest);
}
