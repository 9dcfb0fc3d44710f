/* ${name}_tables.h: the constants of ${name}.c, for ${name}.c, ${name}_kernels.c and ${name}_selftest.c.

$notice */

#ifndef BB_TABLES_H
#define BB_TABLES_H

#include "${name}_kernels.h"

/* Weights of depthwise convolutions and zero points are read as bytes of these words. */
#if defined(__BYTE_ORDER__) && defined(__ORDER_LITTLE_ENDIAN__) && (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__)
#error "the constants of the network need a little-endian core"
#endif

/* The attributes below place constants in flash. Define them alike for all files of the network, e.g. with
   -D'BB_WEIGHTS_ATTRIBUTE=__attribute__((section(".external_flash")))'. */

/* Attribute of the weights: read once for each output position, the largest part of the flash. */
#ifndef BB_WEIGHTS_ATTRIBUTE
#define BB_WEIGHTS_ATTRIBUTE
#endif

/* Attribute of all other constants: requantization constants, zero points, descriptors, and the table of steps. */
#ifndef BB_TABLES_ATTRIBUTE
#define BB_TABLES_ATTRIBUTE
#endif

$declarations

/* The steps in the order in which they run; one entry without function ends the table. */
extern const bb_step bb_steps[$entries] BB_TABLES_ATTRIBUTE;

/* Declared as in $name.h, which defines names of inputs and outputs that a kernel could have, too. */
void bb_run(uint32_t *arena);

#endif
