/* Input by input. Codes go to ascending places of a pixel of the output, which is one long pixel if it is flattened. */
BB_KERNEL void bb_concat(const void *layer, uint8_t *arena)
{
    const bb_concat_layer *const l = layer;
    const uint32_t is_flattened = (l->axis >= BB_FLATTEN_CHANNELS_LAST) ? 1u : 0u;
    const uint32_t output_bytes = bb_pixel_bytes(l->output_channels, l->output_bits);
    uint32_t first_pixel = 0u, first_code = 0u; /* where the input starts in the output */
    for (uint32_t i = 0u; i < l->count; i++) {
        const bb_concat_input *const from = &l->inputs[i];
        const bb_scale scale = bb_scale_of(from->multiplier, from->shift, from->zero_point, from->bits,
                                           l->output_zero_point, l->output_bits);
        const uint32_t input_bytes = bb_pixel_bytes(from->channels, from->bits);
        const uint32_t pixels = (uint32_t)from->height * from->width;
        /* channels first: all pixels of a channel, then the next channel; else all channels of a pixel */
        const uint32_t passes = (l->axis == BB_FLATTEN_CHANNELS_FIRST) ? from->channels : 1u;
        const uint32_t channels = (l->axis == BB_FLATTEN_CHANNELS_FIRST) ? 1u : from->channels;
        uint32_t code = first_code;
        for (uint32_t pass = 0u; pass < passes; pass++) {
            const uint8_t *input = &arena[from->input];
            uint32_t x = 0u, pixel = first_pixel;
            for (uint32_t count = pixels; count != 0u; count--) {
                uint8_t *const output = &arena[l->output + (pixel * output_bytes)];
                for (uint32_t channel = pass; channel < (pass + channels); channel++) {
                    bb_put_code(output, code, l->output_bits,
                                bb_rescaled(&scale, bb_code(input, channel, from->bits)));
                    code++;
                }
                input = &input[input_bytes];
                if (is_flattened == 0u) {
                    code = first_code;
                    pixel++;
                    x++;
                    if (x == from->width) { /* the other inputs follow in the row if they are joined by width */
                        x = 0u;
                        pixel += (uint32_t)l->output_width - from->width;
                    }
                }
            }
        }
        if (l->axis == BB_HEIGHT) {
            first_pixel += pixels;
        } else if (l->axis == BB_WIDTH) {
            first_pixel += from->width;
        } else if (l->axis == BB_CHANNELS) {
            first_code += from->channels;
        } else {
            first_code = code;
        }
    }
}
