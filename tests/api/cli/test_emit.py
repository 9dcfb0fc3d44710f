"""`bitbudget emit` and `bitbudget.emit`: from the folder of a training to C that runs here."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest

import bitbudget
from api.cli.main import run
from api.operations.emission import archive_of, emit_result
from api.schemas.build import BuildAnswer
from deploy.building.cores import core_named
from deploy.building.toolchains import has_compiler
from deploy.files import load
from deploy.interpreter import real_values
from deploy.sample_codes import read_vectors
from network.errors import BuildError
from tests.api.small_files import tiny_dataset, tiny_network
from tests.onnx_files import to_onnx


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a training without epochs, whose network ends in a softmax."""
    place = tmp_path_factory.mktemp("trained")
    model = onnx.load_from_string(to_onnx(tiny_network()))
    model.graph.node.append(onnx.helper.make_node("Softmax", [model.graph.output[0].name], ["p"], axis=1))
    model.graph.output[0].name = "p"
    (place / "tiny.onnx").write_bytes(model.SerializeToString())
    (place / "data.npz").write_bytes(tiny_dataset())
    arguments = [
        "train", str(place / "tiny.onnx"), f"--data={place / 'data.npz'}", f"--out={place / 'out'}",
        "--device=nrf52840", "--epochs=0",
    ]  # fmt: skip
    assert run(arguments) == 0
    return place / "out"


def printed_in(directory: Path, *command: str) -> str:
    """Run a command in a directory, and return what it prints."""
    return subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True, timeout=300).stdout


