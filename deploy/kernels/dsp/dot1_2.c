BB_NAKED void bb_dot1_2(BB_UNUSED const bb_rows *rows, BB_UNUSED const uint32_t *words,
                        BB_UNUSED const uint32_t *sums, BB_UNUSED uint8_t *output, BB_UNUSED uint32_t stride)
{
    __asm volatile(BB_DOT1_START("5")
                   "adr.w r2, 3f\n"
                   "add r2, r2, #1\n"
                   "mov r6, #0x00030003\n"
                   BB_DOT1_SLOTS
                   BB_DOT1_PAIR("bx r2\n")
                   "bx r2\n"
                   "3:\n"
                   "ldrd r7, r8, [lr], #8\n"
                   "ldm r0!, {r2-r5}\n"
                   BB_FIELD1("", "r2")
                   BB_FIELD1(", lsr #2", "r3")
                   BB_FIELD1(", lsr #4", "r4")
                   BB_FIELD1(", lsr #6", "r5")
                   "ldm r0!, {r2-r5}\n"
                   BB_FIELD1(", lsr #8", "r2")
                   BB_FIELD1(", lsr #10", "r3")
                   BB_FIELD1(", lsr #12", "r4")
                   BB_FIELD1(", lsr #14", "r5")
                   "cmp r0, r1\n"
                   "bne.w 3b\n"
                   BB_DOT1_STORE
                   BB_DOT1_SINGLE
                   "7:\n"
                   "ldr r7, [lr], #4\n"
                   "ldm r0!, {r2-r5}\n"
                   BB_FIELD1_SINGLE("", "r2")
                   BB_FIELD1_SINGLE(", lsr #2", "r3")
                   BB_FIELD1_SINGLE(", lsr #4", "r4")
                   BB_FIELD1_SINGLE(", lsr #6", "r5")
                   "ldm r0!, {r2-r5}\n"
                   BB_FIELD1_SINGLE(", lsr #8", "r2")
                   BB_FIELD1_SINGLE(", lsr #10", "r3")
                   BB_FIELD1_SINGLE(", lsr #12", "r4")
                   BB_FIELD1_SINGLE(", lsr #14", "r5")
                   "cmp r0, r1\n"
                   "bne 7b\n"
                   BB_DOT1_STORE_SINGLE);
}
