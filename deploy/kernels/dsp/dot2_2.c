/* Turns of 2 words, 204 bytes of code each. Rows of one word (label 5) end after its first 8 codes if the others are 0,
   so that 8 channels do not take longer than at 8 bits. Two texts, because C99 limits a string to 4095 characters. */
BB_NAKED void bb_dot2_2(BB_UNUSED const bb_rows *rows, BB_UNUSED const uint32_t *words,
                        BB_UNUSED const uint32_t *sums, BB_UNUSED uint8_t *output, BB_UNUSED uint32_t stride)
{
    __asm volatile(BB_DOT2_START("60", "96", "6")
                   "mov r1, #0x00030003\n"
                   BB_DOT2_SLOTS("1", "204")
                   "ldr r12, [sp, #56]\n"
                   "sub r12, r12, r0\n"
                   "cmp r12, #64\n"
                   "bne 2f\n"
                   "adr.w r2, 5f\n"
                   "add r2, r2, #1\n"
                   "str r2, [sp, #8]\n"
                   BB_DOT2_PAIR("bx r2\n")
                   "bx r2\n"
                   "3:\n"
                   ".rept 2\n"
                   "ldrd r6, r7, [lr], #8\n"
                   BB_GROUP2(BB_FIELD2, "", ", lsr #2")
                   BB_GROUP2(BB_FIELD2, ", lsr #4", ", lsr #6")
                   BB_GROUP2(BB_FIELD2, ", lsr #8", ", lsr #10")
                   BB_GROUP2(BB_FIELD2, ", lsr #12", ", lsr #14")
                   ".endr\n"
                   "ldr r12, [sp, #56]\n"
                   "cmp r0, r12\n"
                   "bne.w 3b\n"
                   "8:\n"
                   BB_DOT2_STORE);
    __asm volatile(BB_DOT2_SINGLE
                   "7:\n"
                   "ldr r6, [lr], #4\n"
                   BB_GROUP2(BB_FIELD2_SINGLE, "", ", lsr #2")
                   BB_GROUP2(BB_FIELD2_SINGLE, ", lsr #4", ", lsr #6")
                   BB_GROUP2(BB_FIELD2_SINGLE, ", lsr #8", ", lsr #10")
                   BB_GROUP2(BB_FIELD2_SINGLE, ", lsr #12", ", lsr #14")
                   "cmp r0, r12\n"
                   "bne 7b\n"
                   BB_DOT2_STORE_SINGLE("60")
                   "5:\n"
                   "ldrd r6, r7, [lr], #8\n"
                   BB_GROUP2(BB_FIELD2, "", ", lsr #2")
                   BB_GROUP2(BB_FIELD2, ", lsr #4", ", lsr #6")
                   "orr r12, r6, r7\n"
                   "tst r12, #0xFF00FF00\n"
                   "beq.w 8b\n"
                   BB_GROUP2(BB_FIELD2, ", lsr #8", ", lsr #10")
                   BB_GROUP2(BB_FIELD2, ", lsr #12", ", lsr #14")
                   "b.w 8b\n");
}
