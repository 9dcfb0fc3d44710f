"""Learned rounding and bias correction, compared with exhaustive search, independent means and the deployed codes."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.interpreter import quantize_input, run
from network.allocation import BITS, Bits, Folding, Scheme, WeightScheme
from network.errors import RequestError
from network.layers import RELU, Add, AveragePool, Convolution, FullyConnected, Layer, Shape
from network.network import Network
from qat.calibration import calibrate
from qat.conversion import convert
from qat.float_network import FloatNetwork
from qat.options.post_training import ON_GRID, PostTrainingOptions, Rounding
from qat.post_training.clipping import clip_weights
from qat.post_training.effective_weights import effective_weight
from qat.post_training.improve import improve, improvement_cost
from qat.post_training.neighbours import Neighbours
from qat.prepare import float_module, prepare
from qat.progress import Progress, silent
from qat.quantized_network import QuantizedNetwork
from qat.quantizers.weights import weight_codes
from qat.training.reporting import Reporter
from tests.builders import network_of
from tests.network.float_reference import evaluate
from tests.qat.zoo import SCHEMES, all_kinds, allocation_of, convolution, floats, random_allocation

ICN_PACT = Scheme(WeightScheme.PER_LAYER_ASYM_PACT, Folding.ICN)
PER_CHANNEL = Scheme(WeightScheme.PER_CHANNEL_SYM_LSQ, Folding.ICN)
Array = npt.NDArray[np.float32]


def dense(seed: int, inputs: int = 8, outputs: int = 3) -> Network:
    rng = np.random.default_rng(seed)
    layer = FullyConnected(
        name="dense", inputs=("input",), output="logits", output_channels=outputs,
        weight=floats(rng, outputs, inputs), bias=floats(rng, outputs),
    )  # fmt: skip
    return network_of([layer], Shape(inputs))


def residual(seed: int) -> Network:
    """Return a network of a stem, a residual block, a pool and a classifier of three classes."""
    rng = np.random.default_rng(seed)
    layers: list[Layer] = [
        convolution(rng, "stem", "input", (2, 4), kernel=(3, 3), activation=RELU),
        convolution(rng, "left", "stem.out", (4, 4), kernel=(1, 1), activation=RELU),
        convolution(rng, "right", "left.out", (4, 4), kernel=(1, 1)),
        Add(name="add", inputs=("stem.out", "right.out"), output="sum", activation=RELU),
        AveragePool(name="pool", inputs=("sum",), output="pool", kernel=(4, 4)),
        FullyConnected(
            name="dense", inputs=("pool",), output="logits", output_channels=3, weight=floats(rng, 3, 4),
            bias=floats(rng, 3),
        ),
    ]  # fmt: skip
    return network_of(layers, Shape(2, 6, 6))


def correlated(network: Network, count: int, seed: int = 3) -> Array:
    """Return samples with a nonzero mean and correlated channels, as activations have."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(count, 1, 1, 1)) + 1.0
    return (common + 0.3 * rng.normal(size=(count, *network.only_input.shape))).astype(np.float32)


def modules(network: Network, samples: Array, bits: Bits, scheme: Scheme) -> tuple[QuantizedNetwork, FloatNetwork]:
    float_network = float_module(network)
    allocation = allocation_of(network, bits, scheme)
    module = prepare(network, allocation)
    calibrate(module, samples, float_network)
    return module, float_network


def improved(module: QuantizedNetwork, float_network: FloatNetwork, samples: Array, **options: object) -> None:
    chosen = PostTrainingOptions(**{"rounding_steps": 60, "bias_correction": False, **options})  # type: ignore[arg-type]  # by name
    improve(module, float_network, samples, chosen, Reporter(silent, 0))


