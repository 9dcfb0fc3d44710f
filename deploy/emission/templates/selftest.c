/* ${name}_selftest.c: vectors and checksums (CRC-32, as in zlib) of the reference interpreter.

$notice */

#include "${name}_selftest.h"

#include <stddef.h>

#include "${name}_tables.h"

typedef struct {
    uint32_t offset; /* in the arena */
    uint32_t bytes;
} bb_region;

typedef struct {
    bb_region region;
    int step;
} bb_result;

typedef struct {
    const uint32_t *words;
    uint32_t bytes;
    uint32_t crc;
    int step;
} bb_checked;

/* Every array of constants, with the step that stores it. */
static const bb_checked bb_constants[$constants] = {
$constant_rows
};

/* Output of each step. */
static const bb_region bb_outputs[BB_STEPS] = {
$output_rows
};

/* Inputs in the arena; their bytes follow one another in each vector. */
static const bb_region bb_inputs[$inputs] = {
$input_rows
};

static const uint8_t bb_vectors[BB_SELFTEST_SAMPLES][$vector_bytes] = {
$vectors
};

/* Checksum of the output of each step. */
static const uint32_t bb_crcs[BB_SELFTEST_SAMPLES][BB_STEPS] = {
$crcs
};

/* Outputs of the network, and the steps that write them. */
static const bb_result bb_results[$results] = {
$result_rows
};

static const uint8_t bb_expected[BB_SELFTEST_SAMPLES][$expected_bytes] = {
$expected
};

static const char *const bb_names[BB_STEPS] = {
$names
};

/* Checksum by a table of 16 entries: four bits at a time. */
static uint32_t bb_crc(const uint8_t *bytes, uint32_t count)
{
    static const uint32_t table[16] = {
        0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu, 0x76dc4190u, 0x6b6b51f4u, 0x4db26158u, 0x5005713cu,
        0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu, 0x9b64c2b0u, 0x86d3d2d4u, 0xa00ae278u, 0xbdbdf21cu,
    };
    uint32_t crc = 0xffffffffu;
    uint32_t i;
    for (i = 0u; i < count; i++) {
        crc ^= bytes[i];
        crc = (crc >> 4) ^ table[crc & 15u];
        crc = (crc >> 4) ^ table[crc & 15u];
    }
    return ~crc;
}

const char *bb_step_name(uint32_t step)
{
    return bb_names[step - 1u];
}

void bb_run_step(uint32_t step, uint32_t *arena)
{
    bb_steps[step - 1u].run(bb_steps[step - 1u].layer, (uint8_t *)arena);
}

void bb_selftest_input(uint32_t sample, uint32_t *arena)
{
    const uint8_t *from = bb_vectors[sample];
    uint32_t input;
    uint32_t i;
    for (input = 0u; input < $inputs; input++) {
        uint8_t *to = (uint8_t *)arena + bb_inputs[input].offset;
        for (i = 0u; i < bb_inputs[input].bytes; i++) {
            to[i] = *from;
            from++;
        }
    }
}

/* Returns 0 if the outputs of the network are those of a sample, else the first step whose output differs. */
static int bb_compare(uint32_t sample, const uint32_t *arena)
{
    const uint8_t *expected = bb_expected[sample];
    uint32_t result;
    uint32_t i;
    for (result = 0u; result < $results; result++) {
        const uint8_t *found = (const uint8_t *)arena + bb_results[result].region.offset;
        for (i = 0u; i < bb_results[result].region.bytes; i++) {
            if (found[i] != *expected) {
                return bb_results[result].step;
            }
            expected++;
        }
    }
    return 0;
}

int bb_selftest(uint32_t *arena)
{
    uint32_t sample;
    uint32_t step;
    uint32_t i;
    int wrong;
    for (i = 0u; i < (uint32_t)(sizeof(bb_constants) / sizeof(bb_constants[0])); i++) {
        if (bb_crc((const uint8_t *)bb_constants[i].words, bb_constants[i].bytes) != bb_constants[i].crc) {
            return -bb_constants[i].step;
        }
    }
    for (sample = 0u; sample < BB_SELFTEST_SAMPLES; sample++) {
        bb_selftest_input(sample, arena);
        for (step = 1u; step <= BB_STEPS; step++) {
            const bb_region *output = &bb_outputs[step - 1u];
            bb_run_step(step, arena);
            if (bb_crc((const uint8_t *)arena + output->offset, output->bytes) != bb_crcs[sample][step - 1u]) {
                return (int)step;
            }
        }
        bb_selftest_input(sample, arena);
        bb_run(arena);
        wrong = bb_compare(sample, arena);
        if (wrong != 0) {
            return wrong;
        }
    }
    return 0;
}
