/* $name.c: weights, constants and descriptors of the network. The functions are in ${name}_kernels.c.

$notice

   Steps: number, layer, kind, functions

$listing

   Memory map of the arena, $arena bytes; a step is the call of one layer

$map */

#include "${name}_tables.h"

$body
const bb_step bb_steps[$entries] BB_TABLES_ATTRIBUTE = {
$table
    {NULL, NULL},
};
