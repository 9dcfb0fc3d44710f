/* SPDX-License-Identifier: Apache-2.0
 * Start code of Cortex-M: vectors, floating-point unit and Helium, SysTick, semihosting. */
#include "chip.h"
#include "chip_core.h"

extern uint32_t chip_stack_end[];

static volatile uint32_t wraps;

#define SYSTICK_CONTROL (*(volatile uint32_t *)0xE000E010u)
#define SYSTICK_RELOAD (*(volatile uint32_t *)0xE000E014u)
#define SYSTICK_VALUE (*(volatile uint32_t *)0xE000E018u)
#define COPROCESSOR_ACCESS (*(volatile uint32_t *)0xE000ED88u)

enum { SYSTICK_BITS = 24, SYSTICK_ON = 7 /* processor clock, interrupt, enabled */ };

void chip_reset(void);

__attribute__((naked)) uintptr_t chip_semihosting(uint32_t operation, const void *argument) {
    __asm volatile("bkpt 0xab\n bx lr");
    (void)operation;
    (void)argument;
}

__attribute__((naked)) void chip_call_on_stack(void (*function)(uint32_t *arena), uint32_t *arena, void *top) {
    __asm volatile(
        "push {r4, lr}\n"
        "mov r4, sp\n"
        "mov sp, r2\n"
        "mov r3, r0\n"
        "mov r0, r1\n"
        "blx r3\n"
        "mov sp, r4\n"
        "pop {r4, pc}");
    (void)function;
    (void)arena;
    (void)top;
}

void chip_count_start(void) {
    SYSTICK_CONTROL = 0u;
    SYSTICK_RELOAD = (1u << SYSTICK_BITS) - 1u;
    SYSTICK_VALUE = 0u;
    wraps = 0u;
    SYSTICK_CONTROL = SYSTICK_ON;
}

uint64_t chip_count(void) {
    const uint32_t top = (1u << SYSTICK_BITS) - 1u;
    uint32_t before, value;
    do { /* an interrupt between the two reads would pair an old count of wraps with a new value */
        before = wraps;
        value = SYSTICK_VALUE;
    } while (before != wraps);
    /* The value 0, just after the start, is the end of the count before the first reload. */
    return ((uint64_t)before << SYSTICK_BITS) + (value == 0u ? 0u : top - value);
}

void chip_count_stop(void) { SYSTICK_CONTROL = 0u; }

void chip_wrapped(void) { wraps = wraps + 1u; }

void chip_fault(void) {
    chip_write("fault: the core has stopped at an invalid instruction or address\n");
    chip_exit(99u);
}

void chip_reset(void) {
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    COPROCESSOR_ACCESS |= 0xFu << 20;
    __asm volatile("dsb\n isb");
#endif
    chip_start();
}

typedef void (*chip_vector)(void);

typedef struct {
    uint32_t *stack;
    chip_vector vectors[15];
} chip_vectors;

__attribute__((section(".chip_vectors"), used)) const chip_vectors chip_vector_table = {
    chip_stack_end,
    {chip_reset, chip_fault, chip_fault, chip_fault, chip_fault, chip_fault, chip_fault, chip_fault, chip_fault,
     chip_fault, chip_fault, chip_fault, chip_fault, chip_fault, chip_wrapped},
};
