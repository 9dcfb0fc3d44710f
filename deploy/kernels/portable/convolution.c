/* Goes to the next pixel that is not computed: from x, or the next row's first one. */
BB_INLINE void bb_find_pixel(const bb_convolution_layer *l, const bb_pixels *computed, uint32_t *x, uint32_t *y)
{
    while ((*x == l->output_width) || ((*x == computed->x) && ((*y - computed->y) < computed->height))) {
        if (*x == l->output_width) {
            *x = 0u;
            *y += 1u;
        } else {
            *x += computed->width;
        }
    }
}

/* Two output pixels at a time; a last single pixel is computed twice. */
BB_KERNEL void bb_convolution(const void *layer, uint8_t *arena)
{
    const bb_convolution_layer *const l = layer;
    const uint32_t output_bytes = bb_pixel_bytes(l->output_channels, l->output_bits);
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
    bb_pixels computed = {0u, 0u, 0u, 0u};
    uint32_t y = 0u, x = 0u, padding = l->zero_point;
    for (uint32_t bits = l->input_bits; bits < 8u; bits <<= 1) {
        padding |= padding << bits;
    }
    for (uint32_t i = bb_column_codes(l); i != 0u; i--) { /* as many codes of padding as a column has */
        staging[i - 1u] = (uint8_t)padding;
    }
    bb_compute_pairs(l, arena, staging, &computed);
    bb_find_pixel(l, &computed, &x, &y);
    while (y < l->output_height) {
        const uint32_t first = ((y * l->output_width) + x) * output_bytes;
        uint32_t step = 0u, channel = 0u;
        uint32_t tops[2], lefts[2]; /* a number below 0 wraps to a large one */
        tops[0] = (y * l->stride_y) - l->pad_top;
        lefts[0] = (x * l->stride_x) - l->pad_left;
        tops[1] = tops[0];
        lefts[1] = lefts[0];
        x++;
        bb_find_pixel(l, &computed, &x, &y);
        if (y < l->output_height) {
            tops[1] = (y * l->stride_y) - l->pad_top;
            lefts[1] = (x * l->stride_x) - l->pad_left;
            step = (((y * l->output_width) + x) * output_bytes) - first;
            x++;
            bb_find_pixel(l, &computed, &x, &y);
        }
        for (uint32_t group = 0u; group < l->groups; group++) {
            const bb_rows *const rows = &l->rows[group];
            uint32_t sums[2];
            for (uint32_t column = 0u; column < 2u; column++) {
                const uint32_t top = tops[column], left = lefts[column];
                uint32_t *const to = &words[column * BB_COLUMN_WORDS(l->column_groups)];
                if ((BB_PAIRS == 0) && (top < inner_rows) && (left < inner_columns)) {
                    const uint32_t at = (top * row_bytes) + (left * pixel_bytes);
                    sums[column] = bb_inner_window(l, &arena[l->input + at], row_bytes * l->dilation_y, to, staging);
                } else {
                    sums[column] =
                        bb_window(l, &arena[l->input], top, left, group, to, staging, (uint8_t)padding);
                }
            }
            bb_store_pair(l, rows, words, sums, codes, &arena[l->output + first], step, channel);
            channel += rows->rows;
        }
    }
}
