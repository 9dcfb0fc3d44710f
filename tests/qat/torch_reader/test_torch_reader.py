"""A network read from a torch module computes what the module computes, and equals the network read from its ONNX."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  # torch's own habit
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from network.errors import InvalidNetwork, UnsupportedOperator
from network.layers import MaxPool, WeightLayer
from network.network import Network
from network.onnx_reading import read_onnx
from qat.prepare import float_module
from qat.torch_reader import read_module
from qat.torch_reader.advice import advice_for
from tests.qat.torch_reader import torch_definitions as definitions
from tests.qat.torch_reader.onnx_of_graph import graph_and_results, results_of

IMAGE = (3, 3, 32, 32)

MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "MobileNetV1": (definitions.mobilenet_v1, IMAGE),
    "MobileNetV2": (definitions.MobileNetV2, IMAGE),
    "ResNet8": (lambda: definitions.ResNet(1), IMAGE),
    "ResNet-20": (lambda: definitions.ResNet(3), IMAGE),
    "DS-CNN": (definitions.ds_cnn, (3, 1, 49, 10)),
    "DenseNet": (definitions.densenet, (3, 3, 16, 16)),
    "autoencoder": (definitions.autoencoder, (3, 40)),
}


class Applied(nn.Module):
    """A module that applies a function to its input and its submodules."""

    def __init__(self, function: Callable[..., Any], *modules: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.parts = nn.ModuleList(modules)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.function(x, *self.parts)
        return y


def assert_computes_the_same(network: Network, module: nn.Module, images: Tensor) -> None:
    with torch.no_grad():
        expected = module.eval()(images).flatten(1)
        inputs = network.only_input.format.to_input_tensor(images.numpy(), network.only_input.shape)
        found = float_module(network)(torch.from_numpy(inputs))
    if network.ends_in_softmax:
        found = found.softmax(1)
    torch.testing.assert_close(found, expected.float(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", MODULES)
def test_computes_what_the_module_computes_as_its_onnx_file_does(name: str) -> None:
    torch.manual_seed(3)
    build, dims = MODULES[name]
    module = definitions.lived_in(build(), torch.randn(8, *dims[1:]))
    images = torch.randn(dims)
    network = read_module(module, images, name)
    assert module.training
    assert network.name == name
    assert_computes_the_same(network, module, images)

    through_onnx = read_onnx(onnx_of(module, images), name)
    assert_computes_the_same(through_onnx, module, images)
    assert skeleton(network) == skeleton(through_onnx)


def onnx_of(module: nn.Module, example: Tensor) -> bytes:
    """Return the ONNX file that torch's older exporter writes; the newer exporter needs another package."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns that it is deprecated
        torch.onnx.export(
            module.eval(), (example,), content,  # type: ignore[arg-type]  # the older exporter takes files
            dynamo=False, opset_version=17, do_constant_folding=False,
            training=torch.onnx.TrainingMode.PRESERVE,
        )  # fmt: skip
    return content.getvalue()


def skeleton(network: Network) -> list[tuple[object, ...]]:
    """Return the structure of a network without names and numbers."""
    places = {tensor: place for place, tensor in enumerate(network.tensors)}
    return [
        (
            layer.kind,
            [places[tensor] for tensor in layer.inputs],
            network.shapes[layer.output],
            layer.activation,
            isinstance(layer, WeightLayer) and layer.batch_norm is not None,
        )
        for layer in network.layers
    ]


def flat(x: Tensor) -> Tensor:
    return x.flatten(1)


def in_place_on_a_view(x: Tensor, conv: nn.Module) -> Tensor:
    y = conv(x)
    y.flatten(1).relu_()  # it changes y too
    return flat(y + 1)


