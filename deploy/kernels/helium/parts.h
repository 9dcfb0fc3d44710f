/* Inline functions of the Helium kernels. A vector of weights holds 4 words of one row; the vectors of the columns
   hold, in lane i, the groups that belong to word i. */

/* ---- Copies ---- */

typedef struct {
    uint32_t word;
} __attribute__((packed, may_alias)) bb_unaligned;

/* Copies codes of 8 bits, four at a time: these cores load and store words at any address. */
BB_INLINE void bb_copy_codes(uint8_t *to, const uint8_t *from, uint32_t count)
{
    const uint8_t *const end = &from[count];
    for (; count >= 4u; count -= 4u) {
        ((bb_unaligned *)(void *)to)->word = ((const bb_unaligned *)(const void *)from)->word;
        to = &to[4];
        from = &from[4];
    }
    while (from != end) {
        *to = *from;
        to = &to[1];
        from = &from[1];
    }
}

/* ---- Dot products ---- */

/* Keeps a vector that is made of the value from being computed once for all rows and held on the stack. */
#define BB_RECOMPUTE(value) __asm__ volatile("" : "+r"(value))

/* Returns the codes of the lowest fields of both halfwords, one in each byte, in the order of a group of a column. */
BB_INLINE uint8x16_t bb_group_of(uint32x4_t words, uint32_t weight_bits)
{
    const uint32_t mask = ((1u << weight_bits) - 1u) * 0x00010001u;
    uint32x4_t codes = words;
    if (weight_bits != 8u) {
        /* compilers want a number as shift */
        const uint32x4_t upper = (weight_bits == 4u) ? vshlq_n_u32(words, 4) : vshlq_n_u32(words, 6);
        codes = vorrq_u32(vandq_u32(words, vdupq_n_u32(mask)), vandq_u32(upper, vdupq_n_u32(mask << 8)));
    }
    return vreinterpretq_u8_u32(codes);
}

/* Adds the products of `left` words of two rows and one column; of an odd last row (step = 1), both are its sum. Lanes
   that do not exist are not read. */
BB_INLINE void bb_add_words(uint32_t *sums, const uint32_t *weights, uint32_t left, uint32_t step, const uint32_t *x,
                            uint32_t weight_bits)
{
    const uint32_t groups = 8u / weight_bits;
    uint32_t zero = 0u;
    BB_RECOMPUTE(zero);
    const uint32x4_t multiples = vidupq_n_u32(zero, 1);
    const uint32x4_t word_offsets = vmulq_n_u32(multiples, step);
    const uint32x4_t group_offsets = vmulq_n_u32(multiples, groups);
    uint32_t first = sums[0], second = sums[1];
    for (uint32_t count = left; count != 0u; count = (count > 4u) ? (count - 4u) : 0u) {
        const mve_pred16_t lanes = vctp32q(count);
        uint32x4_t word0 = vldrwq_gather_shifted_offset_z_u32(weights, word_offsets, lanes);
        uint32x4_t word1 = vldrwq_gather_shifted_offset_z_u32(&weights[step - 1u], word_offsets, lanes);
        for (uint32_t i = 0u; i < groups; i++) {
            const uint8x16_t codes =
                vreinterpretq_u8_u32(vldrwq_gather_shifted_offset_z_u32(&x[i], group_offsets, lanes));
            first = vmladavaq_u8(first, bb_group_of(word0, weight_bits), codes);
            second = vmladavaq_u8(second, bb_group_of(word1, weight_bits), codes);
            word0 = (weight_bits == 4u) ? vshrq_n_u32(word0, 8) : vshrq_n_u32(word0, 4);
            word1 = (weight_bits == 4u) ? vshrq_n_u32(word1, 8) : vshrq_n_u32(word1, 4);
        }
        weights = &weights[4u * step];
        x = &x[4u * groups];
    }
    sums[0] = first;
    sums[1] = second;
}

