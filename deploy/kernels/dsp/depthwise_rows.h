/* Rows of bb_depthwise_3x3 (dsp/depthwise_3x3.c): codes of the input to pairs in the ring, output codes to pixels. */

/* Memory that may be read and written at any address: cores of this level allow it. */
typedef struct {
    uint32_t value;
} __attribute__((packed, may_alias)) bb_depthwise_word;
typedef struct {
    uint16_t value;
} __attribute__((packed, may_alias)) bb_depthwise_half;

/* The next two rows of the image to widen. */
typedef struct {
    uint32_t *words;        /* in the ring, of the pair of columns that has the first column of the image */
    const uint8_t *row;
    uint32_t y;             /* the row; wraps above the image */
    uint32_t pixel_bytes, row_bytes;
    uint32_t both_words;    /* sum of the two values that `words` has in turns */
    uint32_t bound;         /* bytes from `words` to the end of whole pairs of columns, - 4, + 1 if the first column is
                               the second of a pair, + 2 if the last is the first of a pair */
    uint32_t last_y;        /* the last row of the image */
    const uint8_t *padding; /* codes z_x of four channels */
} bb_depthwise_source;

/* The next pixels to write: each four words of codes are two neighbouring ones and two at `second`, which are the next
   row (stride 1) or the next two pixels (stride 2). */
typedef struct {
    uint8_t *pixel;
    uint32_t *codes;
    uint32_t whole_bytes;   /* of the pixels that are written by fours */
    uint32_t next, second, fourth; /* bytes from a pixel to the others */
    uint32_t four_bytes;    /* from four pixels to the next four */
    uint32_t left;          /* columns that are left behind pixels by fours */
    uint32_t step_bytes;    /* to the pixels of the next step */
} bb_depthwise_target;

typedef struct {
    const bb_depthwise_layer *layer;
    uint32_t *last_codes;   /* of the columns that are left */
    uint32_t *channels;
    uint32_t image_columns; /* columns of the image that are in the ring */
    uint32_t group_bytes, pixel_bytes; /* of the input and output codes of less than four channels */
    uint32_t input_bits, output_bits; /* of the layer; 0 for less than four channels that do not fill as many bytes */
    bb_depthwise_source source;
    bb_depthwise_target target;
} bb_depthwise_plan;

/* Returns the codes of four channels of `bits` bits, a constant, in the low bits. */
BB_INLINE uint32_t bb_depthwise_load(const uint8_t *codes, uint32_t bits)
{
    return (bits == 8u)   ? ((const bb_depthwise_word *)(const void *)codes)->value
           : (bits == 4u) ? ((const bb_depthwise_half *)(const void *)codes)->value
                          : *codes;
}

/* Returns `bytes` bytes of codes in the low bits. */
BB_INLINE uint32_t bb_depthwise_load_bytes(const uint8_t *codes, uint32_t bytes)
{
    uint32_t word = 0u;
    for (uint32_t i = bytes; i != 0u; i--) {
        word = (word << 8) | codes[i - 1u];
    }
    return word;
}

typedef struct {
    uint32_t c0, c1, c2, c3;
} bb_depthwise_four;

/* Returns pairs of the codes of four channels of two pixels (packed in a and b), shifted left by 8 - bits. */
BB_INLINE bb_depthwise_four bb_depthwise_pairs(uint32_t a, uint32_t b, uint32_t bits)
{
    bb_depthwise_four pairs;
    uint32_t both;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(both) : "r"(a), "r"(b));
    if (bits == 8u) {
        uint32_t high;
        __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(high) : "r"(b), "r"(a));
        __asm__("uxtb16 %0, %1" : "=r"(pairs.c0) : "r"(both));
        __asm__("uxtb16 %0, %1, ror #8" : "=r"(pairs.c1) : "r"(both));
        __asm__("uxtb16 %0, %1" : "=r"(pairs.c2) : "r"(high));
        __asm__("uxtb16 %0, %1, ror #8" : "=r"(pairs.c3) : "r"(high));
    } else if (bits == 4u) {
        pairs.c0 = (both << 4) & 0x00F000F0u;
        pairs.c1 = both & 0x00F000F0u;
        pairs.c2 = (both >> 4) & 0x00F000F0u;
        pairs.c3 = (both >> 8) & 0x00F000F0u;
    } else {
        pairs.c0 = (both << 6) & 0x00C000C0u;
        pairs.c1 = (both << 4) & 0x00C000C0u;
        pairs.c2 = (both << 2) & 0x00C000C0u;
        pairs.c3 = both & 0x00C000C0u;
    }
    return pairs;
}

