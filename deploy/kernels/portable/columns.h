/* Widened columns in portable C. A group of 4 codes is (k2 | k0 << 16), (k3 | k1 << 16): the halves are swapped against
   those of a weight word, so that the upper half of one 32-bit product is a sum of two products. */

#if defined(__GNUC__)
#define BB_KEEP(value) __asm__("" : "+r"(value))
#else
#define BB_KEEP(value) (void)(value)
#endif

BB_INLINE uint32_t bb_put_group(uint32_t *words, uint32_t k0, uint32_t k1, uint32_t k2, uint32_t k3)
{
    words[0] = k2 | (k0 << 16);
    words[1] = k3 | (k1 << 16);
    return k0 + k1 + k2 + k3;
}

/* Adds up the products of a word of weights and the groups at x, x + step, ... Of two codes each, the upper
   half of the product is (w0 * x0 + w2 * x2); with 4 bits at most 4 * 2 * 15 * 255 < 2^16 is added up, with 2 bits
   8 * 2 * 3 * 255 < 2^16; the lower half is below 2^16 as well, so nothing is carried. */
BB_INLINE uint32_t bb_add_products(uint32_t sum, uint32_t word, const uint32_t *x, uint32_t step,
                                   uint32_t weight_bits)
{
    uint32_t upper;
    if (weight_bits == 8u) {
        sum += (word & 0xFFu) * (x[0] >> 16);
        BB_KEEP(sum);
        sum += ((word >> 16) & 0xFFu) * (x[0] & 0xFFFFu);
        BB_KEEP(sum);
        sum += ((word >> 8) & 0xFFu) * (x[1] >> 16);
        BB_KEEP(sum);
        sum += (word >> 24) * (x[1] & 0xFFFFu);
    } else if (weight_bits == 4u) {
        upper = (word & 0x000F000Fu) * x[0];
        BB_KEEP(upper);
        upper += ((word >> 4) & 0x000F000Fu) * x[1];
        BB_KEEP(upper);
        upper += ((word >> 8) & 0x000F000Fu) * x[step];
        BB_KEEP(upper);
        upper += ((word >> 12) & 0x000F000Fu) * x[step + 1u];
        BB_KEEP(upper);
        sum += upper >> 16;
    } else {
        upper = (word & 0x00030003u) * x[0];
        BB_KEEP(upper);
        upper += ((word >> 2) & 0x00030003u) * x[1];
        BB_KEEP(upper);
        upper += ((word >> 4) & 0x00030003u) * x[step];
        BB_KEEP(upper);
        upper += ((word >> 6) & 0x00030003u) * x[step + 1u];
        BB_KEEP(upper);
        upper += ((word >> 8) & 0x00030003u) * x[2u * step];
        BB_KEEP(upper);
        upper += ((word >> 10) & 0x00030003u) * x[(2u * step) + 1u];
        BB_KEEP(upper);
        upper += ((word >> 12) & 0x00030003u) * x[3u * step];
        BB_KEEP(upper);
        upper += ((word >> 14) & 0x00030003u) * x[(3u * step) + 1u];
        BB_KEEP(upper);
        sum += upper >> 16;
    }
    return sum;
}
