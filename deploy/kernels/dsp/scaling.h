/* Arithmetic of layers without weights, an instruction each. */

/* Returns floor(multiplier * value / 2^16) + addend, for |value| < 2^9. */
BB_INLINE int32_t bb_multiply_high(int32_t multiplier, int32_t value, int32_t addend)
{
    int32_t sum;
    __asm__("smlawb %0, %1, %2, %3" : "=r"(sum) : "r"(multiplier), "r"(value), "r"(addend));
    return sum;
}

/* Returns clamp(value, 0, 255). */
BB_INLINE uint32_t bb_saturate(int32_t value)
{
    uint32_t code;
    __asm__("usat %0, #8, %1" : "=r"(code) : "r"(value));
    return code;
}

/* Returns the larger one of each two fields; `highs` has the highest bit of each field of `bits` bits. */
BB_INLINE uint32_t bb_larger(uint32_t a, uint32_t b, uint32_t highs, uint32_t bits)
{
    uint32_t larger, difference;
    if (bits == 8u) {
        __asm__("usub8 %1, %2, %3\n\tsel %0, %2, %3" : "=r"(larger), "=&r"(difference) : "r"(a), "r"(b));
    } else {
        const uint32_t low = (a | highs) - (b & ~highs);
        const uint32_t differ = a ^ b;
        const uint32_t is_a = ((a & differ) | (low & ~differ)) & highs;
        larger = b ^ (differ & ((is_a << 1) - (is_a >> (bits - 1u))));
    }
    return larger;
}

/* Adds bytes 0 and 2 of a word to the halfwords of sums[0], bytes 1 and 3 to those of sums[1]. */
BB_INLINE void bb_add_bytes(uint32_t *sums, uint32_t word)
{
    __asm__("uxtab16 %0, %0, %1" : "+r"(sums[0]) : "r"(word));
    __asm__("uxtab16 %0, %0, %1, ror #8" : "+r"(sums[1]) : "r"(word));
}
