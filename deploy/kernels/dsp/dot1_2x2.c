/* Codes of 2 bits on both sides, columns of bb_widen_2x2: a halfword has two codes, a + b * 2^12 of the column and
   b' + a' * 2^12 of the weights, so that bits 12 to 23 of their product are a * a' + b * b', and one dual
   multiplication makes four products. 28 words of weights fill the 12 bits (28 * 16 * 9 < 2^12); longer rows take
   blocks of 28 words, the first one the rest. Turns of 2 words, 72 bytes of code each.
   Accumulators start with 0 and are added, times 2^(e + d) = 2^12, to totals.
   Slots: 7 end of the first block (r9; rows of several blocks: less 1, so that the flags tell them), 12 start of the
   totals (rare case: factor), 13 and 14 totals, 15 end of the column. */
BB_NAKED void bb_dot1_2x2(BB_UNUSED const bb_rows *rows, BB_UNUSED const uint32_t *words,
                          BB_UNUSED const uint32_t *sums, BB_UNUSED uint8_t *output, BB_UNUSED uint32_t stride)
{
    __asm volatile(BB_DOT1_START("64")
                   BB_ENTRY1("r7", BB_TURN("1", "0"), "72")
                   "add r8, r6, r7, lsl #5\n"
                   "str r8, [sp, #60]\n"
                   "cmp r7, #28\n"
                   "bls 1f\n"
                   "4:\n"
                   "sub r7, r7, #28\n"
                   "sub r8, r8, #896\n"
                   "cmp r7, #28\n"
                   "bhi 4b\n"
                   "sub r8, r8, #1\n"
                   "1:\n"
                   "mov r7, r8\n"
                   BB_DOT1_SLOTS(2,
                                 "str r8, [sp, #48]\n"
                                 "strd r8, r9, [sp, #52]\n"
                                 "mov r8, #0\n"
                                 "mov r9, #0\n",
                                 "mov r10, #0x30003000\n"
                                 "orr r10, r10, #0x00030003\n"
                                 "strd r10, r11, [sp, #40]\n",
                                 BB_PAIR1_2X2)
                   BB_DOT1_RARE(2, "64", "44", "48",
                                "strd r10, r11, [sp, #52]\n"
                                "mov r10, #0\n"
                                "mov r11, #0\n")
                   ".p2align 2\n"
                   "4:\n" /* the next block; up to label 3 a multiple of 4 bytes */
                   "ldr r6, [sp, #60]\n"
                   "cmp r0, r6\n"
                   "beq.w 5f\n"
                   "strd r10, r11, [sp, #52]\n"
                   "mov r10, #0\n"
                   "mov r11, #0\n"
                   "addw r9, r0, #895\n"
                   "3:\n"
                   ".rept 1 + " BB_TURN("1", "0") "\n"
                   "ldrd r7, r8, [lr], #8\n"
                   BB_GROUPS1(BB_FIELD1, "", ", ror #2", ", ror #8", ", ror #10")
                   "adds r0, #16\n"
                   ".endr\n"
                   "cmp r0, r9\n"
                   "blo.w 3b\n"
                   "ldrd r7, r8, [sp, #52]\n"
                   "ubfx r10, r10, #12, #12\n"
                   "ubfx r11, r11, #12, #12\n"
                   "add r10, r7, r10, lsl #12\n"
                   "add r11, r8, r11, lsl #12\n"
                   "bne.w 4b\n"
                   "8:\n"
                   BB_DOT1_STORE(BB_PAIR1_2X2));
    __asm volatile(BB_DOT1_SINGLE("64", "44", "48", "{r0, r9-r12}", "ldr r10, [sp, #52]\n")
                   "ldr.w r1, [sp, #60]\n"
                   "7:\n"
                   "ldr r7, [lr], #4\n"
                   "ldm r0!, {r2-r5}\n"
                   "and r6, r12, r7\n"
                   "smuad r11, r6, r2\n"
                   "and r6, r12, r7, ror #2\n"
                   BB_MAC1("r6", "r3", "r11")
                   "and r6, r12, r7, ror #8\n"
                   BB_MAC1("r6", "r4", "r11")
                   "and r6, r12, r7, ror #10\n"
                   BB_MAC1("r6", "r5", "r11")
                   "ubfx r11, r11, #12, #12\n"
                   "add r10, r10, r11, lsl #12\n"
                   "adds r0, #16\n"
                   "cmp r0, r1\n"
                   "bne 7b\n"
                   BB_DOT1_STORE_SINGLE("64")
                   "5:\n"
                   "ldr r6, [sp, #48]\n"
                   "strd r6, r6, [sp, #52]\n"
                   "b.w 8b\n");
}
