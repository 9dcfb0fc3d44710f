/* Inner loops of bb_depthwise_3x3 (dsp/depthwise_3x3.c) in assembler, because no compiler keeps their 14 values in
   registers. */

/* Words of a channel: its words in the ring, its bytes among the output codes, 3 x 2 words of weights, offset O, the
   words of its last block, factor M, z_y, and the next channel (0: none; + 1: a single column of outputs follows the
   blocks). */
#define BB_DEPTHWISE_CHANNEL_WORDS 13u

/* Computes all blocks of a channel and of those after it. The stack pointer moves by 24 bytes: O, last block, M, z_y,
   next channel, and r7 (which may be the compiler's frame pointer). Labels behind which a loop begins are on words. */
#define BB_DEPTHWISE_CHANNELS(first, blocks, last, p, q, p2, q2, p3, q3)                                             \
    __asm__ volatile("sub sp, sp, #24\n"                                                                              \
                     "str r7, [sp, #20]\n"                                                                            \
                     "b 2f\n"                                                                                         \
                     ".p2align 2\n"                                                                                   \
                     "3:\n" last(p, q, p3, q3) "ldr r9, [sp, #16]\n"                                                \
                     "bics r9, r9, #1\n"                                                                              \
                     "beq.w 4f\n"                                                                                     \
                     "2:\n"                                                                                           \
                     "ldmia r9, {r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, r12}\n"                            \
                     "stmia sp, {r8, r9, r10, r11, r12}\n" first(p, q)                                                \
                     "1:\n" blocks(p, q, p2, q2) "bne 1b\n"                                                           \
                     "ldr r9, [sp, #16]\n"                                                                            \
                     "lsrs r8, r9, #1\n"                                                                              \
                     "bcs 3b\n"                                                                                       \
                     "bne 2b\n"                                                                                       \
                     "4:\n"                                                                                           \
                     "ldr r7, [sp, #20]\n"                                                                            \
                     "add sp, sp, #24\n"                                                                              \
                     : "+r"(r9)                                                                                       \
                     :                                                                                                \
                     : "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r10", "r11", "r12", "lr", "cc", "memory")

/* A block of 2 x 2 outputs: r9, r11 (upper row), r10, r8 (lower row) from four columns. */
#define BB_DEPTHWISE_2X2(p, q, p2, q2)                                                                                \
    "ldrd r12, lr, [r0, #" p "]\n"                                                                                    \
    "smlad r9, r12, r2, r8\n"                                                                                         \
    "smlatb r10, r12, r2, r8\n"                                                                                       \
    "smlad r9, lr, r4, r9\n"                                                                                          \
    "smlatb r10, lr, r4, r10\n"                                                                                       \
    "smlad r11, lr, r2, r8\n"                                                                                         \
    "smlatb r8, lr, r2, r8\n"                                                                                         \
    "ldrd r12, lr, [r0, #" q "]\n"                                                                                    \
    "smlabt r9, r12, r3, r9\n"                                                                                        \
    "smlad r10, r12, r3, r10\n"                                                                                       \
    "smlabt r9, lr, r5, r9\n"                                                                                         \
    "smlad r10, lr, r5, r10\n"                                                                                        \
    "smlabt r11, lr, r3, r11\n"                                                                                       \
    "smlad r8, lr, r3, r8\n"                                                                                          \
    "ldrd r12, lr, " p2 "\n"                                                                                          \
    "smlad r9, r12, r6, r9\n"                                                                                         \
    "smlatb r10, r12, r6, r10\n"                                                                                      \
    "smlad r11, r12, r4, r11\n"                                                                                       \
    "smlatb r8, r12, r4, r8\n"                                                                                        \
    "smlad r11, lr, r6, r11\n"                                                                                        \
    "smlatb r8, lr, r6, r8\n"                                                                                         \
    "ldrd r12, lr, " q2 "\n"                                                                                          \
    "smlabt r9, r12, r7, r9\n"                                                                                        \
    "smlad r10, r12, r7, r10\n"                                                                                       \
    "smlabt r11, r12, r5, r11\n"                                                                                      \
    "smlad r8, r12, r5, r8\n"                                                                                         \
    "smlabt r11, lr, r7, r11\n"                                                                                       \
    "smlad r8, lr, r7, r8\n"                                                                                          \
    "ldrd r12, lr, [sp, #8]\n"                                                                                        \
    "smmlar r11, r11, r12, lr\n"                                                                                      \
    "smmlar r10, r10, r12, lr\n"                                                                                      \
    "smmlar r8, r8, r12, lr\n"                                                                                        \
    "smmlar r9, r9, r12, lr\n"                                                                                        \
    "usat r11, #8, r11\n"                                                                                             \
    "usat r10, #8, r10\n"                                                                                             \
    "usat r8, #8, r8\n"                                                                                               \
    "usat r9, #8, r9\n"                                                                                               \
    "strb r11, [r1, #4]\n"                                                                                            \
    "strb r10, [r1, #8]\n"                                                                                            \
    "strb r8, [r1, #12]\n"                                                                                            \
    "strb r9, [r1], #16\n"

