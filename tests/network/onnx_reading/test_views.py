"""Test views against numpy: chains of reshapes and transposes give the same elements in the same order."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from network.layers import Shape
from network.onnx_reading.views import (
    Loop,
    View,
    channels_last_view,
    contiguous_walk,
    image_shape,
    image_view,
    merge_loops,
)


@st.composite
def factorings(draw: st.DrawFn, elements: int) -> tuple[int, ...]:
    dims: list[int] = []
    while elements > 1 and len(dims) < 4:
        divisors = [divisor for divisor in range(1, elements + 1) if elements % divisor == 0]
        dims.append(draw(st.sampled_from(divisors)))
        elements //= dims[-1]
    return tuple(draw(st.permutations([*dims, elements])))


@given(st.data())
def test_chains_of_moves(data: st.DataObject) -> None:
    shape = Shape(*data.draw(st.tuples(*[st.sampled_from([1, 2, 3, 4, 6])] * 3)))
    theirs = np.arange(shape.elements).reshape(shape)
    ours = image_view("t", shape, 3)
    for _ in range(data.draw(st.integers(0, 5))):
        if data.draw(st.booleans()):
            order = tuple(data.draw(st.permutations(range(len(ours.dims)))))
            moved = ours.transposed(order)
            if moved is None:
                break
            ours, theirs = moved, theirs.transpose(order)
        else:
            dims = data.draw(factorings(ours.elements))
            ours, theirs = ours.reshaped(dims), theirs.reshape(dims)
    assert ours.dims == theirs.shape
    np.testing.assert_array_equal(ours.element_indices(), theirs.reshape(-1))
    assert ours.is_contiguous == (theirs.reshape(-1) == np.arange(shape.elements)).all()


def test_the_docstrings_table() -> None:
    whole = image_view("t", Shape(3, 2, 2), 3)
    assert whole.walk == (Loop(12, 1),)
    last = whole.transposed((1, 2, 0))
    assert last is not None
    assert (last.dims, last.walk) == ((2, 2, 3), (Loop(4, 1), Loop(3, 4)))
    assert last.reshaped((12,)).walk == last.walk
    assert last.transposed((2, 0, 1)) == whole
    assert channels_last_view("t", Shape(3, 2, 2), 3) == last


def test_a_loop_that_cannot_be_divided_between_two_dimensions() -> None:
    last = channels_last_view("t", Shape(3, 2, 2), 3)
    assert last.reshaped((2, 6)).transposed((1, 0)) is not None  # rows outside, columns and channels inside
    assert last.reshaped((6, 2)).axes() is None  # 3 channels are not a number of pairs


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_transposes_cancel(order: tuple[int, ...]) -> None:
    whole = image_view("t", Shape(4, 3, 2), 3)
    there = whole.transposed(order)
    assert there is not None
    assert there.transposed(tuple(order.index(axis) for axis in range(3))) == whole


def test_costs_do_not_grow_with_the_elements() -> None:
    view = image_view("t", Shape(2**40, 2**20, 2**20), 3).transposed((1, 2, 0))
    assert view is not None
    assert view.walk == (Loop(2**40, 1), Loop(2**40, 2**40))


@pytest.mark.parametrize(
    ("loops", "walk"),
    [
        ([], ()),
        ([Loop(1, 7)], ()),
        ([Loop(3, 4), Loop(4, 1)], (Loop(12, 1),)),
        ([Loop(3, 4), Loop(1, 99), Loop(4, 1)], (Loop(12, 1),)),
        ([Loop(4, 1), Loop(3, 4)], (Loop(4, 1), Loop(3, 4))),
    ],
)
def test_merging(loops: list[Loop], walk: tuple[Loop, ...]) -> None:
    assert merge_loops(loops) == walk


def test_reshaping_keeps_the_number_of_elements() -> None:
    with pytest.raises(ValueError, match="12 elements"):
        View("t", (12,), contiguous_walk(12)).reshaped((5,))


@pytest.mark.parametrize(
    ("dims", "shape"), [((3, 4, 5), Shape(3, 4, 5)), ((3, 5), Shape(3, 1, 5)), ((3,), Shape(3)), ((1, 2, 3, 4), None)]
)
def test_dimensions_as_an_image(dims: tuple[int, ...], shape: Shape | None) -> None:
    assert image_shape(dims) == shape
    assert shape is None or math.prod(dims) == shape.elements
