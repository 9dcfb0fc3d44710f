/* Returns the bits of the codes if one or two inputs and the output have the same and pixels fill whole bytes, else
   0. */
BB_INLINE uint32_t bb_uniform_bits(const bb_add_layer *l)
{
    uint32_t bits = ((l->count <= 2u) && (((l->channels * (uint32_t)l->output_bits) & 7u) == 0u)) ? l->output_bits : 0u;
    for (uint32_t i = 0u; i < l->count; i++) {
        if (l->inputs[i].bits != l->output_bits) {
            bits = 0u;
        }
    }
    return bits;
}

/* Each byte of the output is written after the codes at its place have been read, so an input may be overwritten. Sums
   are in range, parts of them wrap. */
BB_KERNEL void bb_add(const void *layer, uint8_t *arena)
{
    const bb_add_layer *const l = layer;
    const uint32_t output_bits = l->output_bits;
    const uint32_t top = (1u << output_bits) - 1u;
    const uint32_t row_bytes = bb_pixel_bytes(l->channels, output_bits);
    uint32_t bytes = l->pixels * row_bytes;
    const uint32_t addend = l->addend_low;
    const uint32_t shift = l->shift;
    uint8_t *const output = &arena[l->output];
    if (bb_uniform_bits(l) != 0u) {
        const bb_add_input *const last = &l->inputs[l->count - 1u];
        const uint8_t *const a = &arena[l->inputs[0].input];
        const uint8_t *const b = &arena[last->input];
        const uint32_t factor_a = (uint32_t)l->inputs[0].multiplier;
        const uint32_t factor_b = (l->count == 2u) ? (uint32_t)last->multiplier : 0u;
        if (output_bits == 8u) {
            for (uint32_t i = 0u; i < bytes; i++) {
                const uint32_t sum = addend + (a[i] * factor_a) + (b[i] * factor_b);
                output[i] = (uint8_t)bb_clamp((int32_t)sum >> shift, 0xFFu);
            }
            bytes = 0u;
        }
        for (uint32_t i = 0u; i < bytes; i++) {
            const uint32_t codes_a = a[i], codes_b = b[i];
            uint32_t byte = 0u, at = 8u;
            do { /* the last code of the byte first */
                at -= output_bits;
                const uint32_t sum =
                    addend + (((codes_a >> at) & top) * factor_a) + (((codes_b >> at) & top) * factor_b);
                byte = (byte << output_bits) | bb_clamp((int32_t)sum >> shift, top);
            } while (at != 0u);
            output[i] = (uint8_t)byte;
        }
    } else {
        uint8_t *next = output;
        for (uint32_t pixel = 0u; pixel < l->pixels; pixel++) {
            uint32_t byte = 0u, at = 0u;
            for (uint32_t channel = 0u; channel < l->channels; channel++) {
                uint32_t sum = addend;
                for (uint32_t i = 0u; i < l->count; i++) {
                    const bb_add_input *const input = &l->inputs[i];
                    const uint32_t start = input->input + (pixel * bb_pixel_bytes(l->channels, input->bits));
                    sum += bb_code(&arena[start], channel, input->bits) * (uint32_t)input->multiplier;
                }
                byte |= bb_clamp((int32_t)sum >> shift, top) << at;
                at += output_bits;
                if ((at == 8u) || ((channel + 1u) == l->channels)) {
                    next[0] = (uint8_t)byte;
                    next = &next[1];
                    byte = 0u;
                    at = 0u;
                }
            }
        }
    }
}
