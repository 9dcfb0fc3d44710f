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

/* Returns the sum of the codes of one or two inputs (factor of each). */
BB_INLINE int32_t bb_sum_of(uint32_t addend, uint32_t a, uint32_t factor_a, uint32_t b, uint32_t factor_b)
{
    return (int32_t)(addend + (a * factor_a) + (b * factor_b));
}

/* Each byte of the output is written after the codes at its place have been read, so an input may be overwritten. Sums
   are in range, parts of them wrap. */
BB_KERNEL void bb_add(const void *layer, uint8_t *arena)
{
    const bb_add_layer *const l = layer;
    const uint32_t output_bits = l->output_bits;
    const uint32_t top = (1u << output_bits) - 1u;
    const uint32_t row_bytes = bb_pixel_bytes(l->channels, output_bits);
    const uint32_t addend = l->addend_low;
    const uint32_t shift = l->shift;
    const uint32_t narrowing = 8u - output_bits;
    uint8_t *output = &arena[l->output];
    if ((bb_uniform_bits(l) != 0u) && (shift >= narrowing)) {
        const bb_add_input *const last = &l->inputs[l->count - 1u];
        const uint8_t *a = &arena[l->inputs[0].input];
        const uint8_t *b = &arena[last->input];
        const uint8_t *const end = &output[l->pixels * row_bytes];
        const uint32_t factor_a = (uint32_t)l->inputs[0].multiplier;
        const uint32_t factor_b = (l->count == 2u) ? (uint32_t)last->multiplier : 0u;
        if (output_bits != 8u) { /* bits of the output: those of 8 bits, shifted right */
            const uint32_t mask = (1u << output_bits) - 1u;
            do {
                const uint32_t codes_a = *a, codes_b = *b;
                uint32_t byte = 0u, at = 8u;
                do { /* the last code of the byte first */
                    at -= output_bits;
                    const int32_t sum =
                        bb_sum_of(addend, (codes_a >> at) & mask, factor_a, (codes_b >> at) & mask, factor_b);
                    byte = (byte << output_bits) | (bb_saturate(sum >> (shift - narrowing)) >> narrowing);
                } while (at != 0u);
                *output = (uint8_t)byte;
                output = &output[1];
                a = &a[1];
                b = &b[1];
            } while (output != end);
        } else if (l->count == 2u) {
            do {
                *output = (uint8_t)bb_saturate(bb_sum_of(addend, *a, factor_a, *b, factor_b) >> shift);
                output = &output[1];
                a = &a[1];
                b = &b[1];
            } while (output != end);
        } else {
            do {
                *output = (uint8_t)bb_saturate(bb_sum_of(addend, *a, factor_a, 0u, 0u) >> shift);
                output = &output[1];
                a = &a[1];
            } while (output != end);
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
