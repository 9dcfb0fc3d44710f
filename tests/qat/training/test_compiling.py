"""Compiled and uncompiled training steps: the choice between them, and equality of what they learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from network.allocation import Folding, Scheme, WeightScheme
from network.errors import TrainingError
from network.layers import RELU, RELU6, Add, Padding, Shape
from network.network import Network
from qat.options.names import ActivationRange, Compile
from qat.prepare import prepare
from qat.progress import Progress
from qat.training import compiling, reporting
from qat.training.compiling import compiled, has_compiler, is_compiled, multiply_accumulates
from tests.builders import network_of
from tests.qat.complete_options import complete
from tests.qat.small_problem import PACT_FOLDED, QUICK, assert_same, trained
from tests.qat.zoo import all_kinds, allocation_of, convolution

CPU = torch.device("cpu")
NETWORK = all_kinds(0)
LONG = compiling.MIN_MULTIPLY_ACCUMULATES["cpu"] // multiply_accumulates(NETWORK) + 1


@pytest.mark.parametrize(
    ("chosen", "has", "images", "expected"),
    [
        (Compile.OFF, True, 10**12, False),
        (Compile.ON, True, 1, True),
        (Compile.AUTO, True, int(LONG), True),
        (Compile.AUTO, True, int(LONG) - 2, False),
        (Compile.AUTO, False, int(LONG), False),
    ],
)
def test_when_a_step_is_compiled(
    monkeypatch: pytest.MonkeyPatch, chosen: Compile, has: bool, images: int, expected: bool
) -> None:
    monkeypatch.setattr(compiling, "COMPILERS", ("sh",) if has else ("no-such-compiler",))
    assert is_compiled(NETWORK, complete(compile=chosen), images, CPU) is expected


def test_a_compiler_that_is_asked_for_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "COMPILERS", ("no-such-compiler",))
    with pytest.raises(TrainingError, match="expected one of no-such-compiler on the path"):
        is_compiled(NETWORK, complete(compile=Compile.ON), 1, CPU)


def test_multiply_accumulates_by_hand() -> None:
    by_hand = 0
    for layer in NETWORK.weight_layers:
        output = NETWORK.shapes[layer.output]
        (source,) = NETWORK.input_shapes(layer)
        if layer.kind == "fully_connected":
            by_hand += source.elements * output.elements
        else:
            assert layer.weight is not None
            by_hand += layer.weight[0].size * output.elements
    assert multiply_accumulates(NETWORK) == by_hand


def small_network() -> Network:
    """Return a residual block, small enough to compile quickly, with tensors of all kinds of ranges."""
    rng = np.random.default_rng(0)
    layers = (
        convolution(rng, "first", "input", (2, 4), padding=Padding(1, 1, 1, 1), activation=RELU6),
        convolution(rng, "second", "first.out", (4, 4), padding=Padding(1, 1, 1, 1), groups=4),
        Add(name="add", inputs=("first.out", "second.out"), output="sum", activation=RELU),
    )
    return network_of(layers, Shape(2, 5, 5))


@pytest.mark.skipif(not has_compiler(CPU), reason="no C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # torch's own, while it compiles
@pytest.mark.parametrize(
    ("scheme", "kind"),
    [
        (Scheme(WeightScheme.PER_CHANNEL_SYM_LSQ, Folding.ICN), ActivationRange.LEARNED_STEP),
        (Scheme(WeightScheme.PER_LAYER_ASYM_PACT, Folding.WEIGHTS), ActivationRange.LEARNED),
    ],
)
def test_a_compiled_step_learns_the_same(scheme: Scheme, kind: ActivationRange) -> None:
    network = small_network()
    images = torch.randn(8, *network.only_input.shape, generator=torch.Generator().manual_seed(0))
    options = complete(activation_range=kind)
    found = []
    for is_plain in (True, False):
        module = prepare(network, allocation_of(network, 4, scheme), images.numpy(), options).train()
        module.fold()
        forward = module if is_plain else compiled(module)
        logits = forward(images)
        logits.square().sum().backward()
        gradients = {name: each.grad for name, each in module.named_parameters() if each.grad is not None}
        found.append((logits.detach(), gradients))
        with torch.compiler.set_stance("fail_on_recompile"):
            forward(images[1:])  # one graph serves every batch size
    (plain, plain_gradients), (fused, fused_gradients) = found
    torch.testing.assert_close(fused, plain, rtol=1e-3, atol=1e-3)
    assert plain_gradients.keys() == fused_gradients.keys()
    largest = max(float(gradient.abs().max()) for gradient in plain_gradients.values())
    for name, gradient in plain_gradients.items():
        torch.testing.assert_close(fused_gradients[name], gradient, rtol=1e-3, atol=1e-5 * largest, msg=name)


@pytest.mark.skipif(not has_compiler(CPU), reason="no C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_compiled_run_tells_what_it_waits_for_and_goes_on_alike(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Stopped(Exception):
        """Exception that simulates a crash."""

    def stop(progress: Progress) -> None:
        if (progress.phase, progress.epoch, progress.step) == ("training", 2, 3):
            raise Stopped

    monkeypatch.setattr(reporting, "REPORT_EVERY_SECONDS", 0.0)
    options = QUICK.replace(epochs=2, compile=Compile.ON, checkpoint_minutes=0.0)
    told: list[Progress] = []
    unbroken = trained(options, PACT_FOLDED, report=told.append)
    # Batch norm is folded before the second epoch, which causes a second compilation.
    assert [progress.epoch for progress in told if progress.phase == "compiling the training step"] == [1, 2]
    assert unbroken.compile_seconds > 0
    with pytest.raises(Stopped):
        trained(options, PACT_FOLDED, checkpoint_directory=tmp_path, report=stop)
    assert_same(trained(options, PACT_FOLDED, checkpoint_directory=tmp_path), unbroken)
    assert trained(options.replace(compile=Compile.OFF), PACT_FOLDED).compile_seconds == 0
