/* main.c: example program. It checks the network, runs it once, and prints the outputs.

$notice */

#include <stdio.h>

#include "$name.h"
#include "${name}_selftest.h"

static uint32_t arena[BB_ARENA_WORDS];

/* Returns a code of a tensor in the arena. */
static unsigned code_of(const uint8_t *tensor, uint32_t channels, uint32_t bits, uint32_t pixel, uint32_t channel)
{
    const uint32_t pixel_bytes = (channels * bits + 7u) / 8u;
    const uint32_t bit = channel * bits;
    return ((unsigned)tensor[pixel * pixel_bytes + bit / 8u] >> (bit % 8u)) & ((1u << bits) - 1u);
}

/* Prints the largest code of an output, and its real value. */
static void print_output(const char *name, const uint8_t *tensor, uint32_t pixels, uint32_t channels, uint32_t bits,
                         double scale, int zero_point)
{
    uint32_t best_pixel = 0u;
    uint32_t best_channel = 0u;
    unsigned best = 0u;
    uint32_t pixel;
    uint32_t channel;
    for (pixel = 0u; pixel < pixels; pixel++) {
        for (channel = 0u; channel < channels; channel++) {
            const unsigned code = code_of(tensor, channels, bits, pixel, channel);
            if (code > best) {
                best = code;
                best_pixel = pixel;
                best_channel = channel;
            }
        }
    }
    printf("%s: largest at pixel %u, channel %u: code %u, real value %g\n", name, (unsigned)best_pixel,
           (unsigned)best_channel, best, scale * ((int)best - zero_point));
}

int main(void)
{
    const int wrong = bb_selftest(arena);
    if (wrong != 0) {
        const uint32_t step = (uint32_t)(wrong < 0 ? -wrong : wrong);
        printf("self-test: the %s of step %u (%s) differ\n", wrong < 0 ? "constants" : "outputs", (unsigned)step,
               bb_step_name(step));
        return 1;
    }
    printf("self-test: passed\n");

    bb_selftest_input(0u, arena); /* a sample of the self-test; write the codes of your own here */
    bb_run(arena);
$outputs
    return 0;
}
