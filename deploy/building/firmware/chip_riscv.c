/* SPDX-License-Identifier: Apache-2.0
 * Start code of RISC-V 32: stack, traps, instruction counter, semihosting. */
#include "chip.h"
#include "chip_core.h"

static uint64_t started;

void chip_reset(void);
void chip_fault(void);

/* The three instructions are the mark of a semihosting call, and may not lie across a page. */
__attribute__((naked, aligned(16))) uintptr_t chip_semihosting(uint32_t operation, const void *argument) {
    __asm volatile(
        ".option push\n"
        ".option norvc\n"
        "slli x0, x0, 0x1f\n"
        "ebreak\n"
        "srai x0, x0, 7\n"
        ".option pop\n"
        "ret");
    (void)operation;
    (void)argument;
}

__attribute__((naked)) void chip_call_on_stack(void (*function)(uint32_t *arena), uint32_t *arena, void *top) {
    __asm volatile(
        "addi sp, sp, -16\n"
        "sw ra, 12(sp)\n"
        "sw s0, 8(sp)\n"
        "mv s0, sp\n"
        "mv sp, a2\n"
        "mv t0, a0\n"
        "mv a0, a1\n"
        "jalr t0\n"
        "mv sp, s0\n"
        "lw s0, 8(sp)\n"
        "lw ra, 12(sp)\n"
        "addi sp, sp, 16\n"
        "ret");
    (void)function;
    (void)arena;
    (void)top;
}

static uint64_t instructions(void) {
    uint32_t high, low, again;
    do {
        __asm volatile(
            ".option push\n"
            ".option arch, +zicsr\n"
            "csrr %0, minstreth\n"
            "csrr %1, minstret\n"
            "csrr %2, minstreth\n"
            ".option pop"
            : "=&r"(high), "=&r"(low), "=&r"(again));
    } while (high != again);
    return ((uint64_t)high << 32) | low;
}

void chip_count_start(void) { started = instructions(); }

uint64_t chip_count(void) { return instructions() - started; }

void chip_count_stop(void) {}

__attribute__((aligned(4))) void chip_fault(void) {
    chip_write("fault: the core has stopped at an invalid instruction or address\n");
    chip_exit(99u);
}

__attribute__((naked, section(".chip_vectors"), used)) void chip_reset(void) {
    __asm volatile(
        ".option push\n"
        ".option arch, +zicsr\n"
        "la sp, chip_stack_end\n"
        "la t0, chip_fault\n"
        "csrw mtvec, t0\n"
        ".option pop\n"
        "j chip_start");
}
