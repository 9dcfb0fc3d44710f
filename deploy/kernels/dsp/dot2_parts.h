/* Dot products of two columns. Slots: 0 constants, 1 and 2 outputs, 3 F, 4 z_y, 5 end of the constants of pairs, 6
   address of slot 7; start of a pair: 7 columns, 8 their end or a mask, 9 to 12 accumulators r8 (row 0, column 0), r9
   (0, 1), r10 (1, 0), r11 (1, 1), 13 entry of the loop. Behind the slots: bb_rows, sums.
   Rare case: 9 and 10 2^d times the sums of the columns, 11 zero points or 0, 12 factor of the offsets, 13 label 21
   or 26; the entry of the loop takes the place of `sums`. */

#define BB_PAIR2 "{r0, r1, r8-r11, pc}"

/* slots: their bytes; the stack has 44 more. Leaves the number of words of a row in r8. */
#define BB_DOT2_START(slots)                                                                                          \
    ".syntax unified\n"                                                                                               \
    "push {r0, r2, r4-r11, lr}\n"                                                                                     \
    "sub sp, sp, #" slots "\n"                                                                                        \
    "mov r7, r1\n"                                                                                                    \
    "mov r1, r3\n"                                                                                                    \
    "ldrd r9, r10, [r2]\n"                                                                                            \
    "ldr lr, [r0], #4\n"                                                                                              \
    "ldm r0, {r0, r3-r6}\n"                                                                                           \
    "lsr r8, r5, #16\n"

#define BB_ENTRY2(words, word_bytes) BB_ENTRY("r8", words, word_bytes, "r11", "r12", "r2")

/* Stores the slots (r8: slot 8, r11: entry of the loop) and starts the first pair; `free` is a register for it. Before
   the stores, `starts` makes r8 if it is not there yet, and may put the starts of the sums, r9 and r10, elsewhere.
   `last` stores slot 13. */
#define BB_DOT2_SLOTS(bits, slots, free, starts, last)                                                                \
    BB_FACTORS(bits, "r3", "r4", "r6", free, "r2")                                                                    \
    "ldr r2, [sp, #" slots " + 44]\n"                                                                                 \
    "add r2, r2, r1\n"                                                                                                \
    "mul r9, r9, r6\n"                                                                                                \
    "mul r10, r10, r6\n"                                                                                              \
    "ubfx r5, r5, #1, #15\n"                                                                                          \
    "add r5, r0, r5, lsl #3\n"                                                                                        \
    "add r6, sp, #28\n"                                                                                               \
    starts                                                                                                            \
    "stm sp, {r0-r10}\n"                                                                                              \
    "strd r9, r10, [sp, #44]\n"                                                                                       \
    last                                                                                                              \
    "bhs.w 20f\n"                                                                                                     \
    "10:\n"                                                                                                           \
    "cmp r0, r5\n"                                                                                                    \
    "beq.w 6f\n"                                                                                                      \
    "ldm r6, " BB_PAIR2 "\n"

/* The rare case: slots, and the start of a pair (label 21), which ends with `totals`. */
#define BB_DOT2_RARE(bits, slots, totals)                                                                             \
    "20:\n"                                                                                                           \
    "ldrd r7, r8, [sp, #" slots "]\n"                                                                                 \
    "str r11, [sp, #" slots " + 4]\n"                                                                                 \
    "ldrd r9, r10, [r8]\n"                                                                                            \
    BB_SCALE_##bits("r9") BB_SCALE_##bits("r10")                                                                      \
    "ldr r11, [r7, #8]\n"                                                                                             \
    "ldrb r8, [r7, #21]\n"                                                                                            \
    "mov r12, #1 << " BB_EXTRA_##bits "\n"                                                                            \
    "lsl r12, r12, r8\n"                                                                                              \
    "subs r12, r12, r3, asr #16\n"                                                                                    \
    "add r7, sp, #36\n"                                                                                               \
    "stm r7, {r9-r12}\n"                                                                                              \
    "adr.w r7, 21f + 1\n"                                                                                             \
    "it ne\n"                                                                                                         \
    "adrne.w r7, 26f + 1\n"                                                                                           \
    "str r7, [sp, #52]\n"                                                                                             \
    "b 10b\n"                                                                                                         \
    "21:\n"                                                                                                           \
    "ldrb r2, [r10], #1\n"                                                                                            \
    "ldrb r3, [r10], #1\n"                                                                                            \
    "str r10, [sp, #44]\n"                                                                                            \
    "mov r4, #0\n"                                                                                                    \
    "mls r11, r9, r3, r4\n"                                                                                           \
    "mls r10, r8, r3, r4\n"                                                                                           \
    "mls r9, r9, r2, r4\n"                                                                                            \
    "mls r8, r8, r2, r4\n"                                                                                            \
    totals                                                                                                            \
    "ldr pc, [sp, #" slots " + 4]\n"                                                                                  \
    "26:\n"                                                                                                           \
    "cmp r10, #0\n"                                                                                                   \
    "beq 22f\n"                                                                                                       \
    "ldrb r2, [r10], #1\n"                                                                                            \
    "ldrb r3, [r10], #1\n"                                                                                            \
    "str r10, [sp, #44]\n"                                                                                            \
    "23:\n"                                                                                                           \
    "ldr r4, [sp]\n"                                                                                                  \
    "ldrsh r5, [r4, #2]\n"                                                                                            \
    "ldrsh r6, [r4, #6]\n"                                                                                            \
    "mul r7, r5, r11\n"                                                                                               \
    "mul r12, r6, r11\n"                                                                                              \
    "mls r11, r9, r3, r12\n"                                                                                          \
    "mls r10, r8, r3, r12\n"                                                                                          \
    "mls r9, r9, r2, r7\n"                                                                                            \
    "mls r8, r8, r2, r7\n"                                                                                            \
    totals                                                                                                            \
    "ldr pc, [sp, #" slots " + 4]\n"                                                                                  \
    "22:\n"                                                                                                           \
    "ldr r2, [sp, #" slots "]\n"                                                                                      \
    "ldrb r2, [r2, #20]\n"                                                                                            \
    "mov r3, r2\n"                                                                                                    \
    "b 23b\n"                                                                                                         \
    "27:\n"

