/* Kernels of bitbudget: types and declarations.

   A network is a table of steps. Each step calls one kernel ("driver") with its descriptor, a constant struct. All
   addresses in RAM are offsets in one arena, which is aligned to 4 bytes.

   Activations: order height, width, channel. The channels of a pixel are packed, the first code in the least
   significant bits; each pixel starts on a byte; the unused bits of its last byte are 0. Every tensor and every scratch
   area starts at a multiple of 4 and has a multiple of 4 bytes.

   b_x and b_w are the numbers of bits of the input codes and of the weights, e = 8 - b_x. Convolutions compute with
   codes that are shifted left by e, and narrow layers shift the sum left by 8 - b_w before they multiply: so all sums
   are like those of 8-bit codes; |sum| * 2^e * 2^(8 - b_w) must be below 2^31 (proved for each narrow layer). */

#ifndef BB_KERNELS_H
#define BB_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Level of the instruction set: 0 portable C99, 1 DSP instructions, 2 Helium. All objects need the same level. */
#ifndef BB_LEVEL
#if defined(__ARM_FEATURE_MVE) && ((__ARM_FEATURE_MVE & 1) != 0)
#define BB_LEVEL 2
#elif defined(__ARM_FEATURE_DSP) && (__ARM_FEATURE_DSP == 1)
#define BB_LEVEL 1
#else
#define BB_LEVEL 0
#endif
#endif

/* A kernel is compiled as if it were alone (never inlined, never compared with other functions) and has an aligned
   start, so that the sizes of kernels can be added up. */
#if defined(__GNUC__) && !defined(__clang__)
#define BB_KERNEL __attribute__((noipa, aligned(4)))
#define BB_INLINE static inline __attribute__((always_inline, unused))
#elif defined(__clang__)
#define BB_KERNEL __attribute__((noinline, aligned(4)))
#define BB_INLINE static inline __attribute__((always_inline, unused))
#else
#define BB_KERNEL
#define BB_INLINE static inline
#endif

typedef void (*bb_kernel)(const void *layer, uint8_t *arena);

typedef struct {
    bb_kernel run;
    const void *layer; /* descriptor, of the type that the kernel expects */
} bb_step;

/* Form of the constants of a layer with weights. */
#define BB_NARROW 0u     /* a word for each channel: m in the low half, o in the high half, both int16 */
#define BB_WIDE 1u       /* 3 words for each channel: offset, m, n */
#define BB_THRESHOLDS 2u /* 2 + T words for each channel: direction (1 or -1), offset, t_1 .. t_T; T = 2^bits - 1 */

/* ---- Convolution (any but depthwise), pointwise convolution, fully connected layer ---- */

/* Format of columns: words from a group of 4 codes to the next one, and from a column to the second one, for columns of
   `groups` groups. At levels 0 and 1, groups of 2 words of both columns alternate; at level 2, each column is
   contiguous, a word for each group. */
#if BB_LEVEL == 2
#define BB_GROUP_STEP(columns) 1u
#define BB_COLUMN_WORDS(groups) ((uint32_t)(groups))
#else
#define BB_GROUP_STEP(columns) (2u * (columns))
#define BB_COLUMN_WORDS(groups) 2u
#endif

/* Widens `groups` groups of 4 codes (packed, starting on a byte), each shifted left by e, to words[0],
   words[BB_GROUP_STEP(columns)], ...; returns the sum of the widened codes. A column may be made by several calls;
   all but the last take a multiple of 4 codes, or of 16 codes of 2 bits. */
typedef uint32_t (*bb_widen)(const uint8_t *codes, uint32_t groups, uint32_t *words, uint32_t columns);

typedef struct {                /* the rows (output channels) of one group of a convolution */
    const uint32_t *weights;    /* interleaved in pairs of rows; within a word, codes k and k + 2 are 16 bits apart */
    const uint32_t *constants;
    const uint8_t *zero_points; /* z_w of each row; NULL: zero_point */
    int32_t addend;             /* narrow: z_y * 2^s + 2^(s-1); wide and thresholds: z_y */
    uint16_t rows;
    uint16_t row_words;         /* words of the weights of a row */
    uint8_t zero_point;         /* z_w of all rows */
    uint8_t offset_shift;       /* narrow: k + e; else 0 */
    uint8_t shift;              /* narrow: s, 1 to 16; wide and thresholds: e */
    uint8_t levels;             /* thresholds: T; else 0 */
} bb_rows;

/* Computes all rows for 1 or 2 interleaved columns and writes one byte a row, output[c * stride + row]: the output
   value clamped to 0..255 (narrow, wide) or the code (thresholds). sums[c] is the sum that bb_widen returned. Words
   after the last code of a column are never initialized: their weights are 0. */
typedef void (*bb_dot)(const bb_rows *rows, const uint32_t *words, const uint32_t *sums, uint8_t *output,
                       uint32_t stride);

