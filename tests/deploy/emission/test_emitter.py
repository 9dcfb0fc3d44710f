"""Generated C computes what the interpreter computes, in every layer, and reports a wrong constant."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deploy.emission import emit
from deploy.integer_network import IntegerConvolution, IntegerNetwork
from deploy.interpreter import trace
from network.errors import ConversionError, InvalidNetwork, RequestError
from network.kernel_functions import Form
from network.kernels import IN_PLACE_KERNELS
from network.layers import Padding, Shape
from network.memory.deployed import DeployedAccounting
from tests.deploy.emission.c_programs import compiled, needs_gcc, output_of, sources_of, write
from tests.deploy.emission.chip_networks import on_chip
from tests.deploy.emission.comparison import assert_equal_to_interpreter
from tests.deploy.random_networks import Builder, builders

ACCOUNTINGS = (
    None,
    DeployedAccounting(in_place=IN_PLACE_KERNELS),
    DeployedAccounting(in_place=IN_PLACE_KERNELS, reuses_input=False),
)


@needs_gcc
@settings(deadline=None, max_examples=15)
@given(builders(), st.integers(0, 2**32), st.sampled_from(ACCOUNTINGS))
def test_random_networks_are_equal_to_the_interpreter(
    builder: Builder, seed: int, accounting: DeployedAccounting | None
) -> None:
    assume(any(isinstance(layer, IntegerConvolution) for layer in builder.layers))
    network = on_chip(builder.network(), seed)
    with TemporaryDirectory() as directory:
        assert_equal_to_interpreter(network, builder.input_codes(2), accounting, Path(directory))


def varied(seed: int, form: Form | None = None) -> tuple[IntegerNetwork, Builder]:
    """Return a network with groups, shared weights, two inputs and two outputs."""
    builder = Builder(np.random.default_rng(seed), Shape(6, 5, 4))
    other = builder.add_input(Shape(6, 5, 4))
    first = builder.convolution("input", 6, (3, 3), padding=Padding(1, 1, 1, 1), groups=2)
    second = builder.convolution(other, 6, (3, 3), padding=Padding(1, 1, 1, 1), groups=2)
    owner, sharing = builder.layers
    assert isinstance(owner, IntegerConvolution)
    assert isinstance(sharing, IntegerConvolution)
    builder.layers[1] = replace(sharing, codes=owner.codes, weight_bits=owner.weight_bits, shares_weights_of=owner.name)
    whole = builder.add(first, second)
    builder.fully_connected(whole, 7)
    builder.pool(whole, (2, 2), (2, 2), average=True)
    return on_chip(builder.network("Varied"), seed, form), builder


@needs_gcc
@pytest.mark.parametrize("form", Form)
def test_shared_weights_groups_and_several_ends(form: Form, tmp_path: Path) -> None:
    network, builder = varied(7, form)
    assert_equal_to_interpreter(network, builder.input_codes(2), ACCOUNTINGS[1], tmp_path)
    text = emit(network)["varied.c"].decode()
    assert len(re.findall(r"_weights_\d+\[\d+\] VARIED", text)) == 2  # two convolutions share one, one fully connected
    assert text.count("my_") == 0


def test_the_header_describes_every_end() -> None:
    network, _ = varied(1)
    text = emit(network, accounting=DeployedAccounting(reuses_input=False))["varied.h"].decode()
    macros = dict(re.findall(r"^#define VARIED_(\w+) (\S+)", text, re.MULTILINE))
    assert macros["STEPS"] == "5u"
    assert macros["MULTIPLY_ACCUMULATES"] == f"{2 * 20 * 6 * 27 + 7 * 120}u"
    for tensor, macro in (("input", "INPUT_INPUT"), ("input2", "INPUT_INPUT2"), ("pool4", "OUTPUT_POOL4")):
        described = network.tensors[tensor]
        found = [macros[f"{macro}_{what}"] for what in ("CHANNELS", "HEIGHT", "WIDTH", "BITS", "ZERO_POINT")]
        assert [int(each.rstrip("u")) for each in found] == [*described.shape, described.bits, described.zero_point]
        assert float(macros[f"{macro}_SCALE"]) == described.scale
    assert macros["INPUT_INPUT_IS_INTACT"] == macros["INPUT_INPUT2_IS_INTACT"] == "1"
    assert "uint8_t *varied_output_fully_connected3(uint32_t *arena)" in text


def test_the_same_network_gives_the_same_bytes() -> None:
    (network, _), (again, _) = varied(3), varied(3)
    assert emit(network) == emit(again)
    changed = replace(network, name="Other")
    assert emit(changed, name="varied")["varied_kernels.h"] != emit(network)["varied_kernels.h"]  # the notice


@needs_gcc
@settings(deadline=None, max_examples=6)
@given(st.data())
def test_the_self_test_finds_any_flipped_bit_of_a_constant(data: st.DataObject) -> None:
    network, _ = varied(2)
    files = emit(network)
    text = files["varied.c"].decode()
    words = list(re.finditer(r"0x([0-9a-f]{8}),", text))
    found = data.draw(st.sampled_from(words))
    flipped = int(found.group(1), 16) ^ (1 << data.draw(st.integers(0, 31)))
    text = f"{text[: found.start()]}0x{flipped:08x},{text[found.end() :]}"
    main = (
        b'#include "varied_selftest.h"\nstatic uint32_t arena[VARIED_ARENA_WORDS];\n'
        b"int main(void)\n{\n    return varied_selftest(arena) < 0 ? 0 : 1;\n}\n"
    )
    with TemporaryDirectory() as directory:
        write({**files, "varied.c": text.encode(), "flipped.c": main}, Path(directory))
        output_of(compiled(Path(directory), sources_of(files, "flipped.c")))


@needs_gcc
def test_the_self_test_names_the_first_layer_that_differs(tmp_path: Path) -> None:
    network, _ = varied(2)
    files = emit(network)
    text = files["varied.c"].decode()
    changed, count = re.subn(r"(varied_layer_3 .*?\.addend_low = )\d+u", r"\g<1>7u", text, count=1, flags=re.DOTALL)
    assert count == 1
    write({**files, "varied.c": changed.encode()}, tmp_path)
    program = compiled(tmp_path, sources_of(files))
    with pytest.raises(AssertionError, match=r"self-test: the outputs of step 3 \(add2\) differ"):
        output_of(program)


@needs_gcc
def test_the_self_test_compares_the_outputs_of_the_whole_run(tmp_path: Path) -> None:
    network, _ = varied(2)
    network = replace(network, outputs=(*network.outputs, network.outputs[0]))
    files = emit(network)
    text = files["varied_selftest.c"].decode()
    changed, count = re.subn(
        r"(_expected.*?\{\n    \{\n    )(\d+)", lambda found: f"{found[1]}{int(found[2]) ^ 1}", text, flags=re.DOTALL
    )
    assert count == 1
    write({**files, "varied_selftest.c": changed.encode()}, tmp_path)
    program = compiled(tmp_path, sources_of(files))
    with pytest.raises(AssertionError, match=r"self-test: the outputs of step 4 \(fully_connected3\) differ"):
        output_of(program)


@needs_gcc
def test_the_example_prints_the_largest_code(tmp_path: Path) -> None:
    network, builder = varied(5)
    codes = builder.input_codes(1)
    files = emit(network, vectors=codes)
    printed = output_of(compiled(write(files, tmp_path), sources_of(files))).decode()
    expected = trace(network, codes)["fully_connected3"].reshape(-1)
    assert f"fully_connected3: largest at pixel 0, channel {int(expected.argmax())}: code {expected.max()}" in printed
    assert printed.startswith("self-test: passed\n")


def test_generated_vectors_depend_on_the_input_alone() -> None:
    network, _ = varied(1)
    (vector,) = re.findall(rb"_vectors.*?\{\n    \{\n(.*?)\n    \},", emit(network)["varied_selftest.c"], re.DOTALL)
    content = bytes(int(each) for each in vector.replace(b"\n", b"").split(b",") if each.strip())
    assert network.tensors["input"].bits == 8
    assert content.startswith(hashlib.shake_256(b"input").digest(6 * 5 * 4))


def test_networks_that_cannot_be_emitted() -> None:
    builder = Builder(np.random.default_rng(0), Shape(1, 300, 1))
    builder.convolution("input", 1, (1, 1), stride=(299, 1))
    with pytest.raises(ConversionError, match=r"layer 'convolution0' .* has stride y 299; .* at most 255"):
        emit(on_chip(builder.network(), 0))
    layer = builder.layers[0]
    assert isinstance(layer, IntegerConvolution)
    below = replace(layer, weight_zero_point=np.array([-1], np.int32))
    with pytest.raises(ConversionError, match="has weight zero points from -1 to -1; expected 0 to 255"):
        emit(replace(builder.network(), layers=(below,)))
    builder = Builder(np.random.default_rng(0), Shape(1, 3, 3))
    builder.pool("input", (2, 2))
    with pytest.raises(InvalidNetwork, match="no weights"):
        emit(builder.network())
    with pytest.raises(RequestError, match="name of the C files is 'My-Net'"):
        emit(varied(1)[0], name="My-Net")
    with pytest.raises(ValueError, match="no samples"):
        emit(*varied(1)[:1], vectors={name: codes[:0] for name, codes in varied(1)[1].input_codes(1).items()})