def test_learned_rounding_is_near_the_optimum() -> None:
    """All 256 roundings of a row of 8 inputs are tried. Errors are summed, as some networks have nothing to gain."""
    best, by_learning, by_nearest = 0.0, 0.0, 0.0
    for seed in range(3):
        network = dense(seed)
        samples = correlated(network, 64)
        module, float_network = modules(network, samples, 4, ICN_PACT)
        (step,) = module.weight_steps()
        grid = step.quantizer.grid(step.learned.weight)
        scale, zero_point = grid.scale.item(), grid.zero_point.item()
        weight = step.learned.weight.detach().numpy().astype(np.float64)
        steps = weight / scale
        rows = samples.reshape(len(samples), -1)
        inputs = module.range_of("input")(torch.from_numpy(samples)).numpy().reshape(rows.shape).astype(np.float64)

        def errors(values: npt.NDArray[np.float64], row: int) -> npt.NDArray[np.float64]:
            """Return the squared error of each candidate [n, inputs] for a row, [n]."""
            clipped = np.clip(values, -zero_point, 15 - zero_point) * scale  # noqa: B023  # called right here
            found: npt.NDArray[np.float64] = ((inputs @ clipped.T - (rows @ weight[row])[:, None]) ** 2).mean(axis=0)  # noqa: B023
            return found

        up = np.array(list(itertools.product((0, 1), repeat=weight.shape[1])))
        best += sum(errors(np.floor(steps[row]) + up, row).min() for row in range(len(weight)))
        by_nearest += sum(errors(np.floor(steps[row] + 0.5)[None], row)[0] for row in range(len(weight)))
        improved(module, float_network, samples, rounding_steps=250)
        found = step.quantizer(step.learned.weight).detach().numpy().astype(np.float64) / scale
        by_learning += sum(errors(found[row][None], row)[0] for row in range(len(weight)))
        assert np.abs(np.clip(steps, -zero_point, 15 - zero_point) - found).max() < 1 + 1e-4
    assert best <= by_learning < best + 0.3 * (by_nearest - best)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    scheme=st.sampled_from(SCHEMES),
    bits=st.sampled_from(BITS),
    margin=st.sampled_from([ON_GRID, 0.25, 0.01]),
)
def test_a_learned_rounding_is_what_is_deployed(seed: int, scheme: Scheme, bits: Bits, margin: float) -> None:
    """For any learned rounding, conversion reproduces the chosen codes, and the grid has not moved."""
    network = all_kinds(seed)
    module = prepare(network, allocation_of(network, bits, scheme))
    module.fold()
    rng = np.random.default_rng(seed)
    for step in module.weight_steps():
        clip_weights(step)
        neighbours = Neighbours.of(step)
        chosen = neighbours.hard(torch.from_numpy(floats(rng, *neighbours.weight.shape)))
        before = step.quantizer.grid(neighbours.weight)
        wanted = weight_codes(chosen, before, bits)
        neighbours.write(chosen, margin)
        weight = effective_weight(step)
        # A gain of zero, or a folded gain that rounds, leaves a little.
        moved, on_grid = ((values - neighbours.weight).abs() for values in (weight, chosen))
        assert (moved <= on_grid + 1e-5 * neighbours.weight.abs() + 1e-6).all()
        if margin == ON_GRID:
            torch.testing.assert_close(weight, chosen, rtol=1e-4, atol=1e-6)
        after = step.quantizer.grid(weight)
        np.testing.assert_array_equal(weight_codes(weight, after, bits), wanted)
        # A channel of zeros has any scale.
        across = (-1,) + (1,) * (weight.ndim - 1)
        found = torch.from_numpy(wanted.astype(np.float32)) - after.zero_point.reshape(across)
        np.testing.assert_allclose(found * after.scale.reshape(across), chosen, rtol=1e-4, atol=1e-6)
        at_most = np.abs(neighbours.scale.numpy()) * (1 + 1e-3)
        inside = neighbours.nearest().numpy()
        assert (np.abs(chosen.numpy() - inside) <= at_most).all()


@pytest.mark.parametrize(
    ("weight", "level", "margin", "stored"),
    [
        (0.4, 0.0, 0.5, 0.0),  # on the grid
        (0.4, 0.0, 0.25, 0.25),  # as near to the weight as the margin allows
        (0.4, 1.0, 0.25, 0.75),  # rounded away from the nearest value
        (0.1, 0.0, 0.25, 0.1),  # inside the margin, the weight stays
        (2.9, 1.0, 0.25, 2.9),  # beyond the highest level, the weight is clipped and stays
        (-2.6, -2.0, 0.25, -2.6),  # and beyond the lowest one
        (-1.6, -1.0, 0.25, -1.25),
    ],
)
@pytest.mark.parametrize("scale", [0.5, -0.5])
def test_a_stored_weight_is_near_the_float_weight(
    weight: float, level: float, margin: float, stored: float, scale: float
) -> None:
    """A 2-bit grid of the levels -2 to 1."""
    module = prepare(dense(0, inputs=1, outputs=1), allocation_of(dense(0, inputs=1, outputs=1), 2, PER_CHANNEL))
    (step,) = module.weight_steps()
    of_layer = partial(torch.full, (1, 1))
    neighbours = Neighbours(
        step,
        of_layer(weight * scale),
        of_layer(scale),
        of_layer(-2.0),
        of_layer(1.0),
        of_layer(False),
        grid_follows=False,
    )
    found = neighbours.nearest_within(of_layer(level * scale), margin)
    assert found.item() == pytest.approx(stored * scale)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), scheme=st.sampled_from(SCHEMES), bits=st.sampled_from(BITS))