FORMS: dict[str, Applied] = {
    "convolution: stride, dilation, groups, uneven padding": Applied(
        lambda x, a, b: flat(b(a(x))),
        nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 2), (1, 2), 2),
        nn.Conv2d(6, 4, 1, bias=False),
    ),
    "convolution: padding by name": Applied(
        lambda x, a, b: flat(b(a(x))),
        nn.Conv2d(4, 4, (3, 5), padding="same"),
        nn.Conv2d(4, 4, 3, padding="valid", dilation=2),
    ),
    "clamps": Applied(
        lambda x, a, b, c, d: flat(
            F.hardtanh(d(torch.clamp(c(F.relu6(b(a(x).clamp(-0.3, 0.7)))), max=0.4)).clamp(min=0), -0.2, 0.3)
        ),
        *(nn.Conv2d(4, 4, 1) for _ in range(4)),
    ),
    "clamps by comparing with a number": Applied(
        lambda x, conv: flat(torch.minimum(torch.maximum(conv(x), torch.tensor(0.0)), torch.tensor(0.5))),
        nn.Conv2d(4, 4, 3),
    ),
    "constants around a convolution": Applied(
        lambda x, conv: flat((1 - conv(x) * 2) / 3 + torch.arange(4.0).view(4, 1, 1)), nn.Conv2d(4, 4, 3)
    ),
    "batch norm without weights, and one behind a ReLU": Applied(
        lambda x, first, conv, norm: flat(norm(F.relu(conv(F.relu(first(x)))))),
        nn.BatchNorm2d(4, affine=False),
        nn.Conv2d(4, 4, 3),
        nn.BatchNorm2d(4, eps=0.1),
    ),
    "max pools": Applied(
        lambda x, conv: flat(F.max_pool2d(F.max_pool2d(conv(x), 3, 2, 1, ceil_mode=True), (2, 1))),
        nn.Conv2d(4, 4, 3),
    ),
    "average pools": Applied(
        lambda x, conv: flat(
            F.avg_pool2d(F.avg_pool2d(conv(x), 3, 2, 1, count_include_pad=False), 2, 1, 1, count_include_pad=True)
        ),
        nn.Conv2d(4, 4, 3),
    ),
    "adaptive pools": Applied(
        lambda x, conv: flat(F.adaptive_max_pool2d(F.adaptive_avg_pool2d(conv(x), (6, None)), (3, 2))),
        nn.Conv2d(4, 4, 3, padding=1),
    ),
    "reductions": Applied(
        lambda x, conv: torch.cat(
            [conv(x).mean((2, 3)), conv(x).amax((-1, -2)), conv(x).mean(-1, keepdim=True).mean(2).flatten(1)], 1
        ),
        nn.Conv2d(4, 4, 3),
    ),
    "the largest of each row": Applied(lambda x, conv: flat(conv(x).max(3, keepdim=True).values), nn.Conv2d(4, 4, 3)),
    "zeros around, and among the channels": Applied(
        lambda x, a, b: flat(F.pad(b(F.pad(a(x), (1, 2, 3, 0))), (0, 0, 0, 0, 2, 1))),
        nn.Conv2d(4, 3, 3),
        nn.Conv2d(3, 3, 3),
    ),
    "every second pixel, zeros among the channels": Applied(
        lambda x, conv: flat(F.pad(conv(x)[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))),
        nn.Conv2d(4, 4, 3),
    ),
    "every third row": Applied(lambda x, conv: flat(conv(x)[:, :, ::3]), nn.Conv2d(4, 4, 3)),
    "views that only flatten": Applied(
        lambda x, conv, fc: fc(conv(x).squeeze(3).unsqueeze(3).reshape(len(x), 4, -1).transpose(1, 2).flatten(1)),
        nn.Conv2d(4, 4, (3, 10)),
        nn.Linear(40, 3),
    ),
    "channels last, then flattened": Applied(
        lambda x, conv, fc: fc(conv(x).permute(0, 2, 3, 1).contiguous().view(len(x), -1)),
        nn.Conv2d(4, 4, 3),
        nn.Linear(320, 3),
    ),
    "a change in place through a view": Applied(in_place_on_a_view, nn.Conv2d(4, 4, 3)),
    "one module, called twice": Applied(
        lambda x, conv, relu: flat(relu(conv(relu(conv(x))))), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()
    ),
    "a normalised weight": Applied(lambda x, conv: flat(conv(x)), parametrizations.weight_norm(nn.Conv2d(4, 4, 3))),
    "identities and dropout": Applied(
        lambda x, identity, dropout, conv: flat(dropout(conv(identity(x))[:, :])),
        nn.Identity(),
        nn.Dropout2d(),
        nn.Conv2d(4, 4, 3),
    ),
    "matrix products without a bias": Applied(
        lambda x, a, b: F.relu(b(a(flat(x)))), nn.Linear(480, 5, bias=False), nn.Linear(5, 4)
    ),
}


