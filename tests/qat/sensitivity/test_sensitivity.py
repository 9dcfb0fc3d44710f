"""Sensitivity measures, compared with their definitions computed sample by sample and class by class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  # torch's own habit

from network.allocation import BITS, DEFAULT_WEIGHT_SCHEME, Bits, WeightScheme
from network.errors import DatasetError, RequestError
from network.layers import RELU, Activation, Add, AveragePool, Convolution, Float32Array, FullyConnected, Layer, Shape
from network.network import Network
from network.network_input import NetworkInput
from network.sensitivity.table import SensitivityTable, check_sensitivity
from qat.float_network import FloatNetwork
from qat.options.sensitivity import Measure, SensitivityOptions
from qat.prepare import float_module
from qat.progress import Progress
from qat.sensitivity.divergence import Divergence
from qat.sensitivity.errors import TensorErrors, tensor_errors
from qat.sensitivity.fisher import FisherInformation
from qat.sensitivity.hessian import HessianTraces
from qat.sensitivity.measuring import measure_sensitivity
from qat.sensitivity.sums import SumsByTensor
from tests.builders import network_of
from tests.network.float_reference import evaluate
from tests.qat.tasks.task_networks import of_classes
from tests.qat.zoo import all_kinds, convolution, floats

PER_CHANNEL = WeightScheme.PER_CHANNELS_ASYM_MIN_MAX
Array = npt.NDArray[np.float64]


def residual(seed: int = 0) -> Network:
    """Return a network of two convolutions, the second with a residual shortcut, a pool, and three classes."""
    rng = np.random.default_rng(seed)
    layers: list[Layer] = [
        convolution(rng, "first", "input", (2, 3), activation=RELU),
        convolution(rng, "second", "first.out", (3, 3), kernel=(1, 1), normalised=False),
        Add(name="add", inputs=("first.out", "second.out"), output="sum", activation=RELU),
        AveragePool(name="pool", inputs=("sum",), output="pool", kernel=(2, 2)),
        FullyConnected(name="dense", inputs=("pool",), output="logits", output_channels=3, weight=floats(rng, 3, 3)),
    ]
    return network_of(layers, Shape(2, 4, 4))


def samples_for(network: Network, count: int, seed: int = 1) -> Float32Array:
    return floats(np.random.default_rng(seed), count, *network.only_input.shape)


def errors_of(network: Network, samples: Float32Array) -> tuple[FloatNetwork, TensorErrors]:
    module = float_module(network)
    return module, tensor_errors(module, samples, (PER_CHANNEL,))


def log_softmax(logits: Array) -> Array:
    shifted = logits.reshape(len(logits), -1) - logits.max()
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def with_weight(network: Network, name: str, weight: Float32Array) -> Network:
    layers = [replace(layer, weight=weight) if layer.name == name else layer for layer in network.layers]  # type: ignore[call-arg]  # a layer with weights
    return replace(network, layers=tuple(layers))


def naive_divergence(network: Network, samples: Float32Array, changed: Network) -> float:
    before, after = (log_softmax(evaluate(each, samples)["logits"]) for each in (network, changed))
    return float((np.exp(before) * (before - after)).sum() / len(samples))


def test_divergence_of_weights_is_that_of_the_network_with_the_quantized_weights() -> None:
    network = residual()
    samples = samples_for(network, 5)
    _, errors = errors_of(network, samples)
    measure = Divergence(errors, of_classes(network))
    for start in (0, 3):  # batches add up
        measure.add(samples[start : start + 3], np.zeros(3, dtype=np.int64))
    table = measure.sums().table("measured", network, len(samples))
    for layer in network.weight_layers:
        assert layer.weight is not None
        for bits in BITS:
            quantized = layer.weight + errors.weights[PER_CHANNEL][layer.name][bits].numpy()
            expected = naive_divergence(network, samples, with_weight(network, layer.name, quantized))
            assert table.weights[layer.name][bits] == pytest.approx(expected, rel=6e-3, abs=1e-7)


def test_divergence_of_an_activation_tensor_changes_all_that_read_it() -> None:
    """The second convolution and the add read first.out: the naive computation uses its rounded values in both."""
    network = residual()
    samples = samples_for(network, 4)
    _, errors = errors_of(network, samples)
    measure = Divergence(errors, of_classes(network))
    measure.add(samples, np.zeros(4, dtype=np.int64))
    table = measure.sums().table("measured", network, len(samples))
    values = evaluate(network, samples)["first.out"]
    shape = network.shapes["first.out"]
    rest = Network(
        name="rest",
        inputs=(NetworkInput("first.out", shape, replace(network.only_input.format, dims=tuple(shape))),),
        layers=network.layers[1:],
        outputs=("logits",),
    )
    before = log_softmax(evaluate(network, samples)["logits"])
    for bits in (4, 2):
        grid = errors.grids["first.out"][bits]
        codes = np.clip(np.floor(values / grid.scale + 0.5), grid.lowest_step, grid.highest_step)
        after = log_softmax(evaluate(rest, (codes * grid.scale).astype(np.float32))["logits"])
        expected = float((np.exp(before) * (before - after)).sum() / len(samples))
        assert table.activations["first.out"][bits] == pytest.approx(expected, rel=1e-2)


def test_fisher_is_the_expectation_over_the_networks_own_labels() -> None:
    """The one-pass estimate, averaged over many draws, is close to the sum over all samples and classes."""
    network = residual(3)
    samples = samples_for(network, 6)
    module, errors = errors_of(network, samples)
    weight_figures = {layer.name: dict.fromkeys(BITS, 0.0) for layer in network.weight_layers}
    tensor_figures = {name: dict.fromkeys(BITS, 0.0) for name in network.tensors}
    for sample in samples:
        for label in range(3):
            image = torch.tensor(sample[None]).requires_grad_()
            tensors = module.tensors(image)
            logits = tensors["logits"].flatten(1)
            probability = float(F.softmax(logits, dim=1)[0, label].detach())
            weights = [errors.parameters(layer).weight for layer in network.weight_layers]
            gradients = torch.autograd.grad(
                F.cross_entropy(logits, torch.tensor([label])), [*weights, *tensors.values()]
            )
            for layer, gradient in zip(network.weight_layers, gradients, strict=False):
                for bits in BITS:
                    along = (gradient * errors.weights[PER_CHANNEL][layer.name][bits]).flatten(1).sum(dim=1)
                    weight_figures[layer.name][bits] += probability * float(along.square().sum()) / 2 / len(samples)
            for (name, values), gradient in zip(tensors.items(), gradients[len(weights) :], strict=True):
                for bits in BITS:
                    along = (gradient * errors.activation(name, values.detach(), bits)).sum(dim=(0, 2, 3))
                    tensor_figures[name][bits] += probability * float(along.square().sum()) / 2 / len(samples)
    measure = FisherInformation(errors, of_classes(network), np.random.default_rng(0))
    repeats = 500
    for _ in range(repeats):
        measure.add(samples, np.zeros(len(samples), dtype=np.int64))
    table = measure.sums().table("fisher", network, repeats * len(samples))
    for name, row in weight_figures.items():
        assert [table.weights[name][bits] for bits in BITS] == pytest.approx(list(row.values()), rel=0.15)
    for name, row in tensor_figures.items():
        assert [table.activations[name][bits] for bits in BITS] == pytest.approx(list(row.values()), rel=0.15)


def test_hessian_is_the_trace_times_the_squared_error() -> None:
    network = residual(2)
    samples, labels = samples_for(network, 3), np.array([0, 2, 1])
    module, errors = errors_of(network, samples)
    measure = HessianTraces(errors, of_classes(network), np.random.default_rng(0), probes=600)
    measure.add(samples, labels)
    table = measure.sums().table("hessian", network, len(samples))
    weight = errors.parameters(network.weight_layers[-1]).weight
    pooled = torch.tensor(evaluate(network, samples)["pool"], dtype=torch.float32).flatten(1)

    def loss(flat: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(pooled @ flat.reshape(3, 3).T, torch.from_numpy(labels))

    trace = float(torch.autograd.functional.hessian(loss, weight.detach().flatten()).trace())  # type: ignore[no-untyped-call]
    for bits in BITS:
        square = float(errors.weights[PER_CHANNEL]["dense"][bits].square().sum())
        assert table.weights["dense"][bits] == pytest.approx(trace / 9 * square / 2, rel=0.15, abs=1e-9)
    logits = module(torch.tensor(samples)).detach()
    answer = F.softmax(logits, dim=1)
    of_logits = float((answer * (1 - answer)).sum(dim=1).mean())  # the Hessian of cross-entropy: diag(p) - p p'
    square = float(errors.activation("logits", logits[:, :, None, None], 2).square().sum() / len(samples))
    assert table.activations["logits"][2] == pytest.approx(of_logits / 3 * square / 2, rel=0.15)


@pytest.mark.parametrize("measure", list(Measure))
@pytest.mark.parametrize("scheme", list(WeightScheme))
def test_every_kind_of_layer_is_measured(measure: Measure, scheme: WeightScheme) -> None:
    network = all_kinds(4)
    samples = samples_for(network, 20)
    labels = np.arange(20) % 5
    options = SensitivityOptions(measure=measure, scheme=scheme, samples=16)
    told: list[Progress] = []
    table = measure_sensitivity(network, samples, labels, options, report=told.append)
    check_sensitivity(table, network)
    assert table.method == measure
    for row in (*table.weights.values(), *table.activations.values()):
        assert row[8] <= row[4] <= row[2]
    assert sum(row[2] for row in table.weights.values()) > 10 * sum(row[8] for row in table.weights.values())
    assert told[-1].step == told[-1].steps
    assert str(measure) in told[-1].phase
    assert measure_sensitivity(network, samples, labels, options) == table
    other = options.replace(seed=1)
    assert measure_sensitivity(network, samples, labels, other) != table


@pytest.mark.parametrize("measure", list(Measure))
def test_a_table_of_all_schemes_has_the_figures_of_each(measure: Measure) -> None:
    """A figure is that of the scheme alone, or that of a better scheme at the same bits if this is larger."""
    network = all_kinds(4)
    samples, labels = samples_for(network, 20), np.arange(20) % 5

    def measured(scheme: WeightScheme | None) -> SensitivityTable:
        return measure_sensitivity(
            network, samples, labels, SensitivityOptions(measure=measure, scheme=scheme, samples=16)
        )

    table, alone = measured(None), {scheme: measured(scheme) for scheme in WeightScheme}
    check_sensitivity(table, network)
    default = alone[DEFAULT_WEIGHT_SCHEME]
    assert (table.weights, table.activations) == (default.weights, default.activations)
    assert not default.weights_by_scheme
    for scheme in (WeightScheme.PER_LAYER_ASYM_PACT, WeightScheme.PER_CHANNELS_ASYM_MIN_MAX):
        for layer, row in table.weight_rows(scheme).items():
            own, best = alone[scheme].weights[layer], default.weights[layer]
            assert row == {bits: max(own[bits], best[bits]) for bits in BITS}


@pytest.mark.parametrize("part", ["weights", "activations"])
def test_small_errors_are_seen_alike_by_fisher_and_by_divergence(part: str) -> None:
    """Up to third order, a divergence is half the squared error in the Fisher metric: both agree over many tensors."""
    totals = dict.fromkeys((Measure.FISHER, Measure.MEASURED), 0.0)
    for seed in range(6):
        network = residual(seed)
        samples, labels = samples_for(network, 300), np.zeros(300, dtype=np.int64)
        for measure in totals:
            table = measure_sensitivity(network, samples, labels, SensitivityOptions(measure=measure, samples=300))
            totals[measure] += sum(row[4] for row in getattr(table, part).values())
    assert totals[Measure.FISHER] == pytest.approx(totals[Measure.MEASURED], rel=0.5)


def test_an_output_that_is_not_the_first_counts_too() -> None:
    rng = np.random.default_rng(0)
    trunk = convolution(rng, "trunk", "input", (2, 4), activation=RELU)
    heads = [convolution(rng, name, "trunk.out", (4, 3), kernel=(2, 2)) for name in ("left", "right")]
    network = network_of([trunk, *heads], Shape(2, 4, 4), outputs=("left.out", "right.out"))
    samples = samples_for(network, 32)
    for measure in (Measure.FISHER, Measure.MEASURED):
        table = measure_sensitivity(network, samples, np.zeros(32, dtype=np.int64), SensitivityOptions(measure=measure))
        assert min(table.weights[name][2] for name in ("trunk", "left", "right")) > 1e-4


def test_a_measurement_that_is_interrupted_ends_at_once() -> None:
    class Stop(Exception):
        pass

    def stop(progress: Progress) -> None:
        if progress.step:
            raise Stop

    network = residual()
    with pytest.raises(Stop):
        measure_sensitivity(
            network, samples_for(network, 64), np.zeros(64, dtype=np.int64), SensitivityOptions(), report=stop
        )


def test_noise_below_more_bits_is_raised() -> None:
    sums = SumsByTensor()
    figures: dict[Bits, float] = {8: 2.0, 4: 1.0, 2: 3.00049}
    sums.add("a", figures)
    assert sums.rows(["a", "b"], 1) == {"a": {8: 2.0, 4: 2.0, 2: 3.0}, "b": {8: 0.0, 4: 0.0, 2: 0.0}}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"samples": 0}, "samples: .*it is 0"),
        ({"seed": -1}, "seed: .*it is -1"),
        ({"probes": True}, "probes: .*it is true"),
    ],
)
def test_options_out_of_range(given: dict[str, int], expected: str) -> None:
    with pytest.raises(RequestError, match=expected):
        SensitivityOptions(**given)  # type: ignore[arg-type]


def test_no_samples() -> None:
    network = residual()
    with pytest.raises(DatasetError, match="no sample"):
        measure_sensitivity(network, samples_for(network, 0), np.zeros(0, dtype=np.int64), SensitivityOptions())


def test_a_layer_behind_nothing_but_an_activation_function() -> None:
    """A tensor whose influence an activation function clamps away has sensitivity 0, without an error."""
    rng = np.random.default_rng(0)
    hidden = convolution(rng, "hidden", "input", (2, 3), activation=RELU, normalised=False)
    assert hidden.bias is not None
    dark = replace(hidden, bias=np.full(3, -1e3, dtype=np.float32))
    layers: list[Layer] = [
        dark,
        Activation(name="act", inputs=("hidden.out",), output="act", activation=RELU),
        Convolution(
            name="end", inputs=("act",), output="end", output_channels=2, kernel=(2, 2), weight=floats(rng, 2, 3, 2, 2)
        ),
    ]
    network = network_of(layers, Shape(2, 4, 4))
    tables: list[SensitivityTable] = [
        measure_sensitivity(
            network, samples_for(network, 8), np.zeros(8, dtype=np.int64), SensitivityOptions(measure=measure)
        )
        for measure in Measure
    ]
    for table in tables:
        assert table.weights["hidden"] == {8: 0.0, 4: 0.0, 2: 0.0}
