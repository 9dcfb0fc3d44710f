/* Dot products of one column. Slots: 0 constants, 1 output, 2 F, 3 z_y, 4 end of the constants of pairs, 5 address of
   slot 6; start of a pair: 6 column, 7 its end, 8 and 9 accumulators r10 and r11, then a mask (not for 8 bits) and the
   entry of the loop, at `entry` bytes; then, at `factor`, the factor of the offsets in the rare case. Behind the slots:
   bb_rows, sums.
   Rare case: 8 2^d times the sum of the column, 9 zero points or 0, at `entry` label 21 or 26; the entry of the loop
   takes the place of `sums`. */

#define BB_PAIR1_8 "{r0, r1, r10, r11, pc}"
#define BB_PAIR1 "{r0, r1, r10-r12, pc}"
#define BB_PAIR1_2X2 "{r0, r9-r12, pc}"

/* slots: their bytes; the stack has 44 more. Leaves the number of words of a row in r7. */
#define BB_DOT1_START(slots)                                                                                          \
    ".syntax unified\n"                                                                                               \
    "push {r0, r2, r4-r11, lr}\n"                                                                                     \
    "sub sp, sp, #" slots "\n"                                                                                        \
    "mov r6, r1\n"                                                                                                    \
    "mov r1, r3\n"                                                                                                    \
    "ldr r10, [r2]\n"                                                                                                 \
    "ldr lr, [r0], #4\n"                                                                                              \
    "ldm r0, {r0, r2-r5}\n"                                                                                           \
    "lsr r7, r4, #16\n"

#define BB_ENTRY1(count, words, word_bytes) BB_ENTRY(count, words, word_bytes, "r11", "r9", "r12")

/* Stores the slots (r7: slot 7, r11: entry of the loop, stored by `last`) and starts the first pair. Before that
   `starts` may put the starts of the sums, r8 and r9, elsewhere. */
#define BB_DOT1_SLOTS(bits, starts, last, pair)                                                                       \
    BB_FACTORS(bits, "r2", "r3", "r5", "r12", "r9")                                                                   \
    "mul r8, r10, r5\n"                                                                                               \
    "mov r9, r8\n"                                                                                                    \
    "ubfx r4, r4, #1, #15\n"                                                                                          \
    "add r4, r0, r4, lsl #3\n"                                                                                        \
    "add r5, sp, #24\n"                                                                                               \
    starts                                                                                                            \
    "stm sp, {r0-r9}\n"                                                                                               \
    last                                                                                                              \
    "bhs.w 20f\n"                                                                                                     \
    "10:\n"                                                                                                           \
    "cmp r0, r4\n"                                                                                                    \
    "beq.w 6f\n"                                                                                                      \
    "ldm r5, " pair "\n"

/* `last` of weights of 4 and 2 bits. */
#define BB_MASK1(mask)                                                                                                \
    "mov r10, #" mask "\n"                                                                                            \
    "strd r10, r11, [sp, #40]\n"

/* The rare case: slots, and the start of a pair (label 21), which ends with `totals`. */
#define BB_DOT1_RARE(bits, slots, entry, factor, totals)                                                              \
    "20:\n"                                                                                                           \
    "ldrd r6, r7, [sp, #" slots "]\n"                                                                                 \
    "str r11, [sp, #" slots " + 4]\n"                                                                                 \
    "ldr r8, [r7]\n"                                                                                                  \
    BB_SCALE_##bits("r8")                                                                                             \
    "ldr r9, [r6, #8]\n"                                                                                              \
    "strd r8, r9, [sp, #32]\n"                                                                                        \
    "ldrb r7, [r6, #21]\n"                                                                                            \
    "mov r8, #1 << " BB_EXTRA_##bits "\n"                                                                             \
    "lsl r8, r8, r7\n"                                                                                                \
    "subs r8, r8, r2, asr #16\n"                                                                                      \
    "str r8, [sp, #" factor "]\n"                                                                                     \
    "adr.w r7, 21f + 1\n"                                                                                             \
    "it ne\n"                                                                                                         \
    "adrne.w r7, 26f + 1\n"                                                                                           \
    "str r7, [sp, #" entry "]\n"                                                                                      \
    "b 10b\n"                                                                                                         \
    "21:\n"                                                                                                           \
    "ldrb r2, [r11], #1\n"                                                                                            \
    "ldrb r3, [r11], #1\n"                                                                                            \
    "str r11, [sp, #36]\n"                                                                                            \
    "mov r4, #0\n"                                                                                                    \
    "mls r11, r10, r3, r4\n"                                                                                          \
    "mls r10, r10, r2, r4\n"                                                                                          \
    totals                                                                                                            \
    "ldr pc, [sp, #" slots " + 4]\n"                                                                                  \
    "26:\n"                                                                                                           \
    "cmp r11, #0\n"                                                                                                   \
    "beq 22f\n"                                                                                                       \
    "ldrb r2, [r11], #1\n"                                                                                            \
    "ldrb r3, [r11], #1\n"                                                                                            \
    "str r11, [sp, #36]\n"                                                                                            \
    "23:\n"                                                                                                           \
    "ldr r4, [sp]\n"                                                                                                  \
    "ldr r7, [sp, #" factor "]\n"                                                                                     \
    "ldrsh r5, [r4, #2]\n"                                                                                            \
    "ldrsh r6, [r4, #6]\n"                                                                                            \
    "mul r5, r5, r7\n"                                                                                                \
    "mul r6, r6, r7\n"                                                                                                \
    "mls r11, r10, r3, r6\n"                                                                                          \
    "mls r10, r10, r2, r5\n"                                                                                          \
    totals                                                                                                            \
    "ldr pc, [sp, #" slots " + 4]\n"                                                                                  \
    "22:\n"                                                                                                           \
    "ldr r2, [sp, #" slots "]\n"                                                                                      \
    "ldrb r2, [r2, #20]\n"                                                                                            \
    "mov r3, r2\n"                                                                                                    \
    "b 23b\n"                                                                                                         \
    "27:\n"

