/* SPDX-License-Identifier: Apache-2.0
 * Smallest firmware around a network on an emulated chip: text and exit code by semihosting, a counter, a stack to
 * measure. Start code: chip_arm.c or chip_riscv.c. */
#ifndef CHIP_H
#define CHIP_H

#include <stdint.h>

/* Writes text to the emulator's standard error. */
void chip_write(const char *text);

/* Writes a number in decimal digits. */
void chip_write_number(uint64_t number);

/* Ends the emulator with an exit code of 0 to 255. */
void chip_exit(uint32_t code);

/* Starts the counter at 0. */
void chip_count_start(void);

/* Returns the ticks since chip_count_start: instructions on RISC-V, cycles of SysTick's clock on ARM. */
uint64_t chip_count(void);

/* Stops the counter, so that its interrupt uses no stack. */
void chip_count_stop(void);

/* Paints the network's stack (section .network_stack of the linker script), calls a function on it and returns the
 * number of bytes that the function has written, counted from the top. */
uint32_t chip_measure_stack(void (*function)(uint32_t *arena), uint32_t *arena);

/* Number of bytes that are reserved for the network's stack. */
uint32_t chip_reserved_stack(void);

#endif
