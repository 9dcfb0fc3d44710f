/* Runs depthwise layers: reads cases from "cases.bin", writes each arena to "results.bin" with the ticks that the layer
   took. A case is FIELDS words and the contents of weights, constants, zero points and arena, each padded to 4 bytes.
   On a chip, depthwise_chip.c replaces the C library. Comes after the text of the kernels. */

enum { FIELDS = 34 };

#if defined(__arm__)
void open_files(void);
void read_words(void *target, uint32_t bytes);
void write_words(const void *source, uint32_t bytes);
void *allocate(uint32_t bytes);
void release_all(void);
uint32_t ticks(void);
#else
#include <stdio.h>
#include <stdlib.h>

static FILE *cases, *results;
static void *allocated[8];
static uint32_t allocations;

static void open_files(void)
{
    cases = fopen("cases.bin", "rb");
    results = fopen("results.bin", "wb");
    if (cases == NULL || results == NULL) {
        exit(2);
    }
}

static void read_words(void *target, uint32_t bytes)
{
    if (fread(target, 1, bytes, cases) != bytes) {
        exit(3);
    }
}

static void write_words(const void *source, uint32_t bytes)
{
    if (fwrite(source, 1, bytes, results) != bytes) {
        exit(4);
    }
}

static void *allocate(uint32_t bytes) /* exactly as long as asked, for the address sanitizer */
{
    void *const memory = malloc(bytes);
    if (memory == NULL) {
        exit(5);
    }
    allocated[allocations++] = memory;
    return memory;
}

static void release_all(void)
{
    while (allocations > 0) {
        free(allocated[--allocations]);
    }
}

static uint32_t ticks(void)
{
    return 0u;
}
#endif

static void *read_part(uint32_t bytes)
{
    void *memory = NULL;
    if (bytes != 0u) {
        memory = allocate(bytes);
        read_words(memory, bytes);
    }
    return memory;
}

int main(void)
{
    uint32_t count;
    open_files();
    read_words(&count, 4u);
    for (uint32_t i = 0u; i < count; i++) {
        uint32_t f[FIELDS];
        bb_depthwise_layer layer;
        read_words(f, sizeof f);
        layer.weights = (const uint8_t *)read_part(f[1]);
        layer.constants = (const uint32_t *)read_part(f[2]);
        layer.zero_points = (const uint8_t *)read_part(f[3]);
        uint8_t *const arena = (uint8_t *)read_part(f[4]);
        layer.addend = (int32_t)f[5];
        layer.input = f[6];
        layer.output = f[7];
        layer.scratch = f[8];
        layer.input_height = (uint16_t)f[9];
        layer.input_width = (uint16_t)f[10];
        layer.input_channels = (uint16_t)f[11];
        layer.output_height = (uint16_t)f[12];
        layer.output_width = (uint16_t)f[13];
        layer.multiplier = (uint16_t)f[14];
        layer.kernel_height = (uint8_t)f[15];
        layer.kernel_width = (uint8_t)f[16];
        layer.stride_y = (uint8_t)f[17];
        layer.stride_x = (uint8_t)f[18];
        layer.dilation_y = (uint8_t)f[19];
        layer.dilation_x = (uint8_t)f[20];
        layer.pad_top = (uint8_t)f[21];
        layer.pad_left = (uint8_t)f[22];
        layer.input_bits = (uint8_t)f[23];
        layer.weight_bits = (uint8_t)f[24];
        layer.output_bits = (uint8_t)f[25];
        layer.zero_point = (uint8_t)f[26];
        layer.weight_zero_point = (uint8_t)f[27];
        layer.offset_shift = (uint8_t)f[28];
        layer.shift = (uint8_t)f[29];
        layer.form = (uint8_t)f[30];
        uint32_t elapsed = ticks();
        if (f[0] != 0u) {
            bb_depthwise_3x3(&layer, arena);
        } else {
            bb_depthwise(&layer, arena);
        }
        elapsed = (elapsed - ticks()) & 0xFFFFFFu; /* the counter of a chip counts down in 24 bits */
        write_words(&elapsed, 4u);
        write_words(arena, f[4]);
        release_all();
    }
    return 0;
}
