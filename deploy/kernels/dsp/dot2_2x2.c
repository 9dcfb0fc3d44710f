/* Codes of 2 bits on both sides, columns of bb_widen_2x2: a halfword has two codes, a + b * 2^12 of the column and
   b' + a' * 2^12 of the weights, so that bits 12 to 23 of their product are a * a' + b * b', and one dual
   multiplication makes four products. 28 words of weights fill the 12 bits (28 * 16 * 9 < 2^12); longer rows take
   blocks of 28 words, the first one the rest. Turns of 2 words, 106 bytes of code each.
   Accumulators start with 0 and are added, times 2^(e + d) = 2^12, to totals.
   Slots: 14 end of the block (rows of several blocks: less 1, so that the flags tell them), 15 that of the first block,
   16 to 19 totals, 20 and 21 starts of the totals, 22 end of the columns. */
BB_NAKED void bb_dot2_2x2(BB_UNUSED const bb_rows *rows, BB_UNUSED const uint32_t *words,
                          BB_UNUSED const uint32_t *sums, BB_UNUSED uint8_t *output, BB_UNUSED uint32_t stride)
{
    __asm volatile(BB_DOT2_START("92")
                   BB_ENTRY2(BB_TURN("1", "0"), "106")
                   "add r12, r7, r8, lsl #6\n"
                   "cmp r8, #28\n"
                   "bls 1f\n"
                   "str r12, [sp, #88]\n"
                   "4:\n"
                   "sub r8, r8, #28\n"
                   "sub r12, r12, #1792\n"
                   "cmp r8, #28\n"
                   "bhi 4b\n"
                   "sub r12, r12, #1\n"
                   "str r12, [sp, #60]\n"
                   "1:\n"
                   BB_DOT2_SLOTS(2, "92", "r8",
                                 "mov r8, #0x30003000\n"
                                 "orr r8, r8, #0x00030003\n"
                                 "strd r9, r10, [sp, #64]\n"
                                 "strd r9, r10, [sp, #72]\n"
                                 "strd r9, r10, [sp, #80]\n"
                                 "mov r9, #0\n"
                                 "mov r10, #0\n",
                                 "strd r11, r12, [sp, #52]\n")
                   BB_DOT2_RARE(2, "92",
                                "strd r8, r9, [sp, #64]\n"
                                "strd r10, r11, [sp, #72]\n"
                                "mov r8, #0\n"
                                "mov r9, #0\n"
                                "mov r10, #0\n"
                                "mov r11, #0\n"));
    __asm volatile(".p2align 2\n"
                   "4:\n" /* the next block; up to label 3 a multiple of 4 bytes */
                   "ldr r6, [sp, #88]\n"
                   "cmp r0, r6\n"
                   "beq.w 5f\n"
                   "strd r8, r9, [sp, #64]\n"
                   "strd r10, r11, [sp, #72]\n"
                   "addw r6, r0, #1791\n"
                   "str.w r6, [sp, #56]\n"
                   "mov r8, #0\n"
                   "mov r9, #0\n"
                   "mov r10, #0\n"
                   "mov r11, #0\n"
                   "3:\n"
                   ".rept 1 + " BB_TURN("1", "0") "\n"
                   "ldrd r6, r7, [lr], #8\n"
                   BB_GROUP2(BB_FIELD2, "", ", ror #2")
                   BB_GROUP2(BB_FIELD2, ", ror #8", ", ror #10")
                   "adds r0, #32\n"
                   ".endr\n"
                   "ldr r12, [sp, #56]\n"
                   "cmp r0, r12\n"
                   "blo.w 3b\n"
                   "ldrd r2, r3, [sp, #64]\n"
                   "ldrd r4, r5, [sp, #72]\n"
                   "ubfx r8, r8, #12, #12\n"
                   "ubfx r9, r9, #12, #12\n"
                   "ubfx r10, r10, #12, #12\n"
                   "ubfx r11, r11, #12, #12\n"
                   "add r8, r2, r8, lsl #12\n"
                   "add r9, r3, r9, lsl #12\n"
                   "add r10, r4, r10, lsl #12\n"
                   "add r11, r5, r11, lsl #12\n"
                   "bne.w 4b\n"
                   "8:\n"
                   BB_DOT2_STORE
                   BB_DOT2_SINGLE("92", "ldrd r8, r9, [sp, #64]\n")
                   "ldr r12, [sp, #56]\n");
    __asm volatile("7:\n"
                   "ldr r6, [lr], #4\n"
                   "ldm r0!, {r2-r5}\n"
                   "and r7, r1, r6\n"
                   "smuad r10, r7, r2\n"
                   "smuad r11, r7, r4\n"
                   "and r7, r1, r6, ror #2\n"
                   BB_MAC2("r7", "r3", "r5", "r10", "r11")
                   "ldm r0!, {r2-r5}\n"
                   "and r7, r1, r6, ror #8\n"
                   BB_MAC2("r7", "r2", "r4", "r10", "r11")
                   "and r7, r1, r6, ror #10\n"
                   BB_MAC2("r7", "r3", "r5", "r10", "r11")
                   "ubfx r10, r10, #12, #12\n"
                   "ubfx r11, r11, #12, #12\n"
                   "add r8, r8, r10, lsl #12\n"
                   "add r9, r9, r11, lsl #12\n"
                   "adds r0, #32\n"
                   "cmp r0, r12\n"
                   "blo 7b\n"
                   "beq 1f\n"
                   "ldr r12, [sp, #88]\n"
                   "cmp r0, r12\n"
                   "bne 7b\n"
                   "1:\n"
                   BB_DOT2_STORE_SINGLE("92")
                   "5:\n"
                   "ldr r6, [sp, #60]\n"
                   "str r6, [sp, #56]\n"
                   "ldrd r6, r7, [sp, #80]\n"
                   "strd r6, r7, [sp, #64]\n"
                   "strd r6, r7, [sp, #72]\n"
                   "b.w 8b\n");
}
