/* Runs layers of random codes and counts their instructions. The prefix is replaced, so that the kernels of the core's
   level and portable ones are in one program. */
#include "chip.h"
#include "bb_kernels.h"

enum { INPUT = 0, OUTPUT = 40 * 1024, SCRATCH = 80 * 1024, ARENA = 112 * 1024, WEIGHTS = 24 * 1024, CHANNELS = 256 };
enum { OFFSET_SHIFT = 1 };

typedef struct {
    bb_kernel run;
    bb_widen widen; /* NULL: depthwise */
    bb_dot dot;
    bb_pack pack;
    uint16_t height, width, channels, outputs; /* of the output; stride 1 */
    uint8_t kernel, input_bits, weight_bits, output_bits, shift;
} bb_shape;

static const bb_shape bb_shapes[] = {
@SHAPES@
};

static uint8_t bb_arena[ARENA] __attribute__((aligned(4)));
static uint32_t bb_weights[WEIGHTS], bb_constants[CHANNELS];
static uint32_t bb_state;

static uint32_t bb_random(void)
{
    bb_state = bb_state * 1664525u + 1013904223u;
    return bb_state;
}

/* Sets the fields of codes after the last one of a row to 0. */
static void bb_clear_padding(const bb_rows *rows, uint32_t codes, uint32_t bits)
{
    const uint32_t per_word = 32u / bits, last = rows->row_words - 1u;
    for (uint32_t row = 0u; row < rows->rows; row++) {
        const uint32_t is_alone = (row + 1u == rows->rows) ? (row + 1u) & 1u : 0u;
        const uint32_t at = (row & ~1u) * rows->row_words + (is_alone ? last : 2u * last + (row & 1u));
        for (uint32_t field = 0u; field < per_word; field++) {
            const uint32_t half = field / (per_word / 2u), inside = field % (per_word / 2u);
            if (last * per_word + 4u * (inside / 2u) + 2u * half + inside % 2u >= codes) {
                bb_weights[at] &= ~(((1u << bits) - 1u) << (field * bits));
            }
        }
    }
}

static uint64_t bb_count(const bb_shape *shape)
{
    const uint32_t taps = (uint32_t)shape->kernel * shape->kernel;
    const uint32_t codes = (shape->widen != NULL) ? shape->channels * taps : taps;
    const int32_t addend = (int32_t)((128u << (shape->output_bits - 8u + shape->shift)) + (1u << (shape->shift - 1u)));
    const uint8_t zero_point = (uint8_t)(1u << (shape->weight_bits - 1u));
    const uint8_t input_zero_point = (uint8_t)(1u << (shape->input_bits - 1u));
    const uint8_t padding = shape->kernel / 2u;
    const bb_rows rows = {
        .weights = bb_weights,
        .constants = bb_constants,
        .addend = addend,
        .rows = shape->outputs,
        .row_words = (uint16_t)((codes * shape->weight_bits + 31u) / 32u),
        .zero_point = zero_point,
        .offset_shift = OFFSET_SHIFT,
        .shift = shape->shift,
    };
    const bb_convolution_layer convolution = {
        .rows = &rows,
        .widen = shape->widen,
        .dot = shape->dot,
        .pack = shape->pack,
        .input = INPUT,
        .output = OUTPUT,
        .scratch = SCRATCH,
        .input_height = shape->height,
        .input_width = shape->width,
        .group_channels = shape->channels,
        .output_height = shape->height,
        .output_width = shape->width,
        .output_channels = shape->outputs,
        .column_groups = (uint16_t)(rows.row_words * (8u / shape->weight_bits)),
        .groups = 1u,
        .kernel_height = shape->kernel,
        .kernel_width = shape->kernel,
        .stride_y = 1u,
        .stride_x = 1u,
        .dilation_y = 1u,
        .dilation_x = 1u,
        .pad_top = padding,
        .pad_left = padding,
        .input_bits = shape->input_bits,
        .zero_point = input_zero_point,
        .output_bits = shape->output_bits,
    };
    const bb_depthwise_layer depthwise = {
        .weights = (const uint8_t *)bb_weights,
        .constants = bb_constants,
        .addend = addend,
        .input = INPUT,
        .output = OUTPUT,
        .scratch = SCRATCH,
        .input_height = shape->height,
        .input_width = shape->width,
        .input_channels = shape->channels,
        .output_height = shape->height,
        .output_width = shape->width,
        .multiplier = 1u,
        .kernel_height = shape->kernel,
        .kernel_width = shape->kernel,
        .stride_y = 1u,
        .stride_x = 1u,
        .dilation_y = 1u,
        .dilation_x = 1u,
        .pad_top = padding,
        .pad_left = padding,
        .input_bits = shape->input_bits,
        .weight_bits = shape->weight_bits,
        .output_bits = shape->output_bits,
        .zero_point = input_zero_point,
        .weight_zero_point = zero_point,
        .offset_shift = OFFSET_SHIFT,
        .shift = shape->shift,
        .form = BB_NARROW,
    };
    bb_state = 1u;
    for (uint32_t i = 0u; i < ARENA; i++) {
        bb_arena[i] = (uint8_t)(bb_random() >> 24);
    }
    for (uint32_t i = 0u; i < WEIGHTS; i++) {
        bb_weights[i] = (bb_random() & 0xFFFF0000u) | (bb_random() >> 16);
    }
    for (uint32_t i = 0u; i < CHANNELS; i++) {
        /* The mean of random codes is half a step below the zero points: -64 for each product. */
        bb_constants[i] = ((codes * 64u) >> OFFSET_SHIFT << 16) | 0x4000u | (bb_random() >> 18);
    }
    if (shape->widen != NULL) {
        bb_clear_padding(&rows, codes, shape->weight_bits);
    }
    chip_count_start();
    shape->run(shape->widen != NULL ? (const void *)&convolution : (const void *)&depthwise, bb_arena);
    const uint64_t ticks = chip_count();
    chip_count_stop();
    return ticks;
}

/* Runs a shape; returns its output codes and writes the ticks of the counter. */
const uint8_t *bb_run_shape(uint32_t index, uint64_t *ticks, uint32_t *bytes)
{
    const bb_shape *const shape = &bb_shapes[index];
    *ticks = bb_count(shape);
    *bytes = (uint32_t)shape->height * shape->width * ((shape->outputs * shape->output_bits + 7u) / 8u);
    return &bb_arena[OUTPUT];
}
