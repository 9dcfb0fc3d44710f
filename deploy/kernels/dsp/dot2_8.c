/* Turns of 8 words, 54 bytes of code each. */
BB_NAKED void bb_dot2_8(BB_UNUSED const bb_rows *rows, BB_UNUSED const uint32_t *words,
                        BB_UNUSED const uint32_t *sums, BB_UNUSED uint8_t *output, BB_UNUSED uint32_t stride)
{
    __asm volatile(BB_DOT2_START("56")
                   BB_ENTRY2(BB_TURN("7", "3"), "54")
                   "add r8, r7, r8, lsl #4\n"
                   BB_DOT2_SLOTS(8, "56", "r12", "", "str r11, [sp, #52]\n")
                   BB_DOT2_RARE(8, "56", "")
                   ".p2align 2\n"
                   "3:\n"
                   ".rept 1 + " BB_TURN("7", "3") "\n"
                   "ldrd r6, r7, [lr], #8\n"
                   "ldm r0!, {r2-r5}\n"
                   "uxtb16 r12, r6\n" BB_MAC2("r12", "r2", "r4", "r8", "r9")
                   "uxtb16 r12, r7\n" BB_MAC2("r12", "r2", "r4", "r10", "r11")
                   "uxtb16 r6, r6, ror #8\n" BB_MAC2("r6", "r3", "r5", "r8", "r9")
                   "uxtb16 r7, r7, ror #8\n" BB_MAC2("r7", "r3", "r5", "r10", "r11")
                   ".endr\n"
                   "cmp r0, r1\n"
                   "bne.w 3b\n"
                   BB_DOT2_STORE
                   BB_DOT2_SINGLE("56", "")
                   "7:\n"
                   "ldr r6, [lr], #4\n"
                   "ldm r0!, {r2-r5}\n"
                   "uxtb16 r7, r6\n" BB_MAC2("r7", "r2", "r4", "r8", "r9")
                   "uxtb16 r7, r6, ror #8\n" BB_MAC2("r7", "r3", "r5", "r8", "r9")
                   "cmp r0, r1\n"
                   "bne 7b\n"
                   BB_DOT2_STORE_SINGLE("56"));
}
