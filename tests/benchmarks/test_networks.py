"""The networks of the benchmarks are the ones that they are called after."""

from __future__ import annotations

import pytest

from benchmarks.networks import RESNET8_FILE, catalogue, mobilenet_v1, mobilenet_v2, unet
from network.layers import Add, Concat, Shape
from network.network import Network
from tests import builders


def millions(network: Network) -> tuple[float, float]:
    """Weights, biases and batch norm left out, and multiply-accumulates."""
    weights = sum(network.weight_elements(layer) for layer in network.weight_layers)
    products = sum(layer.multiply_accumulates(network.input_shapes(layer)) for layer in network.weight_layers)
    return weights / 1e6, products / 1e6


@pytest.mark.parametrize(
    ("network", "weights", "products"),
    [  # multiply-accumulates as the authors' model pages give them, in whole millions
        (mobilenet_v1(1.0, 224), 4.209088, 569),
        (mobilenet_v1(0.25, 128), 0.463600, 14),
        # 3,504,872 parameters as they are commonly given, less 34,112 of batch norm and 1,000 biases
        (mobilenet_v2(1.0, 224), 3.469760, 300),
        (mobilenet_v2(0.35, 96), 1.662048, 11),
    ],
    ids=lambda value: value.name if isinstance(value, Network) else "",
)
def test_sizes(network: Network, weights: float, products: float) -> None:
    counted_weights, counted_products = millions(network)
    assert counted_weights == weights
    assert counted_products == pytest.approx(products, abs=1)


def test_mobilenet_v1_is_the_one_that_tests_build() -> None:
    ours, theirs = mobilenet_v1(0.5, 160), builders.mobilenet_v1(0.5, 160)
    assert list(ours.shapes.values()) == list(theirs.shapes.values())
    assert ours.is_chain


def test_mobilenet_v2_adds_where_shapes_agree() -> None:
    network = mobilenet_v2()
    assert sum(isinstance(layer, Add) for layer in network.layers) == 10
    assert len(network.weight_layers) == 53


def test_what_the_unet_joins_has_waited_the_longer_the_higher_it_is() -> None:
    network = unet(channels=4, depth=3, resolution=32)
    position = {layer.output: index for index, layer in enumerate(network.layers)}
    joins = [layer for layer in network.layers if isinstance(layer, Concat)]
    waited = [position[join.output] - position[join.inputs[0]] for join in joins]
    assert waited == sorted(waited)
    assert waited[0] > 4
    assert network.shapes[network.outputs[0]] == Shape(2, 32, 32)


@pytest.mark.parametrize("network", [mobilenet_v1(0.25, 32, 3, seed=0), unet(2, 1, 8, seed=0)], ids=lambda it: it.name)
def test_a_seed_gives_weights(network: Network) -> None:
    assert network.has_weights
    assert not mobilenet_v1(0.25, 32).has_weights


def test_every_network_has_its_name_in_the_catalogue() -> None:
    for name, build in catalogue().items():
        if name == "resnet8_cifar10" and not RESNET8_FILE.is_file():
            continue  # it lies beside the project, not in it
        assert build().name == name
