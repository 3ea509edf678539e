/* Finding bytes, STEP at a time, by what the processor has.

   Everything here reads up to SLACK bytes from where it begins, whatever `end` is: whoever calls sees to it
   that they can be read.

   A template, without a guard: compiled once for each instruction set (isa.h). */

#include <stddef.h>
#include <stdint.h>

#include "../bytes.h"
#include "../core_cache.h"
#include "../processor.h"

/* Bit i is set where p[i] is `byte`. */
static inline uint64_t PER_ISA(equal)(const uint8_t *p, uint8_t byte)
{
#if defined ISA_AVX2
    __m256i wanted = _mm256_set1_epi8((char)byte);
    __m256i low = _mm256_loadu_si256((const __m256i *)p),
            high = _mm256_loadu_si256((const __m256i *)(p + 32));
    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, wanted)) |
           (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, wanted)) << 32;
#elif defined ISA_SSE2
    __m128i wanted = _mm_set1_epi8((char)byte);
    uint64_t found = 0;
    for (int i = 0; i < 4; i++) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(p + 16 * i));
        found |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, wanted)) << (16 * i);
    }
    return found;
#elif defined ISA_NEON
    static const uint8_t weights[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t wanted = vdupq_n_u8(byte), bits = vld1q_u8(weights);
    uint8x16_t a = vandq_u8(vceqq_u8(vld1q_u8(p), wanted), bits);
    uint8x16_t b = vandq_u8(vceqq_u8(vld1q_u8(p + 16), wanted), bits);
    uint8x16_t c = vandq_u8(vceqq_u8(vld1q_u8(p + 32), wanted), bits);
    uint8x16_t d = vandq_u8(vceqq_u8(vld1q_u8(p + 48), wanted), bits);
    uint8x16_t sums = vpaddq_u8(vpaddq_u8(a, b), vpaddq_u8(c, d));
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sums, sums)), 0);
#else
    uint64_t found = 0;
    for (int i = 0; i < STEP; i += 8) {
        /* A byte of `other` is 0 where the two are equal; then only its bit 7 is left in `zeros`. */
        uint64_t other = load64(p + i) ^ (0x0101010101010101ULL * byte), low = 0x7f7f7f7f7f7f7f7fULL;
        uint64_t zeros = ~(((other & low) + low) | other | low);
        found |= (zeros >> 7) * 0x0102040810204080ULL >> 56 << i;
    }
    return found;
#endif
}

/* The number of zeros below the lowest bit; 64 if there is none. */
static inline size_t PER_ISA(zeros)(uint64_t bits)
{
#if defined ISA_AVX2
    return _tzcnt_u64(bits);
#else
    return bits ? (size_t)__builtin_ctzll(bits) : 64;
#endif
}

/* Whether the first `len` bytes, CORE_LEAST to CORE_LIMIT, are others than those of `core`, which has zeros
   behind them: then not 0. */
static inline uint64_t PER_ISA(differ)(const uint8_t *p, size_t len, const uint8_t *core)
{
#if defined ISA_AVX2
    const uint8_t *mask = CORE_MASK + CORE_LIMIT - len;
    /* All bytes that a core can have: how long cores are cannot be guessed. */
    __m256i low = _mm256_loadu_si256((const __m256i *)p),
            high = _mm256_loadu_si256((const __m256i *)(p + 32));
    low = _mm256_and_si256(low, _mm256_loadu_si256((const __m256i *)mask));
    high = _mm256_and_si256(high, _mm256_loadu_si256((const __m256i *)(mask + 32)));
    __m256i same =
        _mm256_and_si256(_mm256_cmpeq_epi8(low, _mm256_loadu_si256((const __m256i *)core)),
                         _mm256_cmpeq_epi8(high, _mm256_loadu_si256((const __m256i *)(core + 32))));
    return (uint32_t)~_mm256_movemask_epi8(same);
#else
    size_t last = len - 8;
    uint64_t differ = load64(p + last) ^ load64(core + last);
    for (size_t at = 0; at < last; at += 8)
        differ |= load64(p + at) ^ load64(core + at);
    return differ;
#endif
}

/* The first `byte` in [p, end); `end` if there is none. */
static inline const uint8_t *PER_ISA(find)(const uint8_t *p, const uint8_t *end, uint8_t byte)
{
    for (; p < end; p += STEP) {
        uint64_t found = PER_ISA(equal)(p, byte);
        if (found) {
            p += __builtin_ctzll(found);
            return p < end ? p : end;
        }
    }
    return end;
}

/* The first byte in [p, end) that is one or the other; `end` if there is none. */
static inline const uint8_t *PER_ISA(find_either)(const uint8_t *p, const uint8_t *end, uint8_t one,
                                                  uint8_t other)
{
    for (; p < end; p += STEP) {
        uint64_t found = PER_ISA(equal)(p, one) | PER_ISA(equal)(p, other);
        if (found) {
            p += __builtin_ctzll(found);
            return p < end ? p : end;
        }
    }
    return end;
}

/* The first quote in [p, end) that has no backslash before it, if those count; `end` if there is none. */
static inline const uint8_t *PER_ISA(find_quote)(const uint8_t *p, const uint8_t *end, int is_escaped)
{
    if (!is_escaped)
        return PER_ISA(find)(p, end, '"');
    while ((p = PER_ISA(find_either)(p, end, '"', '\\')) < end && *p == '\\')
        p += 2;
    return p < end ? p : end;
}
