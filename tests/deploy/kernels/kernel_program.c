/* Runs kernels on cases that are given as words: one driver, its descriptor's fields in order, an arena. The words of
   a case are made by kernel_cases.py. Every array is an allocation of its own, so that a sanitizer sees its ends. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"

static const uint32_t *next_word;

static uint32_t word(void)
{
    return *next_word++;
}

static uint8_t byte_field(void)
{
    return (uint8_t)word();
}

static uint16_t half_field(void)
{
    return (uint16_t)word();
}

static void *allocate(size_t bytes)
{
    void *const pointer = malloc(bytes);
    if (pointer == NULL) {
        exit(2);
    }
    return pointer;
}

/* Returns a copy of an array (length in bytes, then the bytes in words); NULL if the length is 0. */
static void *array(uint32_t *length)
{
    void *copy = NULL;
    *length = word();
    if (*length != 0u) {
        copy = allocate(*length);
        memcpy(copy, next_word, *length);
        next_word += (*length + 3u) / 4u;
    }
    return copy;
}

static void *bytes_of(void)
{
    uint32_t length;
    return array(&length);
}

static const bb_widen widens[] = {bb_widen_8, bb_widen_4, bb_widen_2};
static const bb_pack packs[] = {NULL, bb_pack_4, bb_pack_2};
static const bb_dot dots[2][3][3] = { /* columns, form, bits */
    {{bb_dot1_8, bb_dot1_4, bb_dot1_2},
     {bb_dot1_wide_8, bb_dot1_wide_4, bb_dot1_wide_2},
     {bb_dot1_thresholds_8, bb_dot1_thresholds_4, bb_dot1_thresholds_2}},
    {{bb_dot2_8, bb_dot2_4, bb_dot2_2},
     {bb_dot2_wide_8, bb_dot2_wide_4, bb_dot2_wide_2},
     {bb_dot2_thresholds_8, bb_dot2_thresholds_4, bb_dot2_thresholds_2}}};

static uint32_t index_of(uint32_t bits)
{
    return (bits == 8u) ? 0u : ((bits == 4u) ? 1u : 2u);
}

static void run_convolution(bb_kernel run, uint32_t columns, uint8_t *arena)
{
    const uint32_t groups = word(), form = word(), weight_bits = word();
    bb_rows *const rows = allocate(groups * sizeof(bb_rows));
    bb_convolution_layer l;
    memset(&l, 0, sizeof l);
    for (uint32_t i = 0u; i < groups; i++) {
        rows[i].weights = bytes_of();
        rows[i].constants = bytes_of();
        rows[i].zero_points = bytes_of();
        rows[i].addend = (int32_t)word();
        rows[i].rows = half_field();
        rows[i].row_words = half_field();
        rows[i].zero_point = byte_field();
        rows[i].offset_shift = byte_field();
        rows[i].shift = byte_field();
        rows[i].levels = byte_field();
    }
    l.rows = rows;
    l.groups = (uint16_t)groups;
    l.input = word();
    l.output = word();
    l.scratch = word();
    l.input_height = half_field();
    l.input_width = half_field();
    l.group_channels = half_field();
    l.output_height = half_field();
    l.output_width = half_field();
    l.output_channels = half_field();
    l.column_groups = half_field();
    l.kernel_height = byte_field();
    l.kernel_width = byte_field();
    l.stride_y = byte_field();
    l.stride_x = byte_field();
    l.dilation_y = byte_field();
    l.dilation_x = byte_field();
    l.pad_top = byte_field();
    l.pad_left = byte_field();
    l.input_bits = byte_field();
    l.zero_point = byte_field();
    l.output_bits = byte_field();
    l.widen = widens[index_of(l.input_bits)];
    l.dot = dots[columns - 1u][form][index_of(weight_bits)];
    l.pack = packs[index_of(l.output_bits)];
    if ((form == BB_NARROW) && (l.input_bits == 2u) && (weight_bits == 2u)) { /* functions of their own */
        l.widen = bb_widen_2x2;
        l.dot = (columns == 2u) ? bb_dot2_2x2 : bb_dot1_2x2;
    }
    run(&l, arena);
    for (uint32_t i = 0u; i < groups; i++) {
        free((void *)(uintptr_t)rows[i].weights);
        free((void *)(uintptr_t)rows[i].constants);
        free((void *)(uintptr_t)rows[i].zero_points);
    }
    free(rows);
}

static void run_add(bb_kernel run, uint8_t *arena)
{
    bb_add_layer l;
    memset(&l, 0, sizeof l);
    l.count = byte_field();
    bb_add_input *const inputs = allocate(l.count * sizeof(bb_add_input));
    for (uint32_t i = 0u; i < l.count; i++) {
        inputs[i].multiplier = (int32_t)word();
        inputs[i].input = word();
        inputs[i].bits = byte_field();
        inputs[i].zero_point = byte_field();
    }
    l.inputs = inputs;
    l.output = word();
    l.addend_low = word();
    l.addend_high = word();
    l.pixels = word();
    l.channels = half_field();
    l.shift = byte_field();
    l.output_bits = byte_field();
    run(&l, arena);
    free(inputs);
}

