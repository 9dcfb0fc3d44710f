/* Writes the larger code of each two to the first of some words (1 or more). */
BB_INLINE void bb_keep_larger(uint32_t *largest, const uint32_t *end, const uint32_t *codes, uint32_t highs,
                              uint32_t bits)
{
    const uint32_t *next = codes;
    uint32_t *word = largest;
    do {
        *word = bb_larger(*word, *next, highs, bits);
        word = &word[1];
        next = &next[1];
    } while (word != end);
}

/* At most 8 words of the channels at a time. Pixels that are not made of words are copied first. */
BB_KERNEL void bb_max_pool(const void *layer, uint8_t *arena)
{
    const bb_pool_layer *const l = layer;
    const uint32_t bits = l->input_bits;
    const uint32_t codes_of_byte = (bits == 8u) ? 1u : ((bits == 4u) ? 2u : 4u);
    const uint32_t highs = (bits == 8u) ? 0x80808080u : ((bits == 4u) ? 0x88888888u : 0xAAAAAAAAu);
    const uint32_t pixel_bytes = bb_pixel_bytes(l->channels, bits);
    const uint32_t row_bytes = l->input_width * pixel_bytes;
    const bb_scale scale = bb_scale_of(l->factors->multiplier, l->factors->shift, l->input_zero_point, bits,
                                       l->output_zero_point, l->output_bits);
    uint8_t *output = &arena[l->output];
    for (uint32_t y = 0u; y < l->output_height; y++) {
        const bb_range rows = bb_range_of(y * l->stride_y, l->pad_top, l->kernel_height, l->input_height);
        for (uint32_t x = 0u; x < l->output_width; x++) {
            const bb_range columns = bb_range_of(x * l->stride_x, l->pad_left, l->kernel_width, l->input_width);
            const uint8_t *window = &arena[l->input + (rows.begin * row_bytes) + (columns.begin * pixel_bytes)];
            uint32_t bytes;
            for (uint32_t first = 0u; first < pixel_bytes; first += bytes) {
                uint32_t largest[8], copy[8];
                const uint8_t *row = window;
                bytes = ((pixel_bytes - first) < 32u) ? (pixel_bytes - first) : 32u;
                uint32_t *const end = &largest[(bytes + 3u) >> 2];
                for (uint32_t i = 0u; i < 8u; i++) {
                    largest[i] = 0u;
                    copy[i] = 0u;
                }
                for (uint32_t height = rows.end - rows.begin; height != 0u; height--) {
                    const uint8_t *pixel = row;
                    for (uint32_t width = columns.end - columns.begin; width != 0u; width--) {
                        const uint32_t *words = copy;
                        if ((pixel_bytes & 3u) == 0u) {
                            words = (const uint32_t *)(const void *)pixel;
                        } else {
                            for (uint32_t i = 0u; i < bytes; i++) {
                                ((uint8_t *)(void *)copy)[i] = pixel[i];
                            }
                        }
                        if ((BB_LEVEL != 0) && (bits == 8u)) {
                            bb_keep_larger(largest, end, words, 0u, 8u);
                        } else {
                            bb_keep_larger(largest, end, words, highs, bits);
                        }
                        pixel = &pixel[pixel_bytes];
                    }
                    row = &row[row_bytes];
                }
                window = &window[bytes];
                {
                    const uint32_t code = first * codes_of_byte;
                    const uint32_t count = bytes * codes_of_byte;
                    const uint32_t left = l->channels - code;
                    bb_move_codes(&scale, output, code, l->output_bits, (const uint8_t *)(const void *)largest, bits,
                                  (count < left) ? count : left);
                }
            }
            output = &output[bb_pixel_bytes(l->channels, l->output_bits)];
        }
    }
}
