/* The code of isa/ for each instruction set there is, and which of them this processor knows.

   PER_ISA(name) is the name with the suffix of the instruction set that is being compiled for, and one of
   ISA_PLAIN, ISA_SSE2, ISA_AVX2 and ISA_NEON is defined. A level is an instruction set with the one function
   that is called from elsewhere.

   All that isa/ uses is included by its first turn, the plain one: within the pragmas for AVX2 it would be
   compiled for AVX2 alone. */

#pragma once

#include <stdint.h>

#include "processor.h"
#include "scanner.h"

#define JOIN_(name, suffix) name##_##suffix
#define JOIN(name, suffix) JOIN_(name, suffix)

#define PER_ISA(name) JOIN(name, plain)
#define ISA_PLAIN
#include "isa/lines.h"
#undef ISA_PLAIN
#undef PER_ISA

#if defined SCAN_X86
#define PER_ISA(name) JOIN(name, sse2)
#define ISA_SSE2
#include "isa/lines.h"
#undef ISA_SSE2
#undef PER_ISA

#if defined __clang__
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2,popcnt"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2,popcnt")
#endif
#define PER_ISA(name) JOIN(name, avx2)
#define ISA_AVX2
#include "isa/lines.h"
#undef ISA_AVX2
#undef PER_ISA
#if defined __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#elif defined SCAN_ARM
#define PER_ISA(name) JOIN(name, neon)
#define ISA_NEON
#include "isa/lines.h"
#undef ISA_NEON
#undef PER_ISA
#endif

typedef int (*lines_function)(struct scanner *, const uint8_t *, const uint8_t *);

/* What this processor can, the best first. */
static const struct level {
    const char *name;
    lines_function lines;
} LEVELS[] = {
#if defined SCAN_X86
    {"avx2", lines_avx2},
    {"sse2", lines_sse2},
#elif defined SCAN_ARM
    {"neon", lines_neon},
#endif
    {"plain", lines_plain},
};
enum { LEVELS_LEN = sizeof LEVELS / sizeof *LEVELS };

static int level_works(const struct level *level)
{
#if defined SCAN_X86
    __builtin_cpu_init();
    if (level->lines == lines_avx2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
               __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
#endif
    (void)level;
    return 1;
}
