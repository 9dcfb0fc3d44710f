"""The audit finds each forbidden thing in C that has it on purpose, and the stack's bound holds on the chip."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.building.audit import Finding, Rule
from deploy.building.emulation import run_elf
from deploy.building.linked import LinkedNetwork, examine
from deploy.building.linking import link
from deploy.building.stack import stack_bound
from deploy.building.toolchains import toolchain_for
from network.errors import BuildError
from tests.deploy.building.small_firmware import NETWORK, compiled, core_or_skip, placed, quick_cores

CORES = quick_cores("cortex-m4", others=("cortex-m0", "rv32imac"))


def examined(directory: Path, name: str, more: bytes, call: bytes = b"", optimization: str = "O2") -> LinkedNetwork:
    """The network with more C and with a call of it in the function that runs it."""
    core = core_or_skip(name)
    network = NETWORK.replace(b"void tiny_run(", more + b"\nvoid tiny_run(").replace(b"16); }", b"16); " + call + b" }")
    toolchain = toolchain_for(core)
    objects = compiled(directory, core, network, optimization=optimization)
    return examine(toolchain, objects, link(toolchain, objects, placed(core)))


def rules(findings: tuple[Finding, ...]) -> set[Rule]:
    return {finding.rule for finding in findings}


@pytest.mark.parametrize("name", CORES)
@pytest.mark.parametrize("optimization", ["O2", "Os"])
def test_a_clean_network_has_no_findings(tmp_path: Path, name: str, optimization: str) -> None:
    assert examined(tmp_path, name, b"", optimization=optimization).findings == ()


ODD_AND_EVEN = b"""
#define APART __attribute__((noinline)) static uint32_t
APART odd(uint32_t *a, uint32_t n);
APART even(uint32_t *a, uint32_t n) { return n ? odd(a, n - 1) + a[n] : 1; }
APART odd(uint32_t *a, uint32_t n) { return n ? even(a, n - 1) ^ a[n] : 0; }
"""
BAD = {
    Rule.HEAP: (
        b"#include <stdlib.h>\nvoid *_sbrk(int n) { (void)n; return 0; }\n",
        b"uint32_t *kept = malloc(arena[1]); if (kept) { kept[0] = 1; arena[2] = kept[arena[0]]; }",
    ),
    Rule.FLOAT: (b"", b"arena[2] = (uint32_t)((float)arena[1] * 1.7f);"),
    Rule.DIVISION: (b"", b"uint64_t a = arena[1]; a = (a << 32 | arena[2]) / arena[3]; arena[4] = (uint32_t)a;"),
    Rule.DATA: (b"static uint32_t calls;", b"arena[2] = ++calls;"),
    Rule.RECURSION: (ODD_AND_EVEN, b"arena[2] = even(arena, arena[1]);"),
    Rule.FRAME: (
        b"",
        b"volatile uint32_t copy[arena[1] + 1]; copy[arena[2]] = 1; arena[3] = copy[arena[4]];",
    ),
    Rule.FOREIGN: (b"#include <string.h>", b"memcpy(arena, tiny_weights, arena[1]);"),
}  # fmt: skip


@pytest.mark.parametrize("name", CORES)
@pytest.mark.parametrize("rule", BAD)
def test_each_forbidden_thing_is_found(tmp_path: Path, name: str, rule: Rule) -> None:
    more, call = BAD[rule]
    if rule is Rule.HEAP and name == "rv32imac":
        more += b"char __heap_start[64], __heap_end[1];"  # the allocator of picolibc takes its memory from these
    found = rules(examined(tmp_path, name, more, call).findings)
    assert rule in found
    # An allocator is a function from outside with data of its own; every other breach is told alone.
    assert found == {rule} or rule is Rule.HEAP


def test_double_precision_on_a_core_with_a_single_precision_unit_is_found_twice(tmp_path: Path) -> None:
    found = examined(tmp_path, "cortex-m4", b"", b"arena[2] = (uint32_t)((double)(float)arena[1] * 1.7);").findings
    assert {finding.where for finding in found} >= {"__aeabi_dmul", "__aeabi_d2uiz"}
    assert any("instructions for floating point" in finding.what for finding in found)


STEPS = b"""
typedef void (*tiny_kernel)(const void *layer, uint32_t *arena);
typedef uint32_t (*tiny_inner)(uint32_t *arena);
typedef struct { tiny_kernel run; const void *layer; } tiny_step;
typedef struct { const uint32_t *weights; tiny_inner inner; } tiny_layer;
#define FRAME(bytes) volatile uint8_t kept[bytes]; kept[arena[1] & 7] = 1; arena[2] += kept[arena[3] & 7]
__attribute__((noinline)) uint32_t tiny_small(uint32_t *arena) { FRAME(16); return 1; }
__attribute__((noinline)) uint32_t tiny_large(uint32_t *arena) { FRAME(400); return 2; }
__attribute__((noinline)) uint32_t tiny_unused(uint32_t *arena) { FRAME(4000); return 3; }
__attribute__((noinline)) void tiny_first(const void *layer, uint32_t *arena) {
    FRAME(200); arena[4] += ((const tiny_layer *)layer)->inner(arena);
}
__attribute__((noinline)) void tiny_second(const void *layer, uint32_t *arena) {
    FRAME(48); arena[5] += ((const tiny_layer *)layer)->inner(arena);
}
static const tiny_layer tiny_one = {tiny_weights, tiny_small}, tiny_two = {tiny_weights, tiny_large};
const tiny_layer tiny_other = {tiny_weights, tiny_unused};
const tiny_step tiny_steps[2] = {{tiny_first, &tiny_one}, {tiny_second, &tiny_two}};
"""
RUN = b"""
const tiny_step *step = tiny_steps;
__asm volatile("" : "+r"(step)); /* otherwise the compiler knows the two steps, and calls them by name */
for (int at = 0; at < 2; ++at, ++step) { step->run(step->layer, arena); }
"""


@pytest.mark.parametrize("name", quick_cores("cortex-m4", "rv32imac", others=("cortex-m0", "cortex-m55")))
@pytest.mark.parametrize("optimization", ["O2", "Os"])
def test_calls_through_descriptors_are_followed_exactly(tmp_path: Path, name: str, optimization: str) -> None:
    """The deepest path is the driver with the small frame, whose descriptor names the function with the large one."""
    core = core_or_skip(name, is_run=True)
    linked = examined(tmp_path, name, STEPS, RUN, optimization)
    assert linked.graph["tiny_run"].pointer_calls == {"tiny_first", "tiny_second"}
    assert linked.graph["tiny_first"].pointer_calls == {"tiny_small"}
    assert linked.graph["tiny_second"].pointer_calls == {"tiny_large"}
    bound = stack_bound(linked.graph, "tiny_run")
    assert bound.path == ("tiny_run", "tiny_second", "tiny_large")
    toolchain = toolchain_for(core)
    reserved = bound.stack_bytes + 64
    objects = compiled(tmp_path, core, (tmp_path / "tiny.c").read_bytes(), optimization=optimization)
    run = run_elf(link(toolchain, objects, placed(core, stack_bytes=reserved)), core)
    assert bound.stack_bytes - 64 <= run.number("painted") <= bound.stack_bytes


def test_the_stack_of_a_runtime_function_is_counted(tmp_path: Path) -> None:
    """A Cortex-M0 multiplies 64-bit numbers in a function of the compiler, which saves registers."""
    call = b"int64_t a = (int64_t)(int32_t)arena[1] * (int32_t)arena[2]; arena[3] = (uint32_t)(a >> 20);"
    linked = examined(tmp_path, "cortex-m0", b"", call)
    assert linked.findings == ()
    assert "__aeabi_lmul" in linked.graph["tiny_run"].calls
    assert linked.graph["__aeabi_lmul"].frame_bytes > 0
    assert linked.library_bytes > 0


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (Rule.RECURSION, "no bound: (even calls odd calls even|odd calls even)"),
        (Rule.FRAME, "array of variable length"),
    ],
)
def test_what_has_no_bound_is_refused(tmp_path: Path, rule: Rule, message: str) -> None:
    linked = examined(tmp_path, "cortex-m4", *BAD[rule])
    with pytest.raises(BuildError, match=message):
        stack_bound(linked.graph, "tiny_run")


def test_an_unknown_pointer_has_no_bound(tmp_path: Path) -> None:
    linked = examined(tmp_path, "cortex-m4", b"", b"((void (*)(void))(uintptr_t)arena[3])();")
    with pytest.raises(BuildError, match="tiny_run calls through a pointer that no constant holds"):
        stack_bound(linked.graph, "tiny_run")


def test_sections_and_symbols_add_up(tmp_path: Path) -> None:
    linked = examined(tmp_path, "cortex-m4", STEPS, RUN)
    constants = {symbol.name: symbol.size_bytes for symbol in linked.constants}
    assert constants == {"tiny_weights": 64, "tiny_one": 8, "tiny_two": 8, "tiny_steps": 16}
    assert linked.constant_bytes == sum(constants.values())
    functions = {symbol.name for symbol in linked.functions}
    assert functions == {"tiny_sum", "tiny_run", "tiny_first", "tiny_second", "tiny_small", "tiny_large"}
    assert 0 <= linked.code_bytes - sum(symbol.size_bytes for symbol in linked.functions) < 4 * len(functions)
    assert (linked.arena_bytes, linked.library_bytes) == (100, 0)
