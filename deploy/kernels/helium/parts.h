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

typedef struct {
    uint8x16_t codes[4]; /* for each field of the weights' bytes */
} bb_fields;

/* Returns the codes of a column for 4 words of weights, in the order of the fields of the weights' bytes. */
BB_INLINE bb_fields bb_column(const uint32_t *x, uint32_t columns, uint32_t left, uint32_t weight_bits)
{
    bb_fields column;
    if (weight_bits == 8u) {
        column.codes[0] = vreinterpretq_u8_u32(bb_words(x, columns, left));
    } else if (weight_bits == 4u) {
        const uint32x4_t first = bb_words(x, 2u * columns, left);
        const uint32x4_t second = bb_words(&x[columns], 2u * columns, left);
        column.codes[0] = bb_even(first, second);
        column.codes[1] = bb_odd(first, second);
    } else {
        const uint32x4_t first = bb_words(x, 4u * columns, left);
        const uint32x4_t second = bb_words(&x[columns], 4u * columns, left);
        const uint32x4_t third = bb_words(&x[2u * columns], 4u * columns, left);
        const uint32x4_t fourth = bb_words(&x[3u * columns], 4u * columns, left);
        column.codes[0] = bb_even(first, third);
        column.codes[1] = bb_odd(first, third);
        column.codes[2] = bb_even(second, fourth);
        column.codes[3] = bb_odd(second, fourth);
    }
    return column;
}

/* Adds the products of 4 words of weights and a column. */
BB_INLINE uint32_t bb_add_products(uint32_t sum, uint32x4_t words, const bb_fields *column, uint32_t weight_bits)
{
    if (weight_bits == 8u) {
        sum = vmladavaq_u8(sum, vreinterpretq_u8_u32(words), column->codes[0]);
    } else if (weight_bits == 4u) {
        sum = vmladavaq_u8(sum, bb_field(words, 0, 0xFu), column->codes[0]);
        sum = vmladavaq_u8(sum, vshrq_n_u8(vreinterpretq_u8_u32(words), 4), column->codes[1]);
    } else {
        sum = vmladavaq_u8(sum, bb_field(words, 0, 3u), column->codes[0]);
        sum = vmladavaq_u8(sum, bb_field(words, 2, 3u), column->codes[1]);
        sum = vmladavaq_u8(sum, bb_field(words, 4, 3u), column->codes[2]);
        sum = vmladavaq_u8(sum, vshrq_n_u8(vreinterpretq_u8_u32(words), 6), column->codes[3]);
    }
    return sum;
}

/* ---- Outputs ---- */

/* Returns floor(total * m / 2^16) + addend, m in the lower half of a word of constants. */
BB_INLINE int32_t bb_multiply_add(uint32_t total, uint32_t constant, int32_t addend)
{
    int32_t steps;
    __asm("smlawb %0, %1, %2, %3" : "=r"(steps) : "r"(total), "r"(constant), "r"(addend));
    return steps;
}

/* Writes the outputs of a row for all columns. */
BB_INLINE void bb_put_row(const bb_rows *rows, uint32_t row, const uint32_t *row_sums, const uint32_t *sums,
                          uint8_t *output, uint32_t stride, uint32_t columns)
{
    const uint32_t constant = rows->constants[row];
    const uint32_t offset = (uint32_t)((int32_t)constant >> 16) << rows->offset_shift;
    const uint32_t zero_point = (rows->zero_points != NULL) ? rows->zero_points[row] : rows->zero_point;
    for (uint32_t column = 0u; column < columns; column++) {
        const uint32_t total = row_sums[column] + offset - (zero_point * sums[column]);
        const int32_t steps = bb_multiply_add(total, constant, rows->addend) >> rows->shift;
        uint32_t code;
        __asm("usat %0, #8, %1" : "=r"(code) : "r"(steps));
        output[(column * stride) + row] = (uint8_t)code;
    }
}

/* ---- Dot products ---- */

/* Computes two rows (other = 1) or one (other = 0). */
BB_INLINE void bb_vector_rows(const bb_rows *rows, uint32_t row, uint32_t other, const uint32_t *weights,
                              const uint32_t *words, const uint32_t *sums, uint8_t *output, uint32_t stride,
                              uint32_t columns, uint32_t weight_bits)
{
    const uint32_t *x = words;
    uint32_t first[2] = {0u, 0u}, second[2] = {0u, 0u};
    uint32_t left = rows->row_words;
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
        for (uint32_t column = 0u; column < columns; column++) {
            const bb_fields codes = bb_column(&x[column], columns, 4u, weight_bits);
            first[column] = bb_add_products(first[column], word0, &codes, weight_bits);
            if (other != 0u) {
                second[column] = bb_add_products(second[column], word1, &codes, weight_bits);
            }
        }
        weights = &weights[4u + (4u * other)];
        x = &x[(32u / weight_bits) * columns];
    }
    if (left != 0u) {
        const uint32x4_t word0 = bb_words(weights, 1u + other, left);
        const uint32x4_t word1 = bb_words(&weights[other], 1u + other, left);
        for (uint32_t column = 0u; column < columns; column++) {
            const bb_fields codes = bb_column(&x[column], columns, left, weight_bits);
            first[column] = bb_add_products(first[column], word0, &codes, weight_bits);
            if (other != 0u) {
                second[column] = bb_add_products(second[column], word1, &codes, weight_bits);
            }
        }
    }
    bb_put_row(rows, row, first, sums, output, stride, columns);
    if (other != 0u) {
        bb_put_row(rows, row + 1u, second, sums, output, stride, columns);
    }
}

BB_INLINE void bb_vector_dot(const bb_rows *rows, const uint32_t *words, const uint32_t *sums, uint8_t *output,
                             uint32_t stride, uint32_t columns, uint32_t weight_bits)
{
    const uint32_t *weights = rows->weights;
    uint32_t row = 0u;
    for (; (row + 1u) < rows->rows; row += 2u) {
        bb_vector_rows(rows, row, 1u, weights, words, sums, output, stride, columns, weight_bits);
        weights = &weights[2u * (uint32_t)rows->row_words];
    }
    if (row < rows->rows) {
        bb_vector_rows(rows, row, 0u, weights, words, sums, output, stride, columns, weight_bits);
    }
}
