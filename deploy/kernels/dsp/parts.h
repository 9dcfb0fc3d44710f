/* Parts of the DSP kernels in assembler. They are naked functions: compilers keep neither the two by two accumulators
   nor the loads of several registers together, and all 14 registers are used. */

#define BB_NAKED __attribute__((naked, noinline, aligned(4)))
#define BB_UNUSED __attribute__((unused)) /* an argument that the assembler finds in its register */

/* Adds the products of a pair of codes of weights and of one or two columns. */
#define BB_MAC1(pair, x, sum) "smlad " sum ", " pair ", " x ", " sum "\n"
#define BB_MAC2(pair, x0, x1, sum0, sum1) BB_MAC1(pair, x0, sum0) BB_MAC1(pair, x1, sum1)

/* ---- Dot products: what dot1_parts.h and dot2_parts.h share ----

   Weights of 4 and 2 bits are taken out of their words multiplied by 2^d, d = 8 minus their bits (240 and 192 are int16
   as well), so that sums are those of 8-bit weights. What is added to them is multiplied by 2^d once a call.

   An output is clamp(z_y + floor(A * m / 2^(16 + s) + 1/2)), A = sum + (o << (k + e + d)) - z_w * sum of the column. As
   s is 1 to 16, m * -2^(16 - s) is an int32, and SMMLSR z_y - A * m * -2^(16 - s) / 2^32 is exact, with its rounding.
   Both factors are halfwords of one word F, 2^(k + e + d) in the upper half (0 or -2^15 if k + e + d > 14) and
   -2^(16 - s) in the lower half. Sums are modulo 2^32; that SMLAD and SMLATT may set the Q flag has no effect.

   Each function walks over pairs of rows. What it needs lies on the stack ("slots") in the order of registers: one load
   of several registers starts a pair, with the accumulators, and jumps into the unrolled loop, whose last turn is
   complete; another one fetches what the stores need. The widened columns (r0) and the weights (lr) advance together.

   In the rare case of a zero point for each row, or of k + e + d > 14, a pair starts at label 21 (k + e + d <= 14)
   or 26 and goes from there to the loop. Label 26 adds o times 2^(k + e + d) - F / 2^16, so nothing is added twice.

   Fields of bb_rows: weights 0, constants 4, zero_points 8, addend 12, rows 16, row_words 18, zero_point 20,
   offset_shift 21, shift 22. */

#define BB_EXTRA_8 "0" /* d */
#define BB_EXTRA_4 "4"
#define BB_EXTRA_2 "6"
#define BB_SCALE_8(value)
#define BB_SCALE_4(value) "lsl " value ", " value ", #4\n"
#define BB_SCALE_2(value) "lsl " value ", " value ", #6\n"

/* Makes F in `factors` (before: zero_points) and z_y in `addend` out of the word at offset 20, `fields`. Leaves "higher
   or same" in the flags in the rare case, and -2^d * z_w in `fields`. */
#define BB_FACTORS(bits, factors, addend, fields, free0, free1)                                                       \
    "lsr " free0 ", " fields ", #16\n"                                                                                \
    "asr " addend ", " addend ", " free0 "\n"                                                                         \
    "mov " free1 ", #0x80000000\n"                                                                                    \
    "asr " free1 ", " free1 ", " free0 "\n"                                                                           \
    "ubfx " free0 ", " fields ", #8, #8\n"                                                                            \
    "cmp " free0 ", #14 - " BB_EXTRA_##bits "\n"                                                                      \
    "it ls\n"                                                                                                         \
    "cmpls " factors ", #1\n"                                                                                         \
    "mov " factors ", #0x10000 << " BB_EXTRA_##bits "\n"                                                              \
    "lsl " factors ", " factors ", " free0 "\n"                                                                       \
    "pkhtb " factors ", " factors ", " free1 ", asr #15\n"                                                            \
    "uxtb " fields ", " fields "\n"                                                                                   \
    "rsb " fields ", " fields ", #0\n" BB_SCALE_##bits(fields)

/* Number of words or pairs of words of a turn, less 1; half as many with -Os. */
#ifdef __OPTIMIZE_SIZE__
#define BB_TURN(fast, small) small
#else
#define BB_TURN(fast, small) fast
#endif

/* Sets the entry of the loop (label 3) for rows of `count` words. words: of a turn, less 1; word_bytes: of its code for
   a word. */
#define BB_ENTRY(count, words, word_bytes, entry, free0, free1)                                                       \
    "rsb " free0 ", " count ", #0\n"                                                                                  \
    "and " free0 ", " free0 ", #" words "\n"                                                                          \
    "mov " free1 ", #" word_bytes "\n"                                                                                \
    "adr.w " entry ", 3f + 1\n"                                                                                       \
    "mla " entry ", " free0 ", " free1 ", " entry "\n"
