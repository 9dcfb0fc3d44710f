"""Tests of the names of the C functions that run each layer."""

from typing import Any

import pytest

from network.allocation import BITS, Bits
from network.kernel_functions import Form, functions_of, is_depthwise_3x3
from network.kernels import DEPTHWISE, KERNELS, POINTWISE, kernel_of
from network.layers import Convolution, Padding, Shape


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (("convolution", 8, 4, 2, Form.NARROW), ("bb_convolution", "bb_widen_8", "bb_dot2_4", "bb_pack_2")),
        ((POINTWISE, 4, 8, 8, Form.NARROW), ("bb_pointwise", "bb_widen_4", "bb_dot2_8")),
        (("fully_connected", 2, 2, 4, Form.WIDE), ("bb_fully_connected", "bb_widen_2", "bb_dot1_wide_2", "bb_pack_4")),
        ((POINTWISE, 8, 4, 8, Form.THRESHOLDS), ("bb_pointwise", "bb_widen_8", "bb_dot2_thresholds_4")),
        ((DEPTHWISE, 4, 2, 4, Form.NARROW), ("bb_depthwise",)),
        (("add", 8, None, 4, Form.NARROW), ("bb_add",)),
        (("activation", 8, None, 4, Form.WIDE), ("bb_add_wide",)),
        ((POINTWISE, 2, 2, 2, Form.PAIRS), ("bb_pointwise", "bb_widen_2x2", "bb_dot2_2x2", "bb_pack_2")),
        (("fully_connected", 2, 2, 8, Form.PAIRS), ("bb_fully_connected", "bb_widen_2x2", "bb_dot1_2x2")),
        (("max_pool", 2, None, 2, Form.NARROW), ("bb_max_pool",)),
    ],
)
def test_functions_of_a_layer(asked: tuple[str, Bits, Bits | None, Bits, Form], expected: tuple[str, ...]) -> None:
    assert functions_of(*asked) == expected


def test_every_kernel_has_functions_for_all_bits() -> None:
    for kernel, properties in KERNELS.items():
        for bits in BITS:
            functions = functions_of(kernel, bits, bits if properties.has_weights else None, bits)
            assert len(set(functions)) == len(functions)
            assert all(name.startswith("bb_") for name in functions)


def test_only_narrow_3x3_depthwise_layers_have_the_fast_function() -> None:
    assert functions_of(DEPTHWISE, 8, 8, 8, Form.NARROW, is_3x3=True) == ("bb_depthwise_3x3",)
    assert functions_of(DEPTHWISE, 8, 8, 8, Form.WIDE, is_3x3=True) == ("bb_depthwise",)
    assert functions_of(DEPTHWISE, 8, 8, 8, Form.THRESHOLDS, is_3x3=True) == ("bb_depthwise",)


@pytest.mark.parametrize(
    ("geometry", "is_fast"),
    [
        (((3, 3), (1, 1), (1, 1), 1), True),
        (((3, 3), (2, 2), (1, 1), 1), True),
        (((3, 3), (2, 1), (1, 1), 1), False),
        (((3, 3), (1, 1), (2, 2), 1), False),
        (((3, 3), (1, 1), (1, 1), 2), False),
        (((5, 3), (1, 1), (1, 1), 1), False),
    ],
)
def test_geometry_of_the_fast_depthwise_function(
    geometry: tuple[tuple[int, int], tuple[int, int], tuple[int, int], int], is_fast: bool
) -> None:
    assert is_depthwise_3x3(*geometry) is is_fast


def test_impossible_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="expected their number of bits"):
        functions_of("convolution", 8, None, 8)
    with pytest.raises(
        ValueError, match="'add' does not requantize in the form thresholds; expected one of narrow, wide"
    ):
        functions_of("add", 8, None, 8, Form.THRESHOLDS)


def test_kernel_of_a_convolution_by_its_form() -> None:
    def kernel(channels: int, **changes: Any) -> str:
        layer = Convolution(name="c", inputs=("x",), output="y", output_channels=8, kernel=(1, 1), **changes)
        return kernel_of(layer, Shape(channels, 4, 4))

    assert kernel(4) == POINTWISE
    assert kernel(4, groups=4) == DEPTHWISE
    assert kernel(1) == POINTWISE
    assert kernel(4, groups=2) == "convolution"
    assert kernel(4, padding=Padding(0, 0, 1, 1)) == "convolution"
    assert kernel(4, stride=(2, 2)) == "convolution"
