/* Arithmetic of layers without weights. */

/* Returns floor(multiplier * value / 2^16) + addend, for |value| < 2^9. */
BB_INLINE int32_t bb_multiply_high(int32_t multiplier, int32_t value, int32_t addend)
{
    return addend + ((multiplier >> 16) * value) + (((multiplier & 0xFFFF) * value) >> 16);
}

/* Returns clamp(value, 0, 255). */
BB_INLINE uint32_t bb_saturate(int32_t value)
{
    return bb_clamp(value, 0xFFu);
}

/* Returns the larger one of each two fields; `highs` has the highest bit of each field of `bits` bits. */
BB_INLINE uint32_t bb_larger(uint32_t a, uint32_t b, uint32_t highs, uint32_t bits)
{
    const uint32_t low = (a | highs) - (b & ~highs); /* high bit: the lower bits of a are not below those of b */
    const uint32_t differ = a ^ b;
    const uint32_t is_a = ((a & differ) | (low & ~differ)) & highs;
    return b ^ (differ & ((is_a << 1) - (is_a >> (bits - 1u))));
}

/* Adds bytes 0 and 2 of a word to the halfwords of sums[0], bytes 1 and 3 to those of sums[1]. */
BB_INLINE void bb_add_bytes(uint32_t *sums, uint32_t word)
{
    sums[0] += word & 0x00FF00FFu;
    sums[1] += (word >> 8) & 0x00FF00FFu;
}
