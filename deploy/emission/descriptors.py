"""Descriptors of layers: the constant structs that the kernels read, one function for each kind of layer.

`deploy/kernels/kernels.h` defines the structs. A descriptor consists of one struct and, before it, the arrays of
structs that it points to: the rows of each group, the inputs, or the factors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from deploy.arithmetic import top_code
from deploy.counterparts import fault
from deploy.emission.constants import Constants
from deploy.emission.text import signed, unsigned, with_prefix, wrapped
from deploy.integer_network import IntegerConvolution, IntegerLayer, IntegerTensor
from network.kernel_functions import Form, calls_dot, dot_function, pack_function, widen_function

Fields = dict[str, str]
"""Name of each field of a C struct -> its C expression."""

CODES_OF_A_GROUP: Final = 4
"""Number of codes that a kernel widens together."""

_FORMS: Final[Mapping[Form, str]] = {Form.NARROW: "BB_NARROW", Form.WIDE: "BB_WIDE", Form.THRESHOLDS: "BB_THRESHOLDS"}


@dataclass(frozen=True, slots=True)
class Struct:
    """Constant C struct, or array of structs.

    Attributes:
        type: Type of the struct.
        symbol: Name of the object.
        elements: Fields of each element; a struct that is not an array has one element.
        is_array: Whether the object is an array.
    """

    type: str
    symbol: str
    elements: tuple[Fields, ...]
    is_array: bool = False

    def definition(self, name: str) -> str:
        """Return the definition of the object.

        Args:
            name: The name of the network's C files, which becomes the prefix.
        """
        count = f"[{len(self.elements)}]" if self.is_array else ""
        heading = with_prefix(f"static const {self.type} {self.symbol}{count} BB_TABLES_ATTRIBUTE = {{", name)
        indent = "        " if self.is_array else "    "
        bodies = [
            wrapped((with_prefix(f".{field} = {value}", name) for field, value in fields.items()), indent)
            for fields in self.elements
        ]
        if self.is_array:
            bodies = [f"    {{\n{body}\n    }}," for body in bodies]
        return "\n".join([heading, *bodies, "};\n"])


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a layer's descriptor needs to know besides the layer.

    Attributes:
        number: Number of the layer's step.
        kernel: Name of the layer's kernel.
        form: How the layer requantizes.
        inputs: The tensors that the layer reads.
        output: The tensor that the layer writes.
        offsets: Name of each tensor -> its offset in the arena in bytes.
        scratch: Offset of the layer's scratch memory in the arena in bytes; 0 if it has none.
    """

    number: int
    kernel: str
    form: Form
    inputs: tuple[IntegerTensor, ...]
    output: IntegerTensor
    offsets: Mapping[str, int]
    scratch: int

    @property
    def symbol(self) -> str:
        """Name of the object of the descriptor."""
        return f"bb_layer_{self.number}"

    def input_offset(self, index: int = 0) -> str:
        """Return the offset of the input at an index as a C constant."""
        return unsigned(self.offsets[self.inputs[index].name])

    @property
    def output_offset(self) -> str:
        """The offset of the output as a C constant."""
        return unsigned(self.offsets[self.output.name])


def limited(layer: IntegerLayer, field_bits: int, **values: int) -> Fields:
    """Return the fields of unsigned integers of a descriptor.

    Args:
        layer: The layer, for the error message.
        field_bits: Number of bits of each of the fields: 8 or 16.
        values: Name of each field -> its value.

    Raises:
        ConversionError: if a value does not fit.
    """
    for name, value in values.items():
        if not 0 <= value <= (1 << field_bits) - 1:
            raise fault(
                layer,
                f"has {name.replace('_', ' ')} {value}; the generated C expects at most {(1 << field_bits) - 1}",
            )
    return {name: str(value) for name, value in values.items()}


