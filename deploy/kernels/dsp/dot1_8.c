/* Turns of 2 pairs of words, 70 bytes of code each; an odd word comes first (label 5). Slot 13: entry after it. */
BB_NAKED void bb_dot1_8(BB_UNUSED const bb_rows *rows, BB_UNUSED const uint32_t *words,
                        BB_UNUSED const uint32_t *sums, BB_UNUSED uint8_t *output, BB_UNUSED uint32_t stride)
{
    __asm volatile(BB_DOT1_START("3")
                   "mov r6, r12\n"
                   "lsr r12, r12, #1\n"
                   BB_DOT1_ENTRY("1", "70")
                   "str r2, [sp, #52]\n"
                   "lsls r6, r6, #31\n"
                   "beq 1f\n"
                   "adr.w r2, 5f\n"
                   "add r2, r2, #1\n"
                   "1:\n"
                   BB_DOT1_SLOTS
                   BB_DOT1_PAIR("bx r2\n")
                   "bx r2\n"
                   "5:\n"
                   "ldrd r6, r7, [lr], #8\n"
                   "ldrd r2, r3, [r0], #8\n"
                   "uxtb16 r12, r6\n"
                   BB_MAC1("r12", "r2", "r10")
                   "uxtb16 r12, r7\n"
                   BB_MAC1("r12", "r2", "r11")
                   "uxtb16 r6, r6, ror #8\n"
                   BB_MAC1("r6", "r3", "r10")
                   "uxtb16 r7, r7, ror #8\n"
                   BB_MAC1("r7", "r3", "r11")
                   "cmp r0, r1\n"
                   "beq.w 4f\n"
                   "ldr r12, [sp, #52]\n"
                   "bx r12\n"
                   "3:\n"
                   ".rept 2\n"
                   "ldm lr!, {r6-r9}\n"
                   "ldm r0!, {r2-r5}\n"
                   "uxtb16 r12, r6\n"
                   BB_MAC1("r12", "r2", "r10")
                   "uxtb16 r12, r7\n"
                   BB_MAC1("r12", "r2", "r11")
                   "uxtb16 r6, r6, ror #8\n"
                   BB_MAC1("r6", "r3", "r10")
                   "uxtb16 r7, r7, ror #8\n"
                   BB_MAC1("r7", "r3", "r11")
                   "uxtb16 r12, r8\n"
                   BB_MAC1("r12", "r4", "r10")
                   "uxtb16 r12, r9\n"
                   BB_MAC1("r12", "r4", "r11")
                   "uxtb16 r8, r8, ror #8\n"
                   BB_MAC1("r8", "r5", "r10")
                   "uxtb16 r9, r9, ror #8\n"
                   BB_MAC1("r9", "r5", "r11")
                   ".endr\n"
                   "cmp r0, r1\n"
                   "bne.w 3b\n"
                   "4:\n"
                   BB_DOT1_STORE
                   BB_DOT1_SINGLE
                   "7:\n"
                   "ldr r7, [lr], #4\n"
                   "ldrd r2, r3, [r0], #8\n"
                   "uxtb16 r12, r7\n"
                   BB_MAC1("r12", "r2", "r10")
                   "uxtb16 r12, r7, ror #8\n"
                   BB_MAC1("r12", "r3", "r10")
                   "cmp r0, r1\n"
                   "bne 7b\n"
                   BB_DOT1_STORE_SINGLE);
}
