"""Torch modules: what is left to the host, where a network can end, and refusals that list every cause."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  # torch's own habit
from torch import Tensor, nn

from network.errors import InvalidNetwork, RequestError, UnsupportedOperator
from qat.prepare import float_module
from qat.torch_reader import read_module
from tests.qat.torch_reader.onnx_of_graph import graph_and_results, results_of, unconverted

IMAGES = torch.randn(2, 3, 6, 6)


class Ended(nn.Module):
    """A small classifier with a function of its scores as its result."""

    def __init__(self, end: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.conv, self.classes, self.end = nn.Conv2d(3, 4, 3), nn.Linear(64, 5), end

    def forward(self, x: Tensor) -> Any:
        return self.end(self.classes(F.relu(self.conv(x)).flatten(1)))


ENDS: dict[str, tuple[Callable[[Tensor], Any], list[str]]] = {
    "sigmoid": (torch.sigmoid, ["Sigmoid of 'classes'"]),
    "tanh": (torch.tanh, ["Tanh of 'classes'"]),
    "softmax": (lambda y: y.softmax(-1), ["Softmax of 'classes'"]),
    "logarithm of softmax": (lambda y: F.log_softmax(y, 1), ["LogSoftmax of 'classes'"]),
    "argmax": (lambda y: y.argmax(1), ["ArgMax of 'classes'"]),
    "the largest, and its index": (
        lambda y: tuple(torch.topk(y, 2)),
        ["TopK of 'classes'", "TopK of 'classes'"],
    ),
    "a scaled sigmoid": (lambda y: torch.sigmoid(y) * 10 - 5, ["Sigmoid, Mul, Sub of 'classes'"]),
    "softmax, then the largest": (lambda y: y.softmax(1).max(1).values, ["Softmax, ReduceMax of 'classes'"]),
    "the second result of a maximum": (lambda y: y.max(1).indices, ["aten.max of 'classes'"]),
    "scores and probabilities": (lambda y: (y, y.softmax(1)), ["Softmax of 'classes'"]),
    "one part": (lambda y: y[:, 1:3], ["Slice of 'classes'"]),
    "two parts": (lambda y: torch.split(y, [2, 3], 1), ["Split of 'classes'", "Split of 'classes'"]),
    "swish": (F.silu, ["Swish of 'classes'"]),
    "an operator that ONNX does not have": (torch.erfinv, ["aten.erfinv of 'classes'"]),
    "nothing": (lambda y: y, []),
}


@pytest.mark.parametrize("end", ENDS)
def test_what_is_behind_the_last_layer_is_left_to_the_host(end: str) -> None:
    torch.manual_seed(1)
    function, steps = ENDS[end]
    module = Ended(function).eval()
    network = read_module(module, IMAGES)
    assert [str(each) for each in network.host_steps] == steps
    assert network.outputs == ("classes",)
    with torch.no_grad():
        scores = float_module(network)(IMAGES).flatten(1)
        torch.testing.assert_close(scores, Ended.forward(_with(module, lambda y: y), IMAGES), atol=1e-4, rtol=1e-4)


def _with(module: Ended, end: Callable[[Tensor], Any]) -> Ended:
    module.end = end
    return module


def test_a_sigmoid_and_a_softmax_of_two_heads() -> None:
    class TwoHeads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.which, self.whether = nn.Conv2d(3, 4, 3), nn.Linear(4, 5), nn.Linear(4, 1)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            y = F.relu(self.body(x)).mean((2, 3))
            return self.which(y).softmax(1), torch.sigmoid(self.whether(y))

    network = read_module(TwoHeads(), IMAGES)
    assert network.outputs == ("which", "whether")
    assert [str(each) for each in network.host_steps] == ["Softmax of 'which'", "Sigmoid of 'whether'"]


class Blocks(nn.Module):
    """Blocks of operators that are not supported, between convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.SiLU())
        self.mix = nn.Sequential(nn.Conv2d(8, 8, 1), nn.GELU(), nn.GroupNorm(2, 8))
        self.up = nn.Upsample(scale_factor=2)
        self.gate, self.last = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.up(self.mix(self.stem(x)))
        y = y * torch.sigmoid(self.gate(y.mean((2, 3), keepdim=True)))
        scores: Tensor = self.last(y).flatten(1)
        return scores


def test_a_refusal_lists_every_cause_at_once() -> None:
    with pytest.raises(UnsupportedOperator) as caught:
        read_module(Blocks(), IMAGES)
    message = str(caught.value)
    for part in (
        "cannot be read for 4 causes: (1) normalization by the statistics of each sample, 1 node",
        "operator aten.group_norm of module 'mix.2'",
        "(2) resizing, 1 node: operator aten.upsample_nearest2d of module 'up'",
        "(3) products",
        "aten.mul of the module",
        "(4) activation functions that need a table, 3 nodes: operator aten.silu of module 'stem.2'",
        "also operator aten.gelu of module 'mix.1', operator aten.sigmoid of the module",
        "--output 'stem.1'",
    ):
        assert part in message
        message = message[message.index(part) + len(part) :]
    assert "\n" not in str(caught.value)


