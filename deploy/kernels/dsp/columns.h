/* Widened columns for dual multiplications. A group of 4 codes is (k0 | k2 << 16), (k1 | k3 << 16), the halves as in a
   weight word. */

BB_INLINE uint32_t bb_put_group(uint32_t *words, uint32_t k0, uint32_t k1, uint32_t k2, uint32_t k3)
{
    words[0] = k0 | (k2 << 16);
    words[1] = k1 | (k3 << 16);
    return k0 + k1 + k2 + k3;
}

/* Adds the products of both halves, which are 0 to 255. */
BB_INLINE uint32_t bb_add_pair(uint32_t sum, uint32_t pair, uint32_t x)
{
    uint32_t result;
    __asm__("smlad %0, %1, %2, %3" : "=r"(result) : "r"(pair), "r"(x), "r"(sum));
    return result;
}

/* Adds up the products of a word of weights and the groups at x, x + step, ..., for the forms of dot products without
   assembler of their own. */
BB_INLINE uint32_t bb_add_products(uint32_t sum, uint32_t word, const uint32_t *x, uint32_t step,
                                   uint32_t weight_bits)
{
    if (weight_bits == 8u) {
        sum = bb_add_pair(sum, word & 0x00FF00FFu, x[0]);
        sum = bb_add_pair(sum, (word >> 8) & 0x00FF00FFu, x[1]);
    } else if (weight_bits == 4u) {
        sum = bb_add_pair(sum, word & 0x000F000Fu, x[0]);
        sum = bb_add_pair(sum, (word >> 4) & 0x000F000Fu, x[1]);
        sum = bb_add_pair(sum, (word >> 8) & 0x000F000Fu, x[step]);
        sum = bb_add_pair(sum, (word >> 12) & 0x000F000Fu, x[step + 1u]);
    } else {
        sum = bb_add_pair(sum, word & 0x00030003u, x[0]);
        sum = bb_add_pair(sum, (word >> 2) & 0x00030003u, x[1]);
        sum = bb_add_pair(sum, (word >> 4) & 0x00030003u, x[step]);
        sum = bb_add_pair(sum, (word >> 6) & 0x00030003u, x[step + 1u]);
        sum = bb_add_pair(sum, (word >> 8) & 0x00030003u, x[2u * step]);
        sum = bb_add_pair(sum, (word >> 10) & 0x00030003u, x[(2u * step) + 1u]);
        sum = bb_add_pair(sum, (word >> 12) & 0x00030003u, x[3u * step]);
        sum = bb_add_pair(sum, (word >> 14) & 0x00030003u, x[(3u * step) + 1u]);
    }
    return sum;
}
