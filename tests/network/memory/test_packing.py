"""Bytes of packed activations and weights."""

from __future__ import annotations

import pytest

from network.allocation import Bits
from network.memory.packing import packed_row_bytes, packed_row_words, weight_tensor_bytes, whole_words


@pytest.mark.parametrize(
    ("elements", "bits", "row_bytes", "row_words"),
    [(1, 8, 1, 1), (4, 8, 4, 1), (5, 8, 5, 2), (8, 4, 4, 1), (9, 4, 5, 2), (16, 2, 4, 1), (17, 2, 5, 2), (7, 2, 2, 1)],
)
def test_rows_by_hand(elements: int, bits: Bits, row_bytes: int, row_words: int) -> None:
    assert (packed_row_bytes(elements, bits), packed_row_words(elements, bits)) == (row_bytes, row_words)


def test_whole_words() -> None:
    assert [whole_words(size) for size in (0, 1, 4, 5, 8)] == [0, 4, 4, 8, 8]


@pytest.mark.parametrize(
    ("shape", "is_depthwise", "bits", "size_bytes"),
    [
        ((5, 5, 3, 3), False, 4, 120),
        ((5, 1, 3, 3), True, 4, 28),
        ((5, 1, 3, 3), True, 2, 20),
        ((10, 33), False, 2, 120),
    ],
)
def test_weights_by_hand(shape: tuple[int, ...], is_depthwise: bool, bits: Bits, size_bytes: int) -> None:
    assert weight_tensor_bytes(shape, bits, is_depthwise=is_depthwise) == size_bytes
