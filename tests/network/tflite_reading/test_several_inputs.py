"""Test TFLite files with several inputs against LiteRT."""

from __future__ import annotations

import numpy as np
import pytest

from network.errors import UnsupportedOperator
from network.layers import Axis, Concat, Flattening, Shape
from network.reading import read_network
from tests.network.tflite_reading.test_operators import agreeing, numbers
from tests.network.tflite_reading.tflite_models import Op, T, build, constant

IMAGE = (1, 6, 5, 3)
CONVOLUTION = {"Padding": 1, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}


def test_an_image_and_a_vector() -> None:
    content = build(
        [
            T(IMAGE), T((1, 4)), constant(numbers(2, 3, 3, 3)), constant(numbers(2)), T((1, 4, 3, 2)),
            constant([1, 24], "int32"), T((1, 24)), T((1, 28)), constant(numbers(2, 28)), constant(numbers(2)),
            T((1, 2)),
        ],
        [
            Op("CONV_2D", (0, 2, 3), (4,), CONVOLUTION), Op("RESHAPE", (4, 5), (6,)),
            Op("CONCATENATION", (6, 1), (7,), {"Axis": 1}), Op("FULLY_CONNECTED", (7, 8, 9), (10,)),
        ],
        inputs=(0, 1),
    )  # fmt: skip
    network = agreeing(content)
    assert [each.shape for each in network.inputs] == [Shape(3, 6, 5), Shape(4)]
    assert [each.format.channels_last for each in network.inputs] == [True, False]
    assert [layer.flattening for layer in network.layers if isinstance(layer, Concat)] == [Flattening.CHANNELS_LAST]


@pytest.mark.parametrize(
    ("axis", "other", "joined"), [(1, (1, 2, 5, 3), (1, 8, 5, 3)), (2, (1, 6, 1, 3), (1, 6, 6, 3))]
)
def test_rows_and_columns_of_two_images(axis: int, other: tuple[int, ...], joined: tuple[int, ...]) -> None:
    content = build(
        [T(IMAGE), T(other), T(joined), constant(numbers(2, 3, 3, 3)), constant(numbers(2)),
         T((1, joined[1] - 2, joined[2] - 2, 2))],
        [Op("CONCATENATION", (0, 1), (2,), {"Axis": axis}), Op("CONV_2D", (2, 3, 4), (5,), CONVOLUTION)],
        inputs=(0, 1),
    )  # fmt: skip
    network = agreeing(content)
    assert [layer.axis for layer in network.layers if isinstance(layer, Concat)] == [list(Axis)[axis]]


def test_two_sensors_and_their_own_scalings() -> None:
    content = build(
        [T((1, 4)), T((1, 4)), constant(3.0), T((1, 4)), constant(0.5), T((1, 4)), T((1, 4))],
        [Op("MUL", (0, 2), (3,)), Op("SUB", (1, 4), (5,)), Op("ADD", (3, 5), (6,))],
        inputs=(0, 1),
    )
    network = agreeing(content)
    assert [(each.format.subtract, each.format.multiply) for each in network.inputs] == [
        ((0.0,), (3.0,)),
        ((0.5,), (1.0,)),
    ]


def test_the_ranges_of_several_quantized_inputs_are_kept() -> None:
    quantized = [
        T((1, 4), kind="INT8", scales=(scale,), zero_points=(point,)) for scale, point in ((0.5, -128), (0.25, 0))
    ]
    content = build(
        [*quantized, T((1, 4), kind="INT8", scales=(0.5,), zero_points=(0,))],
        [Op("ADD", (0, 1), (2,))],
        inputs=(0, 1),
    )
    network = read_network(content, "tiny")
    first, second = network.input_names
    assert network.ranges[first] == (0.0, 127.5)
    assert network.ranges[second] == (-32.0, 31.75)


def test_inputs_that_no_output_needs_are_left_out() -> None:
    content = build([T((1, 4)), T((2, 4)), T((1, 4))], [Op("RELU", (0,), (2,))], inputs=(1, 0))
    assert len(read_network(content, "tiny").inputs) == 1


def test_too_many_inputs() -> None:
    content = build(
        [*(T((1, 4)) for _ in range(101)), T((1, 404))],
        [Op("CONCATENATION", tuple(range(101)), (101,), {"Axis": 1})],
        inputs=range(101),
    )
    with pytest.raises(UnsupportedOperator, match="101 inputs"):
        read_network(content, "tiny")


def test_flattened_images_of_different_orders_are_not_joined() -> None:
    content = build(
        [T(IMAGE), T(IMAGE), constant([0, 3, 1, 2], "int32"), T((1, 3, 6, 5)), constant([1, 90], "int32"), T((1, 90)),
         T((1, 90)), T((1, 180)), constant(np.ones((2, 180), np.float32)), T((1, 2)), constant(numbers(3, 1, 1, 3)),
         constant(numbers(3)), T(IMAGE), T(IMAGE)],
        [Op("CONV_2D", (0, 10, 11), (12,), CONVOLUTION), Op("CONV_2D", (1, 10, 11), (13,), CONVOLUTION),
         Op("TRANSPOSE", (12, 2), (3,)), Op("RESHAPE", (3, 4), (5,)), Op("RESHAPE", (13, 4), (6,)),
         Op("CONCATENATION", (5, 6), (7,), {"Axis": 1}), Op("FULLY_CONNECTED", (7, 8), (9,))],
        inputs=(0, 1), outputs=(9,),
    )  # fmt: skip
    with pytest.raises(UnsupportedOperator, match="concatenates"):
        read_network(content, "tiny")