/* Writes the outputs of `left` rows (4 at most) from their sums of products with each column. The high half of
   A * (m * 2^16) is floor(A * m / 2^16). */
BB_INLINE void bb_put_rows(const bb_rows *rows, uint32_t row, uint32_t left, const uint32_t row_sums[2][4],
                           const uint32_t *column_sums, uint8_t *output, uint32_t stride, uint32_t columns,
                           uint32_t weight_bits)
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
        /* saturates to 16, then to 8 bits; what is above them is not stored */
        const uint16x8_t halves = vqmovunbq_s32(vreinterpretq_u16_s32(code), code);
        const uint8x16_t bytes = vqmovnbq_u16(vreinterpretq_u8_u16(halves), halves);
        vstrbq_p_u32(&output[(column * stride) + row], vreinterpretq_u32_u8(bytes), is_row);
    }
}

/* Products of 4 words of four rows (two pairs) with one or two columns. The accumulators of these instructions are even
   registers, and a compiler would not keep eight of them. Weights at r1 and r3, columns at r5 and r9. */
#define BB_LOAD_PAIR(first, second, at)                                                                               \
    "vld20.32 {" first ", " second "}, [" at "]\n"                                                                    \
    "vld21.32 {" first ", " second "}, [" at "]!\n"

/* What belongs to a second column, which a dot product of one column leaves out. */
#define BB_WITH(text) text
#define BB_WITHOUT(text)

#define BB_FOUR_ROWS_8(SECOND)                                                                                        \
    BB_LOAD_PAIR("q0", "q1", "r1")                                                                                    \
    "vldrw.u32 q4, [r5], #16\n"                                                                                       \
    "vmladava.u8 r0, q0, q4\n"                                                                                        \
    SECOND("vldrw.u32 q5, [r9], #16\n")                                                                               \
    "vmladava.u8 r2, q1, q4\n"                                                                                        \
    "vld20.32 {q2, q3}, [r3]\n"                                                                                       \
    SECOND("vmladava.u8 r8, q0, q5\n")                                                                                \
    "vld21.32 {q2, q3}, [r3]!\n"                                                                                      \
    SECOND("vmladava.u8 r10, q1, q5\n")                                                                               \
    "vmladava.u8 r4, q2, q4\n"                                                                                        \
    "vmladava.u8 r6, q3, q4\n"                                                                                        \
    SECOND("vmladava.u8 r12, q2, q5\n")                                                                               \
    SECOND("vmladava.u8 lr, q3, q5\n")

/* One row of 4-bit weights: columns in q2, q6 (even and odd codes of the first) and q3, q5 (of the second). */
#define BB_ROW_4(SECOND, word, first, second)                                                                         \
    "vshr.u8 q4, " word ", #4\n"                                                                                      \
    "vmladava.u8 " first ", q4, q6\n"                                                                                 \
    "vand " word ", " word ", q7\n"                                                                                   \
    SECOND("vmladava.u8 " second ", q4, q5\n")                                                                        \
    "vmladava.u8 " first ", " word ", q2\n"                                                                           \
    SECOND("vmladava.u8 " second ", " word ", q3\n")

#define BB_FOUR_ROWS_4(SECOND)                                                                                        \
    BB_LOAD_PAIR("q5", "q6", "r5")                                                                                    \
    "vmov q2, q5\n"                                                                                                   \
    "vmovnt.i16 q2, q6\n"                                                                                             \
    "vshrnb.i16 q6, q5, #8\n"                                                                                         \
    SECOND(BB_LOAD_PAIR("q4", "q5", "r9"))                                                                            \
    SECOND("vmov q3, q4\n")                                                                                           \
    SECOND("vmovnt.i16 q3, q5\n")                                                                                     \
    SECOND("vshrnb.i16 q5, q4, #8\n")                                                                                 \
    BB_LOAD_PAIR("q0", "q1", "r1")                                                                                    \
    BB_ROW_4(SECOND, "q0", "r0", "r8")                                                                                \
    BB_ROW_4(SECOND, "q1", "r2", "r10")                                                                               \
    BB_LOAD_PAIR("q0", "q1", "r3")                                                                                    \
    BB_ROW_4(SECOND, "q0", "r4", "r12")                                                                               \
    BB_ROW_4(SECOND, "q1", "r6", "lr")

