"""The structure of an integer-only network, and the bytes that the accounting counts with it."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deploy.emission import emit
from deploy.emission.program import program_of
from deploy.integer_network import IntegerAveragePool, IntegerConvolution, IntegerNetwork
from deploy.structure import forms_of, structure_of
from network.kernel_functions import Form
from network.kernels import IN_PLACE_KERNELS
from network.layers import Padding, Shape
from network.memory.deployed import DeployedAccounting
from network.memory.descriptors import STRUCT_BYTES
from network.memory.measure import measure
from qat.conversion import convert
from qat.prepare import prepare
from tests.deploy.emission.c_programs import STRICT, write
from tests.deploy.emission.chip_networks import on_chip
from tests.deploy.random_networks import Builder, builders
from tests.qat.zoo import all_kinds, random_allocation

ARM = "arm-none-eabi-gcc"


@pytest.mark.parametrize("seed", range(3))
def test_the_structure_counts_the_bytes_of_the_float_network(seed: int) -> None:
    network = all_kinds(seed)
    images = np.random.default_rng(seed).normal(size=(8, *network.only_input.shape)).astype(np.float32)
    allocation = random_allocation(network, seed)
    structure, found = structure_of(convert(prepare(network, allocation, images).eval()))
    assert found == allocation
    assert [(layer.name, type(layer)) for layer in structure.layers] == [
        (layer.name, type(layer)) for layer in network.layers
    ]
    assert structure.shapes == network.shapes
    assert not structure.has_weights
    accounting = DeployedAccounting(in_place=IN_PLACE_KERNELS)
    assert measure(structure, found, accounting) == measure(network, allocation, accounting)


def test_shared_weights_and_divisors_are_kept() -> None:
    builder = Builder(np.random.default_rng(1), Shape(2, 4, 4))
    builder.convolution("input", 2, (1, 1))
    builder.convolution("convolution0", 2, (1, 1))
    builder.pool("convolution1", (2, 2), average=True, count_includes_padding=True)
    owner, sharing, pool = builder.layers
    assert isinstance(owner, IntegerConvolution)
    assert isinstance(sharing, IntegerConvolution)
    assert isinstance(pool, IntegerAveragePool)
    builder.layers[1] = replace(sharing, codes=owner.codes, weight_bits=owner.weight_bits, shares_weights_of=owner.name)
    structure, _ = structure_of(builder.network())
    assert structure.weight_owners.of == {"convolution0": "convolution0", "convolution1": "convolution0"}
    assert structure.layers[2].count_includes_padding  # type: ignore[attr-defined]  # an average pool


def test_forms_of_layers() -> None:
    builder = Builder(np.random.default_rng(1), Shape(2, 4, 4))
    builder.convolution("input", 2, (1, 1))
    builder.add("input", "convolution0")
    builder.fully_connected("add1", 3)
    network = on_chip(builder.network(), 0, Form.WIDE)
    assert forms_of(network) == {"convolution0": Form.WIDE, "add1": Form.WIDE, "fully_connected2": Form.WIDE}
    assert forms_of(on_chip(network, 0, Form.NARROW))["convolution0"] is Form.NARROW
    assert forms_of(on_chip(network, 0, Form.THRESHOLDS))["fully_connected2"] is Form.THRESHOLDS


def counted_bytes(network: IntegerNetwork) -> float:
    """Return the bytes of weights, constants, structs and steps that the accounting counts."""
    structure, allocation = structure_of(network)
    report = measure(structure, allocation, DeployedAccounting().with_forms(forms_of(network)))
    return sum(layer.weight_bytes + layer.parameter_bytes for layer in report.layers)


@settings(deadline=None, max_examples=40)
@given(builders(), st.integers(0, 2**32))
def test_constants_are_as_large_as_the_accounting_counts(builder: Builder, seed: int) -> None:
    assume(any(isinstance(layer, IntegerConvolution) for layer in builder.layers))
    network = on_chip(builder.network(), seed)
    program = program_of(network, "net", DeployedAccounting())
    arrays = sum(len(each.content) for _, each in program.objects())
    structs = sum(len(each.elements) * STRUCT_BYTES[each.type] for step in program.steps for each in step.structs)
    assert arrays + structs + len(program.steps) * STRUCT_BYTES["bb_step"] == counted_bytes(network)


@pytest.mark.skipif(shutil.which(ARM) is None, reason=f"needs the compiler {ARM}")
@pytest.mark.parametrize("seed", range(3))
def test_the_compiler_needs_as_many_bytes(seed: int, tmp_path: Path) -> None:
    builder = Builder(np.random.default_rng(seed), Shape(3, 6, 6))
    first = builder.convolution("input", 5, (3, 3))
    second = builder.convolution(first, 5, (1, 1))
    whole = builder.add(first, second)
    builder.concat(whole, first)
    builder.pool(builder.pad(whole, Padding(1, 0, 0, 1), 1, 1), (2, 2), average=True)
    builder.fully_connected(builder.convolution(whole, 5, (3, 3), groups=5), 3)
    network = on_chip(builder.network(), seed)
    write(emit(network, name="net"), tmp_path)
    command = [ARM, *STRICT, "-mcpu=cortex-m4", "-mthumb", "-Os", "-fdata-sections", "-c", "net.c"]
    subprocess.run(command, cwd=tmp_path, check=True)
    command = [shutil.which("arm-none-eabi-size") or "", "-A", "net.o"]
    sections = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    sizes = [int(size) for size in re.findall(r"^\.rodata\S*\s+(\d+)", sections, re.MULTILINE)]
    end_of_the_table = STRUCT_BYTES["bb_step"]
    assert sum(sizes) == counted_bytes(network) + end_of_the_table
