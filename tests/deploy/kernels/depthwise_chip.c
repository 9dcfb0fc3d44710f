/* Start-up, files by semihosting and a counter for depthwise_harness.c on a Cortex-M machine of QEMU. */

#include <stdint.h>

extern uint32_t stack_end;
int main(void);

static uint32_t cases, results;
static uint32_t pool[256u * 1024u / 4u];
static uint32_t used;

static uint32_t semihosting(uint32_t operation, const void *argument)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void leave(uint32_t code)
{
    const uint32_t arguments[2] = {0x20026u, code};
    (void)semihosting(0x20u, arguments);
    for (;;) {
    }
}

static uint32_t open_file(const char *name, uint32_t length, uint32_t mode)
{
    const uint32_t arguments[3] = {(uint32_t)name, mode, length};
    const uint32_t handle = semihosting(1u, arguments);
    if (handle == 0xFFFFFFFFu) {
        leave(2u);
    }
    return handle;
}

void open_files(void)
{
    cases = open_file("cases.bin", 9u, 1u);
    results = open_file("results.bin", 11u, 5u);
}

void read_words(void *target, uint32_t bytes)
{
    const uint32_t arguments[3] = {cases, (uint32_t)target, bytes};
    if (semihosting(6u, arguments) != 0u) {
        leave(3u);
    }
}

void write_words(const void *source, uint32_t bytes)
{
    const uint32_t arguments[3] = {results, (uint32_t)source, bytes};
    if (semihosting(5u, arguments) != 0u) {
        leave(4u);
    }
}

void *allocate(uint32_t bytes)
{
    void *const memory = &pool[used];
    used += bytes / 4u;
    if (used > sizeof pool / 4u) {
        leave(5u);
    }
    return memory;
}

void release_all(void)
{
    used = 0u;
}

uint32_t ticks(void)
{
    return *(volatile uint32_t *)0xE000E018u;
}

static void reset(void)
{
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20; /* FPU and Helium on */
    __asm__ volatile("dsb\n isb" ::: "memory");
    *(volatile uint32_t *)0xE000E014u = 0xFFFFFFu; /* SysTick: period, value, processor clock */
    *(volatile uint32_t *)0xE000E018u = 0u;
    *(volatile uint32_t *)0xE000E010u = 5u;
    leave((uint32_t)main());
}

static void fault(void)
{
    leave(99u);
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    &stack_end, (const void *)reset, (const void *)fault, (const void *)fault,
    (const void *)fault, (const void *)fault, (const void *)fault,
};
