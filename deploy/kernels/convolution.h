/* Inline functions of convolutions: the columns of windows. */

/* A rectangle of output pixels. */
typedef struct {
    uint32_t y, x, height, width;
} bb_pixels;

/* Copies bytes, four at a time where the core reads words at any address. */
BB_INLINE void bb_copy(uint8_t *to, const uint8_t *from, uint32_t count)
{
    const uint8_t *const end = &from[count];
#if defined(__ARM_FEATURE_UNALIGNED)
    for (; count >= 4u; count -= 4u) {
        const uint32_t word = (uint32_t)from[0] | ((uint32_t)from[1] << 8) | ((uint32_t)from[2] << 16) |
                              ((uint32_t)from[3] << 24);
        to[0] = (uint8_t)word;
        to[1] = (uint8_t)(word >> 8);
        to[2] = (uint8_t)(word >> 16);
        to[3] = (uint8_t)(word >> 24);
        from = &from[4];
        to = &to[4];
    }
#endif
    while (from != end) {
        to[0] = from[0];
        from = &from[1];
        to = &to[1];
    }
}

/* Whether the codes of a group's pixels can be widened from the input; else they are joined in `staging` first. */
BB_INLINE uint32_t bb_is_direct(const bb_convolution_layer *l)
{
    return ((l->group_channels & (bb_piece_codes(l->input_bits) - 1u)) == 0u) ? 1u : 0u;
}

/* Appends codes of the input (or padding, if `from` is NULL) to the codes of a column in `staging`; `padding` is a byte
   of codes. */
BB_INLINE void bb_stage(const bb_convolution_layer *l, uint8_t *staging, uint32_t index, const uint8_t *from,
                        uint32_t first, uint32_t count, uint8_t padding)
{
    const uint32_t bits = l->input_bits;
    const uint32_t zero_point = l->zero_point;
    if (((l->group_channels * bits) & 7u) == 0u) {
        uint8_t *const to = &staging[(index * bits) >> 3];
        const uint32_t bytes = (count * bits) >> 3;
        if (from != NULL) {
            bb_copy(to, &from[(first * bits) >> 3], bytes);
        } else {
            for (uint32_t i = bytes; i != 0u; i--) {
                to[i - 1u] = padding;
            }
        }
    } else if (from != NULL) {
        for (uint32_t i = 0u; i < count; i++) {
            bb_put_code(staging, index + i, bits, bb_code(from, first + i, bits));
        }
    } else {
        for (uint32_t i = 0u; i < count; i++) {
            bb_put_code(staging, index + i, bits, zero_point);
        }
    }
}

/* Fills up the last group of the codes in `staging` with 0 and widens them. */
BB_INLINE uint32_t bb_widen_staged(const bb_convolution_layer *l, uint8_t *staging, uint32_t index, uint32_t *words)
{
    uint32_t count = index;
    for (; (count & 3u) != 0u; count++) {
        bb_put_code(staging, count, l->input_bits, 0u);
    }
    return l->widen(staging, count >> 2, words, 2u);
}

/* Makes the column of a window that is inside the image, of a layer without groups and dilation: a run for each row. */
BB_INLINE uint32_t bb_inner_window(const bb_convolution_layer *l, const uint8_t *from, uint32_t row_bytes,
                                   uint32_t *words, uint8_t *staging)
{
    const uint32_t count = (uint32_t)l->kernel_width * l->group_channels;
    uint32_t sum = 0u, index = 0u;
    if (bb_is_direct(l) != 0u) {
        for (uint32_t row = l->kernel_height; row != 0u; row--) {
            sum += l->widen(from, count >> 2, words, 2u);
            words = &words[(count >> 2) * BB_GROUP_STEP(2u)];
            from = &from[row_bytes];
        }
    } else {
        for (uint32_t row = l->kernel_height; row != 0u; row--) {
            bb_copy(&staging[(index * l->input_bits) >> 3], from, (count * l->input_bits) >> 3);
            index += count;
            from = &from[row_bytes];
        }
        sum = bb_widen_staged(l, staging, index, words);
    }
    return sum;
}

/* Makes the column of a window and a group, run by run: taps that are neighbours in memory, or that are padding. If
   runs are widened from the input, `staging` holds padding. */
BB_INLINE uint32_t bb_window(const bb_convolution_layer *l, const uint8_t *input, uint32_t top, uint32_t left,
                             uint32_t group, uint32_t *words, uint8_t *staging, uint8_t padding)
{
    const uint32_t channels = l->group_channels;
    const uint32_t bits = l->input_bits;
    const uint32_t first = group * channels;
    const uint32_t pixel_bytes = bb_pixel_bytes(channels * l->groups, bits);
    const uint32_t width = l->input_width;
    const uint32_t is_direct = bb_is_direct(l);
    const uint32_t is_dilated = (l->dilation_x != 1u) ? 1u : 0u;
    const uint32_t is_joined = ((l->groups == 1u) && (((channels * bits) & 7u) == 0u)) ? (1u - is_dilated) : 0u;
    uint32_t sum = 0u, index = 0u;
    for (uint32_t tap_y = 0u; tap_y < l->kernel_height; tap_y++) {
        const uint32_t y = top + (tap_y * l->dilation_y); /* a number below 0 wraps to a large one */
        const uint32_t rest = l->kernel_width;
        uint32_t taps;
        for (uint32_t tap_x = 0u; tap_x < rest; tap_x += taps) {
            const uint32_t x = left + (tap_x * l->dilation_x);
            const uint8_t *from = NULL;
            taps = rest - tap_x; /* padding to the end of the row, if the following does not say otherwise */
            if (y < l->input_height) {
                if (x < width) {
                    from = &input[((y * width) + x) * pixel_bytes];
                    taps = (is_joined == 0u) ? 1u : ((taps < (width - x)) ? taps : (width - x));
                } else if (((int32_t)x < 0) && (is_dilated != 0u)) {
                    taps = 1u;
                } else if (((int32_t)x < 0) && ((0u - x) < taps)) {
                    taps = 0u - x;
                } else {
                    /* padding */
                }
            }
            if (is_direct == 0u) {
                bb_stage(l, staging, index, from, first, taps * channels, padding);
            } else {
                const uint8_t *const codes = (from != NULL) ? &from[(first * bits) >> 3] : staging;
                sum += l->widen(codes, (taps * channels) >> 2, &words[(index >> 2) * BB_GROUP_STEP(2u)], 2u);
            }
            index += taps * channels;
        }
    }
    return (is_direct != 0u) ? sum : bb_widen_staged(l, staging, index, words);
}
