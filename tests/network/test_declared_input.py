"""The normalisation that a user declares: values, composition with the file's own, and identity."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from network.declared_input import DeclaredInput
from network.errors import RequestError
from network.layers import Add, FullyConnected, Shape
from network.network import Network
from network.network_input import InputFormat, NetworkInput


def network(**changes: Any) -> Network:
    layer = FullyConnected(name="fc", inputs=("x",), output="y", output_channels=2)
    given = InputFormat((3, 4, 5), subtract=(1.0, 2.0, 3.0), multiply=(0.5,))
    return Network("n", (NetworkInput("x", Shape(3, 4, 5), replace(given, **changes)),), (layer,), ("y",))


@pytest.mark.parametrize(
    ("mean", "scale"), [(127.5, None), (None, -0.25), ([4, 5, 6], 2.0), ((4.0, 5.0, 6.0), np.array([0.1, 0.2, -3.0]))]
)
@pytest.mark.parametrize("subtract", [(1.0, 2.0, 3.0), (0.0,)])
def test_the_file_sees_the_declared_input(mean: Any, scale: Any, subtract: tuple[float, ...]) -> None:
    samples = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    shape = Shape(3, 4, 5)
    given = network(subtract=subtract)

    def rows(value: Any, default: float) -> np.ndarray:
        return np.asarray(default if value is None else value).reshape(-1, 1, 1)

    before = (samples - rows(mean, 0.0)) * rows(scale, 1.0)
    expected = given.only_input.format.to_input_tensor(before, shape)
    declared = DeclaredInput.of(mean, scale).applied_to(given)
    np.testing.assert_allclose(
        declared.only_input.format.to_input_tensor(samples, shape), expected, rtol=1e-4, atol=1e-4
    )
    assert declared.layers is given.layers


def test_numbers_are_declared_for_one_input_only() -> None:
    both = network()
    other = NetworkInput("other", Shape(3, 4, 5), InputFormat((3, 4, 5)))
    layer = Add(name="sum", inputs=("y", "z"), output="both")
    second = FullyConnected(name="second", inputs=("other",), output="z", output_channels=2)
    both = replace(both, inputs=(*both.inputs, other), layers=(*both.layers, second, layer), outputs=("both",))
    assert DeclaredInput().applied_to(both) is both
    with pytest.raises(RequestError, match=r"were given for a network with 2 inputs \(x, other\); expected a network"):
        DeclaredInput.of(127.5, None).applied_to(both)


def test_a_text_has_commas_between_its_numbers() -> None:
    assert DeclaredInput.of_text("123.675, 1e2,-3", "0.5") == DeclaredInput((123.675, 100.0, -3.0), (0.5,))
    assert not DeclaredInput.of_text(None, None).changes_samples
    assert DeclaredInput.of_text("0", "1").network_id("ab") == "ab"


@pytest.mark.parametrize(
    ("mean", "scale", "expected"),
    [
        ("1,,2", None, "input_mean is '1,,2'; expected a number, or numbers with commas between them"),
        ("", None, "expected a number"),
        (None, "a" * 500, "input_scale is 'aaaa"),
        ("nan", None, "expected one or more finite numbers"),
        (None, "1,inf", "expected one or more finite numbers"),
        (None, "1,0,1", "input_scale is 1, 0, 1; expected numbers other than 0"),
        ("1" * 200_000, None, "has 200000 characters"),
    ],
)
def test_refuses_other_texts(mean: str | None, scale: str | None, expected: str) -> None:
    with pytest.raises(RequestError, match=expected):
        DeclaredInput.of_text(mean, scale)


@pytest.mark.parametrize(
    ("mean", "scale", "expected"),
    [
        ([1, 2], None, "input_mean has 2 numbers; expected 1, or 3: one for each channel"),
        (None, [1, 2, 3, 4], "input_scale has 4 numbers; expected 1, or 3"),
        (1e308, 1e-308, "zero or not finite"),
        (None, 1e-320, "zero or not finite"),
    ],
)
def test_refuses_what_does_not_fit_the_network(mean: Any, scale: Any, expected: str) -> None:
    with pytest.raises(RequestError, match=expected):
        DeclaredInput.of(mean, scale).applied_to(network(multiply=(1e-10,)))


@pytest.mark.parametrize("value", ["12", [], [[1.0]], {"a": 1}])
def test_refuses_other_values(value: Any) -> None:
    with pytest.raises(RequestError, match="input_mean is"):
        DeclaredInput.of(value, None)


def test_a_declaration_makes_another_network() -> None:
    digest = hashlib.sha256(b"file").hexdigest()
    texts = [("127.5", None), ("127.5", "2"), ("0", "127.5"), ("1,2,3", None), (None, "1,2,3")]
    ids = {DeclaredInput.of_text(*each).network_id(digest) for each in texts}
    assert len(ids) == len(texts)
    assert digest not in ids
    assert all(len(each) == 64 for each in ids)
