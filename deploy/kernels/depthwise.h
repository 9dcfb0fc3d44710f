/* Depthwise convolution in plain C: any kernel, stride, dilation, padding and multiplier, all bits and forms.

   Four input channels at a time: their codes always fill whole bytes. The rows that an output row reads are kept in a
   ring in scratch, unpacked to bytes and surrounded by padding, so the inner loops have no conditions, and the output
   may overwrite the input (stride 1, same shape and bits): row r is in the ring before row r is written.

   Scratch: ring       [extent_y][ring_width][4] bytes, extent_y = dilation_y * (kernel_height - 1) + 1,
                       ring_width = (output_width - 1) * stride_x + dilation_x * (kernel_width - 1) + 1
            weights    [4 * multiplier][kernel_height * kernel_width] int16, q_w - z_w */

typedef struct {
    const bb_depthwise_layer *layer;
    uint32_t extent;        /* rows of the ring */
    uint32_t row_size;      /* bytes of a row of the ring */
    uint32_t taps;
    uint32_t input_pixel, output_pixel;
    uint32_t weight_row;    /* bytes of the weights of a tap */
    const int16_t *weights; /* of one channel */
    uint32_t slot;          /* row of the ring that is the first of the window */
} bb_depthwise_state;

/* What the outputs of one channel need; local copies, so that a compiler keeps them in registers. */
typedef struct {
    bb_rows rows;
    uint32_t constants[3];
    uint32_t widening; /* shift of the sums */
    uint32_t form;
    uint8_t *target;   /* byte of the channel in the next pixel */
    uint32_t position; /* bit of the channel in that byte */
    uint32_t pixel_bytes;
} bb_depthwise_outputs;

BB_INLINE bb_depthwise_outputs bb_depthwise_outputs_of(const bb_depthwise_state *state, uint32_t channel,
                                                       uint8_t *pixel)
{
    const bb_depthwise_layer *const layer = state->layer;
    const uint32_t top = (1u << layer->output_bits) - 1u;
    const uint32_t bit = channel * layer->output_bits;
    bb_depthwise_outputs outputs;
    outputs.form = layer->form;
    outputs.widening = (layer->form == BB_NARROW) ? (8u - layer->input_bits) : 0u;
    outputs.target = &pixel[bit >> 3];
    outputs.position = bit & 7u;
    outputs.pixel_bytes = state->output_pixel;
    outputs.rows.weights = NULL;
    outputs.rows.zero_points = NULL;
    outputs.rows.addend = layer->addend;
    outputs.rows.rows = 1u;
    outputs.rows.row_words = 0u;
    outputs.rows.zero_point = 0u;
    outputs.rows.offset_shift = layer->offset_shift;
    outputs.rows.shift = (layer->form == BB_NARROW) ? layer->shift : 0u;
    outputs.rows.levels = (uint8_t)top;
    outputs.rows.constants = NULL;
    if (layer->form == BB_NARROW) {
        outputs.constants[0] = layer->constants[channel];
    } else if (layer->form == BB_WIDE) {
        outputs.constants[0] = layer->constants[3u * channel];
        outputs.constants[1] = layer->constants[(3u * channel) + 1u];
        outputs.constants[2] = layer->constants[(3u * channel) + 2u];
    } else {
        outputs.rows.constants = &layer->constants[(2u + top) * channel];
    }
    return outputs;
}

/* Writes the output code of a sum of q_x * (q_w - z_w) with padding to the next pixel. */
BB_INLINE void bb_depthwise_put_output(bb_depthwise_outputs *outputs, uint32_t sum, uint32_t form)
{
    uint32_t code;
    if (form == BB_NARROW) {
        outputs->rows.constants = outputs->constants;
        code = bb_narrow_output(&outputs->rows, 0u, sum << outputs->widening);
    } else if (form == BB_WIDE) {
        outputs->rows.constants = outputs->constants;
        code = bb_wide_output(&outputs->rows, 0u, sum);
    } else {
        code = bb_threshold_output(&outputs->rows, 0u, sum);
    }
    code = bb_clamp((int32_t)code, outputs->rows.levels);
    if (outputs->position != 0u) { /* the first code of a byte clears the others */
        code = (code << outputs->position) | *outputs->target;
    }
    *outputs->target = (uint8_t)code;
    outputs->target = &outputs->target[outputs->pixel_bytes];
}

