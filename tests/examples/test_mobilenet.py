"""The MobileNetV1 description of the README is the network that it says it is."""

from __future__ import annotations

from pathlib import Path

from network.reading import read_network
from tests.builders import mobilenet_v1

DESCRIPTION = Path(__file__).parents[2] / "examples" / "mobilenet_v1.json"


def test_it_is_mobilenet_v1() -> None:
    described = read_network(DESCRIPTION.read_bytes(), "mobilenet_v1")
    built = mobilenet_v1()
    assert described.shapes == built.shapes
    assert [layer.name for layer in described.layers] == [layer.name for layer in built.layers]
    assert [described.weight_elements(layer) for layer in described.weight_layers] == [
        built.weight_elements(layer) for layer in built.weight_layers
    ]
    assert sum(built.weight_elements(layer) for layer in built.weight_layers) == 4_209_088
