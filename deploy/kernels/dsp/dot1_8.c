/* Turns of 4 pairs of words, 70 bytes of code each; an odd word comes first (label 5). Slot 11: entry after it. */
BB_NAKED void bb_dot1_8(BB_UNUSED const bb_rows *rows, BB_UNUSED const uint32_t *words,
                        BB_UNUSED const uint32_t *sums, BB_UNUSED uint8_t *output, BB_UNUSED uint32_t stride)
{
    __asm volatile(BB_DOT1_START("52")
                   "lsr r8, r7, #1\n"
                   BB_ENTRY1("r8", BB_TURN("3", "1"), "70")
                   "str r11, [sp, #44]\n"
                   "lsls r8, r7, #31\n"
                   "beq 1f\n"
                   "adr.w r11, 5f + 1\n"
                   "1:\n"
                   "add r7, r6, r7, lsl #3\n"
                   BB_DOT1_SLOTS(8, "", "str r11, [sp, #40]\n", BB_PAIR1_8)
                   BB_DOT1_RARE(8, "52", "40", "48", "")
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
                   "beq.w 8f\n"
                   "ldr pc, [sp, #44]\n"
                   ".p2align 2\n"
                   "3:\n"
                   ".rept 1 + " BB_TURN("3", "1") "\n"
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
                   "8:\n"
                   BB_DOT1_STORE(BB_PAIR1_8));
    __asm volatile(BB_DOT1_SINGLE("52", "40", "48", "{r0, r1, r10, r11}", "")
                   "7:\n"
                   "ldr r7, [lr], #4\n"
                   "ldrd r2, r3, [r0], #8\n"
                   "uxtb16 r12, r7\n"
                   BB_MAC1("r12", "r2", "r10")
                   "uxtb16 r12, r7, ror #8\n"
                   BB_MAC1("r12", "r3", "r10")
                   "cmp r0, r1\n"
                   "bne 7b\n"
                   BB_DOT1_STORE_SINGLE("52"));
}
