/* Assembler text that the DSP kernels share. The kernels are naked functions: compilers keep neither the two by two
   accumulators nor the loads of several registers together, and all 14 registers are used.

   Each walks over pairs of rows. What a pair needs lies on the stack in the order of registers, so that one load of
   several registers fetches it: r0 is in slot 0 and so on. The widened columns (r0) and the weights (lr) advance
   together; a pair enters the unrolled loop in the middle, so that the last turn is always complete.

   Fields of bb_rows: weights 0, constants 4, zero_points 8, addend 12, rows 16, row_words 18, zero_point 20,
   offset_shift 21, shift 22. */

#define BB_NAKED __attribute__((naked, noinline, aligned(4)))
#define BB_UNUSED __attribute__((unused)) /* an argument that the assembler finds in its register */

/* ---- Two columns. Slots: 0 columns, 1 end of the columns or mask, 2 entry of the loop, 3 zero points (0: one for all
   rows; 1: likewise, k + e > 14), 4 2^(k + e), 5 and 6 sums of the columns (with one zero point for all rows: -z_w *
   sum), 7 constants, 8 and 9 outputs, 10 addend, 11 shift, 12 end of the constants of pairs, 13 rows, 14 end of the
   columns. Accumulators: r8 (row 0, column 0), r9 (0, 1), r10 (1, 0), r11 (1, 1). ---- */

/* slot_bytes: of all slots; stack_bytes: with the 9 registers; word_shift: log2 of the bytes of both columns that
   belong to a word of weights. Leaves the number of words of a row in r12, of pairs of rows in r0, slot 14 in r1. */
#define BB_DOT2_START(slot_bytes, stack_bytes, word_shift)                                                            \
    ".syntax unified\n"                                                                                               \
    "push {r4-r11, lr}\n"                                                                                             \
    "sub sp, sp, #" slot_bytes "\n"                                                                                   \
    "str r0, [sp, #52]\n"                                                                                             \
    "str r1, [sp]\n"                                                                                                  \
    "mov r8, r3\n"                                                                                                    \
    "ldr r9, [sp, #" stack_bytes "]\n"                                                                                \
    "add r9, r9, r3\n"                                                                                                \
    "ldrd r5, r6, [r2]\n"                                                                                             \
    "ldr lr, [r0]\n"                                                                                                  \
    "ldrd r7, r3, [r0, #4]\n"                                                                                         \
    "ldr r10, [r0, #12]\n"                                                                                            \
    "ldrb r11, [r0, #22]\n"                                                                                           \
    "ldrb r4, [r0, #21]\n"                                                                                            \
    "mov r12, #1\n"                                                                                                   \
    "lsl r4, r12, r4\n"                                                                                               \
    "cbnz r3, 1f\n"                                                                                                   \
    "ldrb r12, [r0, #20]\n"                                                                                           \
    "rsb r12, r12, #0\n"                                                                                              \
    "mul r5, r5, r12\n"                                                                                               \
    "mul r6, r6, r12\n"                                                                                               \
    "lsrs r3, r4, #15\n"                                                                                              \
    "it ne\n"                                                                                                         \
    "movne r3, #1\n"                                                                                                  \
    "1:\n"                                                                                                            \
    "ldrh r12, [r0, #18]\n"                                                                                           \
    "ldrh r0, [r0, #16]\n"                                                                                            \
    "lsr r0, r0, #1\n"                                                                                                \
    "add r1, r1, r12, lsl #" word_shift "\n"                                                                          \
    "str r1, [sp, #56]\n"

/* Stores the slots. words: of a turn of the loop (label 3), less 1; word_bytes: of its code for a word. */
#define BB_DOT2_SLOTS(words, word_bytes)                                                                              \
    "rsb r12, r12, #0\n"                                                                                              \
    "and r12, r12, #" words "\n"                                                                                      \
    "mov r2, #" word_bytes "\n"                                                                                       \
    "mul r12, r12, r2\n"                                                                                              \
    "adr.w r2, 3f\n"                                                                                                  \
    "add r2, r2, r12\n"                                                                                               \
    "add r2, r2, #1\n"                                                                                                \
    "add r12, r7, r0, lsl #3\n"                                                                                       \
    "ldr r0, [sp]\n"                                                                                                  \
    "stm sp, {r0-r12}\n"                                                                                              \
    "cmp r7, r12\n"                                                                                                   \
    "beq.w 6f\n"

