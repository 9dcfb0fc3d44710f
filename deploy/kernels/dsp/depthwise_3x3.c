/* Depthwise 3x3 convolution with stride 1 or 2, narrow form.

   Four channels at a time. Two rows of the image become one row of vertical pairs: a word holds two codes of a column,
   x << e as int16, the upper one in the low half. The ring holds two such rows, and a step reads both: pairs P of rows
   (r, r + 1) and Q of rows (r + 2, r + 3). A column of the kernel is kept in two registers, (w0, w1) and (w1, w2):

       output row r        P * (w0, w1)  +  Q.low * w2        2 multiplications for 3 products
       output row r + 1    P.high * w0   +  Q * (w1, w2)      (stride 1 only)

   Then P is not needed any more, and the next two rows take its place. So P and Q change places in each step, and there
   are two copies of the inner loop. The output may overwrite the input (stride 1): rows are in the ring before.

   An output is SMMLAR(sum, M, z_y) with M = m * 2^(16 - s): z_y + floor(sum * m / 2^(16 + s) + 1/2), which is the narrow
   form, because floor((floor(v) + c) / 2^s) = floor((v + c) / 2^s). With s > 16, which no layer of usual scales has, M
   would not be an integer; then a slow loop in C follows the definition.

   Scratch  ring      [pair of columns][2 rows of pairs][4 channels][2 columns] words, columns with padding
            codes     stride 1: [block][2 rows][2 columns][4 channels] bytes; stride 2: one row
            channels  [4] constants and weights, see BB_DEPTHWISE_CHANNEL_WORDS
            padding   a word with packed codes z_x */

BB_INLINE uint32_t bb_depthwise_difference(uint32_t pair, uint32_t zero_points)
{
    uint32_t difference;
    __asm__("ssub16 %0, %1, %2" : "=r"(difference) : "r"(pair), "r"(zero_points));
    return difference;
}

/* Returns z_w of a channel in both halves of a word; of the layer if the channel does not exist. */
BB_INLINE uint32_t bb_depthwise_zero_points(const bb_depthwise_layer *layer, uint32_t channel)
{
    uint32_t zero_point = layer->weight_zero_point;
    if ((layer->zero_points != NULL) && (channel < layer->input_channels)) {
        zero_point = layer->zero_points[channel];
    }
    return zero_point * 0x00010001u;
}

/* Unpacks the weights q_w - z_w of four channels from `first` on; bytes: of their codes of one tap. */
BB_INLINE void bb_depthwise_weights(const bb_depthwise_plan *plan, uint32_t first, uint32_t bytes)
{
    const bb_depthwise_layer *const layer = plan->layer;
    const uint32_t bits = layer->weight_bits;
    const uint32_t shift = 8u - bits;
    const uint32_t tap_bytes = bb_pixel_bytes(layer->input_channels, bits);
    const uint32_t z0 = bb_depthwise_zero_points(layer, first);
    const uint32_t z1 = bb_depthwise_zero_points(layer, first + 1u);
    const uint32_t z2 = bb_depthwise_zero_points(layer, first + 2u);
    const uint32_t z3 = bb_depthwise_zero_points(layer, first + 3u);
    const uint8_t *const taps = &layer->weights[(first * bits) >> 3];
    uint32_t tap = 0u; /* offset of the upper one */
    uint32_t *words = &plan->channels[7];
    for (uint32_t i = 0u; i < 6u; i++) { /* kernel column 0: rows 0 and 1, rows 1 and 2; column 1: ... */
        const uint32_t upper = bb_depthwise_load(&taps[tap], bytes);
        const uint32_t lower = bb_depthwise_load(&taps[tap + (3u * tap_bytes)], bytes);
        const bb_depthwise_four pairs = bb_depthwise_pairs(upper, lower, bits);
        words[0] = bb_depthwise_difference(pairs.c0 >> shift, z0);
        words[BB_DEPTHWISE_CHANNEL_WORDS] = bb_depthwise_difference(pairs.c1 >> shift, z1);
        words[2u * BB_DEPTHWISE_CHANNEL_WORDS] = bb_depthwise_difference(pairs.c2 >> shift, z2);
        words[3u * BB_DEPTHWISE_CHANNEL_WORDS] = bb_depthwise_difference(pairs.c3 >> shift, z3);
        words = &words[1];
        tap = ((i & 1u) == 0u) ? (tap + (3u * tap_bytes)) : (tap - (2u * tap_bytes));
    }
}

