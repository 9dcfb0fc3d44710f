"""NAME_selftest.h and NAME_selftest.c: vectors of inputs, and the checksums that the reference interpreter gives."""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Mapping
from typing import Final

import numpy as np

from deploy.arithmetic import CodeArray, pack_rows, top_code
from deploy.emission.notice import Notice
from deploy.emission.placement import Region
from deploy.emission.program import Program
from deploy.emission.text import from_template, string_literal, table_of_bytes, table_of_words, unsigned, with_prefix
from deploy.integer_network import IntegerNetwork, IntegerTensor
from deploy.interpreter import InputCodes, trace

GENERATED_SAMPLES: Final = 1
"""Number of generated samples if the caller gives none."""


def traced_samples(network: IntegerNetwork, vectors: InputCodes | None) -> dict[str, CodeArray]:
    """Return the codes of all tensors of a network for the samples of its self-test.

    Args:
        network: The integer-only network.
        vectors: The codes of the inputs, as the interpreter reads them; None for fixed pseudo-random codes.

    Returns:
        The codes of each tensor by its name, uint8 [n, height, width, channels].

    Raises:
        ValueError: if there are no samples, or if the interpreter rejects them.
    """
    traced = trace(network, generated_codes(network) if vectors is None else vectors)
    if not len(traced[network.input_names[0]]):
        raise ValueError("the self-test got no samples; expected one or more, or None for generated codes")
    return traced


def generated_codes(network: IntegerNetwork) -> dict[str, CodeArray]:
    """Return pseudo-random codes of each input, which depend only on the input's name, shape and bits."""
    return {name: _generated(network.tensors[name]) for name in network.input_names}


def _generated(tensor: IntegerTensor) -> CodeArray:
    shape = tensor.shape
    extents = (GENERATED_SAMPLES, shape.height, shape.width, shape.channels)
    content = hashlib.shake_256(tensor.name.encode()).digest(math.prod(extents))
    return np.frombuffer(content, dtype=np.uint8).reshape(extents) & np.uint8(top_code(tensor.bits))


def selftest_declarations(program: Program, notice: Notice, traced: Mapping[str, CodeArray], *, is_real: bool) -> str:
    """Return the content of NAME_selftest.h.

    Args:
        program: The network.
        notice: Where the file comes from.
        traced: The codes of all tensors.
        is_real: Whether the caller gave the samples.
    """
    return from_template(
        "selftest.h",
        program.name,
        notice=notice.text,
        samples=unsigned(_samples(program, traced)),
        origin="given samples" if is_real else "pseudo-random codes",
    )


def selftest_definitions(program: Program, notice: Notice, traced: Mapping[str, CodeArray]) -> str:
    """Return the content of NAME_selftest.c.

    Args:
        program: The network.
        notice: Where the file comes from.
        traced: The codes of all tensors.
    """
    network, tensors, samples = program.network, program.placement.tensors, range(_samples(program, traced))
    constants = [
        f"    {{bb_{each.symbol}, {unsigned(len(each.content))}, 0x{zlib.crc32(each.content):08x}u, {step.number}}},"
        for step, each in program.objects()
    ]
    inputs = [tensors[name] for name in network.input_names]
    outputs = [tensors[step.layer.output] for step in program.steps]
    numbers = {step.layer.output: step.number for step in program.steps}
    results = [tensors[name] for name in dict.fromkeys(network.outputs) if name in numbers]
    vectors, expected = (
        [b"".join(_packed(network, traced, each.name, sample) for each in regions) for sample in samples]
        for regions in (inputs, results)
    )
    crcs = [
        np.array([zlib.crc32(_packed(network, traced, each.name, sample)) for each in outputs], dtype=np.uint32)
        for sample in samples
    ]
    return from_template(
        "selftest.c",
        program.name,
        notice=notice.text,
        constants=unsigned(len(constants)),
        constant_rows=with_prefix("\n".join(constants), program.name),
        output_rows=_regions(outputs),
        inputs=unsigned(len(inputs)),
        input_rows=_regions(inputs),
        vector_bytes=unsigned(len(vectors[0])),
        vectors=_nested([table_of_bytes(each) for each in vectors]),
        results=unsigned(len(results)),
        result_rows="\n".join(f"    {{{_region(each)}, {numbers[each.name]}}}," for each in results),
        expected_bytes=unsigned(len(expected[0])),
        expected=_nested([table_of_bytes(each) for each in expected]),
        crcs=_nested([table_of_words(each) for each in crcs]),
        names="\n".join(f"    {string_literal(step.layer.name)}," for step in program.steps),
    )


def _samples(program: Program, traced: Mapping[str, CodeArray]) -> int:
    return len(traced[program.network.input_names[0]])


def _packed(network: IntegerNetwork, traced: Mapping[str, CodeArray], tensor: str, sample: int) -> bytes:
    """Return the bytes of a tensor in the arena."""
    described = network.tensors[tensor]
    pixels = traced[tensor][sample].reshape(-1, described.shape.channels)
    return pack_rows(pixels, described.bits).tobytes()


def _regions(regions: list[Region]) -> str:
    return "\n".join(f"    {_region(each)}," for each in regions)


def _region(region: Region) -> str:
    return f"{{{unsigned(region.offset_bytes)}, {unsigned(region.size_bytes)}}}"


def _nested(tables: list[str]) -> str:
    return "\n".join(f"    {{\n{table}\n    }}," for table in tables)
