/* Start of the example on a simulated ARM Cortex-M; a real chip has its vendor's start code instead.

@notice */

#include <stddef.h>
#include <stdint.h>

extern char simulated_heap[];
extern char simulated_heap_end[];
extern uint32_t simulated_stack_top[];
extern void _start(void); /* of newlib: clears memory, calls main, ends the simulation with its result */

void simulated_reset(void);

static void simulated_fault(void)
{
    /* semihosting SYS_EXIT with a reason that is not "application exit": the simulator ends with exit code 1 */
    register uint32_t operation __asm("r0") = 0x18u;
    register uint32_t reason __asm("r1") = 0x20023u;
    __asm volatile("bkpt 0xab" : "+r"(operation) : "r"(reason) : "memory");
    for (;;) {
    }
}

void *_sbrk(ptrdiff_t bytes);

/* The heap of printf: newlib's own takes its limits from the simulator, which knows too little on some machines. */
void *_sbrk(ptrdiff_t bytes)
{
    static char *top = simulated_heap;
    char *const start = top;
    if (bytes > simulated_heap_end - top) {
        return (void *)-1;
    }
    top += bytes;
    return start;
}

void simulated_reset(void)
{
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    /* The floating-point and vector units are off after a reset. */
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20;
    __asm volatile("dsb\n\tisb" : : : "memory");
#endif
    _start();
}

typedef void (*vector)(void);

/* Stack pointer, reset, and the faults. */
__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack_top;
    vector vectors[15];
} simulated_vectors = {
    simulated_stack_top,
    {simulated_reset, simulated_fault, simulated_fault, simulated_fault, simulated_fault, simulated_fault},
};
