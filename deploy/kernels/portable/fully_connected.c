BB_KERNEL void bb_fully_connected(const void *layer, uint8_t *arena)
{
    const bb_convolution_layer *const l = layer;
    const uint32_t pixels = (uint32_t)l->input_height * l->input_width;
    const uint32_t count = pixels * l->group_channels;
    const uint8_t *input = &arena[l->input];
    uint32_t *const words = (uint32_t *)(void *)&arena[l->scratch];
    uint8_t *const codes = &arena[l->scratch + (2u * bb_column_codes(l))];
    if ((pixels > 1u) && ((((uint32_t)l->group_channels * l->input_bits) & 7u) != 0u)) {
        /* Pixels have unused bits: the gaps are closed, at the place of the output codes. */
        const uint32_t pixel_bytes = bb_pixel_bytes(l->group_channels, l->input_bits);
        uint32_t index = 0u;
        for (uint32_t pixel = 0u; pixel < pixels; pixel++) {
            for (uint32_t channel = 0u; channel < l->group_channels; channel++) {
                bb_put_code(codes, index, l->input_bits, bb_code(input, channel, l->input_bits));
                index++;
            }
            input = &input[pixel_bytes];
        }
        input = codes;
    }
    const uint32_t sum = bb_widen_codes(l->widen, input, count, l->input_bits, words, 1u);
    if (l->pack == NULL) {
        l->dot(l->rows, words, &sum, &arena[l->output], 0u);
    } else {
        l->dot(l->rows, words, &sum, codes, 0u);
        l->pack(codes, l->rows->rows, &arena[l->output]);
    }
}