REFUSED: dict[str, tuple[Callable[[], nn.Module], Callable[..., Tensor], tuple[str, ...]]] = {
    "a recurrent layer": (
        lambda: nn.LSTM(4, 5, batch_first=True),
        lambda y, part: part(y.flatten(2).transpose(1, 2))[0][:, -1],
        ("recurrent cells, 1 node: operator aten.lstm", "parts of tensors"),
    ),
    "the state of a recurrent layer": (
        lambda: nn.GRU(4, 5, batch_first=True),
        lambda y, part: part(y.flatten(2).transpose(1, 2))[1][0],
        ("operator aten.gru of module 'part' is not supported; recurrent layers",),
    ),
    "attention": (
        lambda: nn.MultiheadAttention(4, 2, batch_first=True),
        lambda y, part: part(*[y.flatten(2).transpose(1, 2)] * 3)[0].mean(1),
        ("attention, 1 node",),
    ),
    "parts": (
        lambda: nn.Conv2d(2, 2, 1),
        lambda y, part: torch.cat([part(y.chunk(2, 1)[0]), y], 1).mean((2, 3)),
        ("operator aten.split_with_sizes of the module is not supported; no layer reads a part",),
    ),
    "a channel shuffle": (
        lambda: nn.Conv2d(4, 4, 1),
        lambda y, part: part(y.view(-1, 2, 2, 4, 4).transpose(1, 2).reshape(-1, 4, 4, 4)).mean((2, 3)),
        ("are a channel shuffle, whose result operator aten.convolution of module 'part' reads",),
    ),
    "an embedding": (
        lambda: nn.Embedding(5, 3),
        lambda y, part: part(y.mean((2, 3)).argmax(1)),
        ("tables that an activation tensor looks up, 1 node: operator aten.embedding of module 'part'",
         "choices among the elements of a tensor, 1 node: operator aten.argmax"),
    ),
    "repeated elements": (
        nn.Identity, lambda y, part: part(y.mean((2, 3), keepdim=True).expand(-1, -1, 3, 3)).flatten(1),
        ("aten.expand of the module repeats elements",),
    ),
    "a transposed convolution": (
        lambda: nn.ConvTranspose2d(4, 2, 2), lambda y, part: part(y).mean((2, 3)),
        ("operator aten.convolution of module 'part' is a transposed convolution",),
    ),
}  # fmt: skip


class Refused(nn.Module):
    def __init__(self, part: nn.Module, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.conv, self.part, self.function = nn.Conv2d(3, 4, 3), part, function

    def forward(self, x: Tensor) -> Tensor:
        y = self.function(self.conv(x), self.part)
        return F.linear(y, torch.ones(2, y.shape[1]))


@pytest.mark.parametrize("case", REFUSED)
def test_a_layer_in_the_way_is_named_with_its_cause(case: str) -> None:
    part, function, parts = REFUSED[case]
    with pytest.raises(UnsupportedOperator) as caught:
        read_module(Refused(part(), function), IMAGES)
    for expected in parts:
        assert expected in str(caught.value)


def test_a_module_ends_at_named_tensors() -> None:
    module = Blocks().eval()
    network = read_module(module, IMAGES, outputs=["stem.1"])
    assert [layer.name for layer in network.layers] == ["stem.0"]
    with torch.no_grad():
        found = float_module(network)(IMAGES)
        torch.testing.assert_close(found, module.stem[:2](IMAGES).flatten(1), atol=1e-4, rtol=1e-4)
    with pytest.raises(RequestError, match=r"'stem.4', which no operator writes; close names are 'stem.*outputs are"):
        read_module(module, IMAGES, outputs=["stem.4"])


def test_random_numbers_are_no_step_of_the_host() -> None:
    with pytest.raises(UnsupportedOperator, match="draws random numbers"):
        read_module(Ended(lambda y: y + torch.rand(5)), IMAGES)


def test_a_module_without_layers_is_refused_although_the_host_could_compute_it() -> None:
    with pytest.raises((UnsupportedOperator, InvalidNetwork)):
        read_module(nn.Sequential(nn.Sigmoid()), IMAGES)


EQUAL_IN_ONNX = (
    "sigmoid", "tanh", "softmax", "logarithm of softmax", "argmax", "a scaled sigmoid", "softmax, then the largest",
    "scores and probabilities", "nothing",
)  # fmt: skip
"""Ends whose nodes are equal ONNX operators; the others only have the names of ONNX operators, for messages."""


@pytest.mark.parametrize("end", ENDS)
def test_the_nodes_for_the_host_are_equal_onnx_operators_or_marked(end: str) -> None:
    graph, expected = graph_and_results(Ended(ENDS[end][0]), IMAGES)
    assert (not unconverted(graph)) == (end in EQUAL_IN_ONNX)
    if end in EQUAL_IN_ONNX:
        for found, value in zip(results_of(graph, IMAGES), expected, strict=True):
            torch.testing.assert_close(torch.from_numpy(found), value, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "name", ["abs", "ceil", "cos", "erf", "exp", "floor", "neg", "reciprocal", "round", "sin", "sign"]
)
def test_an_elementwise_operator_for_the_host_is_equal_in_onnx(name: str) -> None:
    graph, expected = graph_and_results(Ended(getattr(torch, name)), IMAGES)
    (found,) = results_of(graph, IMAGES)
    torch.testing.assert_close(torch.from_numpy(found), expected[0], atol=1e-3, rtol=1e-3)