/* Packs `count` codes (one a byte) to 4 or 2 bits; clamps each to the largest code first. */
typedef void (*bb_pack)(const uint8_t *codes, uint32_t count, uint8_t *packed);

/* Scratch, K16 = codes of a column rounded up to 16, C4 = rows of a group rounded up to 4 (all in bytes):
     convolution      4 * K16 columns, K16 staging, 2 * C4 output codes
     pointwise        4 * K16 columns, 2 * C4 output codes
     fully connected  2 * K16 column, K16 staging if the input has two or more pixels and its channels are no multiple
                      of 4, C4 output codes
   Output codes are only used if the output has fewer than 8 bits. */
typedef struct {
    const bb_rows *rows;      /* one for each group */
    bb_widen widen;           /* of the input's bits */
    bb_dot dot;               /* convolution, pointwise: 2 columns; fully connected: 1 column */
    bb_pack pack;             /* NULL for outputs of 8 bits */
    uint32_t input, output, scratch;
    uint16_t input_height, input_width;
    uint16_t group_channels;  /* input channels of one group */
    uint16_t output_height, output_width;
    uint16_t output_channels; /* of the whole tensor */
    uint16_t column_groups;   /* groups of 4 codes of a column: row_words * codes of a word / 4 */
    uint16_t groups;
    uint8_t kernel_height, kernel_width, stride_y, stride_x, dilation_y, dilation_x, pad_top, pad_left;
    uint8_t input_bits, zero_point; /* zero_point: z_x, also the code of padding */
    uint8_t output_bits, reserved;
} bb_convolution_layer; /* fully connected: the kernel is the whole input; fields of kernel and output extents unused */

/* ---- Depthwise convolution ---- */

/* The bits of input, weights and output are read at run time. Weights: one row of packed codes for each kernel row and
   column, output channels in order, each row on a byte. Output channel c reads input channel c / multiplier. The output
   may overwrite the input: stride 1, multiplier 1, same extents and bits. Scratch: a ring of rows of four channels
   (network/memory/depthwise_scratch.py).
   bb_depthwise_3x3: narrow form, kernel 3x3, dilation 1, multiplier 1, stride_y = stride_x = 1 or 2; with DSP
   instructions fast for a shift s <= 16. */
typedef struct {
    const uint8_t *weights;
    const uint32_t *constants;
    const uint8_t *zero_points; /* z_w of each output channel; NULL: weight_zero_point */
    int32_t addend;             /* as in bb_rows */
    uint32_t input, output, scratch;
    uint16_t input_height, input_width, input_channels;
    uint16_t output_height, output_width;
    uint16_t multiplier;        /* output channels of one input channel */
    uint8_t kernel_height, kernel_width, stride_y, stride_x, dilation_y, dilation_x, pad_top, pad_left;
    uint8_t input_bits, weight_bits, output_bits, zero_point; /* zero_point: z_x, also the code of padding */
    uint8_t weight_zero_point;
    uint8_t offset_shift;       /* as in bb_rows */
    uint8_t shift;              /* as in bb_rows */
    uint8_t form;               /* BB_NARROW, BB_WIDE or BB_THRESHOLDS */
} bb_depthwise_layer;

/* ---- Layers without weights: v = q - z requantized by m / 2^n, m int32 ----

   n is from 22 to 46 in concat, max_pool and pad, which requantize single codes, and from 0 to 62 in average_pool. */

typedef struct {
    int32_t multiplier;
    uint32_t input;
    uint8_t bits, zero_point, reserved[2];
} bb_add_input;

/* Sum of `count` inputs: y = clamp((sum q_i * m_i + addend) >> shift), addend = z_y * 2^n + 2^(n-1) - sum z_i * m_i
   (without 2^(n-1) if n = 0). bb_add: addend_low alone, mod 2^32; for sum |m_i| * (largest |q_i - z_i|) + (z_y + 1) *
   2^n < 2^31. bb_add_wide: addend_high * 2^32 + addend_low; any m_i. An input of the output's size may be overwritten.
   Also activation layers, with one input. */
typedef struct {
    const bb_add_input *inputs;
    uint32_t output;
    uint32_t addend_low, addend_high;
    uint32_t pixels;
    uint16_t channels;
    uint8_t count, shift;
    uint8_t output_bits, reserved[3];
} bb_add_layer;

/* Axis of a concatenation; the last two flatten each input to a vector first. */
#define BB_CHANNELS 0u
#define BB_HEIGHT 1u
#define BB_WIDTH 2u
#define BB_FLATTEN_CHANNELS_LAST 3u  /* element order height, width, channel */
#define BB_FLATTEN_CHANNELS_FIRST 4u /* element order channel, height, width */

typedef struct {
    int32_t multiplier;
    uint32_t input;
    uint16_t height, width, channels;
    uint8_t shift, bits, zero_point, reserved[3];
} bb_concat_input;

