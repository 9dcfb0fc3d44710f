"""`bitbudget shrink`: a whole search in one process, its files, its continuation, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import torch

import api.operations.shrink.points as points_module
from api.cli.main import run
from api.operations.trained_network import train_solution
from deploy.files import load
from deploy.interpreter import quantize_input
from deploy.interpreter import run as interpret
from qat.data.batches import split_of
from qat.data.dataset import to_input_tensor
from qat.data.npz import read_npz
from qat.prepare import float_module
from qat.training.evaluation import of_module
from tests.api.small_files import CLASSES, npz, tiny_json, tiny_network

QUICK = [
    "--points=12",
    "--threads=1",
    "--post-training-rounding-steps=4",
    "--accounting=paper",
    "--sensitivity=weights",
]


SAMPLES = 800


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a network, and with samples of which it classifies 19 of 20 correctly."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "tiny.json").write_bytes(tiny_json())
    (folder / "counts.json").write_bytes(tiny_json(with_weights=False))
    rng, network = np.random.default_rng(5), tiny_network()
    x = rng.standard_normal((SAMPLES, 1, 4, 4)).astype(np.float32)
    predict = of_module(float_module(network), network, torch.device("cpu"))
    y = predict(x).argmax(axis=1)
    y[::20] = (y[::20] + 1) % CLASSES
    (folder / "data.npz").write_bytes(npz(train_x=x, train_y=y, test_x=x[:60], test_y=y[:60]))
    (folder / "unlabelled.npz").write_bytes(npz(train_x=x, test_x=x[:60]))
    return folder


@pytest.fixture
def place(files: Path, tmp_path: Path) -> Path:
    """Return a directory with the files of `files`."""
    return Path(shutil.copytree(files, tmp_path / "place"))


def arguments(place: Path, *options: str, network: str = "tiny.json", data: str = "data.npz") -> list[str]:
    return ["shrink", str(place / network), f"--data={place / data}", f"--out={place / 'out'}", *QUICK, *options]


def report_in(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report


def size(point: dict[str, Any]) -> float:
    return float(point["flash_bytes"])


def test_the_whole_search(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments(place, "--max-loss=4", "--json")) == 0
    output = capsys.readouterr()
    assert output.err == "", "--json is quiet"
    answer = json.loads(output.out)
    out = place / "out"
    report = report_in(out)
    assert report == {key: value for key, value in answer.items() if key != "artifacts"}
    assert {each["name"] for each in answer["artifacts"]} == {path.name for path in out.iterdir() if path.is_file()}
    assert {"report.json", "curve.svg", "weights.safetensors", "network.onnx"} <= {path.name for path in out.iterdir()}
    points = report["points"]
    assert [size(point) for point in points] == sorted({size(point) for point in points})
    kept = [point for point in points if point["keeps_limit"]]
    chosen = points[report["chosen"]]
    assert chosen == min(kept, key=size), "the least bytes of the judged points that keep the limit"
    assert all(point["keeps_limit"] is (point["loss"] <= 4) for point in points)
    assert all(point["gap"] == 0 for point in points)
    assert report["outcome"] == "found"
    below = [point for point in points if size(point) < size(chosen)]
    assert below
    assert not any(point["keeps_limit"] for point in below)
    assert 3 <= len(points) < report["front_points"]


def test_the_figures_are_those_of_the_kept_networks(place: Path) -> None:
    """The loss is measured on held-out samples, by the integer-only network in the point's folder."""
    assert run(arguments(place, "--max-loss=4", "--json")) == 0
    out, report, network = place / "out", report_in(place / "out"), tiny_network()
    dataset = read_npz(place / "data.npz")
    held_out = split_of(dataset, 0.1, 0).validation
    samples, labels = dataset.train_x[held_out], np.asarray(dataset.train_y)[held_out]
    assert report["held_out_samples"] == len(held_out) == SAMPLES // 10
    outputs = of_module(float_module(network), network, torch.device("cpu"))(samples)
    assert report["float_quality"] == 100 * float((outputs.argmax(axis=1) == labels).mean())
    for point in report["points"]:
        integers = load(out / point["folder"])
        codes = interpret(integers, quantize_input(integers, to_input_tensor(samples, network)))[integers.outputs[0]]
        found = 100 * float((codes.reshape(len(samples), -1).argmax(axis=1) == labels).mean())
        assert point["quality"] == pytest.approx(found)
        assert point["loss"] == pytest.approx(report["float_quality"] - found)
        whole = report_in(out / point["folder"])
        assert whole["weight_bits"] == point["weight_bits"]
        assert whole["memory"]["flash_bytes"] == point["flash_bytes"]
    chosen = report["points"][report["chosen"]]
    for name in ("weights.safetensors", "network.json"):
        assert (out / name).read_bytes() == (out / chosen["folder"] / name).read_bytes()
    assert report["result"] == report_in(out / chosen["folder"])


