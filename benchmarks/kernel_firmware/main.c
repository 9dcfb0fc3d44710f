/* Writes the counts of all shapes, by the kernels of the core's level and by portable ones, and whether their codes are
   the same. */
#include "chip.h"

const uint8_t *bb_run_shape(uint32_t index, uint64_t *ticks, uint32_t *bytes);
const uint8_t *ref_run_shape(uint32_t index, uint64_t *ticks, uint32_t *bytes);

static void write_line(const char *name, uint32_t index, uint64_t number)
{
    chip_write(name);
    chip_write_number(index);
    chip_write(" ");
    chip_write_number(number);
    chip_write("\n");
}

int main(void)
{
    for (uint32_t index = 0u; index < SHAPES; index++) {
        uint64_t ticks, portable_ticks;
        uint32_t bytes, equal = 0u, distinct = 0u;
        const uint8_t *const codes = bb_run_shape(index, &ticks, &bytes);
        const uint8_t *const expected = ref_run_shape(index, &portable_ticks, &bytes);
        for (uint32_t i = 0u; i < bytes; i++) {
            equal += (codes[i] == expected[i]) ? 1u : 0u;
            distinct += (i > 0u && codes[i] != codes[0]) ? 1u : 0u;
        }
        write_line("kernels", index, ticks);
        write_line("portable", index, portable_ticks);
        write_line("different", index, bytes - equal);
        write_line("distinct", index, distinct);
    }
    return 0;
}
