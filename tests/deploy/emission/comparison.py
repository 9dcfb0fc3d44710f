"""Comparison of generated C on the host with the interpreter: the arena after each step."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from deploy.arithmetic import CodeArray, unpack_rows
from deploy.emission import emit
from deploy.integer_network import IntegerNetwork
from deploy.interpreter import trace
from network.memory.deployed import DeployedAccounting
from network.memory.packing import packed_row_bytes
from tests.deploy.emission.c_programs import STRICT, compiled, output_of, sources_of, write

DUMP = """
#include <stdio.h>

#include "NAME.h"
#include "NAME_selftest.h"

static uint32_t arena[UPPER_ARENA_WORDS];

/* Writes the whole arena after each step of each sample, and again after NAME_run. */
int main(void)
{
    uint32_t sample, step;
    for (sample = 0u; sample < UPPER_SELFTEST_SAMPLES; sample++) {
        NAME_selftest_input(sample, arena);
        for (step = 1u; step <= UPPER_STEPS; step++) {
            NAME_run_step(step, arena);
            (void)fwrite(arena, 1u, sizeof(arena), stdout);
        }
        NAME_selftest_input(sample, arena);
        NAME_run(arena);
        (void)fwrite(arena, 1u, sizeof(arena), stdout);
    }
    return NAME_selftest(arena);
}
"""


def dump_of(name: str) -> bytes:
    return DUMP.replace("NAME", name).replace("UPPER", name.upper()).encode()


def offsets_of(files: Mapping[str, bytes], name: str) -> list[int]:
    """Return the offset of the output of each step, as the self-test knows it."""
    text = files[f"{name}_selftest.c"].decode()
    (table,) = re.findall(r"_outputs\[\w+\] = \{\n(.*?)\n\};", text, re.DOTALL)
    return [int(row.split("u")[0]) for row in re.findall(r"\{(.*?)\}", table)]


def unpacked(arena: bytes, offset: int, network: IntegerNetwork, tensor: str) -> CodeArray:
    described = network.tensors[tensor]
    channels, height, width = described.shape
    size = height * width * packed_row_bytes(channels, described.bits)
    rows = np.frombuffer(arena[offset : offset + size], np.uint8).reshape(height * width, -1)
    return unpack_rows(rows, channels, described.bits).reshape(height, width, channels)


def assert_equal_to_interpreter(
    network: IntegerNetwork, codes: Mapping[str, CodeArray], accounting: DeployedAccounting | None, directory: Path
) -> None:
    """Compile a network under strict flags, run it, and compare the output of every step of every sample."""
    files = emit(network, name="net", accounting=accounting, vectors=dict(codes))
    write({**files, "dump.c": dump_of("net")}, directory)
    content = output_of(compiled(directory, sources_of(files, "dump.c"), flags=(*STRICT, "-O1")))
    expected = trace(network, dict(codes))
    offsets, steps = offsets_of(files, "net"), len(network.layers)
    samples = len(next(iter(codes.values())))
    size = len(content) // (samples * (steps + 1))
    arenas = [content[start : start + size] for start in range(0, len(content), size)]
    for sample in range(samples):
        first = sample * (steps + 1)
        for step, layer in enumerate(network.layers):
            found = unpacked(arenas[first + step], offsets[step], network, layer.output)
            np.testing.assert_array_equal(found, expected[layer.output][sample], err_msg=f"{layer.name} ({layer.kind})")
        for step, layer in enumerate(network.layers):
            if layer.output in network.outputs:
                found = unpacked(arenas[first + steps], offsets[step], network, layer.output)
                np.testing.assert_array_equal(found, expected[layer.output][sample], err_msg=f"{layer.name} at the end")
