"""`bitbudget.build`: the report of the command, typed, and errors that say what to do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import bitbudget
from api.cli.main import run
from deploy.emission.emitter import emit
from tests.deploy.building.small_firmware import core_or_skip
from tests.deploy.building.test_emitted import chain_in_place

SMALL = {"name": "small", "core": "cortex-m0", "flash": "2 KiB", "ram": "1 KiB"}


def test_it_reports_as_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    core_or_skip("cortex-m4", is_run=True)
    result = tmp_path / "result"
    bitbudget.save(chain_in_place(), result)
    built = bitbudget.build(result, device="stm32f411re", run=True)
    assert run(["build", str(result), "--device", "stm32f411re", "--run", "--json"]) == 0
    assert json.loads(built.report.model_dump_json()) == json.loads(capsys.readouterr().out)

    assert (built.is_good, built.fits, built.is_as_predicted) == (True, True, True)
    assert built.report.check is not None
    assert built.report.check.passed
    assert 0 < built.report.check.painted_stack_bytes <= built.report.reserved_stack_bytes
    linked = {each.part: each.linked_bytes for each in built.report.sections}
    assert built.flash_bytes == linked["weights"] + linked["constants"] + linked["code"]
    assert built.ram_bytes == linked["arena"] + linked["stack"]
    assert str(built).endswith("LINKED AS PREDICTED")
    assert f"good, {built.flash_bytes:,} bytes of flash, {built.ram_bytes:,} bytes of RAM" in repr(built)


def test_a_network_that_does_not_fit_is_an_answer(tmp_path: Path) -> None:
    core_or_skip("cortex-m0")
    built = bitbudget.build(chain_in_place(), device=SMALL, optimization="Os", folder=tmp_path / "out")
    assert (built.is_good, built.fits) == (False, False)
    assert set(built.report.excess_bytes) == {"flash", "ram"}
    assert (built.report.device, built.report.optimization) == ("small", "Os")
    assert {"chain.c", "firmware.map"} <= {each.name for each in (tmp_path / "out").iterdir()}


def test_a_core_without_a_device_has_no_budget() -> None:
    core_or_skip("rv32imac")
    built = bitbudget.build(chain_in_place(), core="rv32imac")
    assert built.is_good
    assert (built.report.flash_budget_bytes, built.report.device, built.report.check) == (None, None, None)


def test_samples_become_the_inputs_of_the_self_test(tmp_path: Path) -> None:
    core_or_skip("cortex-m4")
    network = chain_in_place()
    shape = network.tensors[network.input_names[0]].shape
    extents = (3, shape.channels, shape.height, shape.width)
    samples = np.random.default_rng(6).normal(size=extents).astype(np.float32)
    built = bitbudget.build(network, core="cortex-m4", samples=samples, folder=tmp_path / "out")
    assert built.report.test_samples == 3
    assert "self-test with 3 real samples" in str(built)
    vectors = {name: codes[:3] for name, codes in bitbudget.codes_of_inputs(network, samples).items()}
    assert (tmp_path / "out" / "chain_selftest.c").read_bytes() == emit(network, vectors=vectors)["chain_selftest.c"]
    bitbudget.save(network, tmp_path / "result")
    with pytest.raises(bitbudget.RequestError, match="samples were given with a folder"):
        bitbudget.build(tmp_path / "result", core="cortex-m4", samples=samples)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "neither a device nor a core is given"),
        ({"device": "nothing"}, "unknown device 'nothing'"),
        ({"device": {"name": "x"}}, "device 'x' lacks its flash"),
        ({"core": "cortex-a53"}, "C cannot be built for core 'cortex-a53' here"),
        ({"core": "cortex-m4", "optimization": "O9"}, "the optimization 'O9' is unknown; expected one of O2, Os, O3"),
    ],
)
def test_wrong_options_are_told(options: dict[str, str], message: str) -> None:
    with pytest.raises(bitbudget.RequestError, match=message):
        bitbudget.build(chain_in_place(), **options)  # type: ignore[arg-type]  # wrong values are the test


def test_a_folder_without_a_network_is_told(tmp_path: Path) -> None:
    with pytest.raises(bitbudget.IntegerFileError):
        bitbudget.build(tmp_path, core="cortex-m4")


def test_a_missing_compiler_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(bitbudget.BuildError, match="arm-none-eabi-gcc was not found on PATH; install it"):
        bitbudget.build(chain_in_place(), core="cortex-m4")
