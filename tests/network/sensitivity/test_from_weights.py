"""Sensitivity from the weights alone, against a plain loop and on what must hold."""

from __future__ import annotations

import numpy as np
import pytest

from network.allocation import BITS, DEFAULT_WEIGHT_SCHEME, WeightScheme
from network.layers import BatchNorm, Convolution, Shape
from network.network import Network
from network.sensitivity.from_weights import weight_sensitivity
from network.sensitivity.table import check_sensitivity
from tests.builders import mobilenet_v1, network_of

PER_CHANNEL = WeightScheme.PER_CHANNELS_ASYM_MIN_MAX
PER_LAYER = WeightScheme.PER_LAYER_ASYM_PACT


def one_layer(weight: list[list[float]], batch_norm: BatchNorm | None = None) -> Network:
    values = np.array(weight, dtype=np.float32).reshape(len(weight), -1, 1, 1)
    layer = Convolution(
        name="a",
        inputs=("input",),
        output="a",
        output_channels=len(weight),
        kernel=(1, 1),
        weight=values,
        batch_norm=batch_norm,
    )
    return network_of([layer], Shape(values.shape[1], 2, 2))


def test_by_hand() -> None:
    """Range -1 to 2 in 3 steps of 1 at 2 bits: 0.4 becomes 0, an error of 0.16 over a signal of 1 + 4 + 0.16."""
    table = weight_sensitivity(one_layer([[-1.0, 2.0, 0.4]]), PER_CHANNEL)
    assert table.weights["a"][2] == pytest.approx(0.16 / 5.16)


def test_weights_on_their_grid_cost_nothing() -> None:
    table = weight_sensitivity(one_layer([[-1.0, 2.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]]), PER_CHANNEL)
    assert set(table.weights["a"].values()) == {0.0}


def test_a_batch_norm_weighs_channels_by_what_they_become() -> None:
    """The second channel is scaled away, so only the first one's error counts."""

    def norm(gamma: list[float]) -> BatchNorm:
        zeros, ones = np.zeros(2, dtype=np.float32), np.ones(2, dtype=np.float32)
        return BatchNorm(np.array(gamma, dtype=np.float32), zeros, zeros, ones, 0.0)

    weights = [[-1.0, 2.0, 0.0], [-1.0, 2.0, 0.4]]
    assert weight_sensitivity(one_layer(weights, norm([1.0, 0.0])), PER_CHANNEL).weights["a"][2] == 0.0
    assert weight_sensitivity(one_layer(weights, norm([0.0, -3.0])), PER_CHANNEL).weights["a"][2] == pytest.approx(
        0.16 / 5.16
    )


@pytest.mark.parametrize("seed", [None, 0])
@pytest.mark.parametrize("scheme", list(WeightScheme))
def test_fewer_bits_never_hurt_less(seed: int | None, scheme: WeightScheme) -> None:
    network = mobilenet_v1(0.25, 32, 10, seed=seed)
    table = weight_sensitivity(network, scheme)
    check_sensitivity(table, network)
    for row in (*table.weights.values(), *table.activations.values()):
        figures = [row[bits] for bits in BITS]
        assert figures == sorted(figures)
        assert figures[0] < figures[-1]


def test_a_range_per_layer_hurts_more() -> None:
    network = mobilenet_v1(0.25, 32, 10, seed=1)
    per_channel, per_layer = (weight_sensitivity(network, scheme).weights for scheme in (PER_CHANNEL, PER_LAYER))
    assert sum(row[4] for row in per_layer.values()) > sum(row[4] for row in per_channel.values())


def test_a_table_of_all_schemes() -> None:
    """No scheme has a smaller figure than the default scheme at the same bits."""
    network = mobilenet_v1(0.25, 32, 10, seed=1)
    table = weight_sensitivity(network)
    check_sensitivity(table, network)
    alone = {scheme: weight_sensitivity(network, scheme) for scheme in WeightScheme}
    assert set(table.weights_by_scheme) == set(WeightScheme) - {DEFAULT_WEIGHT_SCHEME}
    assert table.weights == alone[DEFAULT_WEIGHT_SCHEME].weights
    assert table.activations == alone[DEFAULT_WEIGHT_SCHEME].activations
    for scheme, rows in table.weights_by_scheme.items():
        for layer, row in rows.items():
            for bits in BITS:
                assert row[bits] >= max(alone[scheme].weights[layer][bits], table.weights[layer][bits])
                assert row[bits] in {of_one.weights[layer][bits] for of_one in alone.values()}