/* Starts the accumulators of a pair with (o << (k + e)) - z_w * sum, one instruction each if 2^(k + e) is an int16 and
   there is one zero point for all rows. Ends with `next`, and again behind the macro. */
#define BB_DOT2_PAIR(next)                                                                                            \
    "2:\n"                                                                                                            \
    "ldm sp, {r0-r7}\n"                                                                                               \
    "ldrd r7, r12, [r7]\n"                                                                                            \
    "cbz r3, 1f\n"                                                                                                    \
    "asr r7, r7, #16\n"                                                                                               \
    "asr r12, r12, #16\n"                                                                                             \
    "mul r8, r7, r4\n"                                                                                                \
    "mul r10, r12, r4\n"                                                                                              \
    "mov r7, #-1\n"                                                                                                   \
    "mov r12, #-1\n"                                                                                                  \
    "cmp r3, #1\n"                                                                                                    \
    "ittt ne\n"                                                                                                       \
    "ldrbne r7, [r3], #1\n"                                                                                           \
    "ldrbne r12, [r3], #1\n"                                                                                          \
    "strne r3, [sp, #12]\n"                                                                                           \
    "mls r9, r6, r7, r8\n"                                                                                            \
    "mls r8, r5, r7, r8\n"                                                                                            \
    "mls r11, r6, r12, r10\n"                                                                                         \
    "mls r10, r5, r12, r10\n"                                                                                         \
    next "1:\n"                                                                                                       \
    "smlatb r8, r7, r4, r5\n"                                                                                         \
    "smlatb r9, r7, r4, r6\n"                                                                                         \
    "smlatb r10, r12, r4, r5\n"                                                                                       \
    "smlatb r11, r12, r4, r6\n"

/* Requantizes and stores a pair: floor(A * m / 2^16) with zero point and rounding in the addend, shift, clamp. */
#define BB_DOT2_STORE                                                                                                 \
    "add r6, sp, #28\n"                                                                                               \
    "ldm r6, {r0-r5}\n"                                                                                               \
    "ldrd r7, r12, [r0], #8\n"                                                                                        \
    "smlawb r8, r8, r7, r3\n"                                                                                         \
    "smlawb r9, r9, r7, r3\n"                                                                                         \
    "smlawb r10, r10, r12, r3\n"                                                                                      \
    "smlawb r11, r11, r12, r3\n"                                                                                      \
    "asr r8, r8, r4\n"                                                                                                \
    "asr r9, r9, r4\n"                                                                                                \
    "asr r10, r10, r4\n"                                                                                              \
    "asr r11, r11, r4\n"                                                                                              \
    "usat r8, #8, r8\n"                                                                                               \
    "usat r9, #8, r9\n"                                                                                               \
    "usat r10, #8, r10\n"                                                                                             \
    "usat r11, #8, r11\n"                                                                                             \
    "strb r8, [r1], #1\n"                                                                                             \
    "strb r10, [r1], #1\n"                                                                                            \
    "strb r9, [r2], #1\n"                                                                                             \
    "strb r11, [r2], #1\n"                                                                                            \
    "stm r6, {r0-r2}\n"                                                                                               \
    "cmp r0, r5\n"                                                                                                    \
    "bne.w 2b\n"

/* A last single row: starts r8 and r9 and leaves to label 7, which it ends with BB_DOT2_STORE_SINGLE. */
#define BB_DOT2_SINGLE                                                                                                \
    "6:\n"                                                                                                            \
    "ldr r0, [sp, #52]\n"                                                                                             \
    "ldrh r0, [r0, #16]\n"                                                                                            \
    "lsls r0, r0, #31\n"                                                                                              \
    "beq.w 9f\n"                                                                                                      \
    "ldm sp, {r0-r7}\n"                                                                                               \
    "ldrsh r7, [r7, #2]\n"                                                                                            \
    "mul r8, r7, r4\n"                                                                                                \
    "mov r7, #-1\n"                                                                                                   \
    "cmp r3, #1\n"                                                                                                    \
    "it hi\n"                                                                                                         \
    "ldrbhi r7, [r3]\n"                                                                                               \
    "mls r9, r6, r7, r8\n"                                                                                            \
    "mls r8, r5, r7, r8\n"                                                                                            \
    "ldr r12, [sp, #56]\n"