/* The last column of an odd number: 2 x 1 outputs, r9 and r10 from three columns. */
#define BB_DEPTHWISE_2X1(p, q, p2, q2)                                                                                \
    "ldr r8, [sp]\n"                                                                                                  \
    "ldrd r12, lr, [r0, #" p "]\n"                                                                                    \
    "smlad r9, r12, r2, r8\n"                                                                                         \
    "smlatb r10, r12, r2, r8\n"                                                                                       \
    "smlad r9, lr, r4, r9\n"                                                                                          \
    "smlatb r10, lr, r4, r10\n"                                                                                       \
    "ldrd r12, lr, [r0, #" q "]\n"                                                                                    \
    "smlabt r9, r12, r3, r9\n"                                                                                        \
    "smlad r10, r12, r3, r10\n"                                                                                       \
    "smlabt r9, lr, r5, r9\n"                                                                                         \
    "smlad r10, lr, r5, r10\n"                                                                                        \
    "ldr r12, [r0, #" p2 "]\n"                                                                                        \
    "ldr lr, [r0, #" q2 "]\n"                                                                                         \
    "smlad r9, r12, r6, r9\n"                                                                                         \
    "smlatb r10, r12, r6, r10\n"                                                                                      \
    "smlabt r9, lr, r7, r9\n"                                                                                         \
    "smlad r10, lr, r7, r10\n"                                                                                        \
    "ldrd r12, lr, [sp, #8]\n"                                                                                        \
    "smmlar r9, r9, r12, lr\n"                                                                                        \
    "smmlar r10, r10, r12, lr\n"                                                                                      \
    "usat r9, #8, r9\n"                                                                                               \
    "usat r10, #8, r10\n"                                                                                             \
    "strb r9, [r1]\n"                                                                                                 \
    "strb r10, [r1, #8]\n"

/* The start of a block, and whether it is the last one. */
#define BB_DEPTHWISE_START                                                                                            \
    "ldrd r8, r9, [sp]\n"                                                                                             \
    "cmp r0, r9\n"

/* Two blocks with stride 1; an odd number of blocks begins at the second (5). */
#define BB_DEPTHWISE_TWO_2X2(p, q, p2, q2)                                                                            \
    "ldr r8, [sp]\n" BB_DEPTHWISE_2X2(p, q, p2, q2) "5:\n" BB_DEPTHWISE_START BB_DEPTHWISE_2X2(p, q, p2, q2)

#define BB_DEPTHWISE_ONE_1X2(p, q, p2, q2) BB_DEPTHWISE_START BB_DEPTHWISE_1X2(p, q, p2, q2)

#define BB_DEPTHWISE_ENTRY(p, q)                                                                                      \
    "sub r8, r9, r0\n"                                                                                                \
    "lsls.w r8, r8, #25\n" /* bit 6: an odd number of blocks is before the last one */                                 \
    "bpl.w 5f\n"

/* The first column of the first block with stride 2. */
#define BB_DEPTHWISE_COLUMN(p, q) "ldr r12, [r0, #" p "]\n" "ldr lr, [r0, #" q "]\n"

/* A block of 1 x 2 outputs with stride 2: r9, r8 from five columns. The first is in r12, lr, and so is the last
   afterwards; r10, r11: M, z_y. */
#define BB_DEPTHWISE_1X2(p, q, p2, q2)                                                                                \
    "smlad r9, r12, r2, r8\n"                                                                                         \
    "smlabt r9, lr, r3, r9\n"                                                                                         \
    "ldr r12, [r0, #4 + " p "]\n"                                                                                     \
    "ldr lr, [r0, #4 + " q "]\n"                                                                                      \
    "smlad r9, r12, r4, r9\n"                                                                                         \
    "smlabt r9, lr, r5, r9\n"                                                                                         \
    "ldrd r12, lr, [r0, #64 + " p "]\n"                                                                               \
    "smlad r9, r12, r6, r9\n"                                                                                         \
    "smlad r8, r12, r2, r8\n"                                                                                         \
    "smlad r8, lr, r4, r8\n"                                                                                          \
    "ldrd r12, lr, [r0, #64 + " q "]\n"                                                                               \
    "smlabt r9, r12, r7, r9\n"                                                                                        \
    "smlabt r8, r12, r3, r8\n"                                                                                        \
    "smlabt r8, lr, r5, r8\n"                                                                                         \
    "ldr r12, " p2 "\n"                                                                                               \
    "ldr lr, " q2 "\n"                                                                                                \
    "smlad r8, r12, r6, r8\n"                                                                                         \
    "smlabt r8, lr, r7, r8\n"                                                                                         \
    "smmlar r9, r9, r10, r11\n"                                                                                       \
    "smmlar r8, r8, r10, r11\n"                                                                                       \
    "usat r9, #8, r9\n"                                                                                               \
    "usat r8, #8, r8\n"                                                                                               \
    "strb r8, [r1, #4]\n"                                                                                             \
    "strb r9, [r1], #8\n"

