"""Modules in other memory formats, modes and types of numbers are read as the module in its usual form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  # torch's own habit
from torch import Tensor, nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm

from network.errors import UnsupportedOperator
from qat.prepare import float_module
from qat.torch_reader import read_module
from tests.qat.torch_reader import torch_definitions as definitions


class Pooled(nn.Module):
    """One convolution whose result is pooled and flattened in many ways; each way has its own linear layer.

    Args:
        change: Function that is applied to the image before it is pooled.
    """

    WAYS: tuple[Callable[[Tensor], Tensor], ...] = (
        lambda y: F.adaptive_avg_pool2d(y, 1).flatten(1),
        lambda y: F.adaptive_avg_pool2d(y, (1, 1)).squeeze(-1).squeeze(-1),
        lambda y: F.adaptive_avg_pool2d(y, 1)[:, :, 0, 0],
        lambda y: F.adaptive_avg_pool2d(y, (2, 3)).flatten(1),
        lambda y: F.adaptive_avg_pool2d(y, (None, 1)).flatten(1),
        lambda y: F.adaptive_avg_pool2d(y, (y.shape[2], y.shape[3])).flatten(1),
        lambda y: F.adaptive_max_pool2d(y, 1).flatten(1),
        lambda y: F.adaptive_max_pool2d(y, (4, 2)).flatten(1),
        lambda y: F.adaptive_max_pool2d(y, 2, return_indices=True)[0].flatten(1),
        lambda y: y.mean([2, 3]),
        lambda y: y.mean((-1, -2), keepdim=True).view(len(y), -1),
        lambda y: y.mean(-1).mean(-1),
        lambda y: F.avg_pool2d(y, y.shape[2:]).reshape(len(y), -1),
        lambda y: F.max_pool2d(F.avg_pool2d(y, 2), 2, ceil_mode=True).flatten(1),
        lambda y: y.contiguous().view(len(y), -1),
        lambda y: y.contiguous(memory_format=torch.channels_last).mean((2, 3)),
        lambda y: F.adaptive_avg_pool2d(F.pad(y, (1, 0, 0, 1)), 1).flatten(1),
        lambda y: F.adaptive_avg_pool2d(torch.cat([y, y + y], 1), 1).flatten(1),
        lambda y: F.adaptive_avg_pool2d(y.permute(0, 2, 3, 1).permute(0, 3, 1, 2), 1).flatten(1),
        lambda y: F.adaptive_avg_pool2d(F.dropout2d(y, 0.5, training=False), 1).flatten(1),
    )

    def __init__(self, change: Callable[[Tensor], Tensor] = torch.relu) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(6)
        self.conv = parametrizations.weight_norm(nn.Conv2d(3, 6, 3, 1, 1))
        self.change = change
        image = torch.zeros(1, 6, 8, 6)
        self.ends = nn.ModuleList(
            nn.Sequential(nn.Flatten(), nn.Dropout(0.1), nn.Identity(), nn.Linear(way(image).shape[1], 3))
            for way in self.WAYS
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        y = self.change(self.norm(self.conv(x)))
        return tuple(end(way(y)) for way, end in zip(self.WAYS, self.ends, strict=True))


class Camera(nn.Module):
    """A network that permutes images with their channels last, as a camera driver gives them."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Pooled()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        y: tuple[Tensor, ...] = self.net(x.permute(0, 3, 1, 2))
        return y


def with_channels_last(module: Any) -> nn.Module:
    """Return a module with its weights in the memory format channels last, which torch's types leave out."""
    changed: nn.Module = module.to(memory_format=torch.channels_last)
    return changed


IMAGES = (2, 3, 8, 6)

FORMATS: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {
    "as usual": lambda: (Pooled(), torch.randn(IMAGES)),
    "a module with channels last": lambda: (with_channels_last(Pooled()), torch.randn(IMAGES)),
    "a module and images with channels last": lambda: (
        with_channels_last(Pooled()),
        torch.randn(IMAGES).to(memory_format=torch.channels_last),
    ),
    "one image with channels last": lambda: (
        with_channels_last(Pooled()),
        torch.randn(1, *IMAGES[1:]).to(memory_format=torch.channels_last),
    ),
    "images with channels last": lambda: (Pooled(), torch.randn(IMAGES).to(memory_format=torch.channels_last)),
    "images that are permuted": lambda: (Camera(), torch.randn(2, 8, 6, 3)),
    "a change of the format inside": lambda: (
        Pooled(lambda y: torch.relu(y).to(memory_format=torch.channels_last)),
        torch.randn(IMAGES),
    ),
    "images that are a part of larger ones": lambda: (Pooled(), torch.randn(2, 3, 12, 9)[:, :, 2:10, 1:7]),
    "double precision": lambda: (Pooled().double(), torch.randn(IMAGES, dtype=torch.float64)),
}