class Together(nn.Module):
    """A module that applies all forms to one input: exporting them one by one would need half a second each."""

    def __init__(self) -> None:
        super().__init__()
        self.forms = nn.ModuleList(FORMS.values())

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(form(x) for form in self.forms)


@pytest.fixture(scope="module")
def together() -> tuple[list[Tensor], list[Tensor], Network]:
    """Return the module's outputs and the outputs of the network read from it, one per form, and the network."""
    torch.manual_seed(4)
    module = Together()
    definitions.lived_in(module, torch.randn(8, 4, 12, 10))
    images = torch.randn(2, 4, 12, 10)
    network = read_module(module, images)
    with torch.no_grad():
        tensors = float_module(network).tensors(images)
        return list(module.eval()(images)), [tensors[output] for output in network.outputs], network


@pytest.mark.parametrize("form", FORMS)
def test_every_form_computes_what_the_module_computes(
    form: str, together: tuple[list[Tensor], list[Tensor], Network]
) -> None:
    expected, found, _ = together
    place = list(FORMS).index(form)
    torch.testing.assert_close(found[place].flatten(1), expected[place], atol=1e-4, rtol=1e-4)


def test_the_graph_of_all_forms_is_valid_onnx_and_computes_what_the_module_computes() -> None:
    torch.manual_seed(4)
    images = torch.randn(2, 4, 12, 10)
    graph, expected = graph_and_results(definitions.lived_in(Together(), torch.randn(8, 4, 12, 10)), images)
    for found, value in zip(results_of(graph, images), expected, strict=True):
        torch.testing.assert_close(torch.from_numpy(found), value, atol=1e-4, rtol=1e-4)


def test_slices_of_rows_and_columns_are_one_pool(together: tuple[list[Tensor], list[Tensor], Network]) -> None:
    pools = [layer for layer in together[2].layers if isinstance(layer, MaxPool) and layer.kernel == (1, 1)]
    assert [pool.stride for pool in pools] == [(2, 2), (3, 1)]


OF_OTHER_SHAPES: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "a sequence": (
        Applied(
            lambda x, conv, norm, pool, fc: fc(flat(pool(F.avg_pool1d(F.relu(norm(conv(x))), 2)))),
            nn.Conv1d(3, 6, 3, 2, 1),
            nn.BatchNorm1d(6),
            nn.MaxPool1d(2),
            nn.Linear(6 * 4, 5),
        ),
        (2, 3, 32),
    ),
    "an image with its channels last": (
        Applied(lambda x, conv: flat(conv(x.permute(0, 3, 1, 2))), nn.Conv2d(3, 4, 3)),
        (2, 6, 5, 3),
    ),
    "a batch of one": (
        Applied(lambda x, conv, fc: fc(conv(x).view(1, -1)), nn.Conv2d(3, 4, 3), nn.Linear(64, 3)),
        (1, 3, 6, 6),
    ),
}


@pytest.mark.parametrize("form", OF_OTHER_SHAPES)
def test_inputs_of_other_shapes(form: str) -> None:
    torch.manual_seed(4)
    module, dims = OF_OTHER_SHAPES[form]
    definitions.lived_in(module, torch.randn(8, *dims[1:]) if dims[0] > 1 else torch.randn(dims))
    images = torch.randn(dims)
    assert_computes_the_same(read_module(module, images), module, images)


def test_normalisation_inside_the_module_becomes_the_input_format() -> None:
    def forward(x: Tensor, conv: nn.Module) -> Tensor:
        mean = torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1)
        return flat(conv((x.float() / 255 - mean) / 0.25))

    module, images = Applied(forward, nn.Conv2d(3, 4, 3)), torch.randint(0, 256, (1, 3, 6, 6), dtype=torch.uint8)
    network = read_module(module, images)
    assert [layer.kind for layer in network.layers] == ["convolution"]
    assert network.only_input.format.subtract == pytest.approx((102, 127.5, 153))
    assert_computes_the_same(network, module, images)