typedef struct {
    const bb_concat_input *inputs;
    uint32_t output;
    uint16_t output_height, output_width;
    uint32_t output_channels; /* a flattened output is 1 x 1 x elements */
    uint16_t count;
    uint8_t axis, output_bits, output_zero_point, reserved[3];
} bb_concat_layer;

typedef struct {
    int32_t multiplier;
    uint32_t divisor; /* elements of the windows that this factor is for */
    uint32_t shift;
} bb_pool_factor;

typedef struct { /* max_pool and average_pool */
    const bb_pool_factor *factors; /* 1; average_pool: one for each number of elements of a window */
    uint32_t input, output;
    uint16_t input_height, input_width, channels, output_height, output_width;
    uint16_t kernel_height, kernel_width, stride_y, stride_x, pad_top, pad_left;
    uint16_t factor_count;
    uint8_t input_bits, input_zero_point, output_bits, output_zero_point;
} bb_pool_layer;

typedef struct {
    uint32_t input, output;
    int32_t multiplier;
    uint16_t input_height, input_width, input_channels;
    uint16_t output_height, output_width, output_channels;
    uint16_t pad_top, pad_left, channels_before;
    uint8_t shift, input_bits, input_zero_point, output_bits, output_zero_point, reserved;
} bb_pad_layer;

/* ---- Drivers; the descriptor's type is behind each ---- */

void bb_convolution(const void *layer, uint8_t *arena);     /* bb_convolution_layer */
void bb_pointwise(const void *layer, uint8_t *arena);       /* bb_convolution_layer: 1x1, stride 1, 1 group */
void bb_fully_connected(const void *layer, uint8_t *arena); /* bb_convolution_layer */
void bb_depthwise(const void *layer, uint8_t *arena);       /* bb_depthwise_layer */
void bb_depthwise_3x3(const void *layer, uint8_t *arena);   /* bb_depthwise_layer: see there */
void bb_add(const void *layer, uint8_t *arena);             /* bb_add_layer */
void bb_add_wide(const void *layer, uint8_t *arena);        /* bb_add_layer */
void bb_concat(const void *layer, uint8_t *arena);          /* bb_concat_layer */
void bb_max_pool(const void *layer, uint8_t *arena);        /* bb_pool_layer */
void bb_average_pool(const void *layer, uint8_t *arena);    /* bb_pool_layer */
void bb_pad(const void *layer, uint8_t *arena);             /* bb_pad_layer */

/* ---- Functions that descriptors of convolutions name; the number is the bits of input, weights or output ---- */

uint32_t bb_widen_8(const uint8_t *codes, uint32_t groups, uint32_t *words, uint32_t columns);
uint32_t bb_widen_4(const uint8_t *codes, uint32_t groups, uint32_t *words, uint32_t columns);
uint32_t bb_widen_2(const uint8_t *codes, uint32_t groups, uint32_t *words, uint32_t columns);
uint32_t bb_widen_2x2(const uint8_t *codes, uint32_t groups, uint32_t *words, uint32_t columns);

#define BB_DECLARE_DOT(name)                                                                                          \
    void name(const bb_rows *rows, const uint32_t *words, const uint32_t *sums, uint8_t *output, uint32_t stride)
BB_DECLARE_DOT(bb_dot1_8);
BB_DECLARE_DOT(bb_dot1_4);
BB_DECLARE_DOT(bb_dot1_2);
BB_DECLARE_DOT(bb_dot2_8);
BB_DECLARE_DOT(bb_dot2_4);
BB_DECLARE_DOT(bb_dot2_2);
BB_DECLARE_DOT(bb_dot1_2x2); /* input and weights of 2 bits, narrow; with bb_widen_2x2 */
BB_DECLARE_DOT(bb_dot2_2x2);
BB_DECLARE_DOT(bb_dot1_wide_8);
BB_DECLARE_DOT(bb_dot1_wide_4);
BB_DECLARE_DOT(bb_dot1_wide_2);
BB_DECLARE_DOT(bb_dot2_wide_8);
BB_DECLARE_DOT(bb_dot2_wide_4);
BB_DECLARE_DOT(bb_dot2_wide_2);
BB_DECLARE_DOT(bb_dot1_thresholds_8);
BB_DECLARE_DOT(bb_dot1_thresholds_4);
BB_DECLARE_DOT(bb_dot1_thresholds_2);
BB_DECLARE_DOT(bb_dot2_thresholds_8);
BB_DECLARE_DOT(bb_dot2_thresholds_4);
BB_DECLARE_DOT(bb_dot2_thresholds_2);

void bb_pack_4(const uint8_t *codes, uint32_t count, uint8_t *packed);
void bb_pack_2(const uint8_t *codes, uint32_t count, uint8_t *packed);

#ifdef __cplusplus
}
#endif

#endif
