/* Codes of 2 bits on both sides, columns of bb_widen_2x2: a halfword has two codes, a + b * 2^12 of the column and
   b' + a' * 2^12 of the weights, so that bits 12 to 23 of their product are a * a' + b * b', and one dual
   multiplication makes four products. 28 words of weights fill the 12 bits (28 * 16 * 9 < 2^12); longer rows take
   blocks of 28 words, the first one the rest. Turns of 2 words, 106 bytes of code each.
   Slots: 14 end of the block, 15 what follows a block (label 5 or 8), 16 to 19 totals, 20 end of the first
   block, 21 end of the columns. */
BB_NAKED void bb_dot2_2x2(BB_UNUSED const bb_rows *rows, BB_UNUSED const uint32_t *words,
                          BB_UNUSED const uint32_t *sums, BB_UNUSED uint8_t *output, BB_UNUSED uint32_t stride)
{
    __asm volatile(BB_DOT2_START("92", "128", "6")
                   "str r1, [sp, #84]\n"
                   "adr.w r2, 8f\n"
                   "4:\n"
                   "cmp r12, #28\n"
                   "bls 1f\n"
                   "sub r12, r12, #28\n"
                   "sub r1, r1, #1792\n"
                   "adr.w r2, 5f\n"
                   "b 4b\n"
                   "1:\n"
                   "str r1, [sp, #56]\n"
                   "str r1, [sp, #80]\n"
                   "add r2, r2, #1\n"
                   "str r2, [sp, #60]\n"
                   "mov r1, #0x30003000\n"
                   "orr r1, r1, #0x00030003\n"
                   BB_DOT2_SLOTS("1", "106")
                   BB_DOT2_PAIR("b 4f\n")
                   "4:\n"
                   "strd r8, r9, [sp, #64]\n"
                   "strd r10, r11, [sp, #72]\n"
                   "mov r8, #0\n"
                   "mov r9, #0\n"
                   "mov r10, #0\n"
                   "mov r11, #0\n"
                   "bx r2\n"
                   "3:\n"
                   ".rept 2\n"
                   "ldrd r6, r7, [lr], #8\n"
                   BB_GROUP2(BB_FIELD2, "", ", ror #2")
                   BB_GROUP2(BB_FIELD2, ", ror #8", ", ror #10")
                   "adds r0, #32\n"
                   ".endr\n"
                   "ldr r12, [sp, #56]\n"
                   "cmp r0, r12\n"
                   "bne.w 3b\n"
                   "ldrd r2, r3, [sp, #64]\n"
                   "ldrd r4, r5, [sp, #72]\n"
                   "ubfx r8, r8, #12, #12\n"
                   "ubfx r9, r9, #12, #12\n"
                   "ubfx r10, r10, #12, #12\n"
                   "ubfx r11, r11, #12, #12\n"
                   "add r8, r2, r8, lsl #6\n"
                   "add r9, r3, r9, lsl #6\n"
                   "add r10, r4, r10, lsl #6\n"
                   "add r11, r5, r11, lsl #6\n"
                   "ldr pc, [sp, #60]\n"
                   "8:\n"
                   BB_DOT2_STORE
                   BB_DOT2_SINGLE
                   "ldr r12, [sp, #84]\n"
                   "7:\n"
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
                   "add r8, r8, r10, lsl #6\n"
                   "add r9, r9, r11, lsl #6\n"
                   "adds r0, #32\n"
                   "cmp r0, r12\n"
                   "bne 7b\n"
                   BB_DOT2_STORE_SINGLE("92")
                   "5:\n"
                   "ldr r6, [sp, #84]\n"
                   "cmp r0, r6\n"
                   "beq 1f\n"
                   "strd r8, r9, [sp, #64]\n"
                   "strd r10, r11, [sp, #72]\n"
                   "add r6, r0, #1792\n"
                   "str r6, [sp, #56]\n"
                   "mov r8, #0\n"
                   "mov r9, #0\n"
                   "mov r10, #0\n"
                   "mov r11, #0\n"
                   "b.w 3b\n"
                   "1:\n"
                   "ldr r6, [sp, #80]\n"
                   "str r6, [sp, #56]\n"
                   "b.w 8b\n");
}