/* Requantizes and stores a pair, and starts the next one. */
#define BB_DOT1_STORE(pair)                                                                                           \
    "ldm sp, {r0-r5}\n"                                                                                               \
    "ldrd r7, r12, [r0], #8\n"                                                                                        \
    "smlatt r10, r7, r2, r10\n"                                                                                       \
    "smlatt r11, r12, r2, r11\n"                                                                                      \
    "smulbb r7, r7, r2\n"                                                                                             \
    "smulbb r12, r12, r2\n"                                                                                           \
    "smmlsr r10, r10, r7, r3\n"                                                                                       \
    "smmlsr r11, r11, r12, r3\n"                                                                                      \
    "usat r10, #8, r10\n"                                                                                             \
    "usat r11, #8, r11\n"                                                                                             \
    "strb r10, [r1], #1\n"                                                                                            \
    "strb r11, [r1], #1\n"                                                                                            \
    "strd r0, r1, [sp]\n"                                                                                             \
    "cmp r0, r4\n"                                                                                                    \
    "it ne\n"                                                                                                         \
    "ldmne r5, " pair "\n"

/* A last single row: starts r10 (`starts`: if it is elsewhere) for the loop at label 7, which BB_DOT1_STORE_SINGLE
   follows. */
#define BB_DOT1_SINGLE(slots, entry, factor, pair, starts)                                                            \
    "6:\n"                                                                                                            \
    "ldr r2, [sp, #" slots "]\n"                                                                                      \
    "ldrh r3, [r2, #16]\n"                                                                                            \
    "lsls r3, r3, #31\n"                                                                                              \
    "beq.w 9f\n"                                                                                                      \
    "ldr r4, [sp]\n"                                                                                                  \
    "ldm r5, " pair "\n"                                                                                              \
    "ldr r7, [sp, #" entry "]\n"                                                                                      \
    "adr.w r3, 27b\n"                                                                                                 \
    "cmp r7, r3\n"                                                                                                    \
    "bhs 24f\n"                                                                                                       \
    "cmp r11, #0\n"                                                                                                   \
    "ite eq\n"                                                                                                        \
    "ldrbeq r11, [r2, #20]\n"                                                                                         \
    "ldrbne r11, [r11]\n"                                                                                             \
    "ldrsh r3, [r4, #2]\n"                                                                                            \
    "ldr r7, [sp, #" factor "]\n"                                                                                     \
    "mul r3, r3, r7\n"                                                                                                \
    "mls r10, r10, r11, r3\n"                                                                                         \
    "b 25f\n"                                                                                                         \
    ".p2align 2\n"                                                                                                    \
    "24:\n" starts "25:\n"

#define BB_DOT1_STORE_SINGLE(slots)                                                                                   \
    "ldm sp, {r0-r3}\n"                                                                                               \
    "ldr r7, [r0]\n"                                                                                                  \
    "smlatt r10, r7, r2, r10\n"                                                                                       \
    "smulbb r7, r7, r2\n"                                                                                             \
    "smmlsr r10, r10, r7, r3\n"                                                                                       \
    "usat r10, #8, r10\n"                                                                                             \
    "strb r10, [r1]\n"                                                                                                \
    "9:\n"                                                                                                            \
    "add sp, sp, #" slots " + 8\n"                                                                                    \
    "pop {r4-r11, pc}\n"

/* The pairs of codes at a shift of the words r7 and r8 (single: of r7), masked by r12; x is of the column. */
#define BB_FIELD1(shift, x)                                                                                           \
    "and r6, r12, r7" shift "\n" BB_MAC1("r6", x, "r10") "and r6, r12, r8" shift "\n" BB_MAC1("r6", x, "r11")
#define BB_FIELD1_SINGLE(shift, x) "and r6, r12, r7" shift "\n" BB_MAC1("r6", x, "r10")

/* Two groups of 4 codes. */
#define BB_GROUPS1(field, first, second, third, fourth)                                                               \
    "ldm r0!, {r2-r5}\n" field(first, "r2") field(second, "r3") field(third, "r4") field(fourth, "r5")