def convolution_structs(layer: IntegerConvolution, around: Surroundings, constants: Constants) -> tuple[Struct, ...]:
    """Return the structs of a layer with weights.

    Raises:
        ConversionError: if an extent does not fit into its field.
    """
    if not calls_dot(around.kernel):
        return (_depthwise(layer, around, constants),)
    rows = Struct("bb_rows", f"bb_rows_{around.number}", tuple(_rows(layer, constants, around)), is_array=True)
    (given,) = around.inputs
    output, is_whole = around.output, layer.kind == "fully_connected"
    pack = pack_function(output.bits)
    geometry = () if is_whole else _geometry(layer)
    return rows, Struct(
        "bb_convolution_layer",
        around.symbol,
        (
            {
                "rows": rows.symbol,
                "widen": widen_function(given.bits, around.form),
                "dot": dot_function(around.kernel, layer.weight_bits, around.form),
                "pack": "NULL" if pack is None else pack,
                "input": around.input_offset(),
                "output": around.output_offset,
                "scratch": unsigned(around.scratch),
                **limited(
                    layer,
                    16,
                    input_height=given.shape.height,
                    input_width=given.shape.width,
                    group_channels=given.shape.channels // layer.groups,
                    output_height=output.shape.height,
                    output_width=output.shape.width,
                    output_channels=output.shape.channels,
                    column_groups=constants.row_words * (32 // layer.weight_bits) // CODES_OF_A_GROUP,
                    groups=layer.groups,
                ),
                **limited(
                    layer, 8, **dict(geometry), input_bits=given.bits, zero_point=given.zero_point,
                    output_bits=output.bits,
                ),
            },
        ),
    )  # fmt: skip


def _rows(layer: IntegerConvolution, constants: Constants, around: Surroundings) -> Iterable[Fields]:
    """Return the fields of the rows of each group."""
    rows = len(layer.codes) // layer.groups
    for group in range(layer.groups):
        first = group * rows
        yield {
            "weights": _element(f"bb_{constants.weights}", first * constants.row_words),
            "constants": _element(f"bb_{constants.requantization.symbol}", first * constants.channel_words),
            "zero_points": _bytes(constants, first),
            "addend": signed(constants.addend),
            **limited(layer, 16, rows=rows, row_words=constants.row_words),
            "zero_point": str(constants.zero_point),
            "offset_shift": str(constants.offset_shift),
            "shift": str(constants.shift),
            "levels": str(top_code(around.output.bits) if around.form is Form.THRESHOLDS else 0),
        }


def _depthwise(layer: IntegerConvolution, around: Surroundings, constants: Constants) -> Struct:
    (given,) = around.inputs
    output = around.output
    fields = {
        "weights": f"(const uint8_t *)bb_{constants.weights}",
        "constants": f"bb_{constants.requantization.symbol}",
        "zero_points": _bytes(constants, 0),
        "addend": signed(constants.addend),
        "input": around.input_offset(),
        "output": around.output_offset,
        "scratch": unsigned(around.scratch),
        **limited(
            layer, 16, input_height=given.shape.height, input_width=given.shape.width,
            input_channels=given.shape.channels, output_height=output.shape.height, output_width=output.shape.width,
            multiplier=output.shape.channels // given.shape.channels,
        ),
        **limited(
            layer, 8, **dict(_geometry(layer)), input_bits=given.bits, weight_bits=layer.weight_bits,
            output_bits=output.bits, zero_point=given.zero_point, weight_zero_point=constants.zero_point,
            offset_shift=constants.offset_shift, shift=constants.shift,
        ),
        "form": _FORMS[around.form],
    }  # fmt: skip
    return Struct("bb_depthwise_layer", around.symbol, (fields,))


def _geometry(layer: Any) -> Iterable[tuple[str, int]]:
    """Return the fields of kernel, stride, dilation and padding."""
    for what, (vertical, horizontal) in (
        ("kernel_height kernel_width", layer.kernel),
        ("stride_y stride_x", layer.stride),
        ("dilation_y dilation_x", layer.dilation),
        ("pad_top pad_left", layer.padding[:2]),
    ):
        yield from zip(what.split(), (vertical, horizontal), strict=True)


def _element(array: str, index: int) -> str:
    return f"{array} + {index}" if index else array


def _bytes(constants: Constants, index: int) -> str:
    """Return the pointer to the zero point of an output channel as a C expression."""
    if constants.zero_points is None:
        return "NULL"
    return _element(f"(const uint8_t *)bb_{constants.zero_points.symbol}", index)
