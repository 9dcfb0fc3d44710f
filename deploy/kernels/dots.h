/* Dot products of rows of weights and widened columns, in plain C for all levels. The number of columns, the bits of
   the weights and the form are constants at each use. */

/* Returns an output of the narrow form: floor(A * m / 2^16) by two 32-bit products, then rounding, zero point and shift
   at once. */
BB_INLINE uint32_t bb_narrow_output(const bb_rows *rows, uint32_t row, uint32_t sum, uint32_t weight_bits)
{
    const uint32_t constant = rows->constants[row];
    const int32_t multiplier = (int32_t)(int16_t)(uint16_t)(constant & 0xFFFFu);
    const uint32_t offset = (uint32_t)((int32_t)constant >> 16) << rows->offset_shift;
    const uint32_t total = (sum + offset) << (8u - weight_bits);
    const int32_t high = ((int32_t)total >> 16) * multiplier;
    const int32_t low = ((int32_t)(total & 0xFFFFu) * multiplier) >> 16;
    return bb_clamp((high + low + rows->addend) >> rows->shift, 0xFFu);
}

BB_INLINE uint32_t bb_wide_output(const bb_rows *rows, uint32_t row, uint32_t sum)
{
    const uint32_t *const constants = &rows->constants[3u * row];
    const int32_t total = (int32_t)(constants[0] + (uint32_t)((int32_t)sum >> rows->shift));
    const int64_t product = ((int64_t)total * (int32_t)constants[1]) + bb_half(constants[2]);
    return bb_code_of(product, constants[2], (uint32_t)rows->addend, 0xFFu);
}

/* Returns the number of thresholds that the sum reaches, by bisection: there are 2^b - 1, in ascending order. */
BB_INLINE uint32_t bb_threshold_output(const bb_rows *rows, uint32_t row, uint32_t sum)
{
    const uint32_t *const constants = &rows->constants[row * (2u + (uint32_t)rows->levels)];
    const int32_t total = (int32_t)((constants[1] + (uint32_t)((int32_t)sum >> rows->shift)) * constants[0]);
    uint32_t code = 0u;
    for (uint32_t step = ((uint32_t)rows->levels + 1u) >> 1; step != 0u; step >>= 1) {
        if (total >= (int32_t)constants[1u + code + step]) {
            code += step;
        }
    }
    return code;
}

/* Returns the output of a row and a column; sum: of the products of raw weights. */
BB_INLINE uint32_t bb_row_output(const bb_rows *rows, uint32_t row, uint32_t sum, uint32_t column_sum,
                                 uint32_t weight_bits, uint32_t form)
{
    const uint32_t zero_point = (rows->zero_points != NULL) ? rows->zero_points[row] : rows->zero_point;
    const uint32_t centred = sum - (zero_point * column_sum);
    uint32_t output;
    if (form == BB_NARROW) {
        output = bb_narrow_output(rows, row, centred, weight_bits);
    } else if (form == BB_WIDE) {
        output = bb_wide_output(rows, row, centred);
    } else {
        output = bb_threshold_output(rows, row, centred);
    }
    return output;
}

/* Cores with 8 registers for arithmetic: two rows by two columns do not fit. */
#ifndef BB_FEW_REGISTERS
#if (BB_LEVEL == 0) && (defined(__ARM_ARCH_6M__) || defined(__ARM_ARCH_8M_BASE__))
#define BB_FEW_REGISTERS 1
#else
#define BB_FEW_REGISTERS 0
#endif
#endif

/* Two rows at a time and a last single row, or all rows one by one. */
BB_INLINE void bb_dot_rows(const bb_rows *rows, const uint32_t *words, const uint32_t *sums, uint8_t *output,
                           uint32_t stride, uint32_t columns, uint32_t weight_bits, uint32_t form)
{
    const uint32_t step = BB_GROUP_STEP(columns); /* words from a group to the next of the same column */
    const uint32_t next = step * (8u / weight_bits); /* the same of weight words */
    const uint32_t second = BB_COLUMN_WORDS(rows->row_words * (8u / weight_bits)); /* words to the second column */
    /* The comparison with thresholds is slow anyway, and its code shorter so. */
    const uint32_t is_single = (((BB_FEW_REGISTERS == 1) || (form == BB_THRESHOLDS)) && (columns == 2u)) ? 1u : 0u;
    const uint32_t *weights = rows->weights;
    uint32_t count;
    for (uint32_t row = 0u; row < rows->rows; row += count) {
        uint32_t products[4]; /* row 0 of columns 0 and 1, row 1 of both */
        count = ((is_single == 0u) && ((row + 1u) < rows->rows)) ? 2u : 1u;
        if (count == 2u) {
            const uint32_t *x = words;
            const uint32_t *const end = &weights[2u * (uint32_t)rows->row_words];
            uint32_t sum00 = 0u, sum01 = 0u, sum10 = 0u, sum11 = 0u;
            while (weights != end) {
                const uint32_t word0 = weights[0];
                const uint32_t word1 = weights[1];
                sum00 = bb_add_products(sum00, word0, x, step, weight_bits);
                sum10 = bb_add_products(sum10, word1, x, step, weight_bits);
                if (columns == 2u) {
                    sum01 = bb_add_products(sum01, word0, &x[second], step, weight_bits);
                    sum11 = bb_add_products(sum11, word1, &x[second], step, weight_bits);
                }
                weights = &weights[2];
                x = &x[next];
            }
            products[0] = sum00;
            products[1] = sum01;
            products[2] = sum10;
            products[3] = sum11;
        } else {
            const uint32_t is_paired = ((is_single == 1u) && ((row | 1u) < rows->rows)) ? 1u : 0u; /* interleaved */
            const uint32_t odd = row & is_paired;
            const uint32_t pass = (is_single == 1u) ? 2u : 1u; /* columns at once */
            const uint32_t *const first = &rows->weights[((row - odd) * rows->row_words) + odd];
            const uint32_t *const end = &first[(uint32_t)rows->row_words << is_paired];
            for (uint32_t column = 0u; column < columns; column += pass) {
                const uint32_t *x = &words[column * second];
                uint32_t sum0 = 0u, sum1 = 0u; /* sum1: only of two columns at once */
                for (weights = first; weights != end; weights = &weights[1u + is_paired]) {
                    const uint32_t word = weights[0];
                    sum0 = bb_add_products(sum0, word, x, step, weight_bits);
                    if (pass == 2u) {
                        sum1 = bb_add_products(sum1, word, &x[second], step, weight_bits);
                    }
                    x = &x[next];
                }
                products[column] = sum0;
                if (pass == 2u) {
                    products[1] = sum1;
                }
            }
        }
        for (uint32_t i = 0u; i < count; i++) {
            for (uint32_t column = 0u; column < columns; column++) {
                const uint32_t sum = products[(2u * i) + column];
                output[(column * stride) + row + i] =
                    (uint8_t)bb_row_output(rows, row + i, sum, sums[column], weight_bits, form);
            }
        }
    }
}
