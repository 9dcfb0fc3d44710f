/* Rows of bb_depthwise_3x3 (dsp/depthwise_3x3.c): codes of the input to pairs in the ring, output codes to the output. */

/* Memory that may be read and written at any address: cores of this level allow it. */
typedef struct {
    uint32_t value;
} __attribute__((packed, may_alias)) bb_depthwise_word;
typedef struct {
    uint16_t value;
} __attribute__((packed, may_alias)) bb_depthwise_half;

typedef struct {
    const bb_depthwise_layer *layer;
    uint32_t *ring;
    uint32_t *first_words;  /* of the pair of columns that has the first column of the image */
    uint32_t *codes;
    uint32_t *channels;
    const uint8_t *padding;
    uint32_t image_columns; /* columns of the image that are in the ring, of them: */
    uint32_t flags;         /* 1: the first is the second of a pair; 2: the last is the first of a pair */
    uint32_t whole_words;   /* words of the ring from the pair of the first column to the end of whole pairs */
    uint32_t input_pixel, input_row, output_pixel;
    uint32_t whole_bytes;   /* of the pixels that bb_depthwise_store writes by fours, */
    uint32_t next_bytes;    /* from the first of them to the first of the next four, */
    uint32_t left;          /* and the number of columns that are left then; their codes: */
    const uint32_t *last_codes;
    uint32_t second_row;    /* mask: all bits if a step computes two rows, else 0 */
    uint32_t last_row;      /* of the image */
    uint32_t group_bytes, pixel_bytes; /* of the input and output codes of less than four channels */
    uint32_t input_bits, output_bits; /* of the layer; 0 for less than four channels that do not fill as many bytes */
} bb_depthwise_plan;

