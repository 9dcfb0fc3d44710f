/* Depthwise convolution of any kernel size, stride, dilation, padding and multiplier, all bits and forms.

   Four input channels at a time: their codes always fill whole bytes. The rows that one output row reads are kept in a
   ring in scratch, unpacked to bytes and surrounded by padding, so the inner loop has no conditions, and the output may
   overwrite the input (stride 1, same shape and bits): row r is in the ring before row r is written.

   Scratch: ring       [extent_y][ring_width][4] bytes, extent_y = dilation_y * (kernel_height - 1) + 1,
                       ring_width = (output_width - 1) * stride_x + dilation_x * (kernel_width - 1) + 1
            weights    [4 * multiplier][kernel_height * kernel_width] int16, q_w - z_w */

#include "kernels.h"

/* Returns the code number `index` of packed codes. */
BB_INLINE uint32_t bb_depthwise_code(const uint8_t *packed, uint32_t index, uint32_t bits)
{
    const uint32_t position = index * bits;
    return ((uint32_t)packed[position >> 3] >> (position & 7u)) & ((1u << bits) - 1u);
}

/* Returns the output code of a channel whose sum of q_x * (q_w - z_w), with padding, is `sum`. */
BB_INLINE uint32_t bb_depthwise_requantized(const bb_depthwise_layer *layer, uint32_t channel, uint32_t sum)
{
    const int32_t top = (int32_t)((1u << layer->output_bits) - 1u);
    int32_t code;
    if (layer->form == BB_NARROW) {
        const uint32_t word = layer->constants[channel];
        const int32_t factor = (int16_t)(word & 0xFFFFu);
        const uint32_t offset = (uint32_t)(int32_t)(int16_t)(word >> 16) << layer->offset_shift;
        const int32_t total = (int32_t)(offset + (sum << (8u - layer->input_bits)));
        /* floor(total * factor / 2^16) without 64 bits */
        const int32_t scaled = (total >> 16) * factor + (((total & 0xFFFF) * factor) >> 16);
        code = (scaled + layer->addend) >> layer->shift;
    } else if (layer->form == BB_WIDE) {
        const uint32_t *const words = layer->constants + 3u * channel;
        const int64_t product = (int64_t)(int32_t)(words[0] + sum) * (int32_t)words[1];
        const uint32_t shift = words[2];
        const int64_t half = shift == 0u ? 0 : (int64_t)1 << (shift - 1u);
        const int64_t wide = ((product + half) >> shift) + layer->addend;
        code = wide < 0 ? 0 : wide > top ? top : (int32_t)wide;
    } else {
        const uint32_t levels = (uint32_t)top;
        const uint32_t *const words = layer->constants + (2u + levels) * channel;
        const int32_t total = (int32_t)words[0] * (int32_t)(words[1] + sum);
        uint32_t reached = 0u;
        uint32_t step;
        for (step = (levels + 1u) >> 1; step > 0u; step >>= 1) { /* binary search: the thresholds ascend */
            if (total >= (int32_t)words[1u + reached + step]) {
                reached += step;
            }
        }
        return reached;
    }
    return (uint32_t)(code < 0 ? 0 : code > top ? top : code);
}

/* Copies a row of `channels` <= 4 input channels to a row of the ring, one byte a code, with padding around it. A row
   outside of the image (source == NULL) is padding. */
BB_INLINE void bb_depthwise_fill(const bb_depthwise_layer *layer, const uint8_t *source, uint32_t pixel_bytes,
                                 uint32_t channels, uint8_t *ring_row, uint32_t ring_width)
{
    uint32_t column;
    for (column = 0u; column < ring_width; column++) {
        const uint32_t x = column - layer->pad_left; /* wraps left of the image */
        const int inside = source != NULL && x < layer->input_width;
        uint32_t channel;
        for (channel = 0u; channel < channels; channel++) {
            ring_row[4u * column + channel] =
                inside ? (uint8_t)bb_depthwise_code(source + x * pixel_bytes, channel, layer->input_bits)
                       : layer->zero_point;
        }
    }
}

/* Unpacks the weights q_w - z_w of `count` output channels from `first` on: [channel][tap]. */
BB_INLINE void bb_depthwise_unpack(const bb_depthwise_layer *layer, uint32_t first, uint32_t count, uint32_t row_bytes,
                                   int16_t *weights)
{
    const uint32_t taps = (uint32_t)layer->kernel_height * layer->kernel_width;
    uint32_t channel;
    for (channel = first; channel < first + count; channel++) {
        const int32_t zero_point = layer->zero_points != NULL ? layer->zero_points[channel] : layer->weight_zero_point;
        const uint8_t *row = layer->weights;
        uint32_t tap;
        for (tap = 0u; tap < taps; tap++) {
            *weights = (int16_t)((int32_t)bb_depthwise_code(row, channel, layer->weight_bits) - zero_point);
            weights++;
            row += row_bytes;
        }
    }
}

