/* Turns of 4 words, 70 bytes of code each. */
BB_NAKED void bb_dot1_4(BB_UNUSED const bb_rows *rows, BB_UNUSED const uint32_t *words,
                        BB_UNUSED const uint32_t *sums, BB_UNUSED uint8_t *output, BB_UNUSED uint32_t stride)
{
    __asm volatile(BB_DOT1_START("52")
                   BB_ENTRY1("r7", BB_TURN("3", "1"), "70")
                   "add r7, r6, r7, lsl #4\n"
                   BB_DOT1_SLOTS(4, "", BB_MASK1("0x00F000F0"), BB_PAIR1)
                   BB_DOT1_RARE(4, "52", "44", "48", "")
                   ".p2align 2\n"
                   "3:\n"
                   ".rept 1 + " BB_TURN("3", "1") "\n"
                   "ldrd r7, r8, [lr], #8\n"
                   BB_GROUPS1(BB_FIELD1, ", lsl #4", "", ", lsr #4", ", lsr #8")
                   ".endr\n"
                   "cmp r0, r1\n"
                   "bne.w 3b\n"
                   BB_DOT1_STORE(BB_PAIR1)
                   BB_DOT1_SINGLE("52", "44", "48", "{r0, r1, r10-r12}", "")
                   "7:\n"
                   "ldr r7, [lr], #4\n"
                   BB_GROUPS1(BB_FIELD1_SINGLE, ", lsl #4", "", ", lsr #4", ", lsr #8")
                   "cmp r0, r1\n"
                   "bne 7b\n"
                   BB_DOT1_STORE_SINGLE("52"));
}
