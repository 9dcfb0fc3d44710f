"""Programs around generated C: two networks, C++, other compilers, sanitizers, and sections of the linker."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deploy.arithmetic import pack_rows
from deploy.emission import emit
from deploy.emission.selftest import generated_codes
from deploy.integer_network import IntegerNetwork
from deploy.interpreter import run
from deploy.structure import forms_of
from network.kernel_functions import Form
from network.kernels import IN_PLACE_KERNELS
from network.layers import Flattening, Padding, Shape
from network.memory.deployed import DeployedAccounting
from tests.deploy.emission.c_programs import STRICT, compiled, needs_gcc, output_of, sources_of, write
from tests.deploy.emission.chip_networks import on_chip
from tests.deploy.emission.comparison import assert_equal_to_interpreter
from tests.deploy.random_networks import Builder


def network_of_all_kinds(seed: int, form: Form | None = None) -> IntegerNetwork:
    builder = Builder(np.random.default_rng(seed), Shape(3, 7, 5))
    first = builder.convolution("input", 6, (3, 3), padding=Padding(1, 1, 1, 1))
    second = builder.convolution(first, 6, (3, 3), padding=Padding(1, 1, 1, 1), groups=6)
    third = builder.convolution(second, 12, (3, 2), stride=(2, 1), groups=6, dilation=(1, 2))
    builder.convolution(third, 5, (1, 1))
    whole = builder.add(first, second)
    joined = builder.concat(whole, first)
    pooled = builder.pool(builder.pool(joined, (2, 2)), (3, 3), (2, 2), Padding(1, 1, 1, 1), average=True)
    flat = builder.concat(builder.pad(pooled, Padding(1, 0, 0, 1), 1, 2), whole, flattening=Flattening.CHANNELS_FIRST)
    builder.fully_connected(flat, 7)
    return on_chip(builder.network("All kinds"), seed, form)


BOTH = b"""
#include "one.h"
#include "one_selftest.h"
#include "two.h"
#include "two_selftest.h"

static uint32_t arena[ONE_ARENA_WORDS > TWO_ARENA_WORDS ? ONE_ARENA_WORDS : TWO_ARENA_WORDS];

