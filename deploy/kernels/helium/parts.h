/* Inline functions of the Helium kernels. A vector of weights holds 4 words of one row; the vectors of the columns hold,
   in lane i, the groups that belong to word i. */

/* ---- Products ---- */

/* Returns in each halfword the bytes 0 of first and second: (k0, k2) and (k0', k2') become k0, k0', k2, k2'. */
BB_INLINE uint8x16_t bb_even(uint32x4_t first, uint32x4_t second)
{
    return vmovntq_u16(vreinterpretq_u8_u32(first), vreinterpretq_u16_u32(second));
}

/* Returns in each halfword the bytes 1 of first and second. */
BB_INLINE uint8x16_t bb_odd(uint32x4_t first, uint32x4_t second)
{
    return vshrnbq_n_u16(vreinterpretq_u8_u32(second), vreinterpretq_u16_u32(first), 8);
}

/* Returns the codes of all weights at one position of their bytes. */
BB_INLINE uint8x16_t bb_field(uint32x4_t words, const int shift, uint32_t mask)
{
    const uint8x16_t bytes = vreinterpretq_u8_u32(words);
    return vandq_u8((shift == 0) ? bytes : vshrq_n_u8(bytes, (shift == 0) ? 1 : shift), vdupq_n_u8((uint8_t)mask));
}

/* Sums of two rows (first and second) and up to two columns. */
typedef struct {
    uint32_t first0, second0, first1, second1;
} bb_sums;

BB_INLINE void bb_add_8(uint32_t *first, uint32_t *second, uint32x4_t word0, uint32x4_t word1, uint32x4_t groups)
{
    const uint8x16_t codes = vreinterpretq_u8_u32(groups);
    *first = vmladavaq_u8(*first, vreinterpretq_u8_u32(word0), codes);
    *second = vmladavaq_u8(*second, vreinterpretq_u8_u32(word1), codes);
}

BB_INLINE void bb_add_4(uint32_t *first, uint32_t *second, uint32x4_t word0, uint32x4_t word1, uint32x4_t groups0,
                        uint32x4_t groups1)
{
    const uint8x16_t even = bb_even(groups0, groups1);
    const uint8x16_t odd = bb_odd(groups0, groups1);
    *first = vmladavaq_u8(*first, bb_field(word0, 0, 0xFu), even);
    *second = vmladavaq_u8(*second, bb_field(word1, 0, 0xFu), even);
    *first = vmladavaq_u8(*first, vshrq_n_u8(vreinterpretq_u8_u32(word0), 4), odd);
    *second = vmladavaq_u8(*second, vshrq_n_u8(vreinterpretq_u8_u32(word1), 4), odd);
}

BB_INLINE void bb_add_2(uint32_t *first, uint32_t *second, uint32x4_t word0, uint32x4_t word1, uint32x4_t groups0,
                        uint32x4_t groups1, uint32x4_t groups2, uint32x4_t groups3)
{
    const uint8x16_t even0 = bb_even(groups0, groups2);
    const uint8x16_t odd0 = bb_odd(groups0, groups2);
    const uint8x16_t even1 = bb_even(groups1, groups3);
    const uint8x16_t odd1 = bb_odd(groups1, groups3);
    *first = vmladavaq_u8(*first, bb_field(word0, 0, 3u), even0);
    *second = vmladavaq_u8(*second, bb_field(word1, 0, 3u), even0);
    *first = vmladavaq_u8(*first, bb_field(word0, 2, 3u), odd0);
    *second = vmladavaq_u8(*second, bb_field(word1, 2, 3u), odd0);
    *first = vmladavaq_u8(*first, bb_field(word0, 4, 3u), even1);
    *second = vmladavaq_u8(*second, bb_field(word1, 4, 3u), even1);
    *first = vmladavaq_u8(*first, vshrq_n_u8(vreinterpretq_u8_u32(word0), 6), odd1);
    *second = vmladavaq_u8(*second, vshrq_n_u8(vreinterpretq_u8_u32(word1), 6), odd1);
}

/* Returns an address as it is, hidden from the compiler: GCC 12 advances the address of an interleaving load by a
   register, which these instructions do not have. */
BB_INLINE const uint32_t *bb_address(const uint32_t *at)
{
    __asm("" : "+r"(at));
    return at;
}

/* Adds the products of 4 words of weights and one column, which is contiguous. */
BB_INLINE void bb_add_column(uint32_t *first, uint32_t *second, uint32x4_t word0, uint32x4_t word1, const uint32_t *x,
                             uint32_t weight_bits)
{
    if (weight_bits == 8u) {
        bb_add_8(first, second, word0, word1, vld1q_u32(x));
    } else if (weight_bits == 4u) {
        const uint32x4x2_t groups = vld2q_u32(bb_address(x));
        bb_add_4(first, second, word0, word1, groups.val[0], groups.val[1]);
    } else {
        const uint32x4x4_t groups = vld4q_u32(bb_address(x));
        bb_add_2(first, second, word0, word1, groups.val[0], groups.val[1], groups.val[2], groups.val[3]);
    }
}

/* Returns words at, at + step, ... of the lanes that exist; the others are 0. */
BB_INLINE uint32x4_t bb_words(const uint32_t *at, uint32x4_t offsets, mve_pred16_t lanes)
{
    return vldrwq_gather_shifted_offset_z_u32(at, offsets, lanes);
}