/* Returns the sum of q_x * (q_w - z_w) of one window; `slot` is the ring's row of the window's first row. */
BB_INLINE uint32_t bb_depthwise_sum(const bb_depthwise_layer *layer, const int16_t *weights, const uint8_t *column,
                                    uint32_t slot, uint32_t extent, uint32_t row_size)
{
    const uint32_t step = 4u * layer->dilation_x;
    uint32_t sum = 0u;
    uint32_t y;
    for (y = 0u; y < layer->kernel_height; y++) {
        const uint8_t *code = column + slot * row_size;
        uint32_t x;
        for (x = 0u; x < layer->kernel_width; x++) {
            sum += (uint32_t)(*code * *weights);
            weights++;
            code += step;
        }
        slot += layer->dilation_y;
        if (slot >= extent) {
            slot -= extent;
        }
    }
    return sum;
}

BB_KERNEL void bb_depthwise(const void *descriptor, uint8_t *arena)
{
    const bb_depthwise_layer *const layer = (const bb_depthwise_layer *)descriptor;
    const uint32_t multiplier = layer->multiplier;
    const uint32_t output_channels = layer->input_channels * multiplier;
    const uint32_t taps = (uint32_t)layer->kernel_height * layer->kernel_width;
    const uint32_t extent = layer->dilation_y * (layer->kernel_height - 1u) + 1u;
    const uint32_t ring_width =
        (layer->output_width - 1u) * layer->stride_x + layer->dilation_x * (layer->kernel_width - 1u) + 1u;
    const uint32_t row_size = 4u * ring_width;
    const uint32_t input_pixel = (layer->input_channels * (uint32_t)layer->input_bits + 7u) >> 3;
    const uint32_t output_pixel = (output_channels * layer->output_bits + 7u) >> 3;
    const uint32_t weight_row = (output_channels * layer->weight_bits + 7u) >> 3;
    uint8_t *const ring = arena + layer->scratch;
    int16_t *const weights = (int16_t *)(void *)(ring + extent * row_size);
    uint32_t first; /* input channel */

    for (first = 0u; first < layer->input_channels; first += 4u) {
        const uint32_t left = layer->input_channels - first;
        const uint32_t channels = left < 4u ? left : 4u;
        const uint8_t *const source = arena + layer->input + ((first * layer->input_bits) >> 3);
        uint8_t *output_row = arena + layer->output;
        uint32_t filled = 0u; /* rows in the ring so far, counted from the first row of padding */
        uint32_t fill_slot = 0u;
        uint32_t slot = 0u;
        uint32_t oy;
        bb_depthwise_unpack(layer, first * multiplier, channels * multiplier, weight_row, weights);
        for (oy = 0u; oy < layer->output_height; oy++) {
            uint32_t channel = 0u; /* in the ring */
            uint32_t copy = 0u;    /* output channel of that input channel */
            uint32_t output;
            while (filled < oy * layer->stride_y + extent) {
                const uint32_t y = filled - layer->pad_top; /* wraps above the image */
                bb_depthwise_fill(layer, y < layer->input_height ? source + y * layer->input_width * input_pixel : NULL,
                                  input_pixel, channels, ring + fill_slot * row_size, ring_width);
                filled++;
                fill_slot = fill_slot + 1u == extent ? 0u : fill_slot + 1u;
            }
            for (output = first * multiplier; output < (first + channels) * multiplier; output++) {
                const uint32_t position = output * layer->output_bits;
                const int16_t *const kernel = weights + (output - first * multiplier) * taps;
                const uint8_t *column = ring + channel;
                uint8_t *target = output_row + (position >> 3);
                uint32_t ox;
                for (ox = 0u; ox < layer->output_width; ox++) {
                    const uint32_t sum = bb_depthwise_sum(layer, kernel, column, slot, extent, row_size);
                    const uint32_t code = bb_depthwise_requantized(layer, output, sum) << (position & 7u);
                    /* The first code of a byte clears the others. */
                    *target = (uint8_t)((position & 7u) == 0u ? code : code | *target);
                    column += 4u * layer->stride_x;
                    target += output_pixel;
                }
                copy++;
                if (copy == multiplier) {
                    copy = 0u;
                    channel++;
                }
            }
            output_row += layer->output_width * output_pixel;
            slot += layer->stride_y;
            while (slot >= extent) {
                slot -= extent;
            }
        }
    }
}
