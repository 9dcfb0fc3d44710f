"""The public functions answer as the command does, and reject what is wrong with one of the public errors."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bitbudget
from api.operations.fit import answer_fit
from api.schemas.answer import NetworkName
from api.schemas.fit import FitRequest
from network.sensitivity.from_weights import weight_sensitivity
from network.sensitivity.table import sensitivity_from_json
from tests import builders

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "examples" / "digits" / "digits.onnx"


@pytest.fixture(scope="module")
def network() -> bitbudget.Network:
    return bitbudget.read(DIGITS)


def command(*arguments: str) -> str:
    """Return what the command prints."""
    run = [sys.executable, "-m", "bitbudget", *arguments]
    return subprocess.run(run, cwd=ROOT, capture_output=True, encoding="utf-8", check=False).stdout


@pytest.mark.parametrize("flash", ["18kB", "12kB"])
def test_fit_answers_as_the_command(network: bitbudget.Network, flash: str) -> None:
    fitted = bitbudget.fit(network, flash=flash, ram=2800)
    shown = command("fit", str(DIGITS), "--flash", flash, "--ram", "2800", "--json")
    assert json.loads(fitted.answer.model_dump_json()) == json.loads(shown)
    assert fitted.fits == (flash == "18kB")
    assert str(fitted).endswith("\nFITS") == fitted.fits


def test_options_reach_the_solver(network: bitbudget.Network) -> None:
    fitted = bitbudget.fit(
        network,
        device="nrf52840",
        reserved_ram="250KiB",
        method="exact",
        schedule="given",
        allowed_weight_bits={"stem": (8,), "*": [4, 2]},
        accounting="paper",
        shadow_prices=True,
        time_limit_seconds=30,
    )
    assert set(fitted.weight_bits.values()) == {8, 4}
    assert fitted.weight_bits["stem"] == 8
    assert fitted.question.options.schedule == "given"
    assert fitted.question.budget.ram_bytes == bitbudget.devices()["nrf52840"].ram_bytes - 250 * 1024
    assert fitted.answer.shadow_prices is not None
    assert fitted.answer.accounting == "paper"


def test_a_device_may_be_given_as_it_is(network: bitbudget.Network) -> None:
    device = bitbudget.devices()["nrf52840"]
    by_name, as_it_is = (bitbudget.fit(network, device=each) for each in ("nrf52840", device))
    assert by_name.answer == as_it_is.answer
    assert by_name.answer.device == "nrf52840"


def test_nothing_fits(network: bitbudget.Network) -> None:
    small = bitbudget.fit(network, flash="12kB", ram="2kB")
    assert small.certificate is not None
    assert (small.weight_bits, small.objective) == ({}, None)
    with pytest.raises(bitbudget.DoesNotFit, match="are missing"):
        _ = small.allocation
    assert "does not fit" in repr(small)


def test_read_accepts_paths_and_content(network: bitbudget.Network, tmp_path: Path) -> None:
    by_content = bitbudget.read(DIGITS.read_bytes(), "digits")
    by_text = bitbudget.read(str(DIGITS), "other")
    names = [bitbudget.fit(each, flash="18kB", ram=2800).answer.network for each in (network, by_content, by_text)]
    assert names[0] == names[1]
    assert (names[2].id, names[2].name) == (names[0].id, "other")
    (tmp_path / "-").write_bytes(DIGITS.read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert bitbudget.read("-").tensors == network.tensors


def test_written_networks_are_read_back(network: bitbudget.Network, tmp_path: Path) -> None:
    bitbudget.write(network, tmp_path / "network.json")
    again = bitbudget.read(tmp_path / "network.json")
    assert again.name == network.name
    assert again.has_weights
    assert (
        bitbudget.fit(again, flash="18kB", ram=2800).weight_bits
        == bitbudget.fit(network, flash="18kB", ram=2800).weight_bits
    )
    bitbudget.write(network, tmp_path / "counts.json", with_weights=False)
    assert not bitbudget.read(tmp_path / "counts.json").has_weights


def test_networks_that_no_file_has_are_identified_by_their_content() -> None:
    first, same, other = (builders.mobilenet_v1(0.25, 128, classes=10, seed=seed) for seed in (0, 0, 1))
    ids = [
        bitbudget.fit(each, flash="2MB", ram="1MB", method="mixpc").answer.network.id for each in (first, same, other)
    ]
    assert ids[0] == ids[1] != ids[2]


def test_fit_is_the_operation_of_the_service(network: bitbudget.Network) -> None:
    request = FitRequest(device="nrf52840", reserved_ram="253KiB", reserved_flash="1000KiB")  # type: ignore[arg-type]  # as JSON has it
    table = weight_sensitivity(network, request.only_scheme)
    fitted = bitbudget.fit(network, device="nrf52840", reserved_ram="253KiB", reserved_flash="1000KiB")
    name = NetworkName(id=fitted.answer.network.id, name="digits")
    assert fitted.answer == answer_fit(network, name, request, table)


def test_devices(network: bitbudget.Network) -> None:
    catalogue = bitbudget.devices()
    assert str(catalogue) == command("devices").rstrip("\n")
    assert "nrf52840" in catalogue
    assert repr(catalogue) == f"<Catalogue of {len(catalogue)} devices>"
    tried = bitbudget.devices(network, among=["nrf52840", {"name": "tiny", "core": "x", "flash": "1kB", "ram": "1kB"}])
    assert list(tried.fitting) == ["nrf52840"]
    assert repr(tried) == "<DevicesResult of digits: fits 1 of 2 devices>"
    with pytest.raises(bitbudget.RequestError, match="no network"):
        bitbudget.devices(among=["nrf52840"])  # type: ignore[call-overload]  # this is the test


def test_pareto(network: bitbudget.Network) -> None:
    front = bitbudget.pareto(network, flash="1MB", axis="ram", points=4)
    shown = command("pareto", str(DIGITS), "--flash", "1MB", "--axis", "ram", "--points", "4")
    assert str(front) == shown.rstrip("\n")
    assert front.is_complete
    assert repr(front) == f"<ParetoResult of digits: {len(front.points)} points along ram>"


def test_a_measured_table_serves_many_budgets(network: bitbudget.Network, tmp_path: Path) -> None:
    seen: list[bitbudget.Progress] = []
    out = tmp_path / "table.json"
    table = bitbudget.sensitivity(network, "digits", samples=64, out=out, progress=seen.append)
    assert seen
    assert sensitivity_from_json(out.read_text()) == table
    document = json.loads(out.read_text())
    budget = {"flash": "18kB", "ram": 2800}
    by_table = bitbudget.fit(network, **budget, sensitivity=table)  # type: ignore[arg-type]  # of both types
    by_document = bitbudget.fit(network, **budget, sensitivity=document)  # type: ignore[arg-type]  # of both types
    assert by_table.answer == by_document.answer
    assert by_table.answer.sensitivity == "fisher"
    measured = bitbudget.fit(network, flash="18kB", ram=2800, data="digits")
    assert measured.answer.sensitivity == "fisher"


def test_train_writes_what_load_reads(network: bitbudget.Network, tmp_path: Path) -> None:
    data = bitbudget.dataset("digits")
    assert data.train_y is not None
    assert data.test_y is not None
    small = bitbudget.Dataset("small", data.train_x[:128], data.train_y[:128], data.test_x[:64], data.test_y[:64])
    options = bitbudget.TrainingOptions(epochs=1)
    trained = bitbudget.train(network, small, out=tmp_path / "out", flash="18kB", ram=2800, training=options)
    integers = bitbudget.load(tmp_path / "out")
    codes = bitbudget.input_codes(integers, small.test_x[:])
    predicted = bitbudget.run(integers, codes)["classes"].reshape(len(codes), -1).argmax(axis=1)
    assert trained.accuracy is not None
    assert 100 * (predicted == small.test_y).mean() == pytest.approx(trained.accuracy.integer_only)
    assert json.loads((tmp_path / "out" / "report.json").read_text())["network"]["id"] == trained.report.network.id
    assert "integer-only" in str(trained)
    assert repr(trained).startswith("<TrainResult of digits: integer-only ")
    with pytest.raises(bitbudget.DoesNotFit, match="flash"):
        bitbudget.train(network, small, out=tmp_path / "none", flash="12kB", ram="2kB")
    assert not (tmp_path / "none").exists()


def test_input_values_are_those_of_the_dataset(network: bitbudget.Network) -> None:
    samples = bitbudget.dataset("digits").test_x[:5]
    values = bitbudget.input_values(network, samples)
    np.testing.assert_array_equal(values, samples.transpose(0, 3, 1, 2).astype(np.float32))
    np.testing.assert_array_equal(bitbudget.input_values(network, values), values)
    with pytest.raises(bitbudget.DatasetError, match=r"expected \[n, 8, 8, 1\]"):
        bitbudget.input_values(network, samples[:, :7])


def test_errors_survive_another_process(network: bitbudget.Network) -> None:
    with pytest.raises(bitbudget.RequestError) as caught:
        bitbudget.fit(network, flash="60kB")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301  # made here


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"flash": "60kB"}, "the budget of ram is missing"),
        ({"flash": "18 kilos", "ram": 1}, "unknown unit 'kilos'"),
        ({"device": "nrf5284"}, "unknown device 'nrf5284'"),
        ({"flash": "60kB", "ram": "40kB", "metod": "exact"}, "metod: there is no such field"),
        ({"flash": "60kB", "ram": "40kB", "method": "best"}, "method: expected one of"),
        ({"flash": "60kB", "ram": "40kB", "sensitivity": "fisher"}, "measured on samples"),
        ({"flash": True, "ram": "40kB"}, "flash"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named(network: bitbudget.Network, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(bitbudget.RequestError, match=message):
        bitbudget.fit(network, **arguments)


def test_other_objects_are_rejected(network: bitbudget.Network) -> None:
    with pytest.raises(bitbudget.RequestError, match=r"network is a str; expected a Network, as bitbudget.read"):
        bitbudget.fit("digits.onnx", flash="60kB", ram="40kB")  # type: ignore[arg-type]  # this is the test
    with pytest.raises(bitbudget.DatasetError, match=r"data is a list; expected a path"):
        bitbudget.sensitivity(network, [1, 2])  # type: ignore[arg-type]  # this is the test
    with pytest.raises(bitbudget.UnreadableFile, match=r"the network file 'nothing\.onnx' does not exist"):
        bitbudget.read("nothing.onnx")
    with pytest.raises(bitbudget.IntegerFileError):
        bitbudget.load("nothing")