/* The same as bb_add_column for the lanes that exist. `multiples`: 0, 1, 2, 3. */
BB_INLINE void bb_add_some(uint32_t *first, uint32_t *second, uint32x4_t word0, uint32x4_t word1, const uint32_t *x,
                           uint32x4_t multiples, mve_pred16_t lanes, uint32_t weight_bits)
{
    const uint32x4_t offsets = vmulq_n_u32(multiples, 8u / weight_bits);
    if (weight_bits == 8u) {
        bb_add_8(first, second, word0, word1, bb_words(x, offsets, lanes));
    } else if (weight_bits == 4u) {
        bb_add_4(first, second, word0, word1, bb_words(x, offsets, lanes), bb_words(&x[1], offsets, lanes));
    } else {
        bb_add_2(first, second, word0, word1, bb_words(x, offsets, lanes), bb_words(&x[1], offsets, lanes),
                 bb_words(&x[2], offsets, lanes), bb_words(&x[3], offsets, lanes));
    }
}

/* ---- Dot products ---- */

/* Returns the sums of two rows; of an odd last row (step = 1), both are its sum. */
BB_INLINE bb_sums bb_sums_of(const uint32_t *weights, uint32_t row_words, uint32_t step, const uint32_t *x,
                             uint32_t column_words, uint32_t columns, uint32_t weight_bits)
{
    uint32_t left = row_words;
    bb_sums s = {0u, 0u, 0u, 0u};
    if (step == 2u) {
        for (; left >= 4u; left -= 4u) {
            const uint32x4x2_t pair = vld2q_u32(weights);
            bb_add_column(&s.first0, &s.second0, pair.val[0], pair.val[1], x, weight_bits);
            if (columns == 2u) {
                bb_add_column(&s.first1, &s.second1, pair.val[0], pair.val[1], &x[column_words], weight_bits);
            }
            weights = &weights[8];
            x = &x[32u / weight_bits];
        }
    }
    while (left != 0u) { /* the last words, and all words of a single row */
        const uint32_t count = (left < 4u) ? left : 4u;
        const mve_pred16_t lanes = vctp32q(count);
        const uint32x4_t multiples = vidupq_n_u32(0u, 1);
        const uint32x4_t offsets = vmulq_n_u32(multiples, step);
        const uint32x4_t word0 = bb_words(weights, offsets, lanes);
        const uint32x4_t word1 = bb_words(&weights[step - 1u], offsets, lanes);
        bb_add_some(&s.first0, &s.second0, word0, word1, x, multiples, lanes, weight_bits);
        if (columns == 2u) {
            bb_add_some(&s.first1, &s.second1, word0, word1, &x[column_words], multiples, lanes, weight_bits);
        }
        left -= count;
        weights = &weights[count * step];
        x = &x[count * (8u / weight_bits)];
    }
    return s;
}

/* Writes the outputs of `left` rows (4 at most) from their sums of products with each column. The high half of
   A * (m * 2^16) is floor(A * m / 2^16). */
BB_INLINE void bb_put_rows(const bb_rows *rows, uint32_t row, uint32_t left, const uint32_t row_sums[2][4],
                           const uint32_t *column_sums, uint8_t *output, uint32_t stride, uint32_t columns, uint32_t weight_bits)
{
    const mve_pred16_t is_row = vctp32q(left);
    const int32x4_t constants = vreinterpretq_s32_u32(vldrwq_z_u32(&rows->constants[row], is_row));
    const int32x4_t multipliers = vshlq_n_s32(constants, 16);
    const int32x4_t offsets = vshlq_r_s32(vshrq_n_s32(constants, 16), (int32_t)rows->offset_shift);
    const uint32x4_t zero_points = (rows->zero_points != NULL) ? vldrbq_z_u32(&rows->zero_points[row], is_row)
                                                               : vdupq_n_u32(rows->zero_point);
    const int32_t addend = rows->addend;
    const int32_t shift = -(int32_t)rows->shift;
    for (uint32_t column = 0u; column < columns; column++) {
        const uint32x4_t sums = vld1q_u32(row_sums[column]);
        const uint32x4_t centred = vsubq_u32(sums, vmulq_n_u32(zero_points, column_sums[column]));
        const int32x4_t total =
            vshlq_r_s32(vaddq_s32(vreinterpretq_s32_u32(centred), offsets), (int32_t)(8u - weight_bits));
        int32x4_t code = vaddq_n_s32(vmulhq_s32(total, multipliers), addend);
        code = vshlq_r_s32(code, shift);
        code = vminq_s32(vmaxq_s32(code, vdupq_n_s32(0)), vdupq_n_s32(0xFF));
        vstrbq_p_u32(&output[(column * stride) + row], vreinterpretq_u32_s32(code), is_row);
    }
}

/* Four rows at a time, as two pairs; the last rows may be 1 to 3. */
BB_INLINE void bb_vector_dot(const bb_rows *rows, const uint32_t *words, const uint32_t *column_sums, uint8_t *output,
                             uint32_t stride, uint32_t columns, uint32_t weight_bits)
{
    const uint32_t count = rows->rows;
    const uint32_t row_words = rows->row_words;
    const uint32_t column_words = BB_COLUMN_WORDS(row_words * (8u / weight_bits));
    const uint32_t *weights = rows->weights;
    uint32_t sums[2][4]; /* column, row */
    for (uint32_t row = 0u; row < count; row += 2u) {
        const uint32_t left = count - row;
        const bb_sums s =
            bb_sums_of(weights, row_words, (left > 1u) ? 2u : 1u, words, column_words, columns, weight_bits);
        weights = &weights[2u * row_words];
        sums[0][row & 2u] = s.first0;
        sums[0][(row & 2u) + 1u] = s.second0;
        sums[1][row & 2u] = s.first1;
        sums[1][(row & 2u) + 1u] = s.second1;
        if (((row & 2u) != 0u) || (left <= 2u)) {
            const uint32_t first = row & ~3u;
            bb_put_rows(rows, first, count - first, sums, column_sums, output, stride, columns, weight_bits);
        }
    }
}
