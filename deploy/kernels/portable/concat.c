/* Input by input, a pixel's codes at a time. A flattened output is one long pixel. */
BB_KERNEL void bb_concat(const void *layer, uint8_t *arena)
{
    const bb_concat_layer *const l = layer;
    const uint32_t output_bits = l->output_bits;
    const uint32_t output_bytes = bb_pixel_bytes(l->output_channels, output_bits);
    uint8_t *output = &arena[l->output]; /* the pixel where the input starts */
    uint32_t first = 0u;                 /* the code of this pixel where it starts */
    for (uint32_t i = 0u; i < l->count; i++) {
        const bb_concat_input *const from = &l->inputs[i];
        const uint32_t bits = from->bits;
        const uint32_t channels = from->channels;
        const uint32_t pixels = (uint32_t)from->height * from->width;
        const uint32_t input_bytes = bb_pixel_bytes(channels, bits);
        const bb_scale scale =
            bb_scale_of(from->multiplier, from->shift, from->zero_point, bits, l->output_zero_point, output_bits);
        const uint8_t *input = &arena[from->input];
        uint8_t *to = output;
        if ((l->axis == BB_FLATTEN_CHANNELS_FIRST) && (pixels > 1u)) { /* all pixels of a channel, then the next one */
            for (uint32_t channel = 0u; channel < channels; channel++) {
                for (uint32_t pixel = 0u; pixel < pixels; pixel++) {
                    const uint32_t code = bb_code(&input[pixel * input_bytes], channel, bits);
                    bb_put_code(output, first, output_bits, bb_rescaled_8(&scale, code) >> (8u - output_bits));
                    first++;
                }
            }
        } else {
            uint32_t x = from->width;
            for (uint32_t left = pixels; left != 0u; left--) {
                bb_move_codes(&scale, to, first, output_bits, input, bits, channels);
                input = &input[input_bytes];
                if (l->axis >= BB_FLATTEN_CHANNELS_LAST) {
                    first += channels;
                } else {
                    to = &to[output_bytes];
                    x--;
                    if (x == 0u) { /* the other inputs follow in the row if they are joined by width */
                        x = from->width;
                        to = &to[(l->output_width - x) * output_bytes];
                    }
                }
            }
            if (l->axis == BB_HEIGHT) {
                output = to;
            } else if (l->axis == BB_WIDTH) {
                output = &output[from->width * output_bytes];
            } else if (l->axis == BB_CHANNELS) {
                first += channels;
            } else {
                /* `first` has advanced */
            }
        }
    }
}
