/* Inline functions that kernels share. */

/* ---- Packed codes ---- */

BB_INLINE uint32_t bb_pixel_bytes(uint32_t channels, uint32_t bits)
{
    return ((channels * bits) + 7u) >> 3;
}

BB_INLINE uint32_t bb_code(const uint8_t *codes, uint32_t index, uint32_t bits)
{
    const uint32_t bit = index * bits;
    return ((uint32_t)codes[bit >> 3] >> (bit & 7u)) & ((1u << bits) - 1u);
}

/* Writes a code; the codes of a byte are written in order, the first one clears the others. */
BB_INLINE void bb_put_code(uint8_t *codes, uint32_t index, uint32_t bits, uint32_t code)
{
    const uint32_t bit = index * bits;
    const uint32_t before = ((bit & 7u) == 0u) ? 0u : (uint32_t)codes[bit >> 3];
    codes[bit >> 3] = (uint8_t)(before | (code << (bit & 7u)));
}

BB_INLINE uint32_t bb_clamp(int32_t value, uint32_t top)
{
    return (value < 0) ? 0u : (((uint32_t)value > top) ? top : (uint32_t)value);
}

/* ---- Requantization by a 32-bit multiplier: clamp(z + floor(v * m / 2^n + 1/2), 0, top) ---- */

/* Returns floor(1/2 * 2^n) of a shift n from 0 to 62, without a 64-bit shift by a variable (a call on some cores). */
BB_INLINE int64_t bb_half(uint32_t shift)
{
    uint64_t half = 0u;
    if (shift > 32u) {
        half = (uint64_t)(1u << (shift - 33u)) << 32;
    } else if (shift > 0u) {
        half = 1u << (shift - 1u);
    } else {
        /* no fraction, nothing to round */
    }
    return (int64_t)half;
}

/* Returns clamp(z + floor(value / 2^shift), 0, top) of |value| < 2^63 - 2^61, in 32-bit steps. */
BB_INLINE uint32_t bb_code_of(int64_t value, uint32_t shift, uint32_t zero_point, uint32_t top)
{
    const int32_t high = (int32_t)(value >> 32);
    int32_t steps;
    if (shift >= 32u) {
        steps = high >> (shift - 32u);
    } else {
        const int32_t above = (high >> (shift >> 1)) >> (shift - (shift >> 1)); /* never by 31 at once */
        const uint32_t low = (((uint32_t)high << 1) << (31u - shift)) | ((uint32_t)((uint64_t)value) >> shift);
        if (above >= 0) {
            steps = ((above > 0) || (low > 0xFFu)) ? 0xFF : (int32_t)low;
        } else {
            steps = ((above < -1) || (low < 0xFFFFFF00u)) ? -0x100 : (int32_t)low;
        }
    }
    return bb_clamp(steps + (int32_t)zero_point, top);
}

/* ---- Columns ---- */

/* Codes of which a call of bb_widen takes a multiple, if it is not the last of a column. */
BB_INLINE uint32_t bb_piece_codes(uint32_t bits)
{
    return (bits == 2u) ? 16u : 4u;
}

/* Widens `count` packed codes that start on a byte; the last group is filled up with 0. */
BB_INLINE uint32_t bb_widen_codes(bb_widen widen, const uint8_t *codes, uint32_t count, uint32_t bits, uint32_t *words,
                                  uint32_t columns)
{
    const uint32_t rest = ((count & 3u) != 0u) ? (count & (bb_piece_codes(bits) - 1u)) : 0u;
    const uint32_t groups = (count - rest) >> 2;
    uint32_t sum = 0u;
    if (groups != 0u) {
        sum = widen(codes, groups, words, columns);
    }
    if (rest != 0u) {
        uint8_t tail[4] = {0u, 0u, 0u, 0u}; /* up to 3 codes, or up to 15 of 2 bits */
        for (uint32_t i = 0u; i < rest; i++) {
            bb_put_code(tail, i, bits, bb_code(codes, (4u * groups) + i, bits));
        }
        sum += widen(tail, (rest + 3u) >> 2, &words[groups * BB_GROUP_STEP(columns)], columns);
    }
    return sum;
}

/* Codes of a column in scratch: rounded up to 16, so that its size does not depend on the bits of the weights. */
BB_INLINE uint32_t bb_column_codes(const bb_convolution_layer *layer)
{
    return ((4u * layer->column_groups) + 15u) & ~15u;
}

/* Computes the rows of one group for two columns and stores them in two pixels, `step` bytes apart (0: one pixel), from
   channel `first` on. `codes` is scratch for the output codes of both. */
BB_INLINE void bb_store_pair(const bb_convolution_layer *layer, const bb_rows *rows, const uint32_t *words,
                             const uint32_t *sums, uint8_t *codes, uint8_t *pixel, uint32_t step, uint32_t first)
{
    if (layer->pack == NULL) {
        layer->dot(rows, words, sums, &pixel[first], step);
    } else {
        const uint32_t stride = ((uint32_t)rows->rows + 3u) & ~3u;
        const uint32_t bits = layer->output_bits;
        layer->dot(rows, words, sums, codes, stride);
        for (uint32_t column = 0u; column < 2u; column++) {
            const uint8_t *const from = &codes[column * stride];
            uint8_t *const to = &pixel[column * step];
            if (((first * bits) & 7u) == 0u) {
                layer->pack(from, rows->rows, &to[(first * bits) >> 3]);
            } else { /* the group starts inside a byte */
                for (uint32_t i = 0u; i < rows->rows; i++) {
                    bb_put_code(to, first + i, bits, bb_clamp((int32_t)from[i], (1u << bits) - 1u));
                }
            }
        }
    }
}