def test_clipping_never_adds_to_the_squared_error(seed: int, scheme: Scheme, bits: Bits) -> None:
    module = prepare(all_kinds(seed), allocation_of(all_kinds(seed), bits, scheme))
    for step in module.weight_steps():
        weight = effective_weight(step)
        before = (step.quantizer(weight) - weight).square().sum()
        clip_weights(step)
        clipped = effective_weight(step)
        assert (step.quantizer(clipped) - weight).square().sum() <= before * (1 + 1e-5)
        if "MinMax" not in scheme.weights:
            assert torch.equal(clipped, weight)


@pytest.mark.parametrize("exponent", [-40, 80])
def test_learned_rounding_is_that_of_ordinary_outputs_for_tiny_and_huge_ones(exponent: int) -> None:
    """Weights and biases scaled by a power of 2 are rounded alike; squares of outputs of 2^80 are not in float32."""
    codes = []
    for scale in (np.float32(1), np.ldexp(np.float32(1), exponent)):
        network = dense(1)
        (layer,) = network.weight_layers
        assert layer.weight is not None
        assert layer.bias is not None
        network = replace(network, layers=(replace(layer, weight=layer.weight * scale, bias=layer.bias * scale),))
        samples = correlated(network, 64)
        module, float_network = modules(network, samples, 4, ICN_PACT)
        (step,) = module.weight_steps()
        before = weight_codes(step.learned.weight, step.quantizer.grid(step.learned.weight), 4)
        improved(module, float_network, samples)
        codes.append(weight_codes(step.learned.weight, step.quantizer.grid(step.learned.weight), 4))
        assert (codes[-1] != before).any()
    np.testing.assert_array_equal(codes[0], codes[1])


def test_clipping_gives_two_bits_a_range() -> None:
    rng = np.random.default_rng(0)
    network = dense(0, inputs=256)
    module = prepare(network, allocation_of(network, 2, Scheme(WeightScheme.PER_CHANNELS_ASYM_MIN_MAX, Folding.ICN)))
    (step,) = module.weight_steps()
    with torch.no_grad():
        step.learned.weight.copy_(torch.from_numpy(floats(rng, 3, 256)))
    weight = effective_weight(step)
    before = (step.quantizer(weight) - weight).square().sum(dim=1)
    clip_weights(step)
    assert ((step.quantizer(effective_weight(step)) - weight).square().sum(dim=1) < 0.7 * before).all()


@pytest.mark.parametrize("scheme", [Scheme(WeightScheme.PER_CHANNELS_ASYM_MIN_MAX, folding) for folding in Folding])
def test_means_are_those_of_the_float_network(scheme: Scheme) -> None:
    rng = np.random.default_rng(4)
    layers: list[Layer] = [
        convolution(rng, "one", "input", (2, 4), kernel=(3, 3)),
        convolution(rng, "two", "one.out", (4, 5), kernel=(1, 1), normalised=False),
    ]
    network = network_of(layers, Shape(2, 6, 6))
    samples = correlated(network, 40)
    module, float_network = modules(network, samples, 8, scheme)
    for step in module.weight_steps():
        step.use_bits(2)
    module.fold()
    wanted = evaluate(network, samples)

    def errors() -> list[float]:
        codes = module.deployed().codes(torch.from_numpy(samples))
        found = []
        for layer in network.layers:
            assert isinstance(layer, Convolution)
            grid = module.grid(layer.output)
            got = grid.scale * (codes[layer.output].double().numpy() - grid.zero_point)
            means = got.mean(axis=(0, 2, 3)) - wanted[layer.output].mean(axis=(0, 2, 3))
            found.append(float(np.abs(means).max() / grid.scale))
        return found

    before = errors()
    improved(module, float_network, samples, rounding="nearest", bias_correction=True)
    after = errors()
    # Errors are in steps of the output's grid. Its own rounding and clipping remain after the correction.
    assert max(after) < 1.5
    assert max(before) > 8 * max(after)


