"""Sizes as people write them, and bits."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from network.allocation import as_bits, halved
from network.budget import MAX_BUDGET_BYTES, Budget, parse_size_bytes
from network.errors import RequestError


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("1", 1), ("512000", 512_000), (2_048_000, 2_048_000), ("60kB", 60_000), ("60 kB", 60_000), ("60KB", 60_000),
        ("512KiB", 524_288), ("512 kiB", 524_288), ("2MB", 2_000_000), ("2MiB", 2_097_152), ("1.5MiB", 1_572_864),
        ("20GB", 20_000_000_000), ("4GiB", 2**32),
        ("0.5 kB", 500), ("1.024kB", 1024), ("0.001kB", 1), ("7B", 7), (" 8 ", 8), ("1.0", 1), ("1048576MiB", 2**40),
    ],
)  # fmt: skip
def test_sizes(text: str | int, size_bytes: int) -> None:
    assert parse_size_bytes(text, "flash") == size_bytes


NO_SIZES: list[tuple[Any, str]] = [
    ("", "expected bytes"), ("kB", "expected bytes"), ("-1", "expected bytes"), (-1, "expected bytes"),
    ("1e3", "expected bytes"), ("1.5", "whole number"), ("0.0001kB", "whole number"),
    ("60kb/s", "expected bytes"), ("60 TB", "unit 'TB'"), ("60 mB", "unit 'mB'"), ("0", "between 1 byte"),
    (0, "between 1 byte"), ("2000000MiB", "between 1 byte"), ("1 2", "expected bytes"), ("1,5kB", "expected bytes"),
    ("9" * 10_000, "digits"), ("0." + "1" * 10_000 + "kB", "digits"), (True, "expected bytes"), (1.5, "whole number"),
    ("nan", "expected"), ("inf", "expected"), ("0x10", "expected"), (None, "expected"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), NO_SIZES)
def test_no_sizes(text: Any, said: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_size_bytes(text, "flash")
    assert said in str(caught.value)
    assert str(caught.value).startswith("flash")
    assert len(str(caught.value)) < 250


# A lower-case b means bits: "4Mb" of flash are 512 kB. "kb" and "mb" are refused too, because they can mean either.
@pytest.mark.parametrize(
    "unit", ["b", "bit", "bits", "kb", "Kb", "mb", "Mb", "kib", "Kib", "mib", "Mib", "Mbit", "kbits", "Gb", "gib"]
)
def test_bits_are_not_taken_for_bytes(unit: str) -> None:
    with pytest.raises(RequestError, match=rf"'{unit}' means bits .8 bits are 1 byte.; expected bytes: write \w*B if"):
        parse_size_bytes(f"4 {unit}", "flash")


@given(st.integers(1, MAX_BUDGET_BYTES))
def test_bytes_are_exact(size_bytes: int) -> None:
    assert parse_size_bytes(size_bytes, "ram") == parse_size_bytes(str(size_bytes), "ram") == size_bytes


@given(st.text(max_size=30))
def test_any_text(text: str) -> None:
    try:
        assert 1 <= parse_size_bytes(text, "ram") <= MAX_BUDGET_BYTES
    except RequestError as error:
        assert str(error).startswith("ram")  # noqa: PT017  # both outcomes are right, for different texts


@pytest.mark.parametrize(
    ("flash_bytes", "ram_bytes"), [(0, 1), (1, 0), (-5, 1), (True, 1), (1.0, 1), (2**40 + 1, 1), ("1", 1)]
)
def test_absurd_budgets(flash_bytes: Any, ram_bytes: Any) -> None:
    with pytest.raises(RequestError, match="_bytes is"):
        Budget(flash_bytes, ram_bytes)


def test_bits() -> None:
    assert [as_bits(bits) for bits in (8, 4, 2)] == [8, 4, 2]
    assert (halved(8), halved(4)) == (4, 2)
    with pytest.raises(ValueError, match="halved"):
        halved(2)


@pytest.mark.parametrize("value", [1, 3, 16, 0, -8, 8.0, "8", True, None])
def test_no_bits(value: object) -> None:
    with pytest.raises(RequestError, match="8, 4 or 2"):
        as_bits(value)
