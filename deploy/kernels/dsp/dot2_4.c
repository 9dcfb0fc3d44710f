/* Turns of 4 words, 104 bytes of code each. Slot 14: end of the columns. */
BB_NAKED void bb_dot2_4(BB_UNUSED const bb_rows *rows, BB_UNUSED const uint32_t *words,
                        BB_UNUSED const uint32_t *sums, BB_UNUSED uint8_t *output, BB_UNUSED uint32_t stride)
{
    __asm volatile(BB_DOT2_START("60")
                   BB_ENTRY2(BB_TURN("3", "1"), "104")
                   "add r12, r7, r8, lsl #5\n"
                   BB_DOT2_SLOTS(4, "60", "r8", "mov r8, #0x00F000F0\n", "strd r11, r12, [sp, #52]\n")
                   BB_DOT2_RARE(4, "60", "")
                   ".p2align 2\n"
                   "3:\n"
                   ".rept 1 + " BB_TURN("3", "1") "\n"
                   "ldrd r6, r7, [lr], #8\n"
                   BB_GROUP2(BB_FIELD2, ", lsl #4", "")
                   BB_GROUP2(BB_FIELD2, ", lsr #4", ", lsr #8")
                   ".endr\n"
                   "ldr r12, [sp, #56]\n"
                   "cmp r0, r12\n"
                   "bne.w 3b\n"
                   BB_DOT2_STORE
                   BB_DOT2_SINGLE("60", "")
                   "ldr r12, [sp, #56]\n"
                   "7:\n"
                   "ldr r6, [lr], #4\n"
                   BB_GROUP2(BB_FIELD2_SINGLE, ", lsl #4", "")
                   BB_GROUP2(BB_FIELD2_SINGLE, ", lsr #4", ", lsr #8")
                   "cmp r0, r12\n"
                   "bne 7b\n"
                   BB_DOT2_STORE_SINGLE("60"));
}