/* Unpacks the constants of `count` channels from `first` on. */
BB_INLINE void bb_depthwise_constants(const bb_depthwise_plan *plan, uint32_t first, uint32_t count)
{
    const uint32_t *constants = &plan->layer->constants[first];
    const uint32_t offset_shift = plan->layer->offset_shift;
    const uint32_t shift = (plan->layer->shift > 16u) ? 0u : (16u - plan->layer->shift);
    uint32_t *words = plan->channels;
    for (uint32_t i = count; i != 0u; i--) {
        const uint32_t constant = *constants;
        words[3] = (uint32_t)((int32_t)constant >> 16) << offset_shift;
        words[5] = (uint32_t)(int32_t)(int16_t)(uint16_t)(constant & 0xFFFFu) << shift;
        constants = &constants[1];
        words = &words[BB_DEPTHWISE_CHANNEL_WORDS];
    }
}

/* Computes all blocks of the channels from `channel` on like bb_depthwise_channels, with any shift. */
BB_INLINE void bb_depthwise_channels_slow(const bb_depthwise_layer *layer, const uint32_t *channel, uint32_t stride,
                                          uint32_t is_odd)
{
    while (channel != NULL) {
        const uint32_t *const in = (const uint32_t *)channel[0];
        const int32_t factor = (int32_t)channel[5];
        for (uint32_t i = 0u; i < (layer->output_width * (3u - stride)); i++) {
            const uint32_t x = i >> (2u - stride);
            const uint32_t row = (stride == 1u) ? (i & 1u) : 0u;
            uint32_t sum = channel[3];
            for (uint32_t k = 0u; k < 3u; k++) {
                const uint32_t column = (stride * x) + k;
                const uint32_t at = ((column >> 1) * 16u) + (column & 1u);
                const uint32_t p = in[at + (8u * is_odd)];
                const uint32_t q = in[at + (8u * (is_odd ^ 1u))];
                const uint32_t first = (row == 0u) ? p : ((p >> 16) | (q << 16));
                const uint32_t last = (row == 0u) ? (q & 0xFFFFu) : (q >> 16);
                __asm__("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(first), "r"(channel[7u + (2u * k)]));
                sum += last * (uint32_t)((int32_t)channel[8u + (2u * k)] >> 16);
            }
            const int32_t high = ((int32_t)sum >> 16) * factor;
            const int32_t low = ((int32_t)(sum & 0xFFFFu) * factor) >> 16;
            const uint32_t code = bb_clamp((high + low + layer->addend) >> layer->shift, 0xFFu);
            ((uint8_t *)channel[1])[((x >> 1) * (24u - (8u * stride))) + (8u * row) + (4u * (x & 1u))] = (uint8_t)code;
        }
        channel = (const uint32_t *)channel[2];
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
    volatile uint32_t frame[6]; /* as much as bb_depthwise_channels moves the stack pointer: compilers do not see it */
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
    const uint32_t is_first_odd = (plan.image_columns != 0u) ? (layer->pad_left & 1u) : 0u;
    plan.flags = is_first_odd | (((plan.image_columns - is_first_odd) & 1u) << 1);
    plan.whole_words = 16u * ((plan.image_columns + is_first_odd) >> 1);
    plan.last_row = (uint32_t)layer->input_height - 1u;
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
        words[1] = (uint32_t)(uintptr_t)plan.codes + bb_depthwise_place(i, bits);
        words[2] = (i < 3u) ? (uint32_t)(uintptr_t)&words[BB_DEPTHWISE_CHANNEL_WORDS] : 0u;
        words[4] = words[0] + (64u * stride * (blocks - 1u));
        words[6] = (uint32_t)(layer->addend >> layer->shift);
    }

    uint32_t *const first_words = &plan.ring[16u * ((uint32_t)layer->pad_left >> 1)];
    const uint32_t is_two_rows = 2u - stride; /* a step computes two rows */
    const uint32_t steps = ((uint32_t)layer->output_height + is_two_rows) >> is_two_rows;
    const uint32_t mode = (layer->shift > 16u) ? 0u : stride; /* 0: slow */
    const uint32_t two_rows = 2u * plan.input_row;
    const uint32_t step_bytes = output_row << is_two_rows;
    for (uint32_t first = 0u; first < layer->input_channels; first += 4u) {
        const uint32_t left = layer->input_channels - first;
        const uint32_t channels = (left < 4u) ? left : 4u;
        const uint32_t bytes = bb_pixel_bytes(channels, bits);
        uint32_t y = 0u - layer->pad_top; /* wraps above the image, like the offset of the row in the arena */
        uint32_t row = layer->input + ((first * layer->input_bits) >> 3) + (y * plan.input_row);
        uint8_t *pixel = &arena[layer->output + ((first * bits) >> 3)];
        uint32_t second = (stride == 1u) ? output_row : (2u * plan.output_pixel);
        uint32_t left_bytes = (stride == 1u) ? output_row : plan.output_pixel;
        plan.group_bytes = bb_pixel_bytes(channels, layer->input_bits);
        plan.output_bits = ((2u * bytes) == bits) ? bits : 0u;
        plan.input_bits = ((2u * plan.group_bytes) == layer->input_bits) ? layer->input_bits : 0u;
        bb_depthwise_weights(&plan, first, bb_pixel_bytes(channels, layer->weight_bits));
        bb_depthwise_constants(&plan, first, channels);
        if (channels < 4u) {
            for (uint32_t i = 0u; i < (block_words * blocks); i++) { /* codes of channels that do not exist */
                plan.codes[i] = 0u;
            }
            plan.channels[(BB_DEPTHWISE_CHANNEL_WORDS * (channels - 1u)) + 2u] = 0u; /* the last one */
        }
        uint32_t is_odd = 0u;
        uint32_t steps_left = steps + 1u;
        for (;;) {
            bb_depthwise_widen(&plan, &arena[row], y, &first_words[8u * is_odd]);
            is_odd ^= 1u;
            y += 2u;
            row += two_rows;
            steps_left--;
            if (steps_left == steps) {
                continue; /* the first of two rows of pairs */
            }
            if (mode == 1u) {
                bb_depthwise_channels(plan.channels, 1u, is_odd);
            } else if (mode == 2u) {
                bb_depthwise_channels(plan.channels, 2u, is_odd);
            } else {
                bb_depthwise_channels_slow(layer, plan.channels, stride, is_odd);
            }
            if ((steps_left == 0u) && ((layer->output_height & is_two_rows) != 0u)) { /* no second row */
                second = 0u;
                left_bytes = 0u;
            }
            if (plan.output_bits == 8u) {
                bb_depthwise_store(&plan, pixel, second, left_bytes, 8u, bytes);
            } else if (plan.output_bits == 4u) {
                bb_depthwise_store(&plan, pixel, second, left_bytes, 4u, bytes);
            } else if (plan.output_bits == 2u) {
                bb_depthwise_store(&plan, pixel, second, left_bytes, 2u, bytes);
            } else { /* the last channels, of a number that is not a multiple of 4 */
                bb_depthwise_store(&plan, pixel, second, left_bytes, 0u, bytes);
            }
            if (steps_left == 0u) {
                break;
            }
            pixel = &pixel[step_bytes];
        }
    }
}
