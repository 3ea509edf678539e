/* The same code for each instruction set there is, and which of them this processor knows. */

#define JOIN_(name, suffix) name##_##suffix
#define JOIN(name, suffix) JOIN_(name, suffix)

#define FIND(name) JOIN(name, plain)
#define FIND_PLAIN
#include "isa/find.h"
#include "isa/json.h"
#include "isa/line.h"
#undef FIND_PLAIN
#undef FIND

#if defined SCAN_X86
#define FIND(name) JOIN(name, sse2)
#define FIND_SSE2
#include "isa/find.h"
#include "isa/json.h"
#include "isa/line.h"
#undef FIND_SSE2
#undef FIND

#if defined __clang__
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2,popcnt"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2,popcnt")
#endif
#define FIND(name) JOIN(name, avx2)
#define FIND_AVX2
#include "isa/find.h"
#include "isa/json.h"
#include "isa/line.h"
#undef FIND_AVX2
#undef FIND
#if defined __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#elif defined SCAN_ARM
#define FIND(name) JOIN(name, neon)
#define FIND_NEON
#include "isa/find.h"
#include "isa/json.h"
#include "isa/line.h"
#undef FIND_NEON
#undef FIND
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