def test_the_command_writes_c_that_passes_its_self_test(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "c"
    assert run(["emit", str(trained), f"--out={out}", "--name=my_net"]) == 0
    text = capsys.readouterr().out
    assert "self-test with 10 real samples" in text
    assert f"next: cmake -S {out} -B {out}/build" in text
    memory = json.loads((trained / "memory.json").read_text())
    assert f"flash  {memory['flash_bytes']:,.0f} bytes" in text
    assert f"the arena that you provide takes {memory['arena']['arena_bytes']:,}" in text
    assert f"#define MY_NET_ARENA_BYTES {memory['arena']['arena_bytes']}u" in (out / "src/my_net.h").read_text()
    if shutil.which("cmake") is None or shutil.which("gcc") is None:
        pytest.skip("cmake or gcc is not installed")
    printed_in(out, "cmake", "-S", ".", "-B", "build")
    printed_in(out, "cmake", "--build", "build")
    assert "self-test: passed" in printed_in(out, "build/my_net_example")
    # the folder of a build does not stand in the way of another emission
    assert run(["emit", str(trained), f"--out={out}", "--name=my_net", "--layout=zephyr"]) == 0
    assert (out / "build").is_dir()
    assert not (out / "CMakeLists.txt").exists()


def test_samples_become_classes_on_the_chip_as_in_python(trained: Path, tmp_path: Path) -> None:
    """A user's own main: bytes of a sample -> codes -> network -> softmax, by the emitted functions alone."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    bitbudget.emit(trained, tmp_path / "c", name="net", layout="flat")
    with np.load(trained.parent / "data.npz") as data:
        samples = data["test_x"][:4]
    texts = [", ".join(map(str, sample.reshape(-1).tolist())) for sample in samples]
    kind, function = ("uint8_t", "bytes") if samples.dtype == np.uint8 else ("float", "reals")
    rows = ",\n".join(f"{{{text}}}" for text in texts)
    (tmp_path / "c" / "main.c").write_text(
        '#include <stdio.h>\n#include "net.h"\n#include "net_host.h"\n'
        f"static const {kind} samples[4][{samples[0].size}] = {{{rows}}};\n"
        "static uint32_t arena[NET_ARENA_WORDS];\nstatic net_host_values values;\n"
        "int main(void) { for (int s = 0; s < 4; ++s) {\n"
        f"  net_input_from_{function}(samples[s], net_input(arena)); net_run(arena);\n"
        "  net_finish(net_output(arena), &values);\n"
        '  for (unsigned i = 0; i < sizeof values.output_0 / sizeof(float); ++i) printf("%.9g ", values.output_0[i]);\n'
        "} return 0; }\n"
    )
    printed_in(tmp_path / "c", "sh", "-c", "gcc *.c -lm -o net")
    shown = printed_in(tmp_path / "c", "./net")
    network = load(trained)
    (output,) = network.outputs
    codes = bitbudget.run(network, bitbudget.codes_of_inputs(network, samples))[output]
    values = real_values(network, output, codes).reshape(4, -1)
    expected = np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.array(shown.split(), float).reshape(4, -1), expected, rtol=1e-5)


def test_a_training_writes_the_archive_of_the_same_files(trained: Path, tmp_path: Path) -> None:
    result = bitbudget.emit(trained, tmp_path / "c")
    content = (trained / "tiny-c.zip").read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        kept = {each.filename: archive.read(each) for each in archive.infolist()}
        assert {each.date_time for each in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {each.compress_type for each in archive.infolist()} == {zipfile.ZIP_DEFLATED}
    assert len(content) < sum(map(len, kept.values())) / 2, "C text compresses well"
    assert archive_of(emit_result(trained)) == content, "the same files give the same bytes"
    assert kept == {f"tiny/{each.name}": (tmp_path / "c" / each.name).read_bytes() for each in result.files}
    assert list(kept) == sorted(kept)
    assert result.report.test_samples == 10
    assert str(result).startswith("tiny in C, in ")
    assert repr(result).startswith("<EmitResult of tiny: ")


def test_a_training_for_a_device_is_linked_where_its_compiler_is_installed(trained: Path) -> None:
    linked = trained / "linked.json"
    assert linked.is_file() == has_compiler(core_named("cortex-m4"))
    if not linked.is_file():
        return
    report = json.loads(linked.read_text())
    assert BuildAnswer.model_validate_json(linked.read_text()).model_dump(mode="json") == report
    assert report["test_samples"] == 10
    assert (report["device"], report["core"]) == ("nrf52840", "cortex-m4")
    sections = {each["part"]: (each["predicted_bytes"], each["linked_bytes"]) for each in report["sections"]}
    for part in ("weights", "constants", "arena"):
        assert sections[part][0] == sections[part][1] > 0, part


def test_a_network_that_is_not_linked_is_kept_with_a_warning(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> None:
        raise BuildError("the compiler refuses")

    monkeypatch.setattr("api.operations.chip_files.linked_report", refuses)
    network = bitbudget.read(trained.parent / "tiny.onnx")
    data = bitbudget.dataset(trained.parent / "data.npz")
    result = bitbudget.train(network, data, out=tmp_path / "out", device="nrf52840", training={"epochs": 0})
    assert "the C files were not linked: the compiler refuses" in result.report.warnings
    assert json.loads((tmp_path / "out/report.json").read_text())["warnings"] == list(result.report.warnings)
    names = {each.name for each in result.files}
    assert {"tiny-c.zip", "network.json"} <= names
    assert "linked.json" not in names


def test_a_second_training_leaves_no_optional_file_of_the_first(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(trained, out)
    (out / "linked.json").write_text("{}")
    (out / "earlier_name-c.zip").write_bytes(b"")
    network = bitbudget.read(trained.parent / "tiny.onnx")
    data = bitbudget.dataset(trained.parent / "data.npz")
    result = bitbudget.train(network, data, out=out, flash="100kB", ram="20kB", training={"epochs": 0})
    assert {path.name for path in out.iterdir()} == {each.name for each in result.files}
    assert not {"linked.json", "earlier_name-c.zip"} & {each.name for each in result.files}


def test_the_kept_samples_are_those_of_the_test_set(trained: Path) -> None:
    network = load(trained)
    with np.load(trained.parent / "data.npz") as data:
        expected = bitbudget.codes_of_inputs(network, data["test_x"])
    kept = read_vectors(trained, network)
    assert kept is not None
    for name, codes in kept.items():
        np.testing.assert_array_equal(codes, expected[name])


def test_the_json_answer(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["emit", str(trained), f"--out={tmp_path / 'c'}", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    manifest = json.loads((tmp_path / "c" / "emission.json").read_text())
    assert manifest["network_sha256"] == answer["network_sha256"]
    assert manifest["files"] == {each["name"]: each["sha256"] for each in answer["files"]}
    assert answer["network_sha256"] in (tmp_path / "c/src/tiny.h").read_text()


def test_a_network_without_a_folder(trained: Path, tmp_path: Path) -> None:
    with np.load(trained.parent / "data.npz") as data:
        samples = data["test_x"]
    result = bitbudget.emit(load(trained), tmp_path / "c", samples=samples, layout="flat")
    assert result.report.test_samples == 10
    assert "host.py" in (tmp_path / "c/tiny_host.h").read_text(), "the host graph is not known"
    with pytest.raises(bitbudget.RequestError, match="layout 'make' is unknown; expected one of all, cmake"):
        bitbudget.emit(trained, tmp_path / "d", layout="make")
    with pytest.raises(bitbudget.RequestError, match="samples were given with a folder"):
        bitbudget.emit(trained, tmp_path / "d", samples=samples)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--name=9net"], "the name of the C files is '9net'"),
        (["--name=int"], "which C, C++ or a build tool reserves"),
        (["--layout=make"], "'make' is not one of"),
    ],
)
def test_an_invalid_option_writes_nothing(
    options: list[str], message: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["emit", str(trained), f"--out={tmp_path / 'c'}", *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_a_folder_without_a_network_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["emit", str(tmp_path), f"--out={tmp_path / 'c'}"]) == 2
    assert "has no file network.json" in capsys.readouterr().err
    (tmp_path / "c").mkdir()
    assert run(["emit", "--help"]) == 0
    assert "bitbudget emit result --out firmware/digits" in capsys.readouterr().out
