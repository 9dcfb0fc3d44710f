/* ${name}_selftest.h: check that the network computes on this chip what it computed in the reference interpreter.

$notice */

#ifndef BB_SELFTEST_H
#define BB_SELFTEST_H

#include "$name.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BB_SELFTEST_SAMPLES $samples /* $origin */

/* Checks the constants in flash, then runs every sample step by step and checks the output of each step, then runs it
   at once and compares the outputs of the network.
   Returns 0 if all are right. Returns -n if the constants of step n are wrong, and n if its output is wrong; the steps
   have the numbers 1 to BB_STEPS. */
int bb_selftest(uint32_t *arena);

/* Returns the name of the layer of a step from 1 to BB_STEPS. */
const char *bb_step_name(uint32_t step);

/* Runs one step from 1 to BB_STEPS, e.g. to measure its time. The steps before it must have run. */
void bb_run_step(uint32_t step, uint32_t *arena);

/* Writes the codes of the inputs of a sample, from 0 to BB_SELFTEST_SAMPLES - 1, to the arena. */
void bb_selftest_input(uint32_t sample, uint32_t *arena);

#ifdef __cplusplus
}
#endif

#endif
