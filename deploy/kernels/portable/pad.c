/* Writes the zero point to codes of which the first starts on a byte; the unused bits of the last byte stay 0. */
BB_INLINE void bb_fill(uint8_t *to, uint32_t codes, uint32_t bits, uint32_t zero_point)
{
    const uint32_t repeated = zero_point * ((bits == 8u) ? 1u : ((bits == 4u) ? 0x11u : 0x55u));
    const uint32_t last_bits = (codes * bits) & 7u;
    uint8_t *next = to;
    for (uint32_t left = (codes * bits) >> 3; left != 0u; left--) {
        *next = (uint8_t)repeated;
        next = &next[1];
    }
    if (last_bits != 0u) {
        *next = (uint8_t)(repeated & ((1u << last_bits) - 1u));
    }
}

BB_KERNEL void bb_pad(const void *layer, uint8_t *arena)
{
    const bb_pad_layer *const l = layer;
    const uint32_t bits = l->output_bits;
    const uint32_t channels = l->output_channels;
    const uint32_t count = l->input_channels;
    const bb_scale scale =
        bb_scale_of(l->multiplier, l->shift, l->input_zero_point, l->input_bits, l->output_zero_point, bits);
    const uint8_t *input = &arena[l->input];
    uint8_t *output = &arena[l->output];
    for (uint32_t y = 0u; y < l->output_height; y++) {
        for (uint32_t x = 0u; x < l->output_width; x++) {
            /* differences below 0 wrap to large numbers */
            const uint32_t is_inside =
                (((y - l->pad_top) < l->input_height) && ((x - l->pad_left) < l->input_width)) ? 1u : 0u;
            const uint32_t first = (is_inside != 0u) ? l->channels_before : channels;
            bb_fill(output, first, bits, l->output_zero_point);
            if (is_inside != 0u) {
                bb_move_codes(&scale, output, first, bits, input, l->input_bits, count);
                for (uint32_t i = first + count; i < channels; i++) {
                    bb_put_code(output, i, bits, l->output_zero_point);
                }
                input = &input[bb_pixel_bytes(count, l->input_bits)];
            }
            output = &output[bb_pixel_bytes(channels, bits)];
        }
    }
}
