/* Codes of 2 bits on both sides, columns of bb_widen_2x2: a halfword has two codes, a + b * 2^12 of the column and
   b' + a' * 2^12 of the weights, so that bits 12 to 23 of their product are a * a' + b * b', and one dual
   multiplication makes four products. 28 words of weights fill the 12 bits (28 * 16 * 9 < 2^12); longer rows take
   blocks of 28 words, the first one the rest. Turns of 2 words, 72 bytes of code each.
   Slots: 13 end of the first block, 14 and 15 totals. */
BB_NAKED void bb_dot1_2x2(BB_UNUSED const bb_rows *rows, BB_UNUSED const uint32_t *words,
                          BB_UNUSED const uint32_t *sums, BB_UNUSED uint8_t *output, BB_UNUSED uint32_t stride)
{
    __asm volatile(BB_DOT1_START("5")
                   "mov r2, r1\n"
                   "4:\n"
                   "cmp r12, #28\n"
                   "bls 1f\n"
                   "sub r12, r12, #28\n"
                   "sub r2, r2, #896\n"
                   "b 4b\n"
                   "1:\n"
                   "str r2, [sp, #52]\n"
                   BB_DOT1_ENTRY("1", "72")
                   "mov r6, #0x30003000\n"
                   "orr r6, r6, #0x00030003\n"
                   BB_DOT1_SLOTS
                   BB_DOT1_PAIR("b 4f\n")
                   "4:\n"
                   "ldr r9, [sp, #52]\n"
                   "strd r10, r11, [sp, #56]\n"
                   "mov r10, #0\n"
                   "mov r11, #0\n"
                   "bx r2\n"
                   "5:\n"
                   "strd r10, r11, [sp, #56]\n"
                   "mov r10, #0\n"
                   "mov r11, #0\n"
                   "add r9, r0, #896\n"
                   "3:\n"
                   ".rept 2\n"
                   "ldrd r7, r8, [lr], #8\n"
                   "ldm r0!, {r2-r5}\n"
                   BB_FIELD1("", "r2")
                   BB_FIELD1(", ror #2", "r3")
                   BB_FIELD1(", ror #8", "r4")
                   BB_FIELD1(", ror #10", "r5")
                   "adds r0, #16\n"
                   ".endr\n"
                   "cmp r0, r9\n"
                   "bne.w 3b\n"
                   "ldrd r7, r8, [sp, #56]\n"
                   "ubfx r10, r10, #12, #12\n"
                   "ubfx r11, r11, #12, #12\n"
                   "add r10, r7, r10, lsl #6\n"
                   "add r11, r8, r11, lsl #6\n"
                   "cmp r0, r1\n"
                   "bne.w 5b\n"
                   BB_DOT1_STORE
                   BB_DOT1_SINGLE
                   "7:\n"
                   "ldr r7, [lr], #4\n"
                   "ldm r0!, {r2-r5}\n"
                   "and r12, r6, r7\n"
                   "smuad r11, r12, r2\n"
                   "and r12, r6, r7, ror #2\n"
                   BB_MAC1("r12", "r3", "r11")
                   "and r12, r6, r7, ror #8\n"
                   BB_MAC1("r12", "r4", "r11")
                   "and r12, r6, r7, ror #10\n"
                   BB_MAC1("r12", "r5", "r11")
                   "ubfx r11, r11, #12, #12\n"
                   "add r10, r10, r11, lsl #6\n"
                   "adds r0, #16\n"
                   "cmp r0, r1\n"
                   "bne 7b\n"
                   BB_DOT1_STORE_SINGLE);
}
