/* Inline functions of the Helium kernels. A vector of weights holds 4 words of one row; the vectors of the columns hold,
   in lane i, the groups that belong to word i. */

/* ---- Widening ---- */

/* Stores the groups in the lanes of a vector, `columns` words apart; `left` groups at most. */
BB_INLINE void bb_store_groups(uint32_t *words, uint32x4_t groups, uint32_t columns, uint32_t left)
{
    const uint32x4_t offsets = vmulq_n_u32(vidupq_n_u32(0u, 4), columns);
    vstrwq_scatter_offset_p_u32(words, offsets, groups, vctp32q(left));
}

/* ---- Groups of columns ---- */

/* Returns words at, at + step, at + 2 step, at + 3 step, of which `left` exist; the others are 0. */
BB_INLINE uint32x4_t bb_words(const uint32_t *at, uint32_t step, uint32_t left)
{
    const uint32x4_t offsets = vmulq_n_u32(vidupq_n_u32(0u, 4), step);
    return (left >= 4u) ? vldrwq_gather_offset_u32(at, offsets)
                        : vldrwq_gather_offset_z_u32(at, offsets, vctp32q(left));
}

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

/* Adds the products of 4 words of weights of one or two rows and a column of 8-, 4- or 2-bit weights' groups; *second is
   left alone if other = 0. */
BB_INLINE void bb_add_8(uint32_t *first, uint32_t *second, uint32x4_t word0, uint32x4_t word1, uint32_t other,
                        uint32x4_t groups)
{
    const uint8x16_t codes = vreinterpretq_u8_u32(groups);
    *first = vmladavaq_u8(*first, vreinterpretq_u8_u32(word0), codes);
    if (other != 0u) {
        *second = vmladavaq_u8(*second, vreinterpretq_u8_u32(word1), codes);
    }
}

BB_INLINE void bb_add_4(uint32_t *first, uint32_t *second, uint32x4_t word0, uint32x4_t word1, uint32_t other,
                        uint32x4_t groups0, uint32x4_t groups1)
{
    const uint8x16_t even = bb_even(groups0, groups1);
    const uint8x16_t odd = bb_odd(groups0, groups1);
    *first = vmladavaq_u8(*first, bb_field(word0, 0, 0xFu), even);
    *first = vmladavaq_u8(*first, vshrq_n_u8(vreinterpretq_u8_u32(word0), 4), odd);
    if (other != 0u) {
        *second = vmladavaq_u8(*second, bb_field(word1, 0, 0xFu), even);
        *second = vmladavaq_u8(*second, vshrq_n_u8(vreinterpretq_u8_u32(word1), 4), odd);
    }
}

BB_INLINE uint32_t bb_sum_2(uint32_t sum, uint32x4_t words, uint8x16_t codes0, uint8x16_t codes1, uint8x16_t codes2,
                            uint8x16_t codes3)
{
    sum = vmladavaq_u8(sum, bb_field(words, 0, 3u), codes0);
    sum = vmladavaq_u8(sum, bb_field(words, 2, 3u), codes1);
    sum = vmladavaq_u8(sum, bb_field(words, 4, 3u), codes2);
    return vmladavaq_u8(sum, vshrq_n_u8(vreinterpretq_u8_u32(words), 6), codes3);
}

BB_INLINE void bb_add_2(uint32_t *first, uint32_t *second, uint32x4_t word0, uint32x4_t word1, uint32_t other,
                        const uint32_t *x, uint32_t columns, uint32_t left)
{
    const uint32x4_t groups0 = bb_words(x, 4u * columns, left);
    const uint32x4_t groups1 = bb_words(&x[columns], 4u * columns, left);
    const uint32x4_t groups2 = bb_words(&x[2u * columns], 4u * columns, left);
    const uint32x4_t groups3 = bb_words(&x[3u * columns], 4u * columns, left);
    const uint8x16_t codes0 = bb_even(groups0, groups2);
    const uint8x16_t codes1 = bb_odd(groups0, groups2);
    const uint8x16_t codes2 = bb_even(groups1, groups3);
    const uint8x16_t codes3 = bb_odd(groups1, groups3);
    *first = bb_sum_2(*first, word0, codes0, codes1, codes2, codes3);
    if (other != 0u) {
        *second = bb_sum_2(*second, word1, codes0, codes1, codes2, codes3);
    }
}