def test_halves_are_read_as_float32() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).to(torch.bfloat16)
    network = read_module(module, torch.randn(2, 3, 5, 5, dtype=torch.bfloat16))
    (layer,) = network.weight_layers
    assert layer.weight is not None
    assert layer.weight.dtype == "float32"
    weight = dict(module.named_parameters())["0.weight"].detach()
    torch.testing.assert_close(torch.from_numpy(layer.weight), weight.float())


def test_layers_carry_the_paths_of_their_modules_which_are_left_as_they_were() -> None:
    module = definitions.lived_in(definitions.MobileNetV2(), torch.randn(4, 3, 32, 32))
    module.train()
    module.get_submodule("stem.1").eval()
    modes = {name: part.training for name, part in module.named_modules()}
    before = {name: value.clone() for name, value in module.state_dict().items()}
    network = read_module(module, torch.randn(2, 3, 32, 32))
    assert {name: part.training for name, part in module.named_modules()} == modes
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())

    names = [layer.name for layer in network.layers]
    assert (network.name, network.only_input.name) == ("MobileNetV2", "x")
    assert names[:3] == ["stem.0", "blocks.0.body.0", "blocks.0.body.3"]
    assert "blocks.2.add" in names
    assert names[-2:] == ["mean", "classifier.1"]
    assert network.shapes["stem.2"].channels == 8
    assert network.outputs == ("classifier.1",)


@pytest.mark.parametrize(
    ("operator", "advice"),
    [
        ("aten.silu", "ReLU6"),
        ("aten.gelu", "ReLU6"),
        ("aten.sigmoid", "apply it to the output in your application"),
        ("aten.group_norm", "use batch norm"),
        ("aten.layer_norm", "use batch norm"),
        ("aten._native_batch_norm_legit", "track_running_stats=True"),
        ("aten.upsample_bilinear2d", "enlarge an image"),
        ("aten.pixel_shuffle", "enlarge an image"),
        ("aten.lstm", "recurrent"),
        ("aten.split_with_sizes", "two convolutions"),
        ("aten.topk", "make the choice in the application"),
        ("aten.sin", "supported are convolutions"),
    ],
)
def test_advice_goes_with_the_operator(operator: str, advice: str) -> None:
    assert advice in advice_for(operator)


class Counts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.register_buffer("calls", torch.zeros(()))
        self.calls: Tensor

    def forward(self, x: Tensor) -> Tensor:
        self.calls.add_(1)
        return flat(self.conv(x))


class Nested(nn.Module):
    def __init__(self, name: str, part: nn.Module) -> None:
        super().__init__()
        self.add_module(name, nn.Sequential(nn.Conv2d(3, 4, 3), part))

    def forward(self, x: Tensor) -> Tensor:
        (part,) = self.children()
        y = part(x).flatten(1)
        return F.linear(y, torch.ones(2, y.shape[1]))  # what is at the end would be left to the host


REFUSED_PARTS: dict[str, tuple[nn.Module, str]] = {
    "hardswish": (nn.Hardswish(), "aten.hardswish of module 'block.1' is not supported; .*ReLU6"),
    "batch statistics": (nn.BatchNorm2d(4, track_running_stats=False), "'block.1' .*track_running_stats=True"),
    "transposed convolution": (
        nn.ConvTranspose2d(4, 4, 2),
        "aten.convolution .* a transposed convolution; .*enlarge an image",
    ),
    "a part of the rows": (Applied(lambda x: x[:, :, 1::2]), "aten.slice of module 'block.1' .*two convolutions"),
    "a gate": (
        nn.Sequential(Applied(lambda x: x * x.mean((2, 3), keepdim=True)), nn.Conv2d(4, 4, 1)),
        "aten.mul of module 'block.1.0' combines",
    ),
    "no table row": (Applied(torch.sin), "aten.sin of module 'block.1' is not supported; supported are convolutions"),
    "uneven windows": (nn.AdaptiveAvgPool2d(3), r"'block.1' pools an image of \[4, 4\] pixels to \[3, 3\]"),
    "another divisor": (nn.AvgPool2d(2, divisor_override=3), "'block.1' is called with divisor_override=3"),
    "weighted sum": (Applied(lambda x: torch.add(x, x, alpha=2)), "alpha=2"),
    "a second result": (
        Applied(lambda x: F.max_pool2d(x, 2, return_indices=True)[1].float()),
        "'block.1' has a second result that is read",
    ),
    "chance": (Applied(lambda x: x + torch.rand(1, 4, 1, 1)), "'block.1' draws random numbers"),
}