/* Copies up to 4 channels of a row of the image to a row of the ring, between its padding. A row that is not in the
   image (source: NULL) is padding. */
BB_INLINE void bb_depthwise_fill(const bb_depthwise_state *state, const uint8_t *source, uint32_t channels,
                                 uint8_t *ring_row)
{
    const uint32_t bits = state->layer->input_bits;
    const uint32_t zero_point = state->layer->zero_point;
    const uint32_t pad_left = state->layer->pad_left;
    const uint32_t width = state->layer->input_width;
    for (uint32_t column = 0u; column < (state->row_size >> 2); column++) {
        const uint32_t x = column - pad_left; /* wraps left of the image */
        if ((source == NULL) || (x >= width)) {
            for (uint32_t channel = 0u; channel < 4u; channel++) {
                ring_row[channel] = (uint8_t)zero_point;
            }
        } else if (bits == 8u) {
            for (uint32_t channel = 0u; channel < channels; channel++) {
                ring_row[channel] = source[channel];
            }
            source = &source[state->input_pixel];
        } else {
            uint32_t codes = source[0];
            if ((bits == 4u) && (channels > 2u)) {
                codes |= (uint32_t)source[1] << 8;
            }
            for (uint32_t channel = 0u; channel < 4u; channel++) {
                ring_row[channel] = (uint8_t)(codes & ((1u << bits) - 1u));
                codes >>= bits;
            }
            source = &source[state->input_pixel];
        }
        ring_row = &ring_row[4];
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
    const uint32_t step = 4u * (uint32_t)state->layer->dilation_x;
    const uint32_t width = state->layer->kernel_width;
    const uint32_t dilation_y = state->layer->dilation_y;
    const int16_t *weights = state->weights;
    uint32_t slot = state->slot;
    int32_t sum = 0;
    for (uint32_t y = state->layer->kernel_height; y != 0u; y--) {
        const uint8_t *codes = &column[slot * state->row_size];
        for (uint32_t x = width; x != 0u; x--) {
            sum += (int32_t)*codes * *weights;
            weights++;
            codes = &codes[step];
        }
        slot += dilation_y;
        slot -= (slot >= state->extent) ? state->extent : 0u;
    }
    return (uint32_t)sum;
}

/* Computes a row of one output channel. */
BB_INLINE void bb_depthwise_row(const bb_depthwise_state *state, const uint8_t *column, bb_depthwise_outputs *outputs)
{
    const uint32_t step = 4u * (uint32_t)state->layer->stride_x;
    for (uint32_t x = state->layer->output_width; x != 0u; x--) {
        bb_depthwise_put_output(outputs, bb_depthwise_sum(state, column), outputs->form);
        column = &column[step];
    }
}

/* The same for a 3x3 kernel without dilation, with the weights in registers; narrow form. */
BB_INLINE void bb_depthwise_row_3x3(const bb_depthwise_state *state, const uint8_t *column,
                                    bb_depthwise_outputs *outputs)
{
    const int16_t *const w = state->weights;
    const int32_t w0 = w[0], w1 = w[1], w2 = w[2], w3 = w[3], w4 = w[4], w5 = w[5], w6 = w[6], w7 = w[7], w8 = w[8];
    const uint32_t second = (state->slot == 2u) ? 0u : (state->slot + 1u);
    const uint32_t third = (second == 2u) ? 0u : (second + 1u);
    const uint8_t *above = &column[state->slot * state->row_size];
    const uint8_t *middle = &column[second * state->row_size];
    const uint8_t *below = &column[third * state->row_size];
    const uint32_t step = 4u * (uint32_t)state->layer->stride_x;
    for (uint32_t x = state->layer->output_width; x != 0u; x--) {
        int32_t sum = (above[0] * w0) + (above[4] * w1) + (above[8] * w2);
        sum += (middle[0] * w3) + (middle[4] * w4) + (middle[8] * w5);
        sum += (below[0] * w6) + (below[4] * w7) + (below[8] * w8);
        bb_depthwise_put_output(outputs, (uint32_t)sum, BB_NARROW);
        above = &above[step];
        middle = &middle[step];
        below = &below[step];
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
                    bb_depthwise_outputs outputs = bb_depthwise_outputs_of(&state, output, output_row);
                    if (is_3x3 != 0u) {
                        bb_depthwise_row_3x3(&state, &ring[channel], &outputs);
                    } else {
                        bb_depthwise_row(&state, &ring[channel], &outputs);
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
