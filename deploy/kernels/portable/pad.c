BB_KERNEL void bb_pad(const void *layer, uint8_t *arena)
{
    const bb_pad_layer *const l = layer;
    const uint32_t input_bytes = bb_pixel_bytes(l->input_channels, l->input_bits);
    const bb_scale scale = bb_scale_of(l->multiplier, l->shift, l->input_zero_point, l->input_bits,
                                       l->output_zero_point, l->output_bits);
    uint8_t *output = &arena[l->output];
    for (uint32_t y = 0u; y < l->output_height; y++) {
        for (uint32_t x = 0u; x < l->output_width; x++) {
            /* differences below 0 wrap to large numbers */
            const uint32_t row = y - l->pad_top, column = x - l->pad_left;
            const uint32_t is_inside = ((row < l->input_height) && (column < l->input_width)) ? 1u : 0u;
            const uint32_t at = (is_inside != 0u) ? (((row * l->input_width) + column) * input_bytes) : 0u;
            for (uint32_t i = 0u; i < l->output_channels; i++) {
                const uint32_t channel = i - l->channels_before;
                uint32_t code = l->output_zero_point;
                if ((is_inside != 0u) && (channel < l->input_channels)) {
                    code = bb_rescaled(&scale, bb_code(&arena[l->input + at], channel, l->input_bits));
                }
                bb_put_code(output, i, l->output_bits, code);
            }
            output = &output[bb_pixel_bytes(l->output_channels, l->output_bits)];
        }
    }
}
