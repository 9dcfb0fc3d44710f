/* Depthwise 3x3 convolution with stride 1 or 2, narrow form.

   Four channels at a time. Two rows of the image become one row of vertical pairs: a word holds two codes of a column,
   x << e as int16, the upper one in the low half. The ring holds two such rows, and a step reads both: pairs P of rows
   (r, r + 1) and Q of rows (r + 2, r + 3). A column of the kernel is kept in two registers, (w0, w1) and (w1, w2):

       output row r        P * (w0, w1)  +  Q.low * w2        2 multiplications for 3 products
       output row r + 1    P.high * w0   +  Q * (w1, w2)      (stride 1 only)

   Then P is not needed any more, and the next two rows take its place. So P and Q change places in each step, and there
   are two copies of the inner loop. The output may overwrite the input (stride 1): rows are in the ring before.

   With stride 1, the loop computes blocks of two columns, two blocks in a turn; the last column of an odd width has
   code of its own. With stride 2, blocks of two outputs.

   An output is SMMLAR(sum, M, z_y) with M = m * 2^(16 - s), s at most 16: z_y + floor(sum * m / 2^(16 + s) + 1/2),
   which is the narrow form, because floor((floor(v) + c) / 2^s) = floor((v + c) / 2^s).

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

/* Unpacks the weights (q_w - z_w) * 2^(8 - b_w) of four channels; bits: b_w, a constant; zero_points: z_w of each,
   packed. Weights of channels that do not exist are any codes of the tensor, which is padded to 4 bytes. */
BB_INLINE void bb_depthwise_weights(const bb_depthwise_plan *plan, const uint8_t *taps, uint32_t zero_points,
                                   uint32_t bits)
{
    const uint32_t tap_bytes = bb_pixel_bytes(plan->layer->input_channels, bits);
    const uint32_t row_bytes = 3u * tap_bytes;
    const uint32_t shift = 8u - bits;
    const bb_depthwise_four z = bb_depthwise_pairs(zero_points, zero_points, 8u);
    const uint32_t z0 = z.c0 << shift, z1 = z.c1 << shift, z2 = z.c2 << shift, z3 = z.c3 << shift;
    uint32_t *words = &plan->channels[2];
    for (uint32_t column = 3u; column != 0u; column--) { /* of the kernel: its rows 0 and 1, then its rows 1 and 2 */
        const uint32_t middle = bb_depthwise_load(&taps[row_bytes], bits);
        const bb_depthwise_four upper = bb_depthwise_pairs(bb_depthwise_load(taps, bits), middle, bits);
        words[0] = bb_depthwise_difference(upper.c0, z0);
        words[BB_DEPTHWISE_CHANNEL_WORDS] = bb_depthwise_difference(upper.c1, z1);
        words[2u * BB_DEPTHWISE_CHANNEL_WORDS] = bb_depthwise_difference(upper.c2, z2);
        words[3u * BB_DEPTHWISE_CHANNEL_WORDS] = bb_depthwise_difference(upper.c3, z3);
        const uint32_t last = bb_depthwise_load(&taps[2u * row_bytes], bits);
        const bb_depthwise_four lower = bb_depthwise_pairs(middle, last, bits);
        words[1] = bb_depthwise_difference(lower.c0, z0);
        words[1u + BB_DEPTHWISE_CHANNEL_WORDS] = bb_depthwise_difference(lower.c1, z1);
        words[1u + (2u * BB_DEPTHWISE_CHANNEL_WORDS)] = bb_depthwise_difference(lower.c2, z2);
        words[1u + (3u * BB_DEPTHWISE_CHANNEL_WORDS)] = bb_depthwise_difference(lower.c3, z3);
        words = &words[2];
        taps = &taps[tap_bytes];
    }
}