typedef struct {
    uint32_t row0_column0, row0_column1, row1_column0, row1_column1;
} bb_sums;

/* Adds the products of 4 words of weights of each row and both columns. */
BB_INLINE void bb_add_vectors(bb_sums *s, uint32x4_t word0, uint32x4_t word1, uint32_t other, const uint32_t *x,
                              uint32_t columns, uint32_t weight_bits)
{
    if (weight_bits == 2u) {
        bb_add_2(&s->row0_column0, &s->row1_column0, word0, word1, other, x, columns, 4u);
        if (columns == 2u) {
            bb_add_2(&s->row0_column1, &s->row1_column1, word0, word1, other, &x[1], columns, 4u);
        }
    } else if (columns == 1u) {
        if (weight_bits == 8u) {
            bb_add_8(&s->row0_column0, &s->row1_column0, word0, word1, other, vld1q_u32(x));
        } else {
            const uint32x4x2_t groups = vld2q_u32(x);
            bb_add_4(&s->row0_column0, &s->row1_column0, word0, word1, other, groups.val[0], groups.val[1]);
        }
    } else if (weight_bits == 8u) {
        const uint32x4x2_t groups = vld2q_u32(x);
        bb_add_8(&s->row0_column0, &s->row1_column0, word0, word1, other, groups.val[0]);
        bb_add_8(&s->row0_column1, &s->row1_column1, word0, word1, other, groups.val[1]);
    } else {
        const uint32x4x4_t groups = vld4q_u32(x);
        bb_add_4(&s->row0_column0, &s->row1_column0, word0, word1, other, groups.val[0], groups.val[2]);
        bb_add_4(&s->row0_column1, &s->row1_column1, word0, word1, other, groups.val[1], groups.val[3]);
    }
}

/* Adds the products of the last `left` words, 1 to 3. */
BB_INLINE void bb_add_tail(uint32_t *first, uint32_t *second, uint32x4_t word0, uint32x4_t word1, uint32_t other,
                           const uint32_t *x, uint32_t columns, uint32_t left, uint32_t weight_bits)
{
    if (weight_bits == 8u) {
        bb_add_8(first, second, word0, word1, other, bb_words(x, columns, left));
    } else if (weight_bits == 4u) {
        bb_add_4(first, second, word0, word1, other, bb_words(x, 2u * columns, left),
                 bb_words(&x[columns], 2u * columns, left));
    } else {
        bb_add_2(first, second, word0, word1, other, x, columns, left);
    }
}

/* ---- Dot products ---- */

/* Returns the sums of two rows (other = 1) or one (other = 0). */
BB_INLINE bb_sums bb_sums_of(const uint32_t *weights, uint32_t row_words, uint32_t other, const uint32_t *x,
                             uint32_t columns, uint32_t weight_bits)
{
    uint32_t left = row_words;
    bb_sums s = {0u, 0u, 0u, 0u};
    for (; left >= 4u; left -= 4u) {
        uint32x4_t word0, word1;
        if (other != 0u) {
            const uint32x4x2_t pair = vld2q_u32(weights);
            word0 = pair.val[0];
            word1 = pair.val[1];
        } else {
            word0 = vld1q_u32(weights);
            word1 = word0;
        }
        bb_add_vectors(&s, word0, word1, other, x, columns, weight_bits);
        weights = &weights[4u + (4u * other)];
        x = &x[(32u / weight_bits) * columns];
    }
    if (left != 0u) {
        const uint32x4_t word0 = bb_words(weights, 1u + other, left);
        const uint32x4_t word1 = bb_words(&weights[other], 1u + other, left);
        bb_add_tail(&s.row0_column0, &s.row1_column0, word0, word1, other, x, columns, left, weight_bits);
        if (columns == 2u) {
            bb_add_tail(&s.row0_column1, &s.row1_column1, word0, word1, other, &x[1], columns, left, weight_bits);
        }
    }
    return s;
}

