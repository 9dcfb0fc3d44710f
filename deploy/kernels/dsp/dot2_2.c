/* Turns of 2 words, 204 bytes of code each. Slot 14: end of the columns. Rows of one word (label 5) end after its first
   8 codes if the others are 0, so that 8 channels do not take longer than at 8 bits. Two texts, because C99 limits a
   string to 4095 characters. */
BB_NAKED void bb_dot2_2(BB_UNUSED const bb_rows *rows, BB_UNUSED const uint32_t *words,
                        BB_UNUSED const uint32_t *sums, BB_UNUSED uint8_t *output, BB_UNUSED uint32_t stride)
{
    __asm volatile(BB_DOT2_START("60")
                   BB_ENTRY2(BB_TURN("1", "0"), "204")
                   "cmp r8, #1\n"
                   "bne 1f\n"
                   "adr.w r11, 5f + 1\n"
                   "1:\n"
                   "add r12, r7, r8, lsl #6\n"
                   BB_DOT2_SLOTS(2, "60", "r8", "mov r8, #0x00C000C0\n", "strd r11, r12, [sp, #52]\n")
                   BB_DOT2_RARE(2, "60", ""));
    __asm volatile(".p2align 2\n"
                   "3:\n"
                   ".rept 1 + " BB_TURN("1", "0") "\n"
                   "ldrd r6, r7, [lr], #8\n"
                   BB_GROUP2(BB_FIELD2, ", lsl #6", ", lsl #4")
                   BB_GROUP2(BB_FIELD2, ", lsl #2", "")
                   BB_GROUP2(BB_FIELD2, ", lsr #2", ", lsr #4")
                   BB_GROUP2(BB_FIELD2, ", lsr #6", ", lsr #8")
                   ".endr\n"
                   "ldr r12, [sp, #56]\n"
                   "cmp r0, r12\n"
                   "bne.w 3b\n"
                   "8:\n"
                   BB_DOT2_STORE
                   BB_DOT2_SINGLE("60", "")
                   "ldr r12, [sp, #56]\n");
    __asm volatile("7:\n"
                   "ldr r6, [lr], #4\n"
                   BB_GROUP2(BB_FIELD2_SINGLE, ", lsl #6", ", lsl #4")
                   BB_GROUP2(BB_FIELD2_SINGLE, ", lsl #2", "")
                   BB_GROUP2(BB_FIELD2_SINGLE, ", lsr #2", ", lsr #4")
                   BB_GROUP2(BB_FIELD2_SINGLE, ", lsr #6", ", lsr #8")
                   "cmp r0, r12\n"
                   "bne 7b\n"
                   BB_DOT2_STORE_SINGLE("60")
                   "5:\n"
                   "ldrd r6, r7, [lr], #8\n"
                   BB_GROUP2(BB_FIELD2, ", lsl #6", ", lsl #4")
                   BB_GROUP2(BB_FIELD2, ", lsl #2", "")
                   "orr r12, r6, r7\n"
                   "tst r12, #0xFF00FF00\n"
                   "beq.w 8b\n"
                   BB_GROUP2(BB_FIELD2, ", lsr #2", ", lsr #4")
                   BB_GROUP2(BB_FIELD2, ", lsr #6", ", lsr #8")
                   "b.w 8b\n");
}