#define BB_DEPTHWISE_NOTHING(p, q, p2, q2)

/* is_second: whether the older of the two rows of pairs is the second one of the ring. */
BB_INLINE void bb_depthwise_channels(uint32_t *channel, uint32_t stride, uint32_t is_second)
{
    register uint32_t *r9 __asm__("r9") = channel;
    if (stride == 1u) {
        if (is_second == 0u) {
            BB_DEPTHWISE_CHANNELS(BB_DEPTHWISE_ENTRY, BB_DEPTHWISE_TWO_2X2, BB_DEPTHWISE_2X1, "0", "32", "[r0, #64]!",
                                  "[r0, #32]", "64", "96");
        } else {
            BB_DEPTHWISE_CHANNELS(BB_DEPTHWISE_ENTRY, BB_DEPTHWISE_TWO_2X2, BB_DEPTHWISE_2X1, "32", "0", "[r0, #96]",
                                  "[r0, #64]!", "96", "64");
        }
    } else {
        if (is_second == 0u) {
            BB_DEPTHWISE_CHANNELS(BB_DEPTHWISE_COLUMN, BB_DEPTHWISE_ONE_1X2, BB_DEPTHWISE_NOTHING, "0", "32",
                                  "[r0, #128]!", "[r0, #32]", "64", "96");
        } else {
            BB_DEPTHWISE_CHANNELS(BB_DEPTHWISE_COLUMN, BB_DEPTHWISE_ONE_1X2, BB_DEPTHWISE_NOTHING, "32", "0",
                                  "[r0, #160]", "[r0, #128]!", "96", "64");
        }
    }
}

/* Widens columns of the packed codes of four channels: a single one to the second of a pair (bit 0 of `bound`), pairs
   while `words` is below `bound`, and a single one to the first of a pair (bit 1 of `bound`). a, b: the two rows;
   step_a, step_b: bytes from pixel to pixel. load: instruction that loads a pixel; one: instructions that make pairs r8
   to r11 of the channels' codes from a column in r8 (row a) and low (row b); two: instructions that store those of two
   columns in r10, low and r11, high; mask: of a pair of codes. */
#define BB_DEPTHWISE_COLUMNS(load, one, two, mask)                                                                    \
    uint32_t low, high;                                                                                               \
    __asm__ volatile("tst %[bound], #1\n"                                                                             \
                     "beq 2f\n" load " r8, [%[a]]\n" load " %[low], [%[b]]\n" one                                     \
                     "add %[a], %[a], %[step_a]\n"                                                                    \
                     "add %[b], %[b], %[step_b]\n"                                                                    \
                     "str r8, [%[words], #4]\n"                                                                       \
                     "str r9, [%[words], #12]\n"                                                                      \
                     "str r10, [%[words], #20]\n"                                                                     \
                     "str r11, [%[words], #28]\n"                                                                     \
                     "add %[words], %[words], #64\n"                                                                  \
                     "2:\n"                                                                                           \
                     "cmp %[words], %[bound]\n"                                                                       \
                     "bhs 3f\n"                                                                                       \
                     ".p2align 2\n"                                                                                   \
                     "1:\n" load " r10, [%[a]]\n" load " r11, [%[a], %[step_a]]\n" load " %[low], [%[b]]\n" load      \
                     " %[high], [%[b], %[step_b]]\n" two                                                              \
                     "add %[words], %[words], #48\n"                                                                  \
                     "add %[a], %[a], %[step_a], lsl #1\n"                                                            \
                     "add %[b], %[b], %[step_b], lsl #1\n"                                                            \
                     "cmp %[words], %[bound]\n"                                                                       \
                     "blo 1b\n"                                                                                       \
                     "3:\n"                                                                                           \
                     "tst %[bound], #2\n"                                                                             \
                     "beq 4f\n" load " r8, [%[a]]\n" load " %[low], [%[b]]\n" one                                     \
                     "str r8, [%[words]]\n"                                                                           \
                     "str r9, [%[words], #8]\n"                                                                       \
                     "str r10, [%[words], #16]\n"                                                                     \
                     "str r11, [%[words], #24]\n"                                                                     \
                     "4:\n"                                                                                           \
                     : [a] "+r"(a), [b] "+r"(b), [words] "+r"(words), [low] "=&r"(low), [high] "=&r"(high)            \
                     : [step_a] "r"(step_a), [step_b] "r"(step_b), [bound] "r"(bound), [pair] "r"(mask)               \
                     : "r8", "r9", "r10", "r11", "cc", "memory")

