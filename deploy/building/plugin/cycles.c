/* QEMU plugin that counts executed instructions and models the cycles of a Cortex-M4.
 *
 * Each translation block is decoded once, when QEMU translates it: the number of its instructions and the sum of their
 * cycles do not depend on data. Whether a block ends with a taken branch is known when the next block starts: at
 * another address than the one behind the block. Then the pipeline is refilled.
 *
 * Cycles follow the Cortex-M4 Technical Reference Manual (Arm DDI 0439, section 3.3), for memory without wait states:
 *
 *     data processing, multiplication   1           LDM, STM, PUSH, POP, LDRD, STRD   1 + number of registers
 *     load                              2, behind another load 1 (pipelined)
 *     store                             1 (write buffer)
 *     SDIV, UDIV                        7 (2 to 12, by the operands)
 *     taken branch                      1 + refill: 2, or 3 if the target is a 32-bit instruction across two words
 *
 * Arguments: output=FILE and marker=ADDRESS (hexadecimal). Lines of the output:
 *
 *     M instructions cycles                                        totals when the block at the marker starts
 *     T instructions cycles                                        totals at the end
 *     B address instructions cycles executions refill_cycles       one line for each executed block
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The part of QEMU's plugin interface, version 1, that is used here; distributions do not package its header. */
#define EXPORTED __attribute__((visibility("default")))
typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void (*translated_callback)(qemu_plugin_id_t id, struct qemu_plugin_tb *block);
typedef void (*executed_callback)(unsigned int cpu, void *data);
typedef void (*ended_callback)(qemu_plugin_id_t id, void *data);
extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, translated_callback callback);
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *block, executed_callback callback, int flags,
                                                 void *data);
extern void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, ended_callback callback, void *data);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t index);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *instruction);
extern size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *instruction);
extern char *qemu_plugin_insn_disas(const struct qemu_plugin_insn *instruction);

EXPORTED int qemu_plugin_version = 1;

enum { REFILL = 2, REFILL_OF_SPLIT_TARGET = 3, DIVISION = 7 };

typedef struct block {
    uint64_t address;
    uint64_t address_behind;
    uint64_t executions;
    uint64_t refill_cycles; /* of all branches to this block */
    unsigned instructions;
    unsigned cycles;
    unsigned refill;
    struct block *next;
} block;

static block *blocks;
static const block *previous;
static uint64_t instructions;
static uint64_t cycles;
static uint64_t marker;
static FILE *output;

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* Number of registers that a disassembled register list names. */
static unsigned registers_of(const char *text)
{
    unsigned count = 0;
    for (const char *at = strchr(text, '{'); at != NULL && *at != '\0' && *at != '}'; at++) {
        count += *at == '{' || *at == ',';
    }
    return count;
}

/* Cycles of one instruction, without the refill behind a taken branch. */
static unsigned cycles_of(const char *text, bool behind_load)
{
    static const char *const multiple[] = {"ldm", "stm", "push", "pop", "vldm", "vstm", "vpush", "vpop"};
    for (size_t index = 0; index < sizeof multiple / sizeof *multiple; index++) {
        if (begins(text, multiple[index])) {
            return 1U + registers_of(text);
        }
    }
    if (begins(text, "ldrd") || begins(text, "strd")) {
        return 3U;
    }
    if (begins(text, "ldr")) {
        return behind_load ? 1U : 2U;
    }
    return begins(text, "sdiv") || begins(text, "udiv") ? DIVISION : 1U;
}

static void on_executed(unsigned int cpu, void *data)
{
    block *now = data;
    (void)cpu;
    if (previous != NULL && previous->address_behind != now->address) {
        now->refill_cycles += now->refill;
        cycles += now->refill;
    }
    if (now->address == marker) {
        fprintf(output, "M %" PRIu64 " %" PRIu64 "\n", instructions, cycles);
    }
    now->executions++;
    instructions += now->instructions;
    cycles += now->cycles;
    previous = now;
}

static void on_translated(qemu_plugin_id_t id, struct qemu_plugin_tb *translated)
{
    block *made = calloc(1, sizeof *made);
    size_t count = qemu_plugin_tb_n_insns(translated);
    bool behind_load = false;
    (void)id;
    if (made == NULL || count == 0) {
        abort();
    }
    for (size_t index = 0; index < count; index++) {
        const struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(translated, index);
        char *text = qemu_plugin_insn_disas(instruction);
        made->cycles += cycles_of(text != NULL ? text : "", behind_load);
        behind_load = text != NULL && begins(text, "ldr") && !begins(text, "ldrd");
        made->address_behind = qemu_plugin_insn_vaddr(instruction) + qemu_plugin_insn_size(instruction);
        free(text);
    }
    const struct qemu_plugin_insn *first = qemu_plugin_tb_get_insn(translated, 0);
    made->address = qemu_plugin_insn_vaddr(first);
    made->instructions = (unsigned)count;
    made->refill = qemu_plugin_insn_size(first) == 4 && made->address % 4 != 0 ? REFILL_OF_SPLIT_TARGET : REFILL;
    made->next = blocks;
    blocks = made;
    qemu_plugin_register_vcpu_tb_exec_cb(translated, on_executed, 0, made);
}

static void on_ended(qemu_plugin_id_t id, void *data)
{
    (void)id;
    (void)data;
    fprintf(output, "T %" PRIu64 " %" PRIu64 "\n", instructions, cycles);
    for (const block *each = blocks; each != NULL; each = each->next) {
        if (each->executions > 0) {
            fprintf(output, "B %" PRIx64 " %u %u %" PRIu64 " %" PRIu64 "\n", each->address, each->instructions,
                    each->cycles, each->executions, each->refill_cycles);
        }
    }
    fclose(output);
}

EXPORTED int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int count, char **arguments)
{
    (void)info;
    for (int index = 0; index < count; index++) {
        if (begins(arguments[index], "marker=")) {
            marker = strtoull(arguments[index] + strlen("marker="), NULL, 16);
        } else if (begins(arguments[index], "output=")) {
            output = fopen(arguments[index] + strlen("output="), "w");
        }
    }
    if (output == NULL) {
        fprintf(stderr, "the plugin needs output=FILE, a file that can be written\n");
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translated);
    qemu_plugin_register_atexit_cb(id, on_ended, NULL);
    return 0;
}
