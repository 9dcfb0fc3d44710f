/* Two pixels at a time; a last single pixel is computed with the one before again, an only pixel twice. */
BB_KERNEL void bb_pointwise(const void *layer, uint8_t *arena)
{
    const bb_convolution_layer *const l = layer;
    const uint32_t channels = l->group_channels;
    const uint32_t input_bytes = bb_pixel_bytes(channels, l->input_bits);
    const uint32_t output_bytes = bb_pixel_bytes(l->output_channels, l->output_bits);
    const uint32_t pixels = (uint32_t)l->output_height * l->output_width;
    const uint32_t step = (pixels > 1u) ? 1u : 0u; /* from the first pixel of a pair to the second */
    uint32_t *const words = (uint32_t *)(void *)&arena[l->scratch];
    uint8_t *const codes = &arena[l->scratch + (4u * bb_column_codes(l))];
    const uint8_t *input = &arena[l->input];
    uint8_t *output = &arena[l->output];
    const uint32_t done = bb_paired_pixels(l, input, output, words);
    for (uint32_t pixel = done; pixel < pixels; pixel += 2u) {
        uint32_t sums[2];
        if ((pixel + 1u) == pixels) {
            input = &arena[l->input + ((pixel - step) * input_bytes)];
            output = &arena[l->output + ((pixel - step) * output_bytes)];
        }
        if ((channels & 3u) == 0u) {
            sums[0] = l->widen(input, channels >> 2, words, 2u);
            sums[1] = l->widen(&input[step * input_bytes], channels >> 2, &words[BB_COLUMN_WORDS(l->column_groups)], 2u);
        } else {
            for (uint32_t column = 0u; column < 2u; column++) {
                sums[column] = bb_widen_codes(l->widen, &input[column * step * input_bytes], channels, l->input_bits,
                                              &words[column * BB_COLUMN_WORDS(l->column_groups)], 2u);
            }
        }
        bb_store_pair(l, l->rows, words, sums, codes, output, step * output_bytes, 0u);
        input = &input[2u * input_bytes];
        output = &output[2u * output_bytes];
    }
}