/* One row of 2-bit weights and one column: codes 0, 1, 2 and 3 of each byte belong to q0, q2, q1 and q3. */
#define BB_ROW_2(word, sum)                                                                                           \
    "vand q6, " word ", q7\n"                                                                                         \
    "vmladava.u8 " sum ", q6, q0\n"                                                                                   \
    "vshr.u8 " word ", " word ", #2\n"                                                                                \
    "vand q6, " word ", q7\n"                                                                                         \
    "vmladava.u8 " sum ", q6, q2\n"                                                                                   \
    "vshr.u8 " word ", " word ", #2\n"                                                                                \
    "vand q6, " word ", q7\n"                                                                                         \
    "vmladava.u8 " sum ", q6, q1\n"                                                                                   \
    "vshr.u8 " word ", " word ", #2\n"                                                                                \
    "vmladava.u8 " sum ", " word ", q3\n"

#define BB_FOUR_ROWS_2                                                                                                \
    "vld40.32 {q0, q1, q2, q3}, [r5]\n"                                                                               \
    "vld41.32 {q0, q1, q2, q3}, [r5]\n"                                                                               \
    "vld42.32 {q0, q1, q2, q3}, [r5]\n"                                                                               \
    "vld43.32 {q0, q1, q2, q3}, [r5]!\n"                                                                              \
    "vmov q6, q0\n"                                                                                                   \
    "vmovnt.i16 q0, q2\n"                                                                                             \
    "vshrnb.i16 q2, q6, #8\n"                                                                                         \
    "vmov q6, q1\n"                                                                                                   \
    "vmovnt.i16 q1, q3\n"                                                                                             \
    "vshrnb.i16 q3, q6, #8\n"                                                                                         \
    "vld20.32 {q4, q5}, [r1]\n"                                                                                       \
    "vld21.32 {q4, q5}, [r1]!\n"                                                                                      \
    BB_ROW_2("q4", "r0")                                                                                              \
    BB_ROW_2("q5", "r2")                                                                                              \
    "vld20.32 {q4, q5}, [r3]\n"                                                                                       \
    "vld21.32 {q4, q5}, [r3]!\n"                                                                                      \
    BB_ROW_2("q4", "r4")                                                                                              \
    BB_ROW_2("q5", "r6")