BB_INLINE uint32_t bb_depthwise_load(const uint8_t *codes, uint32_t bytes)
{
    uint32_t word = 0u;
    if (bytes == 4u) {
        word = ((const bb_depthwise_word *)(const void *)codes)->value;
    } else if (bytes == 2u) {
        word = ((const bb_depthwise_half *)(const void *)codes)->value;
    } else {
        for (uint32_t i = 0u; i < bytes; i++) {
            word |= (uint32_t)codes[i] << (8u * i);
        }
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

/* Widens one column of two rows to words[0], words[2], words[4], words[6]. */
BB_INLINE void bb_depthwise_column(const uint8_t *a, const uint8_t *b, uint32_t bytes, uint32_t bits, uint32_t *words)
{
    const bb_depthwise_four pairs = bb_depthwise_pairs(bb_depthwise_load(a, bytes), bb_depthwise_load(b, bytes), bits);
    words[0] = pairs.c0;
    words[2] = pairs.c1;
    words[4] = pairs.c2;
    words[6] = pairs.c3;
}

/* Widens all columns of the image; bits is a constant. */
BB_INLINE void bb_depthwise_widen_row(const bb_depthwise_plan *plan, const uint8_t *a, uint32_t step_a,
                                      const uint8_t *b, uint32_t step_b, uint32_t bits, uint32_t *words)
{
    uint32_t *const end = &words[plan->whole_words];
    if (bits == 8u) {
        bb_depthwise_columns_8(a, step_a, b, step_b, plan->flags, words, end);
    } else {
        if ((plan->flags & 1u) != 0u) {
            bb_depthwise_column(a, b, bits >> 1, bits, &words[1]);
            a = &a[step_a];
            b = &b[step_b];
            words = &words[16];
        }
        if (words != end) {
            if (bits == 4u) {
                bb_depthwise_columns_4(&a, step_a, &b, step_b, words, end);
            } else {
                bb_depthwise_columns_2(&a, step_a, &b, step_b, words, end);
            }
        }
        if ((plan->flags & 2u) != 0u) {
            bb_depthwise_column(a, b, bits >> 1, bits, end);
        }
    }
}

/* Widens two rows of the image, y and y + 1, to the ring. a: row y; rows that are not in the image are padding. */
BB_INLINE void bb_depthwise_widen(const bb_depthwise_plan *plan, const uint8_t *a, uint32_t y)
{
    uint32_t *words = &plan->first_words[4u * (y & 2u)];
    const uint8_t *b = &a[plan->input_row];
    uint32_t step_a = plan->input_pixel;
    uint32_t step_b = step_a;
    if (y >= plan->last_row) { /* not both are in the image; y wraps above it */
        if (y != plan->last_row) {
            a = plan->padding;
            step_a = 0u;
        }
        if (y != 0xFFFFFFFFu) {
            b = plan->padding;
            step_b = 0u;
        }
    }
    if (plan->input_bits == 8u) {
        bb_depthwise_widen_row(plan, a, step_a, b, step_b, 8u, words);
    } else if (plan->input_bits == 4u) {
        bb_depthwise_widen_row(plan, a, step_a, b, step_b, 4u, words);
    } else if (plan->input_bits == 2u) {
        bb_depthwise_widen_row(plan, a, step_a, b, step_b, 2u, words);
    } else { /* the last channels, of a number that is not a multiple of 4 */
        uint32_t is_odd = plan->flags & 1u;
        for (uint32_t i = plan->image_columns; i != 0u; i--) {
            bb_depthwise_column(a, b, plan->group_bytes, plan->layer->input_bits, &words[is_odd]);
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

/* Packs the codes of four channels, each clamped to the largest code c of `bits` bits: a code plus 255 - c, at most 255,
   is the clamped code below ones, so AND puts codes together. */
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

/* Packs the codes of four channels into a pixel. bits: of the output, a constant; 0 for the last channels, which have any
   number of bytes. */
BB_INLINE void bb_depthwise_put(const bb_depthwise_plan *plan, uint8_t *pixel, uint32_t codes, uint32_t bits)
{
    if (bits == 8u) {
        ((bb_depthwise_word *)(void *)pixel)->value = codes;
    } else if (bits == 4u) {
        ((bb_depthwise_half *)(void *)pixel)->value = (uint16_t)bb_depthwise_packed(codes, 4u);
    } else if (bits == 2u) {
        *pixel = (uint8_t)bb_depthwise_packed(codes, 2u);
    } else {
        uint32_t packed = bb_depthwise_packed(codes, plan->layer->output_bits);
        for (uint32_t i = plan->pixel_bytes; i != 0u; i--) {
            *pixel = (uint8_t)packed;
            pixel = &pixel[1];
            packed >>= 8;
        }
    }
}

/* Where bb_depthwise_store writes four words of codes: bytes from one pixel to the others, and from four to the next. */
typedef struct {
    uint32_t next, second, fourth, step;
} bb_depthwise_offsets;

/* Packs codes into the pixels until `end`. bits: as in bb_depthwise_put. */
BB_INLINE void bb_depthwise_pixels(const bb_depthwise_plan *plan, uint8_t *pixel, const uint8_t *end,
                                   const uint32_t *codes, bb_depthwise_offsets offsets, uint32_t bits)
{
    do {
        register uint32_t w0 __asm__("r3");
        register uint32_t w1 __asm__("r4");
        register uint32_t w2 __asm__("r5");
        register uint32_t w3 __asm__("r6");
        __asm__ volatile("ldmia %4!, {%0, %1, %2, %3}"
                         : "=r"(w0), "=r"(w1), "=r"(w2), "=r"(w3), "+r"(codes)
                         :
                         : "memory");
        bb_depthwise_put(plan, &pixel[offsets.fourth], w3, bits);
        bb_depthwise_put(plan, &pixel[offsets.second], w2, bits);
        bb_depthwise_put(plan, &pixel[offsets.next], w1, bits);
        bb_depthwise_put(plan, pixel, w0, bits);
        pixel = &pixel[offsets.step];
    } while (pixel != end);
}

/* Packs the codes of a step into the output. Each four words of codes are two neighbouring pixels and two at `second`,
   which are the next row (stride 1) or the next two pixels (stride 2). The first pixel is written last: an offset of 0
   drops a pixel that does not exist, because another one is written there afterwards. So does the offset of another
   pixel; this is how the last pixels of a row are written. */
BB_INLINE void bb_depthwise_store(const bb_depthwise_plan *plan, uint8_t *pixel, uint32_t second)
{
    const uint32_t *codes = plan->codes;
    uint32_t left = plan->left;
    uint8_t *end = &pixel[plan->whole_bytes];
    bb_depthwise_offsets offsets;
    offsets.step = plan->next_bytes;
    offsets.next = plan->output_pixel;
    offsets.second = second;
    offsets.fourth = second + offsets.next;
    for (;;) {
        if (pixel != end) {
            if (plan->output_bits == 8u) {
                bb_depthwise_pixels(plan, pixel, end, codes, offsets, 8u);
            } else if (plan->output_bits == 4u) {
                bb_depthwise_pixels(plan, pixel, end, codes, offsets, 4u);
            } else if (plan->output_bits == 2u) {
                bb_depthwise_pixels(plan, pixel, end, codes, offsets, 2u);
            } else { /* the last channels, of a number that is not a multiple of 4 */
                bb_depthwise_pixels(plan, pixel, end, codes, offsets, 0u);
            }
        }
        if (left == 0u) {
            break;
        }
        codes = plan->last_codes;
        pixel = end;
        end = &end[offsets.step];
        if (left == 1u) { /* of four pixels, or 1 of two in both rows */
            offsets.second &= plan->second_row;
            offsets.fourth = offsets.second;
            offsets.next = 0u;
        } else if (left == 2u) { /* of four pixels */
            offsets.second = 0u;
            offsets.fourth = offsets.next;
        } else {
            offsets.fourth = offsets.second;
        }
        left = 0u;
    }
}
