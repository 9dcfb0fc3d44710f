"""Effects of the training options on a run: bits, statistics, precision, labels and post-training quantization."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from network.allocation import Allocation, Folding, Scheme, WeightScheme
from network.errors import RequestError
from network.layers import MaxPool, Shape
from qat.data.dataset import NoSamples
from qat.options.overrides import overridden
from qat.options.task import TaskKind
from qat.options.training import (
    Compile,
    OptimizerKind,
    PostTrainingOptions,
    Precision,
    Regime,
    TensorOverride,
    TrainingOptions,
)
from qat.prepare import float_module
from qat.progress import Progress
from qat.quantized_network import QuantizedNetwork
from qat.train import LabelSource, train
from qat.training.epoch_result import EpochResult, best_of
from qat.training.milestones import Milestones, doubled
from qat.training.run import TrainingRun
from tests.builders import network_of
from tests.qat.complete_options import complete
from tests.qat.small_problem import (
    PACT_FOLDED,
    PER_CHANNEL_ICN,
    QUICK,
    accuracy_of,
    allocated,
    assert_same_integers,
    problem,
    small_network,
    trained,
)
from tests.qat.zoo import allocation_of, convolution


def watched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, set[int], bool]]:
    """Record for each trained epoch its number, the bits of its weights, and whether the statistics were frozen."""
    seen: list[tuple[int, set[int], bool]] = []
    real = TrainingRun._train_rest_of_epoch

    def run(this: TrainingRun, epoch: int) -> float:
        loss = real(this, epoch)
        steps = this.state.module.weight_steps()
        seen.append((epoch, {step.bits for step in steps}, bool(steps[0].is_frozen)))
        return loss

    monkeypatch.setattr(TrainingRun, "_train_rest_of_epoch", run)
    return seen


def test_gradual_bits_begin_at_twice_the_bits_and_end_at_the_allocations(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = watched(monkeypatch)
    result = train(small_network(), allocated(bits=2), problem(), QUICK.replace(epochs=5, gradual_bits=0.3))
    assert [bits for _, bits, _ in seen] == [{4}, {4}, {2}, {2}, {2}]
    assert [each.at_doubled_bits for each in result.epochs] == [False, True, True, False, False, False]
    assert result.best_epoch not in {1, 2}
    assert {layer.weight_bits for layer in result.integer_network.layers if hasattr(layer, "weight_bits")} == {2}


def test_an_epoch_at_doubled_bits_is_never_the_best() -> None:
    good, better = EpochResult(0, None, 10.0, 3.0, 1.0), EpochResult(1, 0.1, 99.0, 0.1, 1.0, at_doubled_bits=True)
    assert best_of([good, better]) is good
    assert best_of([good, replace(good, epoch=1)]) is good


@pytest.mark.parametrize(
    ("share", "epochs", "at_doubled"),
    [(0.0, 5, set()), (0.1, 5, {1}), (0.5, 4, {1, 2}), (0.9, 3, {1, 2}), (0.5, 1, set())],
)
def test_how_many_epochs_have_doubled_bits(share: float, epochs: int, at_doubled: set[int]) -> None:
    milestones = Milestones(allocated(bits=2), complete(epochs=epochs, gradual_bits=share))
    assert {epoch for epoch in range(epochs + 1) if milestones.is_at_doubled_bits(epoch)} == at_doubled
    at_eight = Milestones(allocated(bits=8), complete(epochs=epochs, gradual_bits=share))
    assert not any(at_eight.is_at_doubled_bits(epoch) for epoch in range(epochs + 1))


def test_doubled_bits_may_be_equal_where_the_allocations_are_not() -> None:
    """A pool with a separate range keeps it, although it could share its input's range at doubled bits."""
    rng = np.random.default_rng(0)
    network = network_of(
        [
            convolution(rng, "one", "input", (1, 4)),
            MaxPool(name="pool", inputs=("one.out",), output="pooled", kernel=(2, 2)),
        ],
        Shape(1, 6, 6),
    )
    mixed = allocation_of(network, 4, PER_CHANNEL_ICN)
    module = QuantizedNetwork(network, mixed, TrainingOptions())
    assert mixed.activation_bits["pooled"] == 8
    module.use_bits(doubled(mixed))
    assert {tensor: module.grid(tensor).bits for tensor in network.tensors} == dict.fromkeys(network.tensors, 8)
    module.use_bits(mixed)
    assert module.grid("one.out").bits == 4


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, [False, False, False, False]),
        ({"freeze_batch_norm_at": 0.5}, [False, False, True, True]),
        ({"freeze_batch_norm_at": 0.0}, [True, True, True, True]),
        ({"regime": Regime.PAPER}, [False, True, True, True]),
    ],
)
def test_when_statistics_freeze(monkeypatch: pytest.MonkeyPatch, chosen: dict[str, Any], expected: list[bool]) -> None:
    seen = watched(monkeypatch)
    trained(QUICK.replace(epochs=4, **chosen))
    assert [frozen for _, _, frozen in seen] == expected