#define BB_DOT2_STORE_SINGLE(slot_bytes)                                                                              \
    "add r6, sp, #28\n"                                                                                               \
    "ldm r6, {r0-r4}\n"                                                                                               \
    "ldrsh r7, [r0]\n"                                                                                                \
    "smlawb r8, r8, r7, r3\n"                                                                                         \
    "smlawb r9, r9, r7, r3\n"                                                                                         \
    "asr r8, r8, r4\n"                                                                                                \
    "asr r9, r9, r4\n"                                                                                                \
    "usat r8, #8, r8\n"                                                                                               \
    "usat r9, #8, r9\n"                                                                                               \
    "strb r8, [r1]\n"                                                                                                 \
    "strb r9, [r2]\n"                                                                                                 \
    "9:\n"                                                                                                            \
    "add sp, sp, #" slot_bytes "\n"                                                                                   \
    "pop {r4-r11, pc}\n"

/* Adds the products of a pair of codes of weights and of one or two columns. */
#define BB_MAC1(pair, x, sum) "smlad " sum ", " pair ", " x ", " sum "\n"
#define BB_MAC2(pair, x0, x1, sum0, sum1) BB_MAC1(pair, x0, sum0) BB_MAC1(pair, x1, sum1)

/* The pairs of codes at a shift of the words r6 and r7 (single: of r6), masked by r1; x0 and x1 are of the columns. */
#define BB_FIELD2(shift, x0, x1)                                                                                      \
    "and r12, r1, r6" shift "\n" BB_MAC2("r12", x0, x1, "r8", "r9")                                                   \
    "and r12, r1, r7" shift "\n" BB_MAC2("r12", x0, x1, "r10", "r11")
#define BB_FIELD2_SINGLE(shift, x0, x1) "and r7, r1, r6" shift "\n" BB_MAC2("r7", x0, x1, "r8", "r9")

/* A group of 4 codes of both columns. */
#define BB_GROUP2(field, first, second)                                                                               \
    "ldm r0!, {r2-r5}\n" field(first, "r2", "r4") field(second, "r3", "r5")

/* ---- One column. Slots: 0 column, 1 its end, 2 entry of the loop, 3 zero points (0: one for all rows; 1: likewise,
   k + e > 14), 4 2^(k + e), 5 sum of the column (with one zero point for all rows: -z_w * sum), 6 mask, 7 constants,
   8 output, 9 addend, 10 shift, 11 end of the constants of pairs, 12 rows. Accumulators: r10, r11. ---- */

/* word_shift: log2 of the bytes of the column that belong to a word of weights. Leaves the number of words of a row in
   r12. */
#define BB_DOT1_START(word_shift)                                                                                     \
    ".syntax unified\n"                                                                                               \
    "push {r4-r11, lr}\n"                                                                                             \
    "sub sp, sp, #64\n"                                                                                               \
    "str r0, [sp, #48]\n"                                                                                             \
    "str r1, [sp]\n"                                                                                                  \
    "mov r8, r3\n"                                                                                                    \
    "ldr r5, [r2]\n"                                                                                                  \
    "ldr lr, [r0]\n"                                                                                                  \
    "ldrd r7, r3, [r0, #4]\n"                                                                                         \
    "ldr r9, [r0, #12]\n"                                                                                             \
    "ldrb r10, [r0, #22]\n"                                                                                           \
    "ldrb r4, [r0, #21]\n"                                                                                            \
    "mov r12, #1\n"                                                                                                   \
    "lsl r4, r12, r4\n"                                                                                               \
    "cbnz r3, 1f\n"                                                                                                   \
    "ldrb r12, [r0, #20]\n"                                                                                           \
    "rsb r12, r12, #0\n"                                                                                              \
    "mul r5, r5, r12\n"                                                                                               \
    "lsrs r3, r4, #15\n"                                                                                              \
    "it ne\n"                                                                                                         \
    "movne r3, #1\n"                                                                                                  \
    "1:\n"                                                                                                            \
    "ldrh r12, [r0, #18]\n"                                                                                           \
    "ldrh r0, [r0, #16]\n"                                                                                            \
    "lsr r0, r0, #1\n"                                                                                                \
    "add r11, r7, r0, lsl #3\n"                                                                                       \
    "add r1, r1, r12, lsl #" word_shift "\n"

/* Sets the entry. words: of a turn of the loop (label 3), less 1; word_bytes: of its code for a word. */
#define BB_DOT1_ENTRY(words, word_bytes)                                                                              \
    "rsb r12, r12, #0\n"                                                                                              \
    "and r12, r12, #" words "\n"                                                                                      \
    "mov r2, #" word_bytes "\n"                                                                                       \
    "mul r12, r12, r2\n"                                                                                              \
    "adr.w r2, 3f\n"                                                                                                  \
    "add r2, r2, r12\n"                                                                                               \
    "add r2, r2, #1\n"

