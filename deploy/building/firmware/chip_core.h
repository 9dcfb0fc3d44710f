/* SPDX-License-Identifier: Apache-2.0
 * What chip.c needs of an architecture's own file. */
#ifndef CHIP_CORE_H
#define CHIP_CORE_H

#include <stdint.h>

/* Asks the emulator for an operation; returns its result. */
uintptr_t chip_semihosting(uint32_t operation, const void *argument);

/* Calls a function with the stack pointer at `top`, which must be a multiple of 16. */
void chip_call_on_stack(void (*function)(uint32_t *arena), uint32_t *arena, void *top);

/* Called by the start code when a stack exists. */
void chip_start(void);

#endif
