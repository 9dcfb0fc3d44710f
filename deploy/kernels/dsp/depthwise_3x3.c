/* Depthwise 3x3 convolution with stride 1 or 2, narrow form with 1 <= s <= 16.

   Four channels at a time. Two rows of the image become one row of vertical pairs: a word holds two codes of a column,
   x << e as int16, the upper one in the low half. The ring holds two such rows, and a step reads both: pairs P of rows
   (r, r + 1) and Q of rows (r + 2, r + 3). A column of the kernel is kept in two registers, (w0, w1) and (w1, w2):

       output row r        P * (w0, w1)  +  Q.low * w2        2 multiplications for 3 products
       output row r + 1    P.high * w0   +  Q * (w1, w2)      (stride 1 only)

   Then P is not needed any more, and the next two rows take its place. So P and Q change places in each step, and there
   are two copies of the inner loop. The output may overwrite the input (stride 1): rows are in the ring before.

   An output is SMMLAR(sum, M, z_y) with M = m * 2^(16 - s): z_y + floor(sum * m / 2^(16 + s) + 1/2), which is the narrow
   form, because floor((floor(v) + c) / 2^s) = floor((v + c) / 2^s).

   Scratch  ring      [pair of columns][2 rows of pairs][4 channels][2 columns] words, columns with padding
            codes     stride 1: [block][2 rows][2 columns][4 channels] bytes; stride 2: one row
            channels  [4] constants and weights, see BB_DEPTHWISE_CHANNEL_WORDS
            padding   a word with packed codes z_x */

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
    uint32_t *codes;
    uint32_t *channels;
    const uint8_t *padding;
    uint32_t image_columns; /* columns of the image that are in the ring, of them: */
    uint32_t is_first_odd;  /* 1: the first is the second of a pair */
    uint32_t whole_words;   /* words of the ring of whole pairs */
    uint32_t is_last_odd;   /* 1: the last is the first of a pair */
    uint32_t first_word;    /* of the pair with the first column */
    uint32_t input_pixel, input_row, output_pixel;
    uint32_t whole_bytes, next_bytes, left, left_words; /* of bb_depthwise_store */
    uint32_t group_bytes; /* of the input codes of the four channels, less in the last group */
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

/* Makes pairs of the codes of four channels of two pixels (packed in a and b): channel c at pairs[step * c], shifted left
   by 8 - bits. */
BB_INLINE void bb_depthwise_pairs(uint32_t a, uint32_t b, uint32_t bits, uint32_t *pairs, uint32_t step)
{
    if (bits == 8u) {
        const uint32_t low = (a & 0xFFFFu) | (b << 16);
        const uint32_t high = (a >> 16) | (b & 0xFFFF0000u);
        pairs[0] = low & 0x00FF00FFu;
        pairs[step] = (low >> 8) & 0x00FF00FFu;
        pairs[2u * step] = high & 0x00FF00FFu;
        pairs[3u * step] = (high >> 8) & 0x00FF00FFu;
    } else if (bits == 4u) {
        const uint32_t both = a | (b << 16);
        pairs[0] = (both << 4) & 0x00F000F0u;
        pairs[step] = both & 0x00F000F0u;
        pairs[2u * step] = (both >> 4) & 0x00F000F0u;
        pairs[3u * step] = (both >> 8) & 0x00F000F0u;
    } else {
        const uint32_t both = a | (b << 16);
        pairs[0] = (both << 6) & 0x00C000C0u;
        pairs[step] = (both << 4) & 0x00C000C0u;
        pairs[2u * step] = (both << 2) & 0x00C000C0u;
        pairs[3u * step] = both & 0x00C000C0u;
    }
}

/* Widens all columns of the image; bits is a constant. */
BB_INLINE void bb_depthwise_widen_row(const bb_depthwise_plan *plan, const uint8_t *a, uint32_t step_a,
                                      const uint8_t *b, uint32_t step_b, uint32_t bits, uint32_t *words)
{
    const uint32_t bytes = bits >> 1;
    if (plan->is_first_odd != 0u) {
        bb_depthwise_pairs(bb_depthwise_load(a, bytes), bb_depthwise_load(b, bytes), bits, &words[1], 2u);
        a = &a[step_a];
        b = &b[step_b];
        words = &words[16];
    }
    if (plan->whole_words != 0u) {
        uint32_t *const end = &words[plan->whole_words];
        if (bits == 8u) {
            bb_depthwise_columns_8(&a, step_a, &b, step_b, words, end);
        } else if (bits == 4u) {
            bb_depthwise_columns_4(&a, step_a, &b, step_b, words, end);
        } else {
            bb_depthwise_columns_2(&a, step_a, &b, step_b, words, end);
        }
        words = end;
    }
    if (plan->is_last_odd != 0u) {
        bb_depthwise_pairs(bb_depthwise_load(a, bytes), bb_depthwise_load(b, bytes), bits, words, 2u);
    }
}

