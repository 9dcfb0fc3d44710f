/* Depthwise convolution in plain C: any kernel, stride, dilation, padding and multiplier, all bits and forms.

   Four input channels at a time: their codes always fill whole bytes. The rows that an output row reads are kept in a
   ring in scratch, unpacked to bytes and surrounded by padding, so the inner loops have no conditions, and the output
   may overwrite the input (stride 1, same shape and bits): row r is in the ring before row r is written.

   Scratch: ring       [extent_y][ring_width][4] bytes, extent_y = dilation_y * (kernel_height - 1) + 1,
                       ring_width = (output_width - 1) * stride_x + dilation_x * (kernel_width - 1) + 1
            weights    [4 * multiplier][kernel_height * kernel_width] int16, q_w - z_w */

typedef struct {
    const bb_depthwise_layer *layer;
    bb_rows outputs;        /* constants of the outputs */
    uint32_t extent;        /* rows of the ring */
    uint32_t row_size;      /* bytes of a row of the ring */
    uint32_t taps;
    uint32_t input_pixel, output_pixel;
    uint32_t weight_row;    /* bytes of the weights of a tap */
    const int16_t *weights; /* of one channel */
    uint32_t slot;          /* row of the ring that is the first of the window */
} bb_depthwise_state;

BB_INLINE bb_rows bb_depthwise_outputs(const bb_depthwise_layer *layer)
{
    bb_rows rows;
    rows.weights = NULL;
    rows.constants = layer->constants;
    rows.zero_points = NULL;
    rows.addend = layer->addend;
    rows.rows = 0u;
    rows.row_words = 0u;
    rows.zero_point = 0u;
    rows.offset_shift = layer->offset_shift;
    rows.shift = (layer->form == BB_NARROW) ? layer->shift : 0u; /* other forms: sums of codes that are not widened */
    rows.levels = (uint8_t)((1u << layer->output_bits) - 1u);
    return rows;
}

/* Returns the output code of a sum of q_x * (q_w - z_w) with padding. */
BB_INLINE uint32_t bb_depthwise_output(const bb_depthwise_state *state, uint32_t channel, uint32_t sum)
{
    const bb_depthwise_layer *const layer = state->layer;
    uint32_t code;
    if (layer->form == BB_NARROW) {
        code = bb_narrow_output(&state->outputs, channel, sum << (8u - layer->input_bits), layer->weight_bits);
    } else if (layer->form == BB_WIDE) {
        code = bb_wide_output(&state->outputs, channel, sum);
    } else {
        code = bb_threshold_output(&state->outputs, channel, sum);
    }
    return bb_clamp((int32_t)code, state->outputs.levels);
}

/* Copies up to 4 channels of a row of the image to a row of the ring, between its padding. A row that is not in the
   image (source: NULL) is padding. */
BB_INLINE void bb_depthwise_fill(const bb_depthwise_state *state, const uint8_t *source, uint32_t channels,
                                 uint8_t *ring_row)
{
    const bb_depthwise_layer *const layer = state->layer;
    for (uint32_t column = 0u; column < (state->row_size >> 2); column++) {
        const uint32_t x = column - layer->pad_left; /* wraps left of the image */
        for (uint32_t channel = 0u; channel < channels; channel++) {
            uint32_t code = layer->zero_point;
            if ((source != NULL) && (x < layer->input_width)) {
                code = bb_code(&source[x * state->input_pixel], channel, layer->input_bits);
            }
            ring_row[(4u * column) + channel] = (uint8_t)code;
        }
    }
}

/* Unpacks the weights q_w - z_w of `count` output channels from `first` on: [channel][tap]. */
BB_INLINE void bb_depthwise_unpack(const bb_depthwise_state *state, uint32_t first, uint32_t count, int16_t *weights)
{
    const bb_depthwise_layer *const layer = state->layer;
    for (uint32_t channel = first; channel < (first + count); channel++) {
        const uint8_t *row = layer->weights;
        const int32_t zero_point =
            (layer->zero_points != NULL) ? (int32_t)layer->zero_points[channel] : (int32_t)layer->weight_zero_point;
        for (uint32_t tap = 0u; tap < state->taps; tap++) {
            *weights = (int16_t)((int32_t)bb_code(row, channel, layer->weight_bits) - zero_point);
            weights++;
            row = &row[state->weight_row];
        }
    }
}

/* Returns the sum of q_x * (q_w - z_w) of the window whose first column is `column` of the ring. */
BB_INLINE uint32_t bb_depthwise_sum(const bb_depthwise_state *state, const uint8_t *column)
{
    const bb_depthwise_layer *const layer = state->layer;
    const int16_t *weights = state->weights;
    uint32_t slot = state->slot;
    uint32_t sum = 0u;
    for (uint32_t y = 0u; y < layer->kernel_height; y++) {
        const uint8_t *codes = &column[slot * state->row_size];
        for (uint32_t x = 0u; x < layer->kernel_width; x++) {
            sum += (uint32_t)((int32_t)*codes * *weights);
            weights++;
            codes = &codes[4u * layer->dilation_x];
        }
        slot += layer->dilation_y;
        slot -= (slot >= state->extent) ? state->extent : 0u;
    }
    return sum;
}

