"""The host's work in C computes what the host program in Python computes."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.emission.notice import Notice
from deploy.host_c.after import After, after_in_c
from deploy.host_c.files import host_c_files
from deploy.host_c.operators import FORMS as C_FORMS
from deploy.host_lines import LINES
from deploy.host_program import host_files
from deploy.input_codes import codes_of_samples
from deploy.integer_network import IntegerNetwork
from network.allocation import Bits
from network.host_graph import HostGraph
from network.network import Network
from network.network_input import InputFormat
from tests.deploy.host_c_runs import built, codes_by_c, outputs_by_c, packed, with_bits
from tests.deploy.host_forms import CONSTANTS, FORMS, HEAD, model_of
from tests.deploy.host_runs import imported, needs_sample, parts_of, sample_of, without_layers, write_host
from tests.deploy.test_host_of_several_inputs import image_and_vector
from tests.deploy.test_host_program import NETWORKS, assert_equal, is_float, network_of, published
from tests.network.onnx_reading.onnx_models import model, node, read

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")

NOTICE = Notice("   a notice", "1.0", "0" * 64)

BITS: tuple[Bits, ...] = (8, 4, 2)


def random_codes(network: IntegerNetwork, seed: int) -> list[Any]:
    """Return random codes of each output, of small numbers: a sigmoid of large ones is 1 up to rounding."""
    rng = np.random.default_rng(seed)
    tensors = [network.tensors[name] for name in network.outputs]
    return [
        rng.integers(0, min(2**each.bits, 24), (each.shape.height, each.shape.width, each.shape.channels)).astype(
            np.uint8
        )
        for each in tensors
    ]


def assert_c_computes(library: Any, name: str, after: After, network: Network, host: Any) -> None:
    """Compare the C with the program of a network for random codes."""
    integers = without_layers(network)
    for seed in range(3):
        codes = random_codes(integers, seed)
        sample = sample_of(network, np.random.default_rng(seed))
        parts = parts_of(network, sample) if after.needs_samples else []
        given = sample if len(network.inputs) == 1 else parts_of(network, sample)
        expected = host.after(codes, *([given] if needs_sample(network) else []))
        tensors = [integers.tensors[each] for each in integers.outputs]
        stored = [packed(each, tensor) for each, tensor in zip(codes, tensors, strict=True)]
        found = outputs_by_c(library, name, after, stored, parts)
        for wanted, each in zip(expected, found, strict=True):
            wanted = np.asarray(wanted)  # noqa: PLW2901
            is_truth = wanted.dtype == np.bool_
            assert_equal(wanted.astype(np.uint8) if is_truth else wanted.astype(_same_kind(wanted)), each)


def _same_kind(values: Any) -> Any:
    return np.float32 if values.dtype.kind == "f" else np.int32


def test_every_operator_computes_what_the_program_computes(tmp_path: Path) -> None:
    networks = {f"form{index}": read(model_of(form)) for index, form in enumerate(FORMS)}
    files: dict[str, bytes] = {}
    afters: dict[str, After] = {}
    for name, network in networks.items():
        integers = without_layers(network)
        afters[name] = after_in_c(integers, network.host_graph, network.host_steps)
        files |= host_c_files(integers, network.host_graph, NOTICE, name, network.host_steps)
        assert afters[name].missing == ()
    library = built(files, tmp_path, "-fsanitize=undefined", "-fno-sanitize-recover=all")
    for name, network in networks.items():
        write_host(network, tmp_path)
        assert_c_computes(library, name, afters[name], network, imported(tmp_path))


def test_every_line_of_the_program_has_a_form_in_c() -> None:
    assert set(C_FORMS) == set(LINES)


CHECKERS = {
    "clang": ["clang", "-fsyntax-only", "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Werror"],
    "cppcheck": [
        "cppcheck",
        "--enable=warning,portability",
        "--std=c99",
        "--platform=unix32",
        "-q",
        "--error-exitcode=3",
    ],
}


@pytest.mark.parametrize("checker", CHECKERS)
def test_other_compilers_and_checkers_find_nothing(checker: str, tmp_path: Path) -> None:
    if shutil.which(checker) is None:
        pytest.skip(f"{checker} is not installed")
    for index, form in enumerate(FORMS):
        network = read(model_of(form))
        files = host_c_files(without_layers(network), network.host_graph, NOTICE, f"form{index}", network.host_steps)
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)
    command = [*CHECKERS[checker], *(path.name for path in tmp_path.glob("*.c"))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")


def test_cpp_includes_the_header(tmp_path: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    network = read(model_of("TopK"))
    for name, content in host_c_files(without_layers(network), network.host_graph, NOTICE, "net").items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "main.cpp").write_text(
        '#include "net_host.h"\nint main() { net_host_values values; const uint8_t codes[6] = {1, 2, 3, 4, 5, 9};\n'
        "  net_finish(codes, &values); return values.output_1[0] == 5 ? 0 : 1; }\n"
    )
    command = ["sh", "-c", "gcc -std=c99 -c net_host.c && g++ -Wall -Wextra -Werror main.cpp net_host.o -lm && ./a.out"]
    assert subprocess.run(command, cwd=tmp_path, check=False, timeout=120).returncode == 0


def test_softmax_of_an_old_opset_and_a_sample_that_is_read_again(tmp_path: Path) -> None:
    heads = [each for each in HEAD if each.output[0] != "b"]
    again = [node("Mul", "x half", "n"), node("Conv", "n w", "c"), node("Flatten", "c", "f"), node("Gemm", "f m", "g"),
             node("ReduceMean", "x", "r", axes=[1, 2, 3], keepdims=1), node("Flatten", "r", "h"),
             node("Sub", "g h", "y")]  # fmt: skip
    models = [
        model([*heads, node("Softmax", "t", "y", axis=-2)], constants=CONSTANTS, opset=11),
        model(again, constants=CONSTANTS),
    ]
    models[1].graph.node.insert(0, node("Sigmoid", "x", "unused"))
    for index, each in enumerate(models):
        network = read(each)
        directory = tmp_path / str(index)
        directory.mkdir()
        write_host(network, directory)
        integers = without_layers(network)
        library = built(host_c_files(integers, network.host_graph, NOTICE, "net"), directory)
        after = after_in_c(integers, network.host_graph, ())
        assert after.needs_samples == (index == 1)
        assert_c_computes(library, "net", after, network, imported(directory))


@pytest.mark.parametrize("reads_samples", [False, True])
def test_several_inputs_have_functions_of_their_names(reads_samples: bool, tmp_path: Path) -> None:
    network = read(image_and_vector(reads_samples=reads_samples))
    integers = without_layers(network)
    library = built(host_c_files(integers, network.host_graph, NOTICE, "net"), tmp_path)
    after = after_in_c(integers, network.host_graph, ())
    assert after.needs_samples == reads_samples
    write_host(network, tmp_path)
    host = imported(tmp_path)
    assert_c_computes(library, "net", after, network, host)
    parts = parts_of(network, sample_of(network, np.random.default_rng(0)))
    for name, part, codes in zip(network.input_names, parts, host.before(parts), strict=True):
        found = codes_by_c(library, f"net_input_{name}_from_reals", part, integers.tensors[name])
        np.testing.assert_array_equal(found, codes.reshape(-1))


def test_the_c_ends_before_an_operator_without_a_form(tmp_path: Path) -> None:
    nodes = [*HEAD, node("Sin", "s", "z"), node("Add", "z half", "y"), node("Identity", "g", "o")]
    network = read(model(nodes, constants=CONSTANTS, outputs="y o"))
    integers = without_layers(network)
    files = host_c_files(integers, network.host_graph, NOTICE, "net")
    after = after_in_c(integers, network.host_graph, ())
    assert [(each.name, each.is_final) for each in after.outputs] == [("o", True), ("s", False)]
    header = files["net_host.h"].decode()
    assert "see host.py:\n     Sin, Add -> y */" in header
    assert "float given_0[6]; /* value 's', 1 x 6 */" in header
    codes = random_codes(integers, 0)
    library = built(files, tmp_path)
    found = outputs_by_c(library, "net", after, [each.reshape(-1) for each in codes])
    reals = (codes[0].reshape(1, 6).astype(np.float32) - 3) * 0.25
    np.testing.assert_array_equal(found[0], reals)
    np.testing.assert_allclose(found[1], 1 / (1 + np.exp(-reals)), rtol=1e-6)


def test_a_network_without_a_known_host_graph_gives_real_values(tmp_path: Path) -> None:
    network = replace(read(model(HEAD[:4], constants=CONSTANTS, outputs="s")), host_graph=None)
    integers = without_layers(network)
    files = host_c_files(integers, None, NOTICE, "net", network.host_steps)
    assert "Sigmoid of 'g' -> s" in files["net_host.h"].decode()
    found = outputs_by_c(built(files, tmp_path), "net", after_in_c(integers, None, ()), [np.arange(6, dtype=np.uint8)])
    np.testing.assert_array_equal(found[0].reshape(-1), (np.arange(6) - 3) * np.float32(0.25))


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("numbers", ["none", "one", "each"])
def test_samples_become_the_codes_of_the_program(bits: Bits, channels_last: bool, numbers: str, tmp_path: Path) -> None:
    """Bytes by the exact table, real numbers by the rule; both packed as the chip stores them."""
    network = read(model(HEAD[:3], constants=CONSTANTS, outputs="g"))
    integers = with_bits(without_layers(network), bits)
    subtract, multiply = {
        "none": ((0.0,), (1.0,)), "one": ((127.5,), (1 / 127.5,)), "each": ((120.0, 127.5, 3.0), (0.01, 0.02, 0.03)),
    }[numbers]  # fmt: skip
    dims = (8, 8, 3) if channels_last else (3, 8, 8)
    given = InputFormat(dims, channels_last, subtract, multiply, samples_are_bytes=True)
    integers = replace(integers, inputs=(replace(integers.only_input, format=given),))
    tensor = integers.tensors[integers.only_input.name]
    tensor = replace(tensor, scale=1 / 127.5 if numbers != "none" else 1.0, zero_point=2**bits // 2)
    integers = replace(integers, tensors={**integers.tensors, tensor.name: tensor})
    library = built(host_c_files(integers, None, NOTICE, "net"), tmp_path)
    host = host_of(integers, tmp_path)
    rng = np.random.default_rng(0)
    sample = rng.integers(0, 256, dims).astype(np.uint8)
    expected = codes_of_samples(sample[None], given, tensor)[0]
    np.testing.assert_array_equal(codes_by_c(library, "net_input_from_bytes", sample, tensor), packed(expected, tensor))
    reals = np.concatenate([sample.reshape(-1)[:96], rng.normal(100, 90, 96)]).astype(np.float32).reshape(dims)
    reals.reshape(-1)[:3] = (np.inf, -np.inf, 1e30)
    np.testing.assert_array_equal(
        codes_by_c(library, "net_input_from_reals", reals, tensor), packed(host.before(reals), tensor)
    )


def host_of(integers: IntegerNetwork, directory: Path) -> Any:
    for name, content in host_files(integers, None).items():
        (directory / name).write_bytes(content)
    return imported(directory)


@pytest.mark.parametrize("bits", BITS)
def test_packed_codes_of_outputs_become_real_values(bits: Bits, tmp_path: Path) -> None:
    network = read(model(HEAD[:1], constants=CONSTANTS, outputs="c"))
    integers = with_bits(without_layers(network), bits)
    library = built(host_c_files(integers, network.host_graph, NOTICE, "net"), tmp_path)
    codes = random_codes(integers, 1)[0]
    tensor = integers.tensors["c"]
    (found,) = outputs_by_c(library, "net", after_in_c(integers, network.host_graph, ()), [packed(codes, tensor)])
    np.testing.assert_array_equal(found[0], (codes.transpose(2, 0, 1).astype(np.float32) - 3) * np.float32(0.25))


@pytest.mark.parametrize("name", ["*/ int x; /*", "\\", "??/", '"; int y;', "a/*b", "//", "é" * 300, "%s{0}"])
def test_a_hostile_name_stays_in_its_comment(name: str, tmp_path: Path) -> None:
    network = read(model(HEAD[:4], constants=CONSTANTS, outputs="s"))
    integers, graph = replace(without_layers(network), name=name), network.host_graph
    assert graph is not None
    tensors = {f"{name} g" if key == "g" else key: each for key, each in integers.tensors.items()}
    reads = tuple(replace(each, tensor=f"{name} g", value=name) for each in graph.reads)
    integers = replace(integers, tensors=tensors, outputs=(f"{name} g",))
    files = host_c_files(integers, HostGraph(reads, (name,)), NOTICE, "net")
    assert all(content.isascii() for content in files.values())
    built(files, tmp_path, "-trigraphs")


@pytest.mark.parametrize("form", ["Add", "Slice backwards", "TopK", "Split", "Gather", "Softmax", "Expand"])
def test_a_damaged_host_graph_gives_c(form: str, tmp_path: Path) -> None:
    network = read(model_of(form))
    assert network.host_graph is not None
    rng = np.random.default_rng(0)
    files: dict[str, bytes] = {}
    for index in range(40):
        content = bytearray(network.host_graph.model)
        for at in rng.integers(0, len(content), rng.integers(1, 5)).tolist():
            content[at : at + int(rng.integers(0, 3))] = rng.bytes(int(rng.integers(0, 3)))
        graph = replace(network.host_graph, model=bytes(content))
        files |= host_c_files(without_layers(network), graph, NOTICE, f"net{index}", network.host_steps)
    one = b"\n".join(content for name, content in files.items() if name.endswith(".c"))
    assert b"system" not in one
    built({name: files[name] for name in list(files)[:20]}, tmp_path)


@pytest.mark.skipif(not NETWORKS.is_dir(), reason="shared/networks is not there")
def test_published_networks(tmp_path: Path) -> None:
    files: dict[str, bytes] = {}
    kept: dict[str, tuple[Network, After]] = {}
    for index, path in enumerate(published()):
        network = network_of(path)
        if network is None or not is_float(path) or network.host_graph is None or not network.host_graph.model:
            continue
        integers = without_layers(network)
        after = after_in_c(integers, network.host_graph, ())
        if after.missing or sum(elements for _, elements in after.members.values()) > 10**6:
            continue
        files |= host_c_files(integers, network.host_graph, NOTICE, f"net{index}")
        kept[f"net{index}"] = network, after
    assert len(kept) >= 8
    library = built(files, tmp_path)
    for name, (network, after) in kept.items():
        write_host(network, tmp_path)
        assert_c_computes(library, name, after, network, imported(tmp_path))