@pytest.mark.parametrize("form", FORMATS)
def test_a_memory_format_does_not_change_the_network(form: str) -> None:
    torch.manual_seed(2)
    module, images = FORMATS[form]()
    definitions.lived_in(module, torch.randn(8, *images.shape[1:], dtype=images.dtype))
    module.train()
    formats = {name: value.stride() for name, value in module.state_dict().items()}
    network = read_module(module, images)
    assert module.training
    assert {name: value.stride() for name, value in module.state_dict().items()} == formats
    inputs = network.only_input.format.to_input_tensor(images.float().numpy(), network.only_input.shape)
    with torch.no_grad():
        expected = module.eval()(images)
        tensors = float_module(network).tensors(torch.from_numpy(inputs))
    assert len(network.outputs) == len(Pooled.WAYS)
    for output, value in zip(network.outputs, expected, strict=True):
        torch.testing.assert_close(tensors[output].flatten(1), value.float(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_with_channels_last_are_read_as_float32(dtype: torch.dtype) -> None:
    module = with_channels_last(Pooled().to(dtype))
    network = read_module(module, torch.randn(IMAGES, dtype=dtype))
    assert {str(layer.weight.dtype) for layer in network.weight_layers if layer.weight is not None} == {"float32"}
    assert len(network.outputs) == len(Pooled.WAYS)


@pytest.mark.parametrize(
    "parametrized",
    [weight_norm, spectral_norm, parametrizations.weight_norm, parametrizations.spectral_norm],
    ids=["weight_norm hook", "spectral_norm hook", "weight_norm", "spectral_norm"],
)
@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")
def test_weights_that_a_module_computes_are_read(parametrized: Callable[[nn.Module], nn.Module]) -> None:
    module = nn.Sequential(parametrized(nn.Conv2d(3, 4, 3)), nn.Flatten(), parametrized(nn.Linear(96, 2))).eval()
    images = torch.randn(IMAGES)
    with torch.no_grad():
        expected = module(images)
        found = float_module(read_module(module, images))(images)
    torch.testing.assert_close(found.flatten(1), expected, atol=1e-4, rtol=1e-4)


class Strided(nn.Module):
    def __init__(self, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 1), nn.LazyLinear(2)
        self.view = size, stride, offset

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc(torch.as_strided(self.conv(x), *self.view).flatten(1))
        return y


STRIDED: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "the same": ((2, 4, 8, 6), (192, 48, 6, 1)),
    "channels last": ((2, 8, 6, 4), (192, 6, 1, 48)),
}

OTHER_ELEMENTS: dict[str, tuple[tuple[int, ...], tuple[int, ...], int]] = {
    "windows that overlap": ((2, 4, 4, 6), (192, 48, 6, 1), 0),
    "every row twice": ((2, 4, 8, 6), (192, 48, 0, 1), 0),
    "rows as columns of equal extent": ((2, 4, 8, 6), (192, 48, 1, 8), 0),
    "an offset": ((2, 4, 8, 6), (192, 48, 6, 1), 1),
    "another number of dimensions": ((2, 4, 48), (192, 48, 1), 0),
}


@pytest.mark.parametrize("case", STRIDED)
def test_strides_that_reorder_dimensions_are_read(case: str) -> None:
    module, images = Strided(*STRIDED[case]), torch.randn(IMAGES)
    with torch.no_grad():
        expected = module(images)
        found = float_module(read_module(module, images))(images)
    torch.testing.assert_close(found.flatten(1), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("case", OTHER_ELEMENTS)
def test_strides_that_choose_other_elements_are_refused(case: str) -> None:
    size, stride, offset = OTHER_ELEMENTS[case]
    images = torch.randn(3, *IMAGES[1:])[:2]
    module = Strided(size, stride, offset)
    module.conv.register_forward_hook(lambda _module, _inputs, y: F.pad(y, (0, 0, 0, 0, 0, 0, 0, 1))[:2])
    with torch.no_grad():
        module(images)
    with pytest.raises(UnsupportedOperator, match=r"as_strided.* expected a view that has the same elements"):
        read_module(module, images)
