/* Turns of 2 words, 70 bytes of code each. */
BB_NAKED void bb_dot1_4(BB_UNUSED const bb_rows *rows, BB_UNUSED const uint32_t *words,
                        BB_UNUSED const uint32_t *sums, BB_UNUSED uint8_t *output, BB_UNUSED uint32_t stride)
{
    __asm volatile(BB_DOT1_START("4")
                   BB_DOT1_ENTRY("1", "70")
                   "mov r6, #0x000F000F\n"
                   BB_DOT1_SLOTS
                   BB_DOT1_PAIR("bx r2\n")
                   "bx r2\n"
                   "3:\n"
                   ".rept 2\n"
                   "ldrd r7, r8, [lr], #8\n"
                   "ldm r0!, {r2-r5}\n"
                   BB_FIELD1("", "r2")
                   BB_FIELD1(", lsr #4", "r3")
                   BB_FIELD1(", lsr #8", "r4")
                   BB_FIELD1(", lsr #12", "r5")
                   ".endr\n"
                   "cmp r0, r1\n"
                   "bne.w 3b\n"
                   BB_DOT1_STORE
                   BB_DOT1_SINGLE
                   "7:\n"
                   "ldr r7, [lr], #4\n"
                   "ldm r0!, {r2-r5}\n"
                   BB_FIELD1_SINGLE("", "r2")
                   BB_FIELD1_SINGLE(", lsr #4", "r3")
                   BB_FIELD1_SINGLE(", lsr #8", "r4")
                   BB_FIELD1_SINGLE(", lsr #12", "r5")
                   "cmp r0, r1\n"
                   "bne 7b\n"
                   BB_DOT1_STORE_SINGLE);
}