/* Unpacks the constants of `count` channels from `first` on. */
BB_INLINE void bb_depthwise_constants(const bb_depthwise_plan *plan, uint32_t first, uint32_t count)
{
    const uint32_t *constants = &plan->layer->constants[first];
    const uint32_t offset_shift = (uint32_t)plan->layer->offset_shift + 8u - plan->layer->weight_bits;
    const uint32_t shift = 16u - plan->layer->shift;
    uint32_t *words = plan->channels;
    for (uint32_t i = count; i != 0u; i--) {
        const uint32_t constant = *constants;
        words[8] = (uint32_t)((int32_t)constant >> 16) << offset_shift;
        words[10] = (uint32_t)(int32_t)(int16_t)(uint16_t)(constant & 0xFFFFu) << shift;
        constants = &constants[1];
        words = &words[BB_DEPTHWISE_CHANNEL_WORDS];
    }
}

BB_KERNEL void bb_depthwise_3x3(const void *descriptor, uint8_t *arena)
{
    const bb_depthwise_layer *const layer = (const bb_depthwise_layer *)descriptor;
    const uint32_t stride = layer->stride_y;
    const uint32_t output_width = layer->output_width;
    const uint32_t blocks = (output_width + 1u) >> 1;
    const uint32_t pairs = (stride * blocks) + 1u;
    uint32_t *const ring = (uint32_t *)(void *)&arena[layer->scratch];
    volatile uint32_t frame[6]; /* as much as bb_depthwise_channels moves the stack pointer: compilers do not see it */
    bb_depthwise_plan plan;
    frame[0] = 0u;
    (void)frame[0];
    plan.layer = layer;
    plan.target.codes = &ring[16u * pairs];
    plan.channels = &plan.target.codes[(6u - (2u * stride)) * blocks];
    plan.image_columns = layer->input_width;
    if (plan.image_columns > ((2u * pairs) - layer->pad_left)) {
        plan.image_columns = (2u * pairs) - layer->pad_left;
    }
    const uint32_t is_first_odd = (plan.image_columns != 0u) ? (layer->pad_left & 1u) : 0u;
    plan.source.bound = (64u * ((plan.image_columns + is_first_odd) >> 1)) - 4u + is_first_odd +
                        (((plan.image_columns - is_first_odd) & 1u) << 1);
    plan.source.last_y = (uint32_t)layer->input_height - 1u;
    plan.source.pixel_bytes = bb_pixel_bytes(layer->input_channels, layer->input_bits);
    plan.source.row_bytes = layer->input_width * plan.source.pixel_bytes;
    plan.source.padding = (const uint8_t *)&plan.channels[4u * BB_DEPTHWISE_CHANNEL_WORDS];
    uint32_t *const first_words = &ring[16u * ((uint32_t)layer->pad_left >> 1)];
    plan.source.both_words = (2u * (uint32_t)(uintptr_t)first_words) + 32u;
    plan.input_bits = layer->input_bits;
    plan.output_bits = layer->output_bits;

    plan.target.next = bb_pixel_bytes(layer->input_channels, layer->output_bits);
    plan.target.step_bytes = output_width * plan.target.next;
    uint32_t second = 2u * plan.target.next;
    plan.target.four_bytes = stride * second;
    if (stride == 1u) { /* a step computes two rows */
        second = plan.target.step_bytes;
        plan.target.step_bytes = 2u * second;
    }
    const uint32_t fours = output_width >> stride; /* four pixels: two in each of two rows, or four in a row */
    plan.target.whole_bytes = fours * plan.target.four_bytes;
    plan.target.left = output_width - (2u * stride * fours);
    plan.last_codes = &plan.target.codes[4u * fours];

    const uint32_t both = (uint32_t)layer->zero_point * 0x00010001u;
    for (uint32_t i = 0u; i < (16u * pairs); i++) { /* columns of padding stay as they are */
        ring[i] = both << (8u - layer->input_bits);
    }
    plan.channels[4u * BB_DEPTHWISE_CHANNEL_WORDS] = layer->zero_point * ((layer->input_bits == 8u)   ? 0x01010101u
                                                                          : (layer->input_bits == 4u) ? 0x1111u
                                                                                                      : 0x55u);
    const uint32_t is_column_left = ((stride == 1u) && (output_width != 1u)) ? (output_width & 1u) : 0u;
    uint32_t *words = plan.channels;
    for (uint32_t i = 0u; i < 4u; i++) {
        words[0] = (uint32_t)(uintptr_t)&ring[2u * i];
        words[1] = (uint32_t)(uintptr_t)plan.target.codes + bb_depthwise_place(i, layer->output_bits);
        words[9] = words[0] + (64u * stride * (blocks - 1u - is_column_left));
        words[11] = (uint32_t)(layer->addend >> layer->shift);
        words[12] = is_column_left;
        if (i < 3u) {
            words[12] += (uint32_t)(uintptr_t)&words[BB_DEPTHWISE_CHANNEL_WORDS];
        }
        words = &words[BB_DEPTHWISE_CHANNEL_WORDS];
    }

    const uint32_t is_two_rows = 2u - stride;
    const uint32_t steps = layer->output_height >> is_two_rows;
    for (uint32_t first = 0u; first < layer->input_channels; first += 4u) {
        uint32_t channels = layer->input_channels - first;
        if (channels < 4u) {
            plan.pixel_bytes = bb_pixel_bytes(channels, layer->output_bits);
            plan.group_bytes = bb_pixel_bytes(channels, layer->input_bits);
            plan.output_bits = ((2u * plan.pixel_bytes) == layer->output_bits) ? layer->output_bits : 0u;
            plan.input_bits = ((2u * plan.group_bytes) == layer->input_bits) ? layer->input_bits : 0u;
            uint32_t *codes = plan.target.codes;
            while (codes != plan.channels) { /* codes of channels that do not exist */
                *codes = 0u;
                codes = &codes[1];
            }
            plan.channels[(BB_DEPTHWISE_CHANNEL_WORDS * (channels - 1u)) + 12u] = words[-1]; /* the last one */
        } else {
            channels = 4u;
        }
        bb_depthwise_constants(&plan, first, channels);
        uint32_t weight_zero_points = layer->weight_zero_point * 0x01010101u;
        if (layer->zero_points != NULL) {
            weight_zero_points = bb_depthwise_load(&layer->zero_points[first], 8u);
        }
        const uint8_t *const taps = &layer->weights[(first * layer->weight_bits) >> 3];
        if (layer->weight_bits == 8u) {
            bb_depthwise_weights(&plan, taps, weight_zero_points, 8u);
        } else if (layer->weight_bits == 4u) {
            bb_depthwise_weights(&plan, taps, weight_zero_points, 4u);
        } else {
            bb_depthwise_weights(&plan, taps, weight_zero_points, 2u);
        }
        const uint32_t first_y = 0u - layer->pad_top; /* wraps above the image, like the row's offset in the arena */
        plan.source.words = &first_words[4u * (first_y & 2u)];
        plan.source.y = first_y;
        plan.source.row = &arena[layer->input + ((first * layer->input_bits) >> 3) + (first_y * plan.source.row_bytes)];
        plan.target.pixel = &arena[layer->output + ((first * layer->output_bits) >> 3)];
        plan.target.second = second;
        plan.target.fourth = second + plan.target.next;
        uint32_t end_y = first_y + 2u + (2u * steps);
        if (steps == 0u) { /* a single row */
            end_y += 2u;
            plan.target.second = 0u;
            plan.target.fourth = plan.target.next;
        }
        for (;;) {
            bb_depthwise_widen(&plan);
            const uint32_t y = plan.source.y;
            if (y == (first_y + 2u)) {
                continue; /* the first of two rows of pairs */
            }
            if (stride == 1u) {
                bb_depthwise_channels(plan.channels, 1u, y & 2u);
            } else {
                bb_depthwise_channels(plan.channels, 2u, y & 2u);
            }
            bb_depthwise_store(&plan);
            if (plan.source.y == end_y) {
                if ((plan.target.second == 0u) || ((layer->output_height & is_two_rows) == 0u)) {
                    break;
                }
                end_y += 2u; /* the last row of an odd number */
                plan.target.second = 0u;
                plan.target.fourth = plan.target.next;
            }
        }
    }
}
