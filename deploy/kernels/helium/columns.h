/* Widened columns for vectors of bytes. A group of 4 codes is one word, k0 | k1 << 8 | k2 << 16 | k3 << 24. */

#include <arm_mve.h>

BB_INLINE uint32_t bb_put_group(uint32_t *words, uint32_t k0, uint32_t k1, uint32_t k2, uint32_t k3)
{
    words[0] = k0 | (k1 << 8) | (k2 << 16) | (k3 << 24);
    return k0 + k1 + k2 + k3;
}

/* Adds up the products of a word of weights and the groups at x, x + step, ... (plain C, for the forms of dot products
   without instructions of their own). */
BB_INLINE uint32_t bb_add_products(uint32_t start, uint32_t word, const uint32_t *x, uint32_t step, uint32_t weight_bits)
{
    const uint32_t mask = (1u << weight_bits) - 1u;
    uint32_t sum = start;
    for (uint32_t shift = 0u; shift < 16u; shift += 2u * weight_bits) {
        sum += ((word >> shift) & mask) * (x[0] & 0xFFu);
        sum += ((word >> (shift + 16u)) & mask) * ((x[0] >> 16) & 0xFFu);
        sum += ((word >> (shift + weight_bits)) & mask) * ((x[0] >> 8) & 0xFFu);
        sum += ((word >> (shift + weight_bits + 16u)) & mask) * (x[0] >> 24);
        __asm__("" : "+r"(sum)); /* not as vectors at -O3: these need much stack here */
        x = &x[step];
    }
    return sum;
}
