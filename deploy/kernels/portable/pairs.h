/* Pairs of windows and pixels: at this level, the drivers compute all alike. */

#define BB_PAIRS 0 /* 1: bb_compute_pairs computes the pairs of windows that are inside the image */

BB_INLINE void bb_compute_pairs(const bb_convolution_layer *l, uint8_t *arena, uint8_t *staging, bb_pixels *computed)
{
    (void)l;
    (void)arena;
    (void)staging;
    (void)computed;
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
