/* Which processor this is compiled for, and what its instructions are called in C.

   It is included before anything is compiled for one instruction set alone: what is declared while the
   compiler is told to use AVX2 could be used by nothing else. */

#pragma once

/* SCAN_PLAIN is for tests that are to be built soon. */
#if defined __x86_64__ && !defined SCAN_PLAIN
#define SCAN_X86
#elif defined __aarch64__ && !defined SCAN_PLAIN
#define SCAN_ARM
#endif

#if defined SCAN_X86
#include <immintrin.h>
#elif defined SCAN_ARM
#include <arm_neon.h>
#endif
