"""Weight tensors that several layers share: one parameter, one quantizer, equal codes, stored once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  # torch's own habit

from deploy.files import WEIGHTS_FILE, load, save
from deploy.integer_network import IntegerConvolution, IntegerNetwork
from deploy.interpreter import quantize_input, run, trace
from deploy.qdq import onnx_bytes
from deploy.requantization_form import RequantizationForm
from network.allocation import BITS, Allocation, Bits, Folding, Scheme, WeightScheme
from network.budget import Budget
from network.errors import ConversionError, RequestError
from network.layers import RELU, AveragePool, Convolution, FullyConnected, Layer, Padding, Shape
from network.memory.books import accountings_for
from network.network import Network
from network.reading import read_network
from network.sensitivity.from_weights import weight_sensitivity
from qat.conversion import convert
from qat.data.dataset import Dataset
from qat.float_network import FloatNetwork
from qat.options.names import TensorOverride
from qat.options.overrides import overridden
from qat.options.post_training import PostTrainingOptions, Rounding
from qat.options.sensitivity import Measure, SensitivityOptions
from qat.options.training import TrainingOptions
from qat.post_training.equalization import equalized
from qat.post_training.improve import improve
from qat.prepare import float_module, prepare
from qat.progress import silent
from qat.quantized_network import QuantizedNetwork
from qat.sensitivity.divergence import Divergence
from qat.sensitivity.errors import tensor_errors
from qat.sensitivity.measuring import measure_sensitivity
from qat.shared_weight_conversion import MAX_SPREAD
from qat.train import train
from qat.training.reporting import Reporter
from solver.fit import fit
from solver.options import SolveOptions
from solver.question import Question
from tests.builders import network_of
from tests.deploy.onnx_runs import RUNTIMES, codes_in, differences
from tests.qat.small_problem import stripes
from tests.qat.tasks.task_networks import of_classes
from tests.qat.zoo import allocation_of, batch_norm, convolution, floats

SHARED = Path(__file__).resolve().parents[3] / "shared"
ICN = tuple(Scheme(weights, Folding.ICN) for weights in WeightScheme)
LSQ_ICN = Scheme(WeightScheme.PER_CHANNEL_SYM_LSQ, Folding.ICN)
TIED = ("one", "two", "three")


def tied(seed: int = 0, *, shares: bool = True) -> Network:
    """Return a network whose layers one (no batch norm), two and three (batch norms of their own) have one weight."""
    rng = np.random.default_rng(seed)
    layers: list[Layer] = [convolution(rng, "stem", "input", (1, 6), activation=RELU, padding=Padding(1, 1, 1, 1))]
    weight = floats(rng, 6, 6, 3, 3, scale=0.2)
    source = "stem.out"
    for name in TIED:
        layers.append(
            Convolution(
                name=name, inputs=(source,), output=f"{name}.out", activation=RELU, output_channels=6, kernel=(3, 3),
                padding=Padding(1, 1, 1, 1), weight=weight, bias=floats(rng, 6, scale=0.1),
                batch_norm=None if name == "one" else batch_norm(rng, 6), shared_weight="w" if shares else None,
            )
        )  # fmt: skip
        source = f"{name}.out"
    layers.append(AveragePool(name="pool", inputs=(source,), output="pooled", kernel=(8, 8)))
    layers.append(
        FullyConnected(
            name="head", inputs=("pooled",), output="logits", output_channels=4, weight=floats(rng, 4, 6)
        )
    )  # fmt: skip
    return network_of(layers, Shape(1, 8, 8), name="tied")


IMAGES = floats(np.random.default_rng(7), 48, 1, 8, 8)


def calibrated(network: Network, allocation: Allocation) -> QuantizedNetwork:
    return prepare(network, allocation, IMAGES).eval()


def weight_layers(network: IntegerNetwork) -> dict[str, IntegerConvolution]:
    return {layer.name: layer for layer in network.layers if isinstance(layer, IntegerConvolution)}


def check_stored_once(network: IntegerNetwork) -> None:
    """Check that the layers of `TIED` have equal codes, which the first of them stores."""
    layers = weight_layers(network)
    assert [layers[name].shares_weights_of for name in TIED] == [None, "one", "one"]
    for name in TIED:
        np.testing.assert_array_equal(layers[name].codes, layers["one"].codes)


def test_the_float_network_has_one_parameter_with_the_summed_gradient() -> None:
    one, separate = FloatNetwork(tied()), FloatNetwork(tied(shares=False))
    images = torch.from_numpy(IMAGES)
    for module in (one, separate):
        module(images).square().sum().backward()
    shared = one.weight_parameters(1).weight
    assert all(one.weight_parameters(index).weight is shared for index in (2, 3))
    assert shared.grad is not None
    gradients = [separate.weight_parameters(index).weight.grad for index in (1, 2, 3)]
    assert all(gradient is not None for gradient in gradients)
    torch.testing.assert_close(shared.grad, sum(gradients), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scheme", ICN, ids=[scheme.weights.value for scheme in ICN])
@pytest.mark.parametrize("bits", BITS)
def test_every_scheme_and_number_of_bits_gives_equal_codes(scheme: Scheme, bits: Bits) -> None:
    network = tied()
    module = calibrated(network, allocation_of(network, bits, scheme))
    steps = {step.layer.name: step for step in module.weight_steps()}
    assert all(steps[name].learned.weight is steps["one"].learned.weight for name in TIED)
    assert all(steps[name].quantizer is steps["one"].quantizer for name in TIED)
    assert len(module.range_parameters()) == len({id(each) for each in module.range_parameters()})
    integer_network = convert(module)
    check_stored_once(integer_network)
    expected = module.deployed().codes(torch.from_numpy(IMAGES))
    found = trace(integer_network, quantize_input(integer_network, IMAGES))
    for tensor in network.tensors:
        gap = np.abs(found[tensor].transpose(0, 3, 1, 2).astype(int) - expected[tensor].numpy().astype(int))
        assert gap.max() <= 1
        assert (gap > 0).mean() < 0.01


def test_bits_that_change_in_training_change_for_all_readers() -> None:
    network = tied()
    module = calibrated(network, allocation_of(network, 8, LSQ_ICN))
    module.use_bits(replace(allocation_of(network, 4, LSQ_ICN), activation_bits=module.allocation.activation_bits))
    fresh = calibrated(network, module.allocation)
    for step, other in zip(module.weight_steps(), fresh.weight_steps(), strict=True):
        weight = step.learned.weight
        torch.testing.assert_close(step.quantizer(weight), other.quantizer(weight))


def test_different_bits_schemes_or_folding_are_refused() -> None:
    network = tied()
    allocation = allocation_of(network, 8, LSQ_ICN)
    folded = Scheme(WeightScheme.PER_LAYER_ASYM_PACT, Folding.WEIGHTS)
    for wrong in (
        replace(allocation, weight_bits={**allocation.weight_bits, "two": 4}),
        replace(allocation, schemes={**allocation.schemes, "two": ICN[0]}),
        replace(allocation, schemes=dict.fromkeys(allocation.schemes, folded)),
    ):
        with pytest.raises(RequestError, match="'one', 'two', 'three' share one weight tensor; expected the same bits"):
            prepare(network, wrong)


def test_a_channel_without_an_int32_bias_keeps_the_shared_codes() -> None:
    network = tied()
    layers = list(network.layers)
    norm = layers[2].batch_norm  # type: ignore[attr-defined]  # the layer 'two' has one
    gamma = norm.gamma.copy()
    gamma[:3] = (0.0, 1e-12, -1e-12)
    layers[2] = replace(layers[2], batch_norm=replace(norm, gamma=gamma))  # type: ignore[call-arg]  # of a weight layer
    network = replace(network, layers=tuple(layers))
    module = calibrated(network, allocation_of(network, 8, LSQ_ICN))
    integer_network = convert(module)
    check_stored_once(integer_network)
    expected = module.deployed().codes(torch.from_numpy(IMAGES))["two.out"][:, :3].numpy()
    found = trace(integer_network, quantize_input(integer_network, IMAGES))["two.out"].transpose(0, 3, 1, 2)[:, :3]
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= MAX_SPREAD


@pytest.mark.parametrize("form", list(RequantizationForm))
def test_the_files_store_shared_weights_once(tmp_path: Path, form: RequantizationForm) -> None:
    sizes = {}
    for shares in (True, False):
        network = tied(shares=shares)
        integer_network = convert(calibrated(network, allocation_of(network, 4, LSQ_ICN)), form)
        folder = tmp_path / str(shares)
        folder.mkdir()
        save(integer_network, folder)
        sizes[shares] = (folder / WEIGHTS_FILE).stat().st_size
        again = load(folder)
        codes = quantize_input(integer_network, IMAGES)
        for one, other in zip(run(again, codes).values(), run(integer_network, codes).values(), strict=True):
            np.testing.assert_array_equal(one, other)
        assert [layer.shares_weights_of for layer in weight_layers(again).values()] == [
            layer.shares_weights_of for layer in weight_layers(integer_network).values()
        ]
    assert sizes[False] - sizes[True] >= 2 * 6 * 6 * 9 // 2


def test_files_with_shared_weights_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    network = tied()
    integer_network = convert(calibrated(network, allocation_of(network, 4, LSQ_ICN)))
    layers = list(integer_network.layers)
    two = layers[2]
    assert isinstance(two, IntegerConvolution)
    layers[2] = replace(two, codes=two.codes ^ np.uint8(1))
    with pytest.raises(ConversionError, match=r"layer 'two' .* shares the weights of 'one', but they differ"):
        save(replace(integer_network, layers=tuple(layers)), tmp_path)
    layers[2] = replace(two, shares_weights_of="three")
    with pytest.raises(ConversionError, match="shares the weights of 'three'; expected an earlier layer"):
        save(replace(integer_network, layers=tuple(layers)), tmp_path)


@pytest.mark.parametrize("bits", BITS)
def test_the_onnx_file_holds_shared_weights_once(bits: Bits) -> None:
    network = tied()
    positive = tuple(
        replace(layer, batch_norm=replace(layer.batch_norm, gamma=np.abs(layer.batch_norm.gamma) + np.float32(0.1)))
        if isinstance(layer, Convolution) and layer.batch_norm is not None
        else layer
        for layer in network.layers
    )
    for each, constants in ((replace(network, layers=positive), 1), (network, 3)):
        scheme = Scheme(WeightScheme.PER_CHANNELS_ASYM_MIN_MAX, Folding.ICN)
        integer_network = convert(calibrated(each, allocation_of(each, bits, scheme)))
        model = onnx.load_from_string(onnx_bytes(integer_network))
        shapes = [tuple(tensor.dims) for tensor in model.graph.initializer]
        assert shapes.count((6, 6, 3, 3)) == constants  # mirrored codes, for a negative gamma, are other codes
        input_codes = quantize_input(integer_network, IMAGES)
        for runtime in RUNTIMES:
            for layer, gap in differences(integer_network, codes_in(runtime, integer_network, input_codes)).items():
                assert gap.max() <= 1, layer
                assert (gap > 0).mean() < 0.01, layer


@pytest.mark.parametrize("rounding", [Rounding.NEAREST, Rounding.LEARNED])
def test_post_training_keeps_shared_weights_equal(rounding: Rounding) -> None:
    network = equalized(tied())
    assert network.weight_owners == tied().weight_owners
    for name in TIED:
        layer = next(each for each in network.weight_layers if each.name == name)
        np.testing.assert_array_equal(layer.weight, tied().layers[1].weight)  # type: ignore[attr-defined]  # has one
    torch.testing.assert_close(
        float_module(network)(torch.from_numpy(IMAGES)), float_module(tied())(torch.from_numpy(IMAGES))
    )
    options = PostTrainingOptions(rounding=rounding, rounding_steps=20, bias_correction=True, samples=32)
    for scheme in ICN:
        module = calibrated(network, allocation_of(network, 4, scheme))
        improve(module, float_module(network), IMAGES, options, Reporter(silent, 0, 1.0))
        check_stored_once(convert(module))


@pytest.mark.parametrize("measure", list(Measure))
def test_the_sensitivity_of_a_shared_tensor_is_that_of_all_its_readers_together(measure: Measure) -> None:
    network = tied()
    labels = float_module(network)(torch.from_numpy(IMAGES)).argmax(dim=1).numpy()
    table = measure_sensitivity(network, IMAGES, labels, SensitivityOptions(measure=measure, samples=48))
    assert table.weights["one"][2] > 0
    assert all(set(table.weights[name].values()) == {0.0} for name in ("two", "three"))
    assert table.weights["stem"][2] > 0


def test_the_measured_divergence_is_that_of_the_network_with_the_quantized_tensor_everywhere() -> None:
    network = tied()
    module = float_module(network)
    scheme = WeightScheme.PER_CHANNEL_SYM_LSQ
    errors = tensor_errors(module, IMAGES, (scheme,))
    measured = Divergence(errors, of_classes(network))
    measured.add(IMAGES, np.zeros(48, dtype=np.int64))
    found = measured.sums().table("measured", network, 48).weights["one"]
    images = torch.from_numpy(IMAGES)
    with torch.no_grad():
        before = F.log_softmax(module(images).double(), dim=1)
        weight = module.weight_parameters(1).weight
        kept = weight.clone()
        for bits in BITS:
            weight.copy_(kept + errors.weights[scheme]["one"][bits])
            after = F.log_softmax(module(images).double(), dim=1)
            weight.copy_(kept)
            expected = (before.exp() * (before - after)).sum(dim=1).mean().item()
            assert found[bits] == pytest.approx(expected, rel=1e-2, abs=1e-9)


def test_an_override_of_one_reader_holds_for_all() -> None:
    network = tied()
    allocation = allocation_of(network, 8, LSQ_ICN)
    pact = TensorOverride(weights=WeightScheme.PER_LAYER_ASYM_PACT)
    changed = overridden(network, allocation, {"two": pact})
    assert {changed.schemes[name].weights for name in TIED} == {WeightScheme.PER_LAYER_ASYM_PACT}
    assert changed.schemes["stem"] == LSQ_ICN
    min_max = TensorOverride(weights=WeightScheme.PER_LAYER_ASYM_MIN_MAX)
    with pytest.raises(RequestError, match="have different `weights`, but the layers share one weight tensor"):
        overridden(network, allocation, {"two": pact, "three": min_max})
    with pytest.raises(RequestError, match="folds batch norm into weights that other layers read too"):
        overridden(network, allocation, {"two": TensorOverride(folding=Folding.WEIGHTS)})


def test_training_keeps_shared_weights_equal() -> None:
    network = tied()
    dataset = Dataset("stripes", *stripes(128, 0), *stripes(32, 1))
    options = TrainingOptions(epochs=2, batch_size=32, learning_rate=0.01, calibration_samples=64, seed=3)
    result = train(network, allocation_of(network, 2, LSQ_ICN), dataset, options)
    check_stored_once(result.integer_network)


def test_the_trouble_with_a_tied_network(tmp_path: Path) -> None:
    path = SHARED / "troubles" / "tied.onnx"
    if not path.exists():
        pytest.skip("needs ../shared/troubles/tied.onnx")
    network = read_network(path.read_bytes(), path.name)
    fast, *small = accountings_for("deployed", None, None)
    question = Question(
        network=network,
        budget=Budget(16_000, 64_000),
        sensitivity=weight_sensitivity(network, WeightScheme.PER_CHANNEL_SYM_LSQ),
        options=SolveOptions(allowed_weight_bits={"*": [8]}),
        accounting=fast,
        alternatives=tuple(small),
    )
    solution = fit(question)
    assert solution.allocation is not None
    assert solution.memory.flash_bytes <= 16_000
    rng = np.random.default_rng(0)
    images = rng.standard_normal((96, 3, 8, 8)).astype(np.float32)
    dataset = Dataset("random", images[:64], np.arange(64) % 4, images[64:], np.arange(32) % 4)
    options = TrainingOptions(epochs=1, batch_size=16, calibration_samples=32)
    trained = train(network, solution.allocation, dataset, options).integer_network
    save(trained, tmp_path)
    stored_bytes = sum(layer.weight_bytes for layer in solution.memory.layers)
    assert stored_bytes == 32 * 28 + 32 * 32 * 9 + 4 * 32  # rows of 27 codes in whole words
    assert (tmp_path / WEIGHTS_FILE).stat().st_size < stored_bytes + 32 * 32 * 9
    again = load(tmp_path)
    codes = quantize_input(again, images)
    for tensor, values in run(trained, codes).items():
        np.testing.assert_array_equal(run(again, codes)[tensor], values)
    model = onnx.load_from_string(onnx_bytes(again))
    assert [tuple(tensor.dims) for tensor in model.graph.initializer].count((32, 32, 3, 3)) == 1
    for gap in differences(again, codes_in(RUNTIMES[0], again, codes)).values():
        assert gap.max() <= 1
        assert (gap > 0).mean() < 0.01
