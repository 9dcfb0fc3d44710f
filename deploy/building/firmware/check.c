/* SPDX-License-Identifier: Apache-2.0
 * Checks a network on an emulated chip: its self-test, the stack that it uses, the instructions of each step. The
 * prefix bb_ is replaced by the network's name. */
#include "bb_selftest.h"
#include "chip.h"

static uint32_t arena[BB_ARENA_WORDS];

static void line(const char *name, uint64_t number) {
    chip_write(name);
    chip_write(" ");
    chip_write_number(number);
    chip_write("\n");
}

int main(void) {
    uint32_t painted = 0u;
    uint32_t sample, step;
    const int wrong = bb_selftest(arena);
    if (wrong != 0) {
        line(wrong < 0 ? "wrong-constants" : "wrong-output", (uint64_t)(wrong < 0 ? -wrong : wrong));
        return 1;
    }
    for (sample = 0u; sample < BB_SELFTEST_SAMPLES; ++sample) {
        bb_selftest_input(sample, arena);
        const uint32_t bytes = chip_measure_stack(bb_run, arena);
        painted = bytes > painted ? bytes : painted;
    }
    line("painted", painted);
    line("reserved", chip_reserved_stack());

    bb_selftest_input(0u, arena);
    for (step = 1u; step <= BB_STEPS; ++step) {
        chip_count_start();
        bb_run_step(step, arena);
        const uint64_t ticks = chip_count();
        chip_count_stop();
        line("ticks", ticks);
    }
    return 0;
}