/* Widens the next two rows of the image, a and b, to the ring; rows that are not in the image are padding. */
BB_INLINE void bb_depthwise_widen(bb_depthwise_plan *plan)
{
    register uint32_t *words __asm__("r0");
    register const uint8_t *a __asm__("r1");
    register const uint8_t *b __asm__("r2");
    register uint32_t step_a __asm__("r3");
    register uint32_t step_b __asm__("r4");
    register uint32_t bound __asm__("r6");
    __asm__ volatile("ldmia %[source], {r0, r1, r2, r3, r4, r5, r6, r12}\n"
                     "cmp r2, r12\n"
                     "add r10, r2, #2\n" /* y of the rows after these */
                     "add r2, r1, r4\n"
                     "add r9, r2, r4\n"
                     "sub r5, r5, r0\n"
                     "add r6, r0, r6\n"
                     "mov r4, r3\n"
                     "stmia %[source], {r5, r9, r10}\n"
                     "blo 1f\n" /* both are in the image */
                     "ldr r9, [%[source], #32]\n"
                     "itt ne\n"
                     "movne r1, r9\n"
                     "movne r3, #0\n"
                     "cmp r10, #1\n"
                     "itt ne\n"
                     "movne r2, r9\n"
                     "movne r4, #0\n"
                     "1:\n"
                     : "=&r"(words), "=&r"(a), "=&r"(b), "=&r"(step_a), "=&r"(step_b), "=&r"(bound)
                     : [source] "r"(&plan->source)
                     : "r5", "r9", "r10", "r12", "cc", "memory");
    if (__builtin_expect(plan->input_bits == 8u, 1) != 0) { /* the usual case without a branch */
        bb_depthwise_columns(a, step_a, b, step_b, words, bound, 8u);
    } else if (plan->input_bits == 4u) {
        bb_depthwise_columns(a, step_a, b, step_b, words, bound, 4u);
    } else if (plan->input_bits == 2u) {
        bb_depthwise_columns(a, step_a, b, step_b, words, bound, 2u);
    } else { /* the last channels, of a number that is not a multiple of 4 */
        const uint32_t bits = plan->layer->input_bits;
        const uint32_t bytes = plan->group_bytes;
        uint32_t is_odd = bound & 1u;
        for (uint32_t i = plan->image_columns; i != 0u; i--) {
            const bb_depthwise_four pairs =
                bb_depthwise_pairs(bb_depthwise_load_bytes(a, bytes), bb_depthwise_load_bytes(b, bytes), bits);
            words[is_odd] = pairs.c0;
            words[is_odd + 2u] = pairs.c1;
            words[is_odd + 4u] = pairs.c2;
            words[is_odd + 6u] = pairs.c3;
            a = &a[step_a];
            b = &b[step_b];
            words = &words[16u * is_odd];
            is_odd ^= 1u;
        }
    }
}

/* Adds in each byte, at most 255. */
BB_INLINE uint32_t bb_depthwise_saturated(uint32_t bytes, uint32_t added)
{
    uint32_t sum;
    __asm__("uqadd8 %0, %1, %2" : "=r"(sum) : "r"(bytes), "r"(added));
    return sum;
}

/* Returns the byte of a channel's code among those of four channels. */
BB_INLINE uint32_t bb_depthwise_place(uint32_t channel, uint32_t bits)
{
    return ((bits == 4u) && (channel != 0u) && (channel != 3u)) ? (3u - channel) : channel;
}

/* Packs the codes of four channels, each clamped to the largest code c of `bits` bits: a code plus 255 - c, at most
   255, is the clamped code below ones, so AND puts codes together. */
BB_INLINE uint32_t bb_depthwise_packed(uint32_t codes, uint32_t bits)
{
    uint32_t packed = codes;
    if (bits == 4u) {
        packed = bb_depthwise_saturated(codes, 0xF0F0F0F0u);
        packed &= packed >> 12;
    } else if (bits == 2u) {
        packed = bb_depthwise_saturated(codes, 0xFCFCFCFCu);
        packed &= packed >> 6;
        packed &= packed >> 12;
    } else {
        /* 8 bits: a byte for each code */
    }
    return packed;
}

/* Packs codes into the pixels until `end`, each four words in the order of bb_depthwise_store. */
#define BB_DEPTHWISE_PIXELS(pack, store, added_to_codes)                                                              \
    __asm__ volatile("1:\n"                                                                                           \
                     "ldmia %[codes]!, {r3, r4, r5, r6}\n"                                                            \
                     pack("r6") store " r6, [%[pixel], %[fourth]]\n"                                                  \
                     pack("r5") store " r5, [%[pixel], %[second]]\n"                                                  \
                     pack("r4") store " r4, [%[pixel], %[next]]\n"                                                    \
                     pack("r3") store " r3, [%[pixel]]\n"                                                             \
                     "add %[pixel], %[pixel], %[four_bytes]\n"                                                        \
                     "cmp %[pixel], %[end]\n"                                                                         \
                     "bne 1b\n"                                                                                       \
                     : [pixel] "+r"(pixel), [codes] "+r"(codes)                                                       \
                     : [end] "r"(end), [next] "r"(next), [second] "r"(second), [fourth] "r"(fourth),                  \
                       [four_bytes] "r"(four_bytes), [added] "r"(added_to_codes)                                      \
                     : "r3", "r4", "r5", "r6", "cc", "memory")