def test_the_text_has_a_table_and_the_progress_counts_points(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments(place, "--max-loss=4")) == 0
    output = capsys.readouterr()
    report = report_in(place / "out")
    for point in report["points"]:
        assert f"{point['flash_bytes']:,}" in output.out
    assert f"the least flash found: {report['points'][report['chosen']]['flash_bytes']:,} bytes" in output.out
    for words in (
        " bytes less, ",
        "at most 4.00 points",
        "on the test set, which decided nothing, the chosen point reaches ",
        "proven optimal",
        "curve.svg",
    ):
        assert words in output.out
    assert "point 1 of about " in output.err
    assert f"point {len(report['points'])} of about " in output.err
    picture = ET.parse(place / "out" / "curve.svg").getroot()  # noqa: S314  # our own file
    marks = [each for each in picture.iter() if each.tag.rpartition("}")[2] in {"circle", "polygon"}]
    assert len([mark for mark in marks if len(mark)]) == 2 * len(report["points"]), "each point in both panels"


def test_an_interrupted_search_continues_and_a_point_is_never_trained_twice(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[int] = []
    original = train_solution
    stop_before = 2

    def counted(*given: Any, **options: Any) -> Any:
        if len(trained) == stop_before:
            raise KeyboardInterrupt
        trained.append(int(given[2].memory.flash_bytes))
        return original(*given, **options)

    monkeypatch.setattr(points_module, "train_solution", counted)
    given = [*arguments(place, "--max-loss=4"), f"--checkpoints={place / 'kept'}"]
    assert run(given) == 130
    assert not (place / "out").exists()
    assert len(trained) == 2
    stop_before = 1000
    assert run(given) == 0
    report = report_in(place / "out")
    assert sorted(trained) == sorted({int(size(point)) for point in report["points"]})

    # another limit uses the same points
    assert run([*arguments(place, "--max-loss=5"), f"--checkpoints={place / 'kept'}"]) == 0
    assert len(trained) == len(set(trained))

    # a search without interruption has the same result
    other = place / "other"
    assert run([*arguments(place, "--max-loss=4"), f"--out={other}"]) == 0
    whole = report_in(other)
    fixed = {"seconds", "points", "result", "sentences"}
    assert {key: value for key, value in whole.items() if key not in fixed} == {
        key: value for key, value in report.items() if key not in fixed
    }
    assert [point["quality"] for point in whole["points"]] == [point["quality"] for point in report["points"]]
    for name in ("weights.safetensors", "network.json", "network.onnx"):
        assert (other / name).read_bytes() == (place / "out" / name).read_bytes()


def test_a_damaged_point_is_trained_again_and_unfinished_files_are_deleted(place: Path) -> None:
    given = [*arguments(place, "--max-loss=4"), f"--checkpoints={place / 'kept'}"]
    assert run(given) == 0
    (folder,) = (place / "kept").iterdir()
    chosen = report_in(place / "out")["points"][report_in(place / "out")["chosen"]]
    damaged = folder / chosen["folder"] / "report.json"
    damaged.write_text(damaged.read_text()[:100])
    left = folder / "points" / ".bitbudget-killed"
    left.mkdir()
    (left / "network.json").write_text("{")
    assert run(given) == 0
    assert not left.exists()
    assert report_in(place / "out")["result"] == report_in(folder / chosen["folder"])


def test_other_options_do_not_use_the_points_of_a_search(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = f"--checkpoints={place / 'kept'}"
    assert run([*arguments(place, "--max-loss=4"), checkpoints]) == 0
    trained = 0
    original = train_solution

    def counted(*given: Any, **options: Any) -> Any:
        nonlocal trained
        trained += 1
        return original(*given, **options)

    monkeypatch.setattr(points_module, "train_solution", counted)
    assert run([*arguments(place, "--max-loss=4", "--seed=7"), checkpoints]) == 0
    assert trained == len(report_in(place / "out")["points"])


def test_training_instead_of_rounding(place: Path) -> None:
    assert run(arguments(place, "--max-loss=20", "--epochs=2", "--batch-size=32", "--points=3")) == 0
    report = report_in(place / "out")
    assert [epoch["epoch"] for epoch in report["result"]["epochs"]] == [0, 1, 2]


def test_the_least_ram_under_a_ceiling_of_flash(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments(place, "--max-loss=100", "--minimize=ram", "--flash=420", "--json")) == 0
    report = json.loads(capsys.readouterr().out)
    assert all(point["flash_bytes"] <= 420 for point in report["points"])
    sizes = [point["ram_bytes"] for point in report["points"]]
    assert sizes == sorted(sizes)
    assert report["outcome"] == "smallest_fits"
    assert "even the smallest point of the front keeps the limit" in report["sentences"][0]
    assert (place / "out" / "points" / f"{sizes[0]:.0f}" / "report.json").is_file()


def test_no_point_keeps_the_limit(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Even the largest point that the RAM allows loses more: 2 bits for the activations."""
    assert run(arguments(place, "--max-loss=0.01", "--ram=50", "--json")) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["outcome"], report["chosen"], report["result"]) == ("none_fits", None, None)
    (point,) = report["points"]
    assert point["loss"] > 0.01
    assert "no point keeps the limit: even the largest" in report["sentences"][0]
    assert "smaller points were not judged" in report["sentences"][0]
    names = {path.name for path in (place / "out").iterdir()}
    assert names == {"report.json", "curve.svg", "points"}, "there is no network to deploy"


def test_a_network_without_a_float_figure_has_a_smallest_quality(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = arguments(place, "--task=float_outputs", "--min-quality=12", "--json", data="unlabelled.npz")
    assert run(given) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["metric"], report["unit"], report["float_quality"]) == ("snr", "dB", None)
    assert all(point["loss"] is None for point in report["points"])
    assert all(point["keeps_limit"] is (point["quality"] >= 12) for point in report["points"])
    assert report["points"][report["chosen"]]["quality"] >= 12


def test_a_second_search_replaces_the_first(place: Path) -> None:
    assert run(arguments(place, "--max-loss=4")) == 0
    assert run(arguments(place, "--max-loss=100", "--points=2")) == 0
    out = place / "out"
    kept = {path.name for path in (out / "points").iterdir()}
    assert kept == {point["folder"].removeprefix("points/") for point in report_in(out)["points"]}


@pytest.mark.parametrize(
    ("options", "network", "data", "exit_code", "expected"),
    [
        ([], "tiny.json", "data.npz", 2, "neither is given"),
        (["--max-loss=1", "--min-quality=30"], "tiny.json", "data.npz", 2, "both are given"),
        (["--max-loss=-1"], "tiny.json", "data.npz", 2, "-1.0 is not in the range"),
        (["--min-quality=30"], "tiny.json", "data.npz", 2, "min_quality is given, and the task is 'classes'"),
        (["--max-loss=1", "--task=float_outputs"], "tiny.json", "data.npz", 2, "give min_quality, such as 30"),
        (["--max-loss=1", "--method=mixpc"], "tiny.json", "data.npz", 2, "expected exact"),
        (["--max-loss=1"], "counts.json", "data.npz", 2, "has no weights"),
        (["--max-loss=1", "--flash=100"], "tiny.json", "data.npz", 1, "DOES NOT FIT"),
        (["--max-loss=1", "--device=nothing"], "tiny.json", "data.npz", 2, "nothing"),
    ],
)
def test_wrong_input(
    place: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    network: str,
    data: str,
    exit_code: int,
    expected: str,
) -> None:
    assert run(arguments(place, *options, network=network, data=data)) == exit_code
    output = capsys.readouterr()
    assert expected in output.out + output.err
    assert not (place / "out").exists()
    assert "Traceback" not in output.err


def test_options_that_change_bytes_are_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "training.json").write_text(json.dumps({"requantization": "thresholds"}))
    assert run(arguments(place, "--max-loss=1", f"--training-file={place / 'training.json'}")) == 2
    assert "would change the bytes" in capsys.readouterr().err