int main(void)
{
    return one_selftest(arena) != 0 || two_selftest(arena) != 0;
}
"""


@needs_gcc
def test_two_networks_link_into_one_program(tmp_path: Path) -> None:
    one, two = emit(network_of_all_kinds(1), name="one"), emit(network_of_all_kinds(2), name="two")
    write({**one, **two, "both.c": BOTH}, tmp_path)
    output_of(compiled(tmp_path, sources_of([*one, *two], "both.c")))


@needs_gcc
def test_a_program_in_cpp_includes_the_headers(tmp_path: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("needs the compiler g++")
    files = emit(network_of_all_kinds(3), name="net")
    main = (
        b'#include "net.h"\n#include "net_selftest.h"\n\nstatic uint32_t arena[NET_ARENA_WORDS];\n\n'
        b"int main() {\n    net_selftest_input(0, arena);\n    net_run(arena);\n    return net_selftest(arena);\n}\n"
    )
    write({**files, "program.cpp": main}, tmp_path)
    objects = sources_of(files, main=None)
    for name in objects:
        subprocess.run([shutil.which("gcc") or "", *STRICT, "-c", name], cwd=tmp_path, check=True)
    flags = ("-std=c++11", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-pedantic")
    inputs = ["program.cpp", *(name.replace(".c", ".o") for name in objects)]
    output_of(compiled(tmp_path, inputs, compiler="g++", flags=flags))


@pytest.mark.parametrize(
    ("compiler", "form"), [("gcc", Form.NARROW), ("clang", Form.NARROW), ("gcc", Form.WIDE), ("clang", Form.THRESHOLDS)]
)
def test_sanitizers_find_nothing(compiler: str, form: Form, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"needs the compiler {compiler}")
    accounting = DeployedAccounting(in_place=IN_PLACE_KERNELS)
    files = emit(network_of_all_kinds(4, form), name="net", accounting=accounting)
    flags = (*STRICT, "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    output_of(compiled(write(files, tmp_path), sources_of(files), compiler=compiler, flags=flags))


@needs_gcc
def test_weights_and_tables_go_to_named_sections(tmp_path: Path) -> None:
    files = emit(network_of_all_kinds(5), name="net")
    attributes = (
        '-DNET_WEIGHTS_ATTRIBUTE=__attribute__((section("external_flash")))',
        '-DNET_TABLES_ATTRIBUTE=__attribute__((section("tables")))',
    )
    program = compiled(write(files, tmp_path), sources_of(files), flags=(*STRICT, *attributes))
    output_of(program)
    command = [shutil.which("nm") or "", "--format=sysv", program.name]
    symbols = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    sections = {line.split("|")[0].strip(): line.split("|")[-1].strip() for line in symbols.splitlines() if "|" in line}
    places = {name: place for name, place in sections.items() if name.startswith(("net_weights_", "net_constants_"))}
    assert len(places) == 2 * 5
    assert all(place == ("external_flash" if "weights" in name else "tables") for name, place in places.items())
    assert sections["net_steps"] == sections["net_layer_1"] == "tables"


@needs_gcc
def test_names_of_any_characters(tmp_path: Path) -> None:
    network = network_of_all_kinds(6)
    renamed = {name: f'*/ "%s\\n ??/ bb_{name} \u00e9' for name in (*network.tensors, "x")}
    tensors = {renamed[name]: replace(tensor, name=renamed[name]) for name, tensor in network.tensors.items()}
    layers = tuple(
        replace(
            layer, name=renamed[layer.output], inputs=tuple(renamed[each] for each in layer.inputs),
            output=renamed[layer.output],
        )
        for layer in network.layers
    )  # fmt: skip
    inputs = tuple(replace(each, name=renamed[each.name]) for each in network.inputs)
    network = IntegerNetwork('"/* \\', inputs, tensors, layers, tuple(renamed[name] for name in network.outputs))
    files = emit(network)
    printed = output_of(compiled(write(files, tmp_path), sources_of(files)))
    assert b'*/ "%s\\n ??/ bb_fully_connected10 \xc3\xa9: largest at pixel' in printed
    assert all(content.isascii() for content in files.values())
    assert 'MY_NETWORK_NAME "\\042/* \\134"' in files["my_network.h"].decode()


@needs_gcc
def test_the_example_of_the_documents(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "generated-c.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```c\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    builder = Builder(np.random.default_rng(7), Shape(3, 5, 5))
    builder.fully_connected(builder.convolution("input", 4, (3, 3)), 10)
    network = on_chip(builder.network(), 7)
    files = emit(network, name="digits")
    write({**files, "example.c": example.encode()}, tmp_path)
    done = subprocess.run([compiled(tmp_path, sources_of(files, "example.c"))], check=False)
    codes = run(network, generated_codes(network))[network.outputs[0]]
    assert done.returncode == pack_rows(codes.reshape(1, -1), network.tensors[network.outputs[0]].bits)[0, 0]
    names = {name.replace("digits", "NAME") for name in files}
    assert names == set(re.findall(r"`(\w+\.[ch])`", page.split("## Call")[0]))


@needs_gcc
def test_the_accounting_chooses_functions_for_pairs_of_codes(tmp_path: Path) -> None:
    builder = Builder(np.random.default_rng(8), Shape(9, 4, 4), 2)
    builder.convolution(builder.convolution("input", 5, (3, 3), weight_bits=2), 4, (1, 1), weight_bits=2)
    network = on_chip(builder.network(), 8, Form.NARROW)
    forms = {"convolution0": Form.PAIRS}
    assert forms_of(network)["convolution0"] is Form.NARROW
    accounting = DeployedAccounting(forms=forms)
    files = emit(network, name="net", accounting=accounting)
    assert b".widen = net_widen_2x2, .dot = net_dot2_2x2" in files["net.c"]
    assert b"net_dot2_2x2" not in emit(network, name="net")["net.c"]
    assert_equal_to_interpreter(network, builder.input_codes(2), accounting, tmp_path)
