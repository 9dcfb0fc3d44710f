"""The command `bitbudget build`: tables, exit codes, and errors that say what to do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from api.cli.main import BAD_INPUT, DOES_NOT_FIT, run
from deploy.emission.emitter import emit
from deploy.files import save
from deploy.sample_codes import MAX_TEST_SAMPLES, VECTORS_FILE, vectors_bytes
from tests.deploy.building.small_firmware import core_or_skip
from tests.deploy.building.test_emitted import chain_in_place


@pytest.fixture
def result(tmp_path: Path) -> Path:
    """The directory of a trained network."""
    folder = tmp_path / "result"
    folder.mkdir()
    save(chain_in_place(), folder)
    return folder


def test_a_network_is_linked_as_predicted_and_passes_its_self_test(
    result: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    core_or_skip("cortex-m4", is_run=True)
    assert run(["build", str(result), "--device", "stm32f411re", "--run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("chain on stm32f411re (cortex-m4): arm-none-eabi-gcc ")
    rows = [line.split() for line in lines if line.startswith(("code ", "arena ", "stack ", "weights ", "constants "))]
    assert [row[0] for row in rows] == ["weights", "constants", "code", "arena", "stack"]
    assert all(row[1] == row[2] and row[3] == "0" for row in rows)
    assert "self-test with pseudo-random codes (no real samples)" in lines
    assert any(line.startswith("self-test on the emulated chip: passed, ") for line in lines)
    assert lines[-1] == "LINKED AS PREDICTED"


def test_the_answer_is_json_and_the_files_are_kept(
    result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    core_or_skip("rv32imac")
    out = tmp_path / "out"
    arguments = ["build", str(result), "--core", "rv32imac", "--optimize", "Os", "--out", str(out), "--json"]
    assert run(arguments) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["core"] == "rv32imac"
    assert (answer["optimization"], answer["check"], answer["device"]) == ("Os", None, None)
    assert answer["test_samples"] == 0
    assert answer["flash_bytes"] == sum(
        each["linked_bytes"] for each in answer["sections"] if each["part"] in {"weights", "constants", "code"}
    )
    assert {"chain.c", "chain_kernels.c", "firmware.elf", "firmware.map"} <= {each.name for each in out.iterdir()}


def test_the_self_test_has_the_samples_that_a_training_left(
    result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """More samples than a self-test gets; each tensor of the first ones has the interpreter's checksum on the chip."""
    core_or_skip("cortex-m3", is_run=True)
    network = chain_in_place()
    (name,) = network.input_names
    tensor = network.tensors[name]
    shape = (MAX_TEST_SAMPLES + 2, tensor.shape.height, tensor.shape.width, tensor.shape.channels)
    codes = np.random.default_rng(5).integers(0, 2**tensor.bits, shape, dtype=np.uint8)
    (result / VECTORS_FILE).write_bytes(vectors_bytes(network, {name: codes}))
    out = tmp_path / "out"
    arguments = ["build", str(result), "--core", "cortex-m3", "--run", "--out", str(out)]
    assert run(arguments) == 0
    assert f"self-test with {MAX_TEST_SAMPLES} real samples" in capsys.readouterr().out.splitlines()
    given = emit(network, vectors={name: codes[:MAX_TEST_SAMPLES]})
    for file in ("chain_selftest.c", "chain_selftest.h"):
        assert (out / file).read_bytes() == given[file]
    assert run([*arguments, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["test_samples"], answer["check"]["passed"]) == (MAX_TEST_SAMPLES, True)


def test_a_device_that_is_too_small_is_told_by_the_linker(
    result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    core_or_skip("cortex-m0")
    devices = tmp_path / "devices.json"
    small = {"name": "small", "core": "cortex-m0", "flash": 4096, "ram": 1024}
    devices.write_text(json.dumps({"devices": [small]}), encoding="utf-8")
    assert run(["build", str(result), "--device", "small", "--devices-file", str(devices)]) == DOES_NOT_FIT
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("DOES NOT FIT: ")
    assert "bytes of flash and " in last
    assert last.endswith(" bytes of RAM too many")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "neither --device nor --core is given"),
        (["--device", "esp32-s3-devkitc-1"], "C cannot be built for core 'xtensa-lx7' here"),
        (["--core", "cortex-a53"], "C cannot be built for core 'cortex-a53' here"),
        (["--device", "nothing"], "unknown device 'nothing'"),
    ],
)
def test_wrong_input_is_told(
    result: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["build", str(result), *arguments]) == BAD_INPUT
    assert message in capsys.readouterr().err


def test_a_missing_compiler_is_told(
    result: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(["build", str(result), "--core", "cortex-m4"]) == BAD_INPUT
    assert "arm-none-eabi-gcc was not found on PATH; install it" in capsys.readouterr().err
