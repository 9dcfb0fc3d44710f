/* ${name}_kernels.c: the functions that the network calls.

$notice */

#include "${name}_kernels.h"

#include "${name}_tables.h"

$kernels
/* Runs the steps in order; an entry without function ends their table. */
BB_KERNEL void bb_run(uint32_t *arena)
{
    const bb_step *step;
    for (step = bb_steps; step->run != NULL; step++) {
        step->run(step->layer, (uint8_t *)arena);
    }
}
