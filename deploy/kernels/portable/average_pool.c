/* Padding adds real zeros to the sum; the factor of a window includes the division by its number of elements. */
BB_KERNEL void bb_average_pool(const void *layer, uint8_t *arena)
{
    const bb_pool_layer *const l = layer;
    const uint32_t bits = l->input_bits;
    const uint32_t mask = (1u << bits) - 1u;
    const uint32_t pixel_bytes = bb_pixel_bytes(l->channels, bits);
    uint8_t *output = &arena[l->output];
    for (uint32_t y = 0u; y < l->output_height; y++) {
        const bb_range rows = bb_range_of(y * l->stride_y, l->pad_top, l->kernel_height, l->input_height);
        for (uint32_t x = 0u; x < l->output_width; x++) {
            const bb_range columns = bb_range_of(x * l->stride_x, l->pad_left, l->kernel_width, l->input_width);
            const uint32_t elements = (rows.end - rows.begin) * (columns.end - columns.begin);
            const bb_pool_factor *factor = l->factors;
            for (uint32_t i = 1u; (i < l->factor_count) && (factor->divisor != elements); i++) {
                factor = &factor[1];
            }
            const bb_scale scale = bb_scale_of(factor->multiplier, factor->shift, 0u, 8u, l->output_zero_point,
                                               l->output_bits);
            for (uint32_t channel = 0u; channel < l->channels; channel++) {
                const uint32_t shift = (channel * bits) & 7u;
                const uint32_t start = l->input + ((channel * bits) >> 3);
                uint32_t sum = 0u;
                for (uint32_t row = rows.begin; row < rows.end; row++) {
                    const uint8_t *codes =
                        &arena[start + (((row * l->input_width) + columns.begin) * pixel_bytes)];
                    for (uint32_t count = columns.end - columns.begin; count != 0u; count--) {
                        sum += ((uint32_t)codes[0] >> shift) & mask;
                        codes = &codes[pixel_bytes];
                    }
                }
                bb_put_code(output, channel, l->output_bits,
                            bb_scaled(&scale, (int32_t)(sum - (elements * l->input_zero_point))));
            }
            output = &output[bb_pixel_bytes(l->channels, l->output_bits)];
        }
    }
}
