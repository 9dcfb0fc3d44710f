"""Steps of least squared error, against a fine search by brute force."""

from __future__ import annotations

import numpy as np
import pytest

from network.allocation import BITS, Bits
from network.sensitivity.least_error import least_error_steps, on_symmetric_grid, symmetric_steps


def brute_force(row: np.ndarray[tuple[int], np.dtype[np.float64]], bits: Bits) -> float:
    """The least squared error over 4,000 steps of both signs."""
    lowest, highest = symmetric_steps(bits)
    reach = np.abs(row).max() / max(highest, 1)
    steps = np.concatenate([np.linspace(1e-3, 1.3, 2000), np.linspace(-1.3, -1e-3, 2000)]) * reach
    codes = np.clip(np.floor(row / steps[:, None] + 0.5), lowest, highest)
    return float(((codes * steps[:, None] - row) ** 2).sum(axis=1).min())


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("kind", ["normal", "heavy", "skewed", "few"])
def test_the_error_is_nearly_the_least(bits: Bits, kind: str) -> None:
    rng = np.random.default_rng(BITS.index(bits))
    rows = {
        "normal": rng.normal(size=(12, 144)),
        "heavy": rng.standard_t(3, size=(12, 144)),
        "skewed": rng.exponential(size=(12, 144)) * np.where(np.arange(12) % 2, 1, -1)[:, None],
        "few": rng.normal(size=(12, 9)),
    }[kind].astype(np.float32)
    quantized = on_symmetric_grid(rows, least_error_steps(rows, bits), bits)
    errors = ((quantized - rows).astype(np.float64) ** 2).sum(axis=1)
    least = np.array([brute_force(row.astype(np.float64), bits) for row in rows])
    unnoticed = 1e-4 * (rows.astype(np.float64) ** 2).sum(axis=1)  # of a few weights at 8 bits, where minima are many
    assert errors.sum() <= 1.05 * least.sum() + unnoticed.sum()
    assert (errors <= 1.35 * least + unnoticed).all()


def test_the_longer_side_of_the_grid_goes_to_the_longer_side_of_the_weights() -> None:
    rows = np.array([[-1, 0, 2, 1], [1, 0, -2, -1]], dtype=np.float32)
    assert least_error_steps(rows, 2).tolist() == [-1.0, 1.0]


@pytest.mark.parametrize("bits", BITS)
def test_zeros_and_single_weights(bits: Bits) -> None:
    rows = np.array([[0, 0, 0], [0, 0, 3e-20], [5, 5, 5]], dtype=np.float32)
    steps = least_error_steps(rows, bits)
    assert steps[0] == 1.0
    assert np.isfinite(steps).all()
    np.testing.assert_allclose(on_symmetric_grid(rows, steps, bits), rows, rtol=1e-5)


@pytest.mark.parametrize("largest", [127, 90, 31])
@pytest.mark.parametrize("elements", [9, 400])
def test_weights_of_a_quantized_file_have_no_error_at_8_bits(largest: int, elements: int) -> None:
    rng = np.random.default_rng(largest)
    codes = rng.integers(-largest, largest + 1, (20, elements)).astype(np.float32)
    rows = (codes * rng.uniform(1e-3, 2.0, (20, 1)).astype(np.float32)).astype(np.float32)
    quantized = on_symmetric_grid(rows, least_error_steps(rows, 8), 8)
    np.testing.assert_allclose(quantized, rows, rtol=1e-5, atol=1e-6)


def test_the_widest_negative_code_needs_a_negative_weight() -> None:
    rows = np.array([[-128.0, 127.0, 3.0], [128.0, 5.0, 3.0], [0.0, 0.0, 0.0]], dtype=np.float32)
    steps = least_error_steps(rows, 8)
    assert steps[0] == 1.0
    assert steps[2] == 1.0
    np.testing.assert_allclose(on_symmetric_grid(rows, steps, 8), rows, atol=0.6)