@pytest.mark.parametrize("part", REFUSED_PARTS)
def test_an_unsupported_operator_is_named_with_its_module(part: str) -> None:
    module, message = REFUSED_PARTS[part]
    with pytest.raises(UnsupportedOperator, match=message) as caught:
        read_module(Nested("block", module), torch.randn(2, 3, 6, 6))
    assert "\n" not in str(caught.value)


REFUSED_MODULES: dict[str, tuple[nn.Module, str]] = {
    "a state": (Counts(), "changes its tensor 'calls'"),
    "a branch by value": (
        Applied(lambda x: x if x.sum() > 0 else -x),
        "fails on Applied .*without branches that depend",
    ),
    "an error of its own": (
        Applied(lambda x: torch.relu(dict[str, Tensor]()["no"])),
        "fails on Applied .*KeyError",
    ),
    "two inputs": (nn.Bilinear(2, 2, 2), "with this tensor as its only argument"),
    "nothing": (nn.Identity(), "no layer"),
    "weights that are not there": (nn.Conv2d(3, 4, 3, device="meta"), "has no data"),
    "a constant": (Applied(lambda x: torch.ones(3)), "does not depend on the input"),
    "a number in the result": (Applied(lambda x, conv: (conv(x), 3), nn.Conv2d(3, 4, 3)), "returns '?3"),
}


@pytest.mark.parametrize("case", REFUSED_MODULES)
def test_a_module_that_is_not_a_network_is_rejected(case: str) -> None:
    module, message = REFUSED_MODULES[case]
    with pytest.raises((UnsupportedOperator, InvalidNetwork), match=message) as caught:
        read_module(module, torch.randn(2, 3, 6, 6))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("module", "example", "message"),
    [
        (nn.Linear(3, 2), torch.randn(3), "expected 2 to 4"),
        (nn.Conv3d(1, 1, 1), torch.randn(1, 1, 2, 2, 2), "expected 2 to 4"),
        (nn.Linear(3, 2), torch.randn(0, 3), "expected 2 to 4"),
        (nn.Linear(3, 2), [[1.0, 2.0, 3.0]], "expected a torch.nn.Module and a tensor"),
        (torch.relu, torch.randn(2, 3), "expected a torch.nn.Module and a tensor"),
    ],
)
def test_an_invalid_module_or_input_is_rejected(module: nn.Module, example: Tensor, message: str) -> None:
    with pytest.raises((UnsupportedOperator, InvalidNetwork), match=message):
        read_module(module, example)


class Tied(nn.Module):
    """A module in which two convolutions, a convolution that is called twice, and two linear layers have one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.one, self.two = (nn.Conv2d(n, 8, 3, padding=1) for n in (3, 8, 8))
        self.two.weight = self.one.weight
        self.norm = nn.BatchNorm2d(8)
        self.up, self.down = nn.Linear(8, 8), nn.Linear(8, 8, bias=False)
        self.down.weight = self.up.weight

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.one(torch.relu(self.first(x))))
        x = self.one(torch.relu(self.norm(self.two(x)))).mean((2, 3))
        y: Tensor = self.down(torch.relu(self.up(x)))
        return y


def test_one_parameter_of_several_layers_is_one_weight_tensor() -> None:
    module, images = Tied(), torch.rand(2, 3, 8, 8)
    network = read_module(module, images)
    assert_computes_the_same(network, module, images)
    assert list(network.weight_owners.sharing.values()) == [("one", "two", "one_2"), ("up", "down")]