/* Widens the rows y and y + 1 of the image (rows outside of it: padding) to `row` of the ring. */
BB_INLINE void bb_depthwise_widen(const bb_depthwise_plan *plan, const uint8_t *source, uint32_t y, uint32_t *row)
{
    const uint32_t bits = plan->layer->input_bits;
    const uint8_t *a = plan->padding;
    const uint8_t *b = a;
    uint32_t step_a = 0u, step_b = 0u;
    uint32_t *words = &row[plan->first_word];
    if (y < plan->layer->input_height) {
        a = &source[y * plan->input_row];
        step_a = plan->input_pixel;
    }
    if ((y + 1u) < plan->layer->input_height) {
        b = &source[(y + 1u) * plan->input_row];
        step_b = plan->input_pixel;
    }
    if (plan->group_bytes != (bits >> 1)) { /* the last channels, of a number that is not a multiple of 4 */
        uint32_t is_odd = plan->is_first_odd;
        for (uint32_t i = plan->image_columns; i != 0u; i--) {
            bb_depthwise_pairs(bb_depthwise_load(a, plan->group_bytes), bb_depthwise_load(b, plan->group_bytes), bits,
                               &words[is_odd], 2u);
            a = &a[step_a];
            b = &b[step_b];
            words = &words[16u * is_odd];
            is_odd ^= 1u;
        }
    } else if (bits == 8u) {
        bb_depthwise_widen_row(plan, a, step_a, b, step_b, 8u, words);
    } else if (bits == 4u) {
        bb_depthwise_widen_row(plan, a, step_a, b, step_b, 4u, words);
    } else {
        bb_depthwise_widen_row(plan, a, step_a, b, step_b, 2u, words);
    }
}