#define BB_DEPTHWISE_PACK_8(word)
#define BB_DEPTHWISE_PACK_4(word) "uqadd8 " word ", " word ", %[added]\n and " word ", " word ", " word ", lsr #12\n"
#define BB_DEPTHWISE_PACK_2(word)                                                                                     \
    "uqadd8 " word ", " word ", %[added]\n and " word ", " word ", " word ", lsr #6\n"                                \
    "and " word ", " word ", " word ", lsr #12\n"

/* The same for the last channels, of a number that is not a multiple of 4. */
BB_INLINE void bb_depthwise_last_pixels(const bb_depthwise_plan *plan, uint8_t *pixel, const uint8_t *end,
                                        const uint32_t *codes, uint32_t next, uint32_t second, uint32_t fourth,
                                        uint32_t four_bytes)
{
    const uint32_t bits = plan->layer->output_bits;
    const uint32_t bytes = plan->pixel_bytes;
    do {
        for (uint32_t i = 4u; i != 0u; i--) {
            const uint32_t offset = (i == 4u) ? fourth : (i == 3u) ? second : (i == 2u) ? next : 0u;
            uint32_t packed = bb_depthwise_packed(codes[i - 1u], bits);
            uint8_t *target = &pixel[offset];
            const uint8_t *const target_end = &target[bytes];
            do {
                *target = (uint8_t)packed;
                packed >>= 8;
                target = &target[1];
            } while (target != target_end);
        }
        codes = &codes[4];
        pixel = &pixel[four_bytes];
    } while (pixel != end);
}

/* Packs the codes of a step into the output. The first of four pixels is written last: an offset of 0 drops a pixel
   that does not exist, because another one is written there afterwards. So does the offset of another pixel, and
   in this way the last pixels of a row are written. */
BB_INLINE void bb_depthwise_store(bb_depthwise_plan *plan)
{
    register uint8_t *pixel __asm__("r0");
    register uint32_t *codes __asm__("r1");
    register uint8_t *end __asm__("r2");
    register uint32_t next __asm__("r8");
    register uint32_t second __asm__("r9");
    register uint32_t fourth __asm__("r10");
    register uint32_t four_bytes __asm__("r11");
    register uint32_t left __asm__("r12");
    __asm__ volatile("ldmia %[target], {r0, r1, r2, r8, r9, r10, r11, r12, lr}\n"
                     "add lr, r0, lr\n" /* the pixels of the next step */
                     "add r2, r0, r2\n"
                     "str lr, [%[target]]\n"
                     : "=&r"(pixel), "=&r"(codes), "=&r"(end), "=&r"(next), "=&r"(second), "=&r"(fourth),
                       "=&r"(four_bytes), "=&r"(left)
                     : [target] "r"(&plan->target)
                     : "lr", "memory");
    for (;;) {
        if (pixel != end) {
            if (__builtin_expect(plan->output_bits == 8u, 1) != 0) {
                BB_DEPTHWISE_PIXELS(BB_DEPTHWISE_PACK_8, "str", next);
            } else if (plan->output_bits == 4u) {
                BB_DEPTHWISE_PIXELS(BB_DEPTHWISE_PACK_4, "strh", 0xF0F0F0F0u);
            } else if (plan->output_bits == 2u) {
                BB_DEPTHWISE_PIXELS(BB_DEPTHWISE_PACK_2, "strb", 0xFCFCFCFCu);
            } else { /* the last channels, of a number that is not a multiple of 4 */
                bb_depthwise_last_pixels(plan, pixel, end, codes, next, second, fourth, four_bytes);
            }
        }
        if (left == 0u) {
            break;
        }
        if (left == 1u) { /* of two in both rows, or of four pixels: then `second` is not the next row */
            second = (plan->layer->stride_x == 1u) ? second : 0u;
            fourth = second;
            next = 0u;
        } else if (left == 2u) { /* of four pixels */
            second = 0u;
            fourth = next;
        } else {
            fourth = second;
        }
        left = 0u;
        codes = plan->last_codes;
        pixel = end;
        end = &end[four_bytes];
    }
}