/* Constants of 1 to 4 rows. */
typedef struct {
    int32x4_t multiplier; /* m * 2^16 */
    int32x4_t offset;
    uint32x4_t zero_point;
    mve_pred16_t is_row;
    int32_t addend, left_shift;
} bb_row_vector;

BB_INLINE bb_row_vector bb_row_vector_of(const bb_rows *rows, uint32_t row)
{
    const mve_pred16_t is_row = vctp32q((uint32_t)rows->rows - row);
    const int32x4_t constants = vreinterpretq_s32_u32(vldrwq_z_u32(&rows->constants[row], is_row));
    bb_row_vector vector;
    vector.multiplier = vshlq_n_s32(constants, 16);
    vector.offset = vshlq_r_s32(vshrq_n_s32(constants, 16), (int32_t)rows->offset_shift);
    vector.zero_point = (rows->zero_points != NULL) ? vldrbq_z_u32(&rows->zero_points[row], is_row)
                                                    : vdupq_n_u32(rows->zero_point);
    vector.is_row = is_row;
    vector.addend = rows->addend;
    vector.left_shift = -(int32_t)rows->shift;
    return vector;
}

/* Writes the outputs of 1 to 4 rows from their sums of products with one column. The high half of A * (m * 2^16) is
   floor(A * m / 2^16). */
BB_INLINE void bb_put_rows(const bb_row_vector *vector, uint32x4_t sums, uint32_t column_sum, uint8_t *output)
{
    const uint32x4_t centred = vsubq_u32(sums, vmulq_n_u32(vector->zero_point, column_sum));
    const int32x4_t total = vaddq_s32(vreinterpretq_s32_u32(centred), vector->offset);
    int32x4_t code = vaddq_n_s32(vmulhq_s32(total, vector->multiplier), vector->addend);
    code = vshlq_r_s32(code, vector->left_shift);
    code = vminq_s32(vmaxq_s32(code, vdupq_n_s32(0)), vdupq_n_s32(0xFF));
    vstrbq_p_u32(output, vreinterpretq_u32_s32(code), vector->is_row);
}

/* Returns a vector of the sums of 4 rows. */
BB_INLINE uint32x4_t bb_four(uint32_t row0, uint32_t row1, uint32_t row2, uint32_t row3)
{
    uint32x4_t sums = vdupq_n_u32(row0);
    sums = vsetq_lane_u32(row1, sums, 1);
    sums = vsetq_lane_u32(row2, sums, 2);
    return vsetq_lane_u32(row3, sums, 3);
}

/* Four rows at a time, as two pairs; the last rows may be 1 to 3. */
BB_INLINE void bb_vector_dot(const bb_rows *rows, const uint32_t *words, const uint32_t *column_sums, uint8_t *output,
                             uint32_t stride, uint32_t columns, uint32_t weight_bits)
{
    const uint32_t count = rows->rows;
    const uint32_t row_words = rows->row_words;
    const uint32_t *weights = rows->weights;
    for (uint32_t row = 0u; row < count; row += 4u) {
        const uint32_t left = count - row;
        bb_sums first, second = {0u, 0u, 0u, 0u};
        if (left >= 2u) {
            first = bb_sums_of(weights, row_words, 1u, words, columns, weight_bits);
            weights = &weights[2u * row_words];
        } else {
            first = bb_sums_of(weights, row_words, 0u, words, columns, weight_bits);
        }
        if (left >= 4u) {
            second = bb_sums_of(weights, row_words, 1u, words, columns, weight_bits);
            weights = &weights[2u * row_words];
        } else if (left == 3u) {
            second = bb_sums_of(weights, row_words, 0u, words, columns, weight_bits);
        } else {
            /* one or two rows */
        }
        const bb_row_vector vector = bb_row_vector_of(rows, row);
        bb_put_rows(&vector,
                    bb_four(first.row0_column0, first.row1_column0, second.row0_column0, second.row1_column0),
                    column_sums[0], &output[row]);
        if (columns == 2u) {
            bb_put_rows(&vector,
                        bb_four(first.row0_column1, first.row1_column1, second.row0_column1, second.row1_column1),
                        column_sums[1], &output[stride + row]);
        }
    }
}