/* Unpacks constants and weights of four channels (of `count` that exist) from `first` on. */
BB_INLINE void bb_depthwise_constants(const bb_depthwise_plan *plan, uint32_t first, uint32_t count)
{
    const bb_depthwise_layer *const layer = plan->layer;
    const uint32_t bits = layer->weight_bits;
    const uint32_t row_bytes = bb_pixel_bytes(layer->input_channels, bits);
    const uint32_t bytes = bb_pixel_bytes(count, bits);
    const uint8_t *row = &layer->weights[(first * bits) >> 3];
    for (uint32_t column = 0u; column < 3u; column++) {
        const uint32_t w0 = bb_depthwise_load(row, bytes);
        const uint32_t w1 = bb_depthwise_load(&row[3u * row_bytes], bytes);
        const uint32_t w2 = bb_depthwise_load(&row[6u * row_bytes], bytes);
        uint32_t *const words = &plan->channels[6u + (2u * column)];
        for (uint32_t i = 0u; i < 2u; i++) {
            bb_depthwise_pairs((i == 0u) ? w0 : w1, (i == 0u) ? w1 : w2, bits, &words[i], BB_DEPTHWISE_CHANNEL_WORDS);
        }
        row = &row[row_bytes];
    }
    for (uint32_t channel = 0u; channel < count; channel++) {
        uint32_t *const words = &plan->channels[BB_DEPTHWISE_CHANNEL_WORDS * channel];
        const uint32_t constant = layer->constants[first + channel];
        uint32_t zero_points = layer->weight_zero_point;
        if (layer->zero_points != NULL) {
            zero_points = layer->zero_points[first + channel];
        }
        zero_points *= 0x00010001u;
        words[2] = (uint32_t)((int32_t)constant >> 16) << layer->offset_shift;
        words[4] = (uint32_t)(int32_t)(int16_t)(uint16_t)(constant & 0xFFFFu) << (16u - layer->shift);
        for (uint32_t i = 6u; i < BB_DEPTHWISE_CHANNEL_WORDS; i++) {
            uint32_t difference;
            __asm__("ssub16 %0, %1, %2" : "=r"(difference) : "r"(words[i] >> (8u - bits)), "r"(zero_points));
            words[i] = difference;
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

/* Packs the codes of four channels (bytes), each clamped to the largest code c of `bits` bits: a code plus 255 - c, at
   most 255, has c's clamped bits below ones, which AND drops. */
BB_INLINE uint32_t bb_depthwise_packed(uint32_t codes, uint32_t bits)
{
    uint32_t packed = codes;
    if (bits == 4u) {
        packed = bb_depthwise_saturated(codes, 0xF0F0F0F0u);
        packed = (packed & (packed >> 4)) & 0x00FF00FFu;
        packed |= packed >> 8;
    } else if (bits == 2u) {
        packed = bb_depthwise_saturated(codes, 0xFCFCFCFCu);
        packed &= packed >> 6;
        packed &= packed >> 12;
    } else {
        /* 8 bits: a byte for each code */
    }
    return packed;
}

BB_INLINE void bb_depthwise_put(uint8_t *pixel, uint32_t packed, uint32_t bytes)
{
    if (bytes == 4u) {
        ((bb_depthwise_word *)(void *)pixel)->value = packed;
    } else if (bytes == 2u) {
        ((bb_depthwise_half *)(void *)pixel)->value = (uint16_t)packed;
    } else {
        for (uint32_t i = 0u; i < bytes; i++) {
            pixel[i] = (uint8_t)(packed >> (8u * i));
        }
    }
}

/* Packs the codes of a step into the output: of each four words two to pixels from `pixel` on and two to those from
   pixel[second] on, which are the next row (stride 1) or the next two pixels (stride 2). The first are written last, so
   that second = 0 drops a row that does not exist. Then the pixels that are left: `left` of them, `left_bytes` and
   `left_words` apart. bits and bytes (of a pixel's four channels) are constants but for the last channels. */
BB_INLINE void bb_depthwise_store(const bb_depthwise_plan *plan, uint8_t *pixel, uint32_t second, uint32_t left_bytes,
                                  uint32_t bits, uint32_t bytes)
{
    const uint32_t pixel_bytes = plan->output_pixel;
    const uint32_t *codes = plan->codes;
    uint8_t *const end = &pixel[plan->whole_bytes];
    while (pixel != end) {
        register uint32_t w0 __asm__("r3");
        register uint32_t w1 __asm__("r4");
        register uint32_t w2 __asm__("r5");
        register uint32_t w3 __asm__("r6");
        __asm__ volatile("ldmia %4!, {%0, %1, %2, %3}"
                         : "=r"(w0), "=r"(w1), "=r"(w2), "=r"(w3), "+r"(codes)
                         :
                         : "memory");
        bb_depthwise_put(&pixel[second], bb_depthwise_packed(w2, bits), bytes);
        bb_depthwise_put(&pixel[second + pixel_bytes], bb_depthwise_packed(w3, bits), bytes);
        bb_depthwise_put(pixel, bb_depthwise_packed(w0, bits), bytes);
        bb_depthwise_put(&pixel[pixel_bytes], bb_depthwise_packed(w1, bits), bytes);
        pixel = &pixel[plan->next_bytes];
    }
    for (uint32_t i = plan->left; i != 0u; i--) {
        bb_depthwise_put(&pixel[(i - 1u) * left_bytes], bb_depthwise_packed(codes[(i - 1u) * plan->left_words], bits),
                         bytes);
    }
}

BB_KERNEL void bb_depthwise_3x3(const void *descriptor, uint8_t *arena)
{
    const bb_depthwise_layer *const layer = (const bb_depthwise_layer *)descriptor;
    const uint32_t stride = layer->stride_y;
    const uint32_t bits = layer->output_bits;
    const uint32_t blocks = ((uint32_t)layer->output_width + 1u) >> 1;
    const uint32_t pairs = (stride * blocks) + 1u;
    const uint32_t block_words = 6u - (2u * stride);
    volatile uint32_t frame[7]; /* as much as bb_depthwise_channels moves the stack pointer: compilers do not see it */
    bb_depthwise_plan plan;
    frame[0] = 0u;
    (void)frame[0];
    plan.layer = layer;
    plan.ring = (uint32_t *)(void *)&arena[layer->scratch];
    plan.codes = &plan.ring[16u * pairs];
    plan.channels = &plan.codes[block_words * blocks];
    plan.padding = (const uint8_t *)&plan.channels[4u * BB_DEPTHWISE_CHANNEL_WORDS];
    plan.image_columns = layer->input_width;
    if (plan.image_columns > ((2u * pairs) - layer->pad_left)) {
        plan.image_columns = (2u * pairs) - layer->pad_left;
    }
    plan.is_first_odd = (plan.image_columns != 0u) ? (layer->pad_left & 1u) : 0u;
    plan.whole_words = 16u * ((plan.image_columns - plan.is_first_odd) >> 1);
    plan.is_last_odd = (plan.image_columns - plan.is_first_odd) & 1u;
    plan.first_word = 16u * ((uint32_t)layer->pad_left >> 1);
    plan.input_pixel = bb_pixel_bytes(layer->input_channels, layer->input_bits);
    plan.input_row = layer->input_width * plan.input_pixel;
    plan.output_pixel = bb_pixel_bytes(layer->input_channels, bits);
    const uint32_t output_row = layer->output_width * plan.output_pixel;

    if (stride == 1u) {
        plan.next_bytes = 2u * plan.output_pixel;
        plan.whole_bytes = (layer->output_width & ~1u) * plan.output_pixel;
        plan.left = 2u * (layer->output_width & 1u);
        plan.left_words = 2u;
    } else {
        plan.next_bytes = 4u * plan.output_pixel;
        plan.whole_bytes = (layer->output_width & ~3u) * plan.output_pixel;
        plan.left = layer->output_width & 3u;
        plan.left_words = 1u;
    }

    const uint32_t both = (uint32_t)layer->zero_point * 0x00010001u;
    for (uint32_t i = 0u; i < (16u * pairs); i++) { /* columns of padding stay as they are */
        plan.ring[i] = both << (8u - layer->input_bits);
    }
    const uint32_t zero_points = (layer->input_bits == 8u) ? (both * 0x101u)
                                 : (layer->input_bits == 4u) ? (layer->zero_point * 0x1111u)
                                                             : (layer->zero_point * 0x55u);
    plan.channels[4u * BB_DEPTHWISE_CHANNEL_WORDS] = zero_points;
    for (uint32_t i = 0u; i < 4u; i++) {
        uint32_t *const words = &plan.channels[BB_DEPTHWISE_CHANNEL_WORDS * i];
        words[0] = (uint32_t)(uintptr_t)&plan.ring[2u * i];
        words[1] = (uint32_t)(uintptr_t)plan.codes + i;
        words[3] = words[0] + (64u * stride * (blocks - 1u));
        words[5] = (uint32_t)(layer->addend >> layer->shift);
    }

    for (uint32_t first = 0u; first < layer->input_channels; first += 4u) {
        const uint32_t left = layer->input_channels - first;
        const uint32_t channels = (left < 4u) ? left : 4u;
        const uint32_t bytes = bb_pixel_bytes(channels, bits);
        const uint8_t *const source = &arena[layer->input + ((first * layer->input_bits) >> 3)];
        uint32_t *const end = &plan.channels[BB_DEPTHWISE_CHANNEL_WORDS * channels];
        uint8_t *pixel = &arena[layer->output + ((first * bits) >> 3)];
        uint32_t rows_left = layer->output_height;
        uint32_t y = 0u - layer->pad_top; /* wraps above the image */
        uint32_t is_odd = 0u;
        uint32_t is_filled = 0u;
        plan.group_bytes = bb_pixel_bytes(channels, layer->input_bits);
        bb_depthwise_constants(&plan, first, channels);
        if (channels < 4u) {
            for (uint32_t i = 0u; i < (block_words * blocks); i++) { /* codes of channels that do not exist */
                plan.codes[i] = 0u;
            }
        }
        for (;;) {
            bb_depthwise_widen(&plan, source, y, &plan.ring[8u * is_odd]);
            y += 2u;
            is_odd ^= 1u;
            if (is_filled == 0u) { /* one of two rows of pairs */
                is_filled = 1u;
                continue;
            }
            bb_depthwise_channels(plan.channels, end, stride, is_odd);
            uint32_t rows = 1u;
            uint32_t second = 2u * plan.output_pixel;
            uint32_t left_bytes = plan.output_pixel;
            if (stride == 1u) {
                rows = (rows_left == 1u) ? 1u : 2u;
                second = (rows_left == 1u) ? 0u : output_row;
                left_bytes = second;
            }
            if (bytes == 4u) {
                bb_depthwise_store(&plan, pixel, second, left_bytes, 8u, 4u);
            } else if ((bits == 4u) && (bytes == 2u)) {
                bb_depthwise_store(&plan, pixel, second, left_bytes, 4u, 2u);
            } else if (bits == 2u) {
                bb_depthwise_store(&plan, pixel, second, left_bytes, 2u, 1u);
            } else { /* the last channels, of a number that is not a multiple of 4 */
                bb_depthwise_store(&plan, pixel, second, left_bytes, bits, bytes);
            }
            rows_left -= rows;
            if (rows_left == 0u) {
                break;
            }
            pixel = &pixel[rows * output_row];
        }
    }
}
