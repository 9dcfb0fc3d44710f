/* As bb_add, with sums of 64 bits. */
BB_KERNEL void bb_add_wide(const void *layer, uint8_t *arena)
{
    const bb_add_layer *const l = layer;
    const uint64_t addend = ((uint64_t)l->addend_high << 32) | l->addend_low;
    uint8_t *output = &arena[l->output];
    for (uint32_t pixel = 0u; pixel < l->pixels; pixel++) {
        uint32_t byte = 0u, shift = 0u;
        for (uint32_t channel = 0u; channel < l->channels; channel++) {
            uint64_t sum = addend;
            for (uint32_t i = 0u; i < l->count; i++) {
                const bb_add_input *const input = &l->inputs[i];
                const uint32_t start = input->input + (pixel * bb_pixel_bytes(l->channels, input->bits));
                const int32_t code = (int32_t)bb_code(&arena[start], channel, input->bits);
                sum += (uint64_t)((int64_t)code * input->multiplier);
            }
            byte |= bb_code_of((int64_t)sum, l->shift, 0u, (1u << l->output_bits) - 1u) << shift;
            shift += l->output_bits;
            if ((shift == 8u) || ((channel + 1u) == l->channels)) {
                output[0] = (uint8_t)byte;
                output = &output[1];
                byte = 0u;
                shift = 0u;
            }
        }
    }
}