@pytest.mark.parametrize(
    "chosen",
    [
        {
            "optimizer": OptimizerKind.SGD,
            "learning_rate": 0.03,
            "nesterov": True,
            "regime": Regime.ONE_CYCLE,
            "range_learning_rate": 0.01,
            "activation_range": "learned",
        },
        {"optimizer": OptimizerKind.ADAMW, "weight_decay": 0.01, "label_smoothing": 0.1},
        {"precision": Precision.BFLOAT16},
        {"activation_range": "learned_step", "range_setting": "percentile"},
        {"post_training": PostTrainingOptions(rounding_steps=20, samples=64)},
    ],
    ids="-".join,
)
@pytest.mark.parametrize("scheme", [PACT_FOLDED, PER_CHANNEL_ICN], ids=["folded", "icn"])
def test_every_way_learns_and_ends_in_integers(chosen: dict[str, Any], scheme: Scheme) -> None:
    result = trained(QUICK.replace(epochs=6, **chosen), scheme)
    assert accuracy_of(result).integer_only_percent >= 50  # chance is 25
    assert accuracy_of(result).top1_agreement_percent >= 97


def test_without_labels_the_float_network_is_the_truth() -> None:
    """The network is trained on the float network's predicted classes and logits, and evaluated against the classes."""
    taught = trained(QUICK.replace(epochs=6, seed=1))
    assert taught.task.learned_from is LabelSource.LABELS
    labelled = problem()
    unlabelled = replace(labelled, train_y=None, test_y=None)
    options = QUICK.replace(epochs=4, distillation=0.5, task=TaskKind.CLASSES)
    result = train(small_network(), allocated(bits=2), unlabelled, options)
    assert result.task.learned_from is accuracy_of(result).label_source is LabelSource.FLOAT_NETWORK
    assert accuracy_of(result).float_percent == 100.0
    network = small_network()
    images = torch.tensor(labelled.train_x[:].transpose(0, 3, 1, 2).astype(np.float32))
    classes = float_module(network)(images).argmax(dim=1).numpy().astype(np.int64)
    tests = torch.tensor(labelled.test_x[:].transpose(0, 3, 1, 2).astype(np.float32))
    of_tests = float_module(network)(tests).argmax(dim=1).numpy().astype(np.int64)
    told = replace(labelled, train_y=classes, test_y=of_tests)
    same = train(small_network(), allocated(bits=2), told, QUICK.replace(epochs=4, distillation=0.5))
    assert_same_integers(result.integer_network, same.integer_network)


def test_before_training_the_post_training_path_may_help() -> None:
    plain = train(small_network(), allocated(bits=2), problem(), QUICK.replace(epochs=0))
    improved = train(
        small_network(), allocated(bits=2), replace(problem(), train_y=None, test_y=None),
        QUICK.replace(
            epochs=0,
            post_training=PostTrainingOptions(rounding_steps=100, samples=128),
            task=TaskKind.CLASSES,
        ),
    )  # fmt: skip
    assert accuracy_of(improved).label_source is LabelSource.FLOAT_NETWORK
    options = QUICK.replace(epochs=0, task=TaskKind.CLASSES)
    unlabelled = train(small_network(), allocated(bits=2), replace(problem(), train_y=None, test_y=None), options)
    assert accuracy_of(improved).integer_only_percent > accuracy_of(unlabelled).integer_only_percent
    assert accuracy_of(plain).label_source is LabelSource.LABELS


@pytest.mark.parametrize(
    "chosen",
    [{"epochs": 0}, {"epochs": 0, "post_training": PostTrainingOptions(rounding_steps=5)}, {"epochs": 1}],
    ids=["calibrated", "post-training", "trained"],
)
def test_without_a_test_set_no_accuracy_is_measured(chosen: dict[str, Any]) -> None:
    whole, options = replace(problem(), train_y=None), QUICK.replace(**chosen)
    alone = replace(whole, test_x=NoSamples(whole.train_x.dtype, whole.train_x.shape[1:]), test_y=None)
    phases: list[str] = []

    def report(progress: Progress) -> None:
        phases.append(progress.phase)

    result = train(small_network(), allocated(bits=2), alone, options, report=report)
    assert result.accuracy is None
    assert not any("testing" in each for each in phases)
    same = train(small_network(), allocated(bits=2), whole, options)
    assert_same_integers(result.integer_network, same.integer_network)


def test_overrides_change_one_layer_and_its_tensor() -> None:
    network = small_network()
    overrides = {
        "one": TensorOverride(weights=WeightScheme.PER_LAYER_ASYM_MIN_MAX, folding=Folding.WEIGHTS),
        "pool": TensorOverride(activation_range="clipped"),  # type: ignore[arg-type]  # as JSON has it
    }
    changed = overridden(network, allocated(), overrides)
    assert changed.schemes["one"] == Scheme(WeightScheme.PER_LAYER_ASYM_MIN_MAX, Folding.WEIGHTS)
    assert changed.schemes["two"] == allocated().schemes["two"]
    assert overridden(network, changed, overrides) == changed
    result = trained(QUICK.replace(epochs=1, overrides=overrides))
    assert len(result.epochs) == 2


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"three": TensorOverride()}, "the option overrides names the layer 'three', which the network does not have"),
        ({"pool": TensorOverride(folding=Folding.ICN)}, "layer 'pool' has no weights"),
    ],
)
def test_refuses_overrides(overrides: dict[str, TensorOverride], message: str) -> None:
    allocation: Allocation = allocated()
    with pytest.raises(RequestError, match=message):
        overridden(small_network(), allocation, overrides)


@pytest.mark.parametrize("compilation", [Compile.AUTO, Compile.OFF])
def test_a_short_run_is_not_compiled(monkeypatch: pytest.MonkeyPatch, compilation: Compile) -> None:
    monkeypatch.setattr(torch, "compile", lambda *_, **__: pytest.fail("it was compiled"))
    trained(QUICK.replace(epochs=1, compile=compilation))