/* Requantizes and stores a pair, and starts the next one. */
#define BB_DOT2_STORE                                                                                                 \
    "ldm sp, {r0-r6}\n"                                                                                               \
    "ldrd r7, r12, [r0], #8\n"                                                                                        \
    "smlatt r8, r7, r3, r8\n"                                                                                         \
    "smlatt r9, r7, r3, r9\n"                                                                                         \
    "smlatt r10, r12, r3, r10\n"                                                                                      \
    "smlatt r11, r12, r3, r11\n"                                                                                      \
    "smulbb r7, r7, r3\n"                                                                                             \
    "smulbb r12, r12, r3\n"                                                                                           \
    "smmlsr r8, r8, r7, r4\n"                                                                                         \
    "smmlsr r9, r9, r7, r4\n"                                                                                         \
    "smmlsr r10, r10, r12, r4\n"                                                                                      \
    "smmlsr r11, r11, r12, r4\n"                                                                                      \
    "usat r8, #8, r8\n"                                                                                               \
    "usat r9, #8, r9\n"                                                                                               \
    "usat r10, #8, r10\n"                                                                                             \
    "usat r11, #8, r11\n"                                                                                             \
    "strb r8, [r1], #1\n"                                                                                             \
    "strb r10, [r1], #1\n"                                                                                            \
    "strb r9, [r2], #1\n"                                                                                             \
    "strb r11, [r2], #1\n"                                                                                            \
    "stm sp, {r0-r2}\n"                                                                                               \
    "cmp r0, r5\n"                                                                                                    \
    "it ne\n"                                                                                                         \
    "ldmne r6, " BB_PAIR2 "\n"

/* A last single row: starts r8 and r9 (`starts`: if they are elsewhere) for the loop at label 7, which
   BB_DOT2_STORE_SINGLE follows. */
#define BB_DOT2_SINGLE(slots, starts)                                                                                 \
    "6:\n"                                                                                                            \
    "ldr r2, [sp, #" slots "]\n"                                                                                      \
    "ldrh r3, [r2, #16]\n"                                                                                            \
    "lsls r3, r3, #31\n"                                                                                              \
    "beq.w 9f\n"                                                                                                      \
    "ldr r4, [sp]\n"                                                                                                  \
    "ldm r6, {r0, r1, r8-r12}\n"                                                                                      \
    "adr.w r3, 27b\n"                                                                                                 \
    "cmp r12, r3\n"                                                                                                   \
    "bhs 24f\n"                                                                                                       \
    "cmp r10, #0\n"                                                                                                   \
    "ite eq\n"                                                                                                        \
    "ldrbeq r10, [r2, #20]\n"                                                                                         \
    "ldrbne r10, [r10]\n"                                                                                             \
    "ldrsh r3, [r4, #2]\n"                                                                                            \
    "mul r3, r3, r11\n"                                                                                               \
    "mls r8, r8, r10, r3\n"                                                                                           \
    "mls r9, r9, r10, r3\n"                                                                                           \
    "b 25f\n"                                                                                                         \
    ".p2align 2\n"                                                                                                    \
    "24:\n" starts "25:\n"

#define BB_DOT2_STORE_SINGLE(slots)                                                                                   \
    "ldm sp, {r0-r4}\n"                                                                                               \
    "ldr r7, [r0]\n"                                                                                                  \
    "smlatt r8, r7, r3, r8\n"                                                                                         \
    "smlatt r9, r7, r3, r9\n"                                                                                         \
    "smulbb r7, r7, r3\n"                                                                                             \
    "smmlsr r8, r8, r7, r4\n"                                                                                         \
    "smmlsr r9, r9, r7, r4\n"                                                                                         \
    "usat r8, #8, r8\n"                                                                                               \
    "usat r9, #8, r9\n"                                                                                               \
    "strb r8, [r1]\n"                                                                                                 \
    "strb r9, [r2]\n"                                                                                                 \
    "9:\n"                                                                                                            \
    "add sp, sp, #" slots " + 8\n"                                                                                    \
    "pop {r4-r11, pc}\n"

/* The pairs of codes at a shift of the words r6 and r7 (single: of r6), masked by r1; x0 and x1 are of the columns. */
#define BB_FIELD2(shift, x0, x1)                                                                                      \
    "and r12, r1, r6" shift "\n" BB_MAC2("r12", x0, x1, "r8", "r9")                                                   \
    "and r12, r1, r7" shift "\n" BB_MAC2("r12", x0, x1, "r10", "r11")
#define BB_FIELD2_SINGLE(shift, x0, x1) "and r7, r1, r6" shift "\n" BB_MAC2("r7", x0, x1, "r8", "r9")

/* A group of 4 codes of both columns. */
#define BB_GROUP2(field, first, second)                                                                               \
    "ldm r0!, {r2-r5}\n" field(first, "r2", "r4") field(second, "r3", "r5")
