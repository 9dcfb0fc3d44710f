/* Windows and pixels of convolutions: at this level, all are widened run by run. */

BB_INLINE uint32_t bb_has_fast_pairs(const bb_convolution_layer *l)
{
    (void)l;
    return 0u;
}

BB_INLINE uint32_t bb_fast_pairs(const bb_convolution_layer *l, uint8_t *arena, uint32_t y, uint32_t x,
                                 uint8_t *staging)
{
    (void)l;
    (void)arena;
    (void)y;
    (void)x;
    (void)staging;
    return 0u;
}

BB_INLINE uint32_t bb_paired_pixels(const bb_convolution_layer *l, const uint8_t *input, uint8_t *output,
                                    uint32_t *words)
{
    (void)l;
    (void)input;
    (void)output;
    (void)words;
    return 0u;
}
