/* Padding adds real zeros to the sum; the factor of a window includes the division by its number of elements. Codes of
   8 bits: four channels at a time if pixels are made of words and the sums of a window are below 2^16. */
BB_KERNEL void bb_average_pool(const void *layer, uint8_t *arena)
{
    const bb_pool_layer *const l = layer;
    const uint32_t bits = l->input_bits;
    const uint32_t mask = (1u << bits) - 1u;
    const uint32_t pixel_bytes = bb_pixel_bytes(l->channels, bits);
    const uint32_t row_bytes = l->input_width * pixel_bytes;
    uint8_t *output = &arena[l->output];
    for (uint32_t y = 0u; y < l->output_height; y++) {
        const bb_range rows = bb_range_of(y * l->stride_y, l->pad_top, l->kernel_height, l->input_height);
        for (uint32_t x = 0u; x < l->output_width; x++) {
            const bb_range columns = bb_range_of(x * l->stride_x, l->pad_left, l->kernel_width, l->input_width);
            const uint32_t width_bytes = (columns.end - columns.begin) * pixel_bytes;
            const uint32_t elements = (rows.end - rows.begin) * (columns.end - columns.begin);
            const uint8_t *const window = &arena[l->input + (rows.begin * row_bytes) + (columns.begin * pixel_bytes)];
            const uint32_t window_bytes = (rows.end - rows.begin) * row_bytes;
            const uint32_t step = ((bits == 8u) && ((pixel_bytes & 3u) == 0u) && (elements <= 257u)) ? 4u : 1u;
            const bb_pool_factor *factor = l->factors;
            for (uint32_t i = 1u; (i < l->factor_count) && (factor->divisor != elements); i++) {
                factor = &factor[1];
            }
            const int64_t half = bb_half(factor->shift);
            for (uint32_t channel = 0u; channel < l->channels; channel += step) {
                const uint32_t at = (channel * bits) & 7u;
                const uint8_t *row = &window[(channel * bits) >> 3];
                const uint8_t *const end = &row[window_bytes];
                uint32_t sums[2] = {0u, 0u};
                for (; row != end; row = &row[row_bytes]) {
                    const uint8_t *next = row;
                    const uint8_t *const row_end = &row[width_bytes];
                    if (step == 4u) {
                        for (; next != row_end; next = &next[pixel_bytes]) {
                            const uint32_t word = *(const uint32_t *)(const void *)next;
                            bb_add_bytes(sums, word);
                        }
                    } else {
                        for (; next != row_end; next = &next[pixel_bytes]) {
                            sums[0] += ((uint32_t)*next >> at) & mask;
                        }
                    }
                }
                for (uint32_t part = 0u; part < step; part++) {
                    const uint32_t sum = (step == 4u) ? (sums[0] & 0xFFFFu) : sums[0];
                    const int32_t steps = (int32_t)(sum - (elements * l->input_zero_point));
                    const int64_t product = ((int64_t)steps * factor->multiplier) + half;
                    bb_put_code(output, channel + part, l->output_bits,
                                bb_code_of(product, factor->shift, l->output_zero_point, (1u << l->output_bits) - 1u));
                    { /* bytes 0 and 2, 1 and 3 */
                        const uint32_t upper = sums[0] >> 16;
                        sums[0] = sums[1];
                        sums[1] = upper;
                    }
                }
            }
            output = &output[bb_pixel_bytes(l->channels, l->output_bits)];
        }
    }
}