/* Computes a row of one output channel. */
BB_INLINE void bb_depthwise_row(const bb_depthwise_state *state, const uint8_t *column, uint32_t channel,
                                uint8_t *pixel)
{
    const bb_depthwise_layer *const layer = state->layer;
    for (uint32_t x = layer->output_width; x != 0u; x--) {
        const uint32_t sum = bb_depthwise_sum(state, column);
        bb_put_code(pixel, channel, layer->output_bits, bb_depthwise_output(state, channel, sum));
        column = &column[4u * layer->stride_x];
        pixel = &pixel[state->output_pixel];
    }
}

/* The same for a 3x3 kernel without dilation, with the weights in registers; narrow form. */
BB_INLINE void bb_depthwise_row_3x3(const bb_depthwise_state *state, const uint8_t *column, uint32_t channel,
                                    uint8_t *pixel)
{
    const bb_depthwise_layer *const layer = state->layer;
    const int16_t *const w = state->weights;
    const int32_t w0 = w[0], w1 = w[1], w2 = w[2], w3 = w[3], w4 = w[4], w5 = w[5], w6 = w[6], w7 = w[7], w8 = w[8];
    const uint32_t second = (state->slot == 2u) ? 0u : (state->slot + 1u);
    const uint32_t third = (second == 2u) ? 0u : (second + 1u);
    const uint8_t *above = &column[state->slot * state->row_size];
    const uint8_t *middle = &column[second * state->row_size];
    const uint8_t *below = &column[third * state->row_size];
    const uint32_t step = 4u * (uint32_t)layer->stride_x;
    for (uint32_t x = layer->output_width; x != 0u; x--) {
        int32_t sum = (above[0] * w0) + (above[4] * w1) + (above[8] * w2);
        sum += (middle[0] * w3) + (middle[4] * w4) + (middle[8] * w5);
        sum += (below[0] * w6) + (below[4] * w7) + (below[8] * w8);
        const uint32_t code = bb_narrow_output(&state->outputs, channel, (uint32_t)sum << (8u - layer->input_bits),
                                               layer->weight_bits);
        bb_put_code(pixel, channel, layer->output_bits, bb_clamp((int32_t)code, state->outputs.levels));
        above = &above[step];
        middle = &middle[step];
        below = &below[step];
        pixel = &pixel[state->output_pixel];
    }
}

/* is_3x3 is a constant: 1 for a 3x3 kernel without dilation and with a multiplier of 1, narrow form. */
BB_INLINE void bb_depthwise_layer_run(const bb_depthwise_layer *layer, uint8_t *arena, uint32_t is_3x3)
{
    const uint32_t multiplier = (is_3x3 != 0u) ? 1u : layer->multiplier;
    const uint32_t output_channels = layer->input_channels * multiplier;
    const uint32_t ring_width = (((uint32_t)layer->output_width - 1u) * layer->stride_x) +
                                (layer->dilation_x * ((uint32_t)layer->kernel_width - 1u)) + 1u;
    bb_depthwise_state state;
    state.layer = layer;
    state.outputs = bb_depthwise_outputs(layer);
    state.extent = (layer->dilation_y * ((uint32_t)layer->kernel_height - 1u)) + 1u;
    state.row_size = 4u * ring_width;
    state.taps = (uint32_t)layer->kernel_height * layer->kernel_width;
    state.input_pixel = bb_pixel_bytes(layer->input_channels, layer->input_bits);
    state.output_pixel = bb_pixel_bytes(output_channels, layer->output_bits);
    state.weight_row = bb_pixel_bytes(output_channels, layer->weight_bits);
    uint8_t *const ring = &arena[layer->scratch];
    int16_t *const weights = (int16_t *)(void *)&ring[state.extent * state.row_size];

    for (uint32_t first = 0u; first < layer->input_channels; first += 4u) {
        const uint32_t left = layer->input_channels - first;
        const uint32_t channels = (left < 4u) ? left : 4u;
        const uint8_t *const source = &arena[layer->input + ((first * layer->input_bits) >> 3)];
        uint8_t *output_row = &arena[layer->output];
        uint32_t filled = 0u; /* rows that were put into the ring, counted from the first row of padding */
        uint32_t fill_slot = 0u;
        bb_depthwise_unpack(&state, first * multiplier, channels * multiplier, weights);
        state.slot = 0u;
        for (uint32_t output_y = 0u; output_y < layer->output_height; output_y++) {
            while (filled < ((output_y * layer->stride_y) + state.extent)) {
                const uint32_t y = filled - layer->pad_top; /* wraps above the image */
                const uint8_t *const row =
                    (y < layer->input_height) ? &source[y * layer->input_width * state.input_pixel] : NULL;
                bb_depthwise_fill(&state, row, channels, &ring[fill_slot * state.row_size]);
                filled++;
                fill_slot = ((fill_slot + 1u) == state.extent) ? 0u : (fill_slot + 1u);
            }
            state.weights = weights;
            for (uint32_t channel = 0u; channel < channels; channel++) {
                for (uint32_t copy = 0u; copy < multiplier; copy++) {
                    const uint32_t output = ((first + channel) * multiplier) + copy;
                    if (is_3x3 != 0u) {
                        bb_depthwise_row_3x3(&state, &ring[channel], output, output_row);
                    } else {
                        bb_depthwise_row(&state, &ring[channel], output, output_row);
                    }
                    state.weights = &state.weights[state.taps];
                }
            }
            output_row = &output_row[layer->output_width * state.output_pixel];
            state.slot += layer->stride_y;
            while (state.slot >= state.extent) {
                state.slot -= state.extent;
            }
        }
    }
}