static void run_concat(bb_kernel run, uint8_t *arena)
{
    bb_concat_layer l;
    memset(&l, 0, sizeof l);
    l.count = half_field();
    bb_concat_input *const inputs = allocate(l.count * sizeof(bb_concat_input));
    for (uint32_t i = 0u; i < l.count; i++) {
        inputs[i].multiplier = (int32_t)word();
        inputs[i].input = word();
        inputs[i].height = half_field();
        inputs[i].width = half_field();
        inputs[i].channels = half_field();
        inputs[i].shift = byte_field();
        inputs[i].bits = byte_field();
        inputs[i].zero_point = byte_field();
    }
    l.inputs = inputs;
    l.output = word();
    l.output_height = half_field();
    l.output_width = half_field();
    l.output_channels = word();
    l.axis = byte_field();
    l.output_bits = byte_field();
    l.output_zero_point = byte_field();
    run(&l, arena);
    free(inputs);
}

static void run_pool(bb_kernel run, uint8_t *arena)
{
    bb_pool_layer l;
    memset(&l, 0, sizeof l);
    l.factor_count = half_field();
    bb_pool_factor *const factors = allocate(l.factor_count * sizeof(bb_pool_factor));
    for (uint32_t i = 0u; i < l.factor_count; i++) {
        factors[i].multiplier = (int32_t)word();
        factors[i].divisor = word();
        factors[i].shift = word();
    }
    l.factors = factors;
    l.input = word();
    l.output = word();
    l.input_height = half_field();
    l.input_width = half_field();
    l.channels = half_field();
    l.output_height = half_field();
    l.output_width = half_field();
    l.kernel_height = half_field();
    l.kernel_width = half_field();
    l.stride_y = half_field();
    l.stride_x = half_field();
    l.pad_top = half_field();
    l.pad_left = half_field();
    l.input_bits = byte_field();
    l.input_zero_point = byte_field();
    l.output_bits = byte_field();
    l.output_zero_point = byte_field();
    run(&l, arena);
    free(factors);
}

static void run_pad(bb_kernel run, uint8_t *arena)
{
    bb_pad_layer l;
    memset(&l, 0, sizeof l);
    l.input = word();
    l.output = word();
    l.multiplier = (int32_t)word();
    l.input_height = half_field();
    l.input_width = half_field();
    l.input_channels = half_field();
    l.output_height = half_field();
    l.output_width = half_field();
    l.output_channels = half_field();
    l.pad_top = half_field();
    l.pad_left = half_field();
    l.channels_before = half_field();
    l.shift = byte_field();
    l.input_bits = byte_field();
    l.input_zero_point = byte_field();
    l.output_bits = byte_field();
    l.output_zero_point = byte_field();
    run(&l, arena);
}

/* Runs the next case and writes its arena. The numbers of the drivers are those of kernel_cases.DRIVERS. */
static void run_case(FILE *results)
{
    const uint32_t driver = word();
    uint32_t arena_bytes;
    uint8_t *const arena = array(&arena_bytes);
    switch (driver) {
    case 0u: run_convolution(bb_convolution, 2u, arena); break;
    case 1u: run_convolution(bb_pointwise, 2u, arena); break;
    case 2u: run_convolution(bb_fully_connected, 1u, arena); break;
    case 3u: run_add(bb_add, arena); break;
    case 4u: run_add(bb_add_wide, arena); break;
    case 5u: run_concat(bb_concat, arena); break;
    case 6u: run_pool(bb_max_pool, arena); break;
    case 7u: run_pool(bb_average_pool, arena); break;
    case 8u: run_pad(bb_pad, arena); break;
    default: exit(3);
    }
    if (fwrite(arena, 1u, arena_bytes, results) != arena_bytes) {
        exit(4);
    }
    free(arena);
}

/* Arguments: a file of cases (number of words, words), the file of results. */
int main(int count, char **arguments)
{
    FILE *const cases = (count == 3) ? fopen(arguments[1], "rb") : NULL;
    FILE *const results = (count == 3) ? fopen(arguments[2], "wb") : NULL;
    if ((cases == NULL) || (results == NULL)) {
        return 5;
    }
    uint32_t words;
    while (fread(&words, 4u, 1u, cases) == 1u) {
        uint32_t *const buffer = allocate(words * sizeof(uint32_t));
        if (fread(buffer, 4u, words, cases) != words) {
            return 6;
        }
        next_word = buffer;
        run_case(results);
        if (next_word != &buffer[words]) {
            return 7;
        }
        free(buffer);
    }
    return ((fclose(cases) == 0) && (fclose(results) == 0)) ? 0 : 8;
}
