"""The examples beside the pipeline run, and the pages about them say what is so."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

import bitbudget
from api.cli.commands.train import command as train_command
from benchmarks.networks import MOBILENET_V1_RESOLUTIONS, MOBILENET_V1_WIDTHS, mobilenet_v1
from deploy.files import load
from examples import imagenet_mobilenets, own_training_loop
from examples.tasks import train_tasks
from network.allocation import Folding, WeightScheme
from network.budget import Budget
from network.json_reading.description import write_json
from network.layers import FullyConnected
from network.memory.books import accounting_named
from qat.data.dataset import labelled
from qat.options.training import TensorOverride, TrainingOptions
from solver.fit import fit
from solver.options import Method, SolveOptions
from solver.question import Question
from tests import builders

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "from-the-published-code.md").read_text()
PUBLISHED_OPTIONS = [
    "type_quant", "weight_bits", "activ_bits", "activ_type", "batch_fold_type", "batch_fold_delay", "quant_add_config",
    "mem_constraint", "mixed_prec_quant", "mobilenet_width", "mobilenet_input", "gpus", "epochs", "resume", "evaluate",
    "save_check", "workers", "batch-size",
]  # fmt: skip
PUBLISHED_METHODS = [
    "QuantOp", "add_params_to_optimizer", "init_parameters", "store_and_quantize", "restore_real_value",
    "backprop_quant_gradients", "freeze_BN_and_fold", "generate_deployment_model", "deployment_model",
]  # fmt: skip


def test_a_training_loop_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert own_training_loop.main(["--float-epochs", "3", "--epochs", "1", "--out", str(tmp_path / "out")]) == 0
    shown = dict(re.findall(r"^(float|quantized, \w+) +([\d.]+) %$", capsys.readouterr().out, re.MULTILINE))
    assert float(shown["float"]) > 85

    network, dataset = bitbudget.load(tmp_path / "out"), bitbudget.dataset("digits")
    codes = bitbudget.input_codes(network, dataset.test_x[:])
    (output,) = network.outputs
    right = bitbudget.run(network, codes)[output].reshape(len(codes), -1).argmax(axis=1) == labelled(dataset.test_y)
    assert right.mean() * 100 == pytest.approx(float(shown["quantized, trained"]), abs=0.3)
    assert right.mean() > 0.8


def test_a_small_network_of_a_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The task follows from the targets, and the kept files are a network and a dataset."""
    assert train_tasks.main(["logit", "diabetes", "--epochs", "1", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out.splitlines()
    found = re.fullmatch(
        r"logit: <TrainResult of logit: integer-only ([\d.]+) %, float ([\d.]+) % \(accuracy\), .*", shown[0]
    )
    assert found is not None
    assert min(map(float, found.groups())) > 85
    assert "(R2)" in shown[1]
    assert bitbudget.read(tmp_path / "diabetes.json").outputs == bitbudget.read(tmp_path / "logit.json").outputs
    with np.load(tmp_path / "diabetes.npz") as arrays:
        assert arrays["train_y"].dtype == np.float32


def test_the_papers_mobilenets(tmp_path: Path) -> None:
    """The whole command on a tree like ImageNet's, of a few small images."""
    network = builders.mobilenet_v1(0.25, 128, classes=1001, seed=0)
    file = tmp_path / "mobilenet_v1_0.25_128.json"
    file.write_text(write_json(network, with_weights=True))
    rng = np.random.default_rng(0)
    for part, count in (("train", 4), ("val", 1)):
        for name in ("n01440764", "n01443537"):
            (tmp_path / "imagenet" / part / name).mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(0, 256, (140, 150, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "imagenet" / part / name / f"{index}.JPEG")
    places = [str(file), "--data", str(tmp_path / "imagenet"), "--out", str(tmp_path / "out"), "--method", "mixpl"]
    quick = ["--epochs", "1", "--batch-size", "4", "--workers", "0", "--validation-fraction", "0.25"]
    assert imagenet_mobilenets.main([*places, *quick]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["method"], report["accounting"]) == ("mixpl", "paper")
    assert set(report["schemes"].values()) == {"PerLayerAsymPACT"}
    assert report["memory"]["flash_bytes"] == 479_104
    assert report["memory"]["ram_bytes"] == 98_304
    assert [epoch["epoch"] for epoch in report["epochs"]] == [0, 1]
    integers = load(tmp_path / "out")
    assert integers.tensors[integers.outputs[0]].shape.channels == 1000
    assert integers.tensors[integers.only_input.name].zero_point == 128


def test_the_background_class_goes() -> None:
    network = builders.mobilenet_v1(0.25, 128, classes=1001, seed=0)
    prepared = imagenet_mobilenets.as_the_paper_trained_it(network)
    old, new = network.layers[-1], prepared.layers[-1]
    assert isinstance(old, FullyConnected)
    assert isinstance(new, FullyConnected)
    assert old.weight is not None
    assert new.weight is not None
    np.testing.assert_array_equal(new.weight, old.weight[1:])
    assert imagenet_mobilenets.as_the_paper_trained_it(prepared).layers[-1].name == new.name


@pytest.mark.parametrize(("classes", "message"), [(10, "has 10 classes"), (1002, "has 1002 classes")])
def test_another_network_is_one_line(
    classes: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "network.json"
    file.write_text(write_json(builders.mobilenet_v1(0.25, 128, classes=classes, seed=0), with_weights=True))
    assert imagenet_mobilenets.main([str(file), "--data", "nowhere", "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("option", PUBLISHED_OPTIONS)
def test_every_published_option_has_its_row(option: str) -> None:
    assert re.search(rf"^\|[^|]*`--{option}`[^|]*\| [^|]+\|", PAGE, re.MULTILINE)


@pytest.mark.parametrize("method", PUBLISHED_METHODS)
def test_every_published_method_has_its_row(method: str) -> None:
    assert re.search(rf"^\|[^|]*{method}[^|]*\| [^|]+\|", PAGE, re.MULTILINE)


def test_the_options_of_train_that_are_named_are_there() -> None:
    known = {
        name for parameter in train_command.params if isinstance(parameter, click.Option) for name in parameter.opts
    }
    of_train = PAGE[PAGE.index("bitbudget train") : PAGE.index("Three things")]
    rows = [line.split("|")[2] for line in PAGE.splitlines() if line.startswith("| `-")]
    named = set(re.findall(r"(?<![\w-])--[a-z][\w-]+", "\n".join([of_train, *rows]))) - {"--nproc-per-node"}
    assert len(named) > 15
    assert named - known == set()
    assert set(imagenet_mobilenets.PAPERS_TRAINING) - known == set()


def test_the_training_file_is_one() -> None:
    (document,) = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    options = TrainingOptions(**json.loads(document))
    assert options.overrides == {"fc": TensorOverride(weights=WeightScheme.PER_LAYER_ASYM_MIN_MAX, folding=Folding.ICN)}


def test_the_table_of_the_sixteen_is_what_the_rules_say() -> None:
    rows = re.findall(
        r"^\| ([\d.]+) \| (\d+) \| [\d.]+ \| (.+) \| (.+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$", PAGE, re.MULTILINE
    )
    expected = []
    budget = Budget(imagenet_mobilenets.PAPERS_FLASH_BYTES, imagenet_mobilenets.PAPERS_RAM_BYTES)
    for width in MOBILENET_V1_WIDTHS:
        for resolution in MOBILENET_V1_RESOLUTIONS:
            network = mobilenet_v1(width, resolution)
            layers, channels = (
                fit(
                    Question(
                        network=network,
                        budget=budget,
                        accounting=accounting_named("paper"),
                        options=SolveOptions(method=method),
                    )
                )
                for method in (Method.MIXPL, Method.MIXPC)
            )
            bits = layers.allocation
            assert bits is not None
            assert channels.allocation is not None
            assert bits.weight_bits == channels.allocation.weight_bits
            assert bits.activation_bits == channels.allocation.activation_bits
            outputs = [bits.activation_bits[layer.output] for layer in network.weight_layers[:-1]]
            sizes = layers.memory.flash_bytes, channels.memory.flash_bytes, layers.memory.ram_bytes
            expected.append(
                (
                    *(f"{width:.2f}", str(resolution), _counted(bits.weight_bits.values()), _counted(outputs)),
                    *(f"{size_bytes:,.0f}" for size_bytes in sizes),
                )
            )
    assert rows == expected


def _counted(bits: Iterable[int]) -> str:
    return ", ".join(f"{count} x {each}" for each, count in sorted(Counter(bits).items(), reverse=True))