#define BB_DEPTHWISE_ONE_8                                                                                            \
    "pkhbt r9, r8, %[low], lsl #16\n"                                                                                 \
    "pkhtb %[low], %[low], r8, asr #16\n"                                                                             \
    "uxtb16 r8, r9\n"                                                                                                 \
    "uxtb16 r9, r9, ror #8\n"                                                                                         \
    "uxtb16 r10, %[low]\n"                                                                                            \
    "uxtb16 r11, %[low], ror #8\n"

#define BB_DEPTHWISE_TWO_8                                                                                            \
    "pkhbt r8, r10, %[low], lsl #16\n"                                                                                \
    "pkhtb %[low], %[low], r10, asr #16\n"                                                                            \
    "pkhbt r9, r11, %[high], lsl #16\n"                                                                               \
    "pkhtb %[high], %[high], r11, asr #16\n"                                                                          \
    "uxtb16 r10, r8, ror #8\n"                                                                                        \
    "uxtb16 r11, r9, ror #8\n"                                                                                        \
    "uxtb16 r8, r8\n"                                                                                                 \
    "uxtb16 r9, r9\n"                                                                                                 \
    "stmia %[words]!, {r8, r9, r10, r11}\n"                                                                           \
    "uxtb16 r8, %[low]\n"                                                                                             \
    "uxtb16 r9, %[high]\n"                                                                                            \
    "uxtb16 r10, %[low], ror #8\n"                                                                                    \
    "uxtb16 r11, %[high], ror #8\n"                                                                                   \
    "stmia %[words], {r8, r9, r10, r11}\n"

/* 4- and 2-bit codes; s0 to s3: shifts of the channels' codes. */
#define BB_DEPTHWISE_ONE(s0, s1, s2, s3)                                                                              \
    "orr %[low], r8, %[low], lsl #16\n"                                                                               \
    "and r8, %[pair], %[low]" s0 "\n"                                                                                 \
    "and r9, %[pair], %[low]" s1 "\n"                                                                                 \
    "and r10, %[pair], %[low]" s2 "\n"                                                                                \
    "and r11, %[pair], %[low]" s3 "\n"

#define BB_DEPTHWISE_TWO(s0, s1, s2, s3)                                                                              \
    "orr %[low], r10, %[low], lsl #16\n"                                                                              \
    "orr %[high], r11, %[high], lsl #16\n"                                                                            \
    "and r8, %[pair], %[low]" s0 "\n"                                                                                 \
    "and r9, %[pair], %[high]" s0 "\n"                                                                                \
    "and r10, %[pair], %[low]" s1 "\n"                                                                                \
    "and r11, %[pair], %[high]" s1 "\n"                                                                               \
    "stmia %[words]!, {r8, r9, r10, r11}\n"                                                                           \
    "and r8, %[pair], %[low]" s2 "\n"                                                                                 \
    "and r9, %[pair], %[high]" s2 "\n"                                                                                \
    "and r10, %[pair], %[low]" s3 "\n"                                                                                \
    "and r11, %[pair], %[high]" s3 "\n"                                                                               \
    "stmia %[words], {r8, r9, r10, r11}\n"

/* bits: of a code, a constant. */
BB_INLINE void bb_depthwise_columns(const uint8_t *a, uint32_t step_a, const uint8_t *b, uint32_t step_b,
                                    uint32_t *words, uint32_t bound, uint32_t bits)
{
    if (bits == 8u) {
        BB_DEPTHWISE_COLUMNS("ldr", BB_DEPTHWISE_ONE_8, BB_DEPTHWISE_TWO_8, bound);
    } else if (bits == 4u) {
        BB_DEPTHWISE_COLUMNS("ldrh", BB_DEPTHWISE_ONE(", lsl #4", "", ", lsr #4", ", lsr #8"),
                             BB_DEPTHWISE_TWO(", lsl #4", "", ", lsr #4", ", lsr #8"), 0x00F000F0u);
    } else {
        BB_DEPTHWISE_COLUMNS("ldrb", BB_DEPTHWISE_ONE(", lsl #6", ", lsl #4", ", lsl #2", ""),
                             BB_DEPTHWISE_TWO(", lsl #6", ", lsl #4", ", lsl #2", ""), 0x00C000C0u);
    }
}