#define BB_TURNS(start, turn, second_operands)                                                                        \
    __asm__ volatile(start "1:\n" turn "subs r11, #1\n"                                                               \
                     "bne 1b\n"                                                                                       \
                     : "+r"(a0), "+r"(a1), "+r"(a2), "+r"(a3), "+r"(first), "+r"(second), "+r"(x),                    \
                       "+r"(left)second_operands                                                                      \
                     :                                                                                                \
                     : "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "cc", "memory")
#define BB_ONE_COLUMN
#define BB_TWO_COLUMNS , "+r"(y), "+r"(b0), "+r"(b1), "+r"(b2), "+r"(b3)

/* Keeps stores of registers from being collected in a vector on the stack first. */
#define BB_IN_ORDER __asm__ volatile("" : : : "memory")

/* Writes the sums of products of four rows with each column, of the first `row_words` / 4 * 4 words. */
BB_INLINE void bb_sum_four_rows(uint32_t sums[2][4], const uint32_t *weights, uint32_t row_words, const uint32_t *column,
                                uint32_t column_words, uint32_t columns, uint32_t weight_bits)
{
    register const uint32_t *first __asm__("r1") = weights;
    register const uint32_t *second __asm__("r3") = &weights[2u * row_words];
    register const uint32_t *x __asm__("r5") = column;
    register uint32_t left __asm__("r11") = row_words >> 2;
    register uint32_t a0 __asm__("r0") = 0u, a1 __asm__("r2") = 0u, a2 __asm__("r4") = 0u, a3 __asm__("r6") = 0u;
    if (columns == 1u) {
        if (weight_bits == 8u) {
            BB_TURNS("", BB_FOUR_ROWS_8(BB_WITHOUT), BB_ONE_COLUMN);
        } else if (weight_bits == 4u) {
            BB_TURNS("vmov.i8 q7, #15\n", BB_FOUR_ROWS_4(BB_WITHOUT), BB_ONE_COLUMN);
        } else {
            BB_TURNS("vmov.i8 q7, #3\n", BB_FOUR_ROWS_2, BB_ONE_COLUMN);
        }
    } else {
        register const uint32_t *y __asm__("r9") = &column[column_words];
        register uint32_t b0 __asm__("r8") = 0u, b1 __asm__("r10") = 0u, b2 __asm__("r12") = 0u, b3 __asm__("lr") = 0u;
        if (weight_bits == 8u) {
            BB_TURNS("", BB_FOUR_ROWS_8(BB_WITH), BB_TWO_COLUMNS);
        } else {
            BB_TURNS("vmov.i8 q7, #15\n", BB_FOUR_ROWS_4(BB_WITH), BB_TWO_COLUMNS);
        }
        sums[1][0] = b0;
        sums[1][1] = b1;
        BB_IN_ORDER;
        sums[1][2] = b2;
        sums[1][3] = b3;
        BB_IN_ORDER;
    }
    sums[0][0] = a0;
    sums[0][1] = a1;
    BB_IN_ORDER;
    sums[0][2] = a2;
    sums[0][3] = a3;
}

/* Four rows at a time, as two pairs; the last rows may be 1 to 3. Words of a row after the last multiple of 4, and all
   words of the last rows, are read one by one: nothing behind them is. */
BB_INLINE void bb_vector_dot(const bb_rows *rows, const uint32_t *words, const uint32_t *column_sums, uint8_t *output,
                             uint32_t stride, uint32_t columns, uint32_t weight_bits)
{
    const uint32_t row_words = rows->row_words;
    const uint32_t word_groups = 8u / weight_bits;
    const uint32_t column_words = BB_COLUMN_WORDS(row_words * word_groups);
    const uint32_t *weights = rows->weights;
    uint32_t sums[2][4]; /* column, row */
    for (uint32_t row = 0u; row < rows->rows; row += 4u) {
        const uint32_t left = rows->rows - row;
        uint32_t start = 0u;
        if ((left >= 4u) && (row_words >= 4u)) {
            if (weight_bits == 2u) { /* loads its weights for each column anyway */
                for (uint32_t column = 0u; column < columns; column++) {
                    BB_RECOMPUTE(column);
                    bb_sum_four_rows(&sums[column], weights, row_words, &words[column * column_words], 0u, 1u, 2u);
                }
            } else {
                bb_sum_four_rows(sums, weights, row_words, words, column_words, columns, weight_bits);
            }
            start = row_words & ~3u;
        } else {
            for (uint32_t i = 0u; i < 4u; i++) {
                sums[0][i] = 0u;
                sums[1][i] = 0u;
            }
        }
        if (start != row_words) {
            for (uint32_t pair = 0u; (pair < 4u) && (pair < left); pair += 2u) {
                const uint32_t step = ((left - pair) > 1u) ? 2u : 1u;
                for (uint32_t column = 0u; column < columns; column++) {
                    bb_add_words(&sums[column][pair], &weights[(pair * row_words) + (start * step)], row_words - start,
                                 step, &words[(column * column_words) + (start * word_groups)], weight_bits);
                }
            }
        }
        weights = &weights[4u * row_words];
        bb_put_rows(rows, row, left, sums, column_sums, output, stride, columns, weight_bits);
    }
}
