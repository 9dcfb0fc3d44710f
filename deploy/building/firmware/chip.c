/* SPDX-License-Identifier: Apache-2.0 */
#include "chip.h"
#include "chip_core.h"

#include <stddef.h>

extern uint32_t chip_data_load[], chip_data_start[], chip_data_end[], chip_bss_start[], chip_bss_end[];
extern uint32_t chip_network_stack_start[], chip_network_stack_end[];

int main(void);

enum { SYS_WRITE0 = 0x04, SYS_EXIT_EXTENDED = 0x20, APPLICATION_EXIT = 0x20026 };

static const uint32_t PAINT = 0xA5C3F00Du;

void chip_write(const char *text) { (void)chip_semihosting(SYS_WRITE0, text); }

void chip_write_number(uint64_t number) {
    char digits[21];
    uint32_t at = sizeof digits - 1u;
    digits[at] = '\0';
    do {
        /* The remainder of 10 by shifts, so that 64-bit division is not linked. */
        uint64_t quotient = 0, rest = number;
        for (int bit = 60; bit >= 0; --bit) {
            if ((rest >> bit) >= 10u) {
                rest -= (uint64_t)10u << bit;
                quotient |= (uint64_t)1u << bit;
            }
        }
        digits[--at] = (char)('0' + (char)rest);
        number = quotient;
    } while (number != 0u);
    chip_write(&digits[at]);
}

void chip_exit(uint32_t code) {
    const uint32_t block[2] = {APPLICATION_EXIT, code};
    for (;;) {
        (void)chip_semihosting(SYS_EXIT_EXTENDED, block);
    }
}

uint32_t chip_reserved_stack(void) {
    return (uint32_t)((uintptr_t)chip_network_stack_end - (uintptr_t)chip_network_stack_start);
}

uint32_t chip_measure_stack(void (*function)(uint32_t *arena), uint32_t *arena) {
    volatile uint32_t *const start = chip_network_stack_start;
    volatile uint32_t *const end = chip_network_stack_end;
    volatile uint32_t *word;
    for (word = start; word < end; ++word) {
        *word = PAINT;
    }
    chip_call_on_stack(function, arena, chip_network_stack_end);
    for (word = start; word < end && *word == PAINT; ++word) {
    }
    return (uint32_t)((uintptr_t)end - (uintptr_t)word);
}

/* Copies initialized data, clears the rest, and calls main; its result is the exit code. */
void chip_start(void) {
    const uint32_t *from = chip_data_load;
    for (volatile uint32_t *to = chip_data_start; to < chip_data_end; ++to) {
        *to = *from++;
    }
    for (volatile uint32_t *to = chip_bss_start; to < chip_bss_end; ++to) {
        *to = 0u;
    }
    chip_exit((uint32_t)main());
}

/* The compiler may call these four in any program. */
void *memcpy(void *restrict to, const void *restrict from, size_t count) {
    uint8_t *target = to;
    const uint8_t *source = from;
    while (count-- != 0u) {
        *target++ = *source++;
    }
    return to;
}

void *memmove(void *to, const void *from, size_t count) {
    uint8_t *target = to;
    const uint8_t *source = from;
    if ((uintptr_t)target <= (uintptr_t)source) {
        return memcpy(to, from, count);
    }
    while (count-- != 0u) {
        target[count] = source[count];
    }
    return to;
}

void *memset(void *to, int value, size_t count) {
    uint8_t *target = to;
    while (count-- != 0u) {
        *target++ = (uint8_t)value;
    }
    return to;
}

int memcmp(const void *left, const void *right, size_t count) {
    const uint8_t *first = left;
    const uint8_t *second = right;
    for (; count != 0u; --count, ++first, ++second) {
        if (*first != *second) {
            return (int)*first - (int)*second;
        }
    }
    return 0;
}