#define BB_DOT1_SLOTS                                                                                                 \
    "ldr r0, [sp]\n"                                                                                                  \
    "stm sp, {r0-r11}\n"                                                                                              \
    "cmp r7, r11\n"                                                                                                   \
    "beq.w 6f\n"

#define BB_DOT1_PAIR(next)                                                                                            \
    "2:\n"                                                                                                            \
    "ldm sp, {r0-r7}\n"                                                                                               \
    "ldrd r7, r12, [r7]\n"                                                                                            \
    "cbz r3, 1f\n"                                                                                                    \
    "asr r7, r7, #16\n"                                                                                               \
    "asr r12, r12, #16\n"                                                                                             \
    "mul r10, r7, r4\n"                                                                                               \
    "mul r11, r12, r4\n"                                                                                              \
    "mov r7, #-1\n"                                                                                                   \
    "mov r12, #-1\n"                                                                                                  \
    "cmp r3, #1\n"                                                                                                    \
    "ittt ne\n"                                                                                                       \
    "ldrbne r7, [r3], #1\n"                                                                                           \
    "ldrbne r12, [r3], #1\n"                                                                                          \
    "strne r3, [sp, #12]\n"                                                                                           \
    "mls r10, r5, r7, r10\n"                                                                                          \
    "mls r11, r5, r12, r11\n"                                                                                         \
    next "1:\n"                                                                                                       \
    "smlatb r10, r7, r4, r5\n"                                                                                        \
    "smlatb r11, r12, r4, r5\n"

#define BB_DOT1_STORE                                                                                                 \
    "add r9, sp, #28\n"                                                                                               \
    "ldm r9, {r0-r4}\n"                                                                                               \
    "ldrd r7, r12, [r0], #8\n"                                                                                        \
    "smlawb r10, r10, r7, r2\n"                                                                                       \
    "smlawb r11, r11, r12, r2\n"                                                                                      \
    "asr r10, r10, r3\n"                                                                                              \
    "asr r11, r11, r3\n"                                                                                              \
    "usat r10, #8, r10\n"                                                                                             \
    "usat r11, #8, r11\n"                                                                                             \
    "strb r10, [r1], #1\n"                                                                                            \
    "strb r11, [r1], #1\n"                                                                                            \
    "strd r0, r1, [r9]\n"                                                                                             \
    "cmp r0, r4\n"                                                                                                    \
    "bne.w 2b\n"

/* A last single row: starts r10 and leaves to label 7, which it ends with BB_DOT1_STORE_SINGLE. */
#define BB_DOT1_SINGLE                                                                                                \
    "6:\n"                                                                                                            \
    "ldr r0, [sp, #48]\n"                                                                                             \
    "ldrh r0, [r0, #16]\n"                                                                                            \
    "lsls r0, r0, #31\n"                                                                                              \
    "beq 9f\n"                                                                                                        \
    "ldm sp, {r0-r7}\n"                                                                                               \
    "ldrsh r7, [r7, #2]\n"                                                                                            \
    "mul r10, r7, r4\n"                                                                                               \
    "mov r7, #-1\n"                                                                                                   \
    "cmp r3, #1\n"                                                                                                    \
    "it hi\n"                                                                                                         \
    "ldrbhi r7, [r3]\n"                                                                                               \
    "mls r10, r5, r7, r10\n"

#define BB_DOT1_STORE_SINGLE                                                                                          \
    "add r9, sp, #28\n"                                                                                               \
    "ldm r9, {r0-r3}\n"                                                                                               \
    "ldrsh r7, [r0]\n"                                                                                                \
    "smlawb r10, r10, r7, r2\n"                                                                                       \
    "asr r10, r10, r3\n"                                                                                              \
    "usat r10, #8, r10\n"                                                                                             \
    "strb r10, [r1]\n"                                                                                                \
    "9:\n"                                                                                                            \
    "add sp, sp, #64\n"                                                                                               \
    "pop {r4-r11, pc}\n"

/* The pairs of codes at a shift of the words r7 and r8 (single: of r7), masked by r6; x is of the column. */
#define BB_FIELD1(shift, x)                                                                                           \
    "and r12, r6, r7" shift "\n" BB_MAC1("r12", x, "r10") "and r12, r6, r8" shift "\n" BB_MAC1("r12", x, "r11")
#define BB_FIELD1_SINGLE(shift, x) "and r12, r6, r7" shift "\n" BB_MAC1("r12", x, "r10")