@pytest.mark.parametrize("scheme", [Scheme(each, list(Folding)[i % 2]) for i, each in enumerate(WeightScheme)])
def test_a_block_gets_closer_to_its_float_output(scheme: Scheme) -> None:
    network = residual(1)
    samples = correlated(network, 64)
    fresh = correlated(network, 64, seed=4)
    wanted = evaluate(network, fresh)["logits"].reshape(len(fresh), -1)

    def error(module: QuantizedNetwork) -> float:
        with torch.no_grad():
            return float(((module.deployed()(torch.from_numpy(fresh)).numpy() - wanted) ** 2).mean())

    module, float_network = modules(network, samples, 4, scheme)
    before = error(module)
    improved(module, float_network, samples, rounding_steps=60, bias_correction=True)
    assert error(module) < 0.7 * before


@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_any_network_is_improved_and_converted(seed: int) -> None:
    network = all_kinds(seed)
    samples = np.random.default_rng(seed).normal(size=(24, *network.only_input.shape)).astype(np.float32)
    float_network = float_module(network)
    states = []
    for _ in range(2):
        module = prepare(network, random_allocation(network, seed))
        calibrate(module, samples, float_network)
        improved(module, float_network, samples, rounding_steps=5, bias_correction=True)
        states.append(module.state_dict())
    for name, values in states[0].items():
        assert torch.equal(values, states[1][name]), name
        assert values.isfinite().all(), name
    integer_network = convert(module.eval())
    codes = run(integer_network, quantize_input(integer_network, samples))[network.outputs[0]]
    with torch.no_grad():
        logits = module.deployed()(torch.from_numpy(samples)).numpy()
    grid = module.grid(network.outputs[0])
    by_interpreter = grid.scale * (codes.astype(np.float64).reshape(len(codes), -1) - grid.zero_point)
    np.testing.assert_allclose(by_interpreter, logits, atol=1.01 * grid.scale)


@pytest.mark.parametrize(
    "options",
    [
        PostTrainingOptions(rounding_steps=7),
        PostTrainingOptions(rounding_steps=7, samples=40),
        PostTrainingOptions(bias_correction=False, rounding_steps=3),
        PostTrainingOptions(rounding=Rounding.NEAREST),
        PostTrainingOptions(rounding=Rounding.NEAREST, bias_correction=False),
    ],
)
def test_the_reported_cost_equals_the_estimated_cost(options: PostTrainingOptions) -> None:
    network = residual(2)
    samples = correlated(network, 50)
    module, float_network = modules(network, samples, 4, ICN_PACT)
    done: list[float] = []

    class Counted(Reporter):
        def begin(self, phase: str, *, epoch: int | None, steps: int, cost: float, done: int = 0) -> None:
            self.cost = cost
            super().begin(phase, epoch=epoch, steps=steps, cost=cost, done=done)

        def advance(self, images: int, loss: float | None = None) -> None:
            done.append(images * self.cost)
            super().advance(images, loss)

    improve(module, float_network, samples, options, Counted(silent, 0))
    assert sum(done) == pytest.approx(improvement_cost(network, module.allocation, len(samples), options))
    assert bool(done) is options.improves


def test_an_error_in_the_report_stops_the_run() -> None:
    network = residual(2)
    samples = correlated(network, 20)
    module, float_network = modules(network, samples, 4, ICN_PACT)

    class Cancelled(Exception):
        pass

    def cancelled(progress: Progress) -> None:
        if progress.phase == "learning rounding":
            raise Cancelled

    with pytest.raises(Cancelled):
        improve(module, float_network, samples, PostTrainingOptions(), Reporter(cancelled, 0))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rounding": "up"}, "rounding: expected one of: 'nearest' or 'learned'; it is 'up'"),
        ({"rounding_steps": 0}, "rounding_steps: expected a whole number from 1 to 1,000,000; it is 0"),
        ({"samples": True}, "samples: expected a whole number; it is true"),
        ({"seed": -1}, "seed: expected a whole number from 0 to 2^63 - 1; it is -1"),
        ({"equalization": "yes"}, "equalization: expected true or false; it is 'yes'"),
        ({"bias_correction": 1}, "bias_correction: expected true or false; it is 1"),
    ],
)
def test_invalid_options_are_rejected(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(RequestError) as error:
        PostTrainingOptions(**wrong)  # type: ignore[arg-type]  # invalid on purpose
    assert message in str(error.value)
