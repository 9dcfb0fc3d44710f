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

/* Returns a byte of codes of padding. */
BB_INLINE uint8_t bb_padding(const bb_convolution_layer *l)
{
    uint32_t padding = l->zero_point;
    for (uint32_t bits = l->input_bits; bits < 8u; bits <<= 1) {
        padding |= padding << bits;
    }
    return (uint8_t)padding;
}

/* Appends codes of the input (or padding, if `from` is NULL) to the codes of a column in `staging`. */
BB_INLINE void bb_stage(const bb_convolution_layer *l, uint8_t *staging, uint32_t index, const uint8_t *from,
                        uint32_t first, uint32_t count)
{
    const uint32_t bits = l->input_bits;
    if (((l->group_channels * bits) & 7u) != 0u) {
        for (uint32_t i = 0u; i < count; i++) {
            bb_put_code(staging, index + i, bits, (from != NULL) ? bb_code(from, first + i, bits) : l->zero_point);
        }
    } else if (from != NULL) {
        bb_copy(&staging[(index * bits) >> 3], &from[(first * bits) >> 3], (count * bits) >> 3);
    } else {
        const uint8_t padding = bb_padding(l);
        uint8_t *const to = &staging[(index * bits) >> 3];
        for (uint32_t i = (count * bits) >> 3; i != 0u; i--) {
            to[i - 1u] = padding;
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
BB_INLINE uint32_t bb_window(const bb_convolution_layer *l, const uint8_t *input, int32_t top, int32_t left,
                             uint32_t group, uint32_t *words, uint8_t *staging)
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
        const uint32_t y = (uint32_t)top + (tap_y * l->dilation_y); /* a number below 0 wraps to a large one */
        const uint32_t rest = l->kernel_width;
        uint32_t taps;
        for (uint32_t tap_x = 0u; tap_x < rest; tap_x += taps) {
            const uint32_t x = (uint32_t)left + (tap_x * l->dilation_x);
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
                bb_stage(l, staging, index, from, first, taps * channels);
            } else {
                const uint8_t *const codes = (from != NULL) ? &from[(first * bits) >> 3] : staging;
                sum += l->widen(codes, (taps * channels) >> 2, &words[(index >> 2) * BB_GROUP_STEP(2u)], 2u);
            }
            index += taps * channels;
        }
    }
    return (is_direct != 0u) ? sum : bb_widen_staged(l, staging, index, words);
}

/* Two output pixels at a time; a last single pixel is computed with the one before again, an only pixel twice. */
BB_KERNEL void bb_convolution(const void *layer, uint8_t *arena)
{
    const bb_convolution_layer *const l = layer;
    const uint32_t output_bytes = bb_pixel_bytes(l->output_channels, l->output_bits);
    const uint32_t pixels = (uint32_t)l->output_height * l->output_width;
    const uint32_t step = (pixels > 1u) ? 1u : 0u;
    uint32_t *const words = (uint32_t *)(void *)&arena[l->scratch];
    uint8_t *const staging = &arena[l->scratch + (4u * bb_column_codes(l))];
    uint8_t *const codes = &staging[bb_column_codes(l)];
    const uint32_t pixel_bytes = bb_pixel_bytes((uint32_t)l->group_channels * l->groups, l->input_bits);
    const uint32_t row_bytes = pixel_bytes * l->input_width;
    /* Windows that start in the first inner_rows rows and inner_columns columns are inside the image. */
    const uint32_t last_row = (l->kernel_height - 1u) * l->dilation_y;
    const uint32_t is_plain = ((l->groups == 1u) && (l->dilation_x == 1u) &&
                               ((((uint32_t)l->group_channels * l->input_bits) & 7u) == 0u))
                                  ? 1u
                                  : 0u;
    const uint32_t inner_rows =
        ((is_plain != 0u) && (last_row < l->input_height)) ? (l->input_height - last_row) : 0u;
    const uint32_t inner_columns =
        (l->kernel_width <= l->input_width) ? ((uint32_t)l->input_width - l->kernel_width + 1u) : 0u;
    const uint32_t has_pairs = bb_has_fast_pairs(l);
    const uint8_t padding = bb_padding(l);
    uint32_t y = 0u, x = 0u, pixel = 0u;
    for (uint32_t i = bb_column_codes(l); i != 0u; i--) { /* as many codes of padding as a column has */
        staging[i - 1u] = padding;
    }
    while (pixel < pixels) {
        const uint32_t pairs = (has_pairs != 0u) ? bb_fast_pairs(l, arena, y, x, staging) : 0u;
        uint32_t first, channel = 0u;
        pixel += 2u * pairs;
        x += 2u * pairs;
        if (x == l->output_width) { /* the next row */
            x = 0u;
            y++;
            continue;
        }
        first = pixel;
        int32_t tops[2], lefts[2];
        if (((pixel + 1u) == pixels) && (step != 0u)) { /* back to the pixel before */
            first--;
            if (x == 0u) {
                x = l->output_width;
                y--;
            }
            x--;
        }
        for (uint32_t column = 0u; column < 2u; column++) {
            tops[column] = (int32_t)(y * l->stride_y) - (int32_t)l->pad_top;
            lefts[column] = (int32_t)(x * l->stride_x) - (int32_t)l->pad_left;
            x += step;
            if (x == l->output_width) {
                x = 0u;
                y++;
            }
        }
        for (uint32_t group = 0u; group < l->groups; group++) {
            const bb_rows *const rows = &l->rows[group];
            uint32_t sums[2];
            for (uint32_t column = 0u; column < 2u; column++) {
                const uint32_t top = (uint32_t)tops[column], left = (uint32_t)lefts[column];
                uint32_t *const to = &words[column * BB_COLUMN_WORDS(l->column_groups)];
                if ((top < inner_rows) && (left < inner_columns)) {
                    const uint32_t at = (top * row_bytes) + (left * pixel_bytes);
                    sums[column] = bb_inner_window(l, &arena[l->input + at], row_bytes * l->dilation_y, to, staging);
                } else {
                    sums[column] = bb_window(l, &arena[l->input], tops[column], lefts[column], group, to, staging);
                }
            }
            bb_store_pair(l, rows, words, sums, codes, &arena[l->output + (first * output_bytes)],
                          step * output_bytes, channel);
            channel += rows->rows;
        }
        pixel += 2u;
    }
}
