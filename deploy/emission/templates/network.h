/* $name.h: how a program calls the network.

$notice
   Call:

       static uint32_t arena[BB_ARENA_WORDS];     the only memory that the network writes; it needs no initial values
       $fill
       bb_run(arena);
       $read

   A tensor has the order height, width, channel. The codes of a pixel's channels are packed, the first in the least
   significant bits; each pixel starts on a byte. A code q stands for the real value SCALE * (q - ZERO_POINT). Scales
   are constants of type double; write (float)..._SCALE to compute in single precision.
   The network has no other state: one program can have several arenas, and call bb_run in several threads with
   different arenas. */

#ifndef BB_H
#define BB_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BB_NAME $literal
#define BB_BITBUDGET_VERSION "$version"
#define BB_NETWORK_SHA256 "$digest" /* of network.json */

#define BB_STEPS $steps /* layers, in the order in which they run */
#define BB_MULTIPLY_ACCUMULATES $operations

/* Size of the arena, which is an array of words so that the compiler aligns it. */
#define BB_ARENA_BYTES $arena
#define BB_ARENA_WORDS (BB_ARENA_BYTES / 4u)

$tensors
/* Runs the network once: reads the inputs in the arena and writes the outputs there. */
void bb_run(uint32_t *arena);

$accessors
#ifdef __cplusplus
}
#endif

#endif
