"""Constant objects of a layer with weights as words of flash: weights, requantization constants, zero points.

    weights      as `deploy.weight_packing` packs them
    narrow       a word for each output channel: multiplier m in the low half, offset o in the high half
    wide         3 words for each output channel: offset bias - z_x * sum (q_w - z_w), multiplier m, shift n
    thresholds   2 + T words for each output channel: direction, offset - z_x * sum (q_w - z_w), t_1 .. t_T
    zero points  a byte for each output channel, if the scheme has one for each

Each object has whole words, in little-endian order in flash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from deploy.counterparts import fault
from deploy.integer_network import IntegerConvolution, IntegerTensor
from deploy.narrow_constants import MAX_ZERO_POINT, NarrowConstants, chip_offsets, input_shift, narrow_constants_of
from deploy.weight_packing import pack_weights

WORD_BYTES: Final = 4

Words = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True, eq=False)
class ConstantObject:
    """Constant array of 32-bit words in flash.

    Attributes:
        symbol: Name of the object without the prefix of the network, e.g. "weights_3" for step 3.
        words: The words.
        is_weight_tensor: Whether the words are a weight tensor, which can be placed in a section of its own.
    """

    symbol: str
    words: Words
    is_weight_tensor: bool = False

    @property
    def content(self) -> bytes:
        """The bytes of the object in flash."""
        return self.words.astype("<u4").tobytes()


@dataclass(frozen=True, slots=True, eq=False)
class Constants:
    """Constants of a layer with weights.

    Attributes:
        weights: Symbol of the object of the weights, which may belong to an earlier layer.
        row_words: Number of words of weights of an output channel; 0 for a depthwise convolution.
        requantization: Object of the requantization constants.
        channel_words: Number of words of requantization constants of an output channel.
        zero_points: Object of the zero points of the weights; None if the layer has one zero point.
        zero_point: The zero point of all weights; 0 if there is one for each output channel.
        offset_shift: Shift of the offsets of a narrow layer, k + e; else 0.
        shift: Shift s of a narrow layer; else the shift e of the input codes.
        addend: Zero point z_y of the output; of a narrow layer z_y * 2^s + 2^(s-1), which also rounds.
        objects: The objects that the layer stores itself.
    """

    weights: str
    row_words: int
    requantization: ConstantObject
    channel_words: int
    zero_points: ConstantObject | None
    zero_point: int
    offset_shift: int
    shift: int
    addend: int
    objects: tuple[ConstantObject, ...]


def constants_of(
    layer: IntegerConvolution, number: int, owner: int, layer_input: IntegerTensor, output: IntegerTensor
) -> Constants:
    """Return the constants of a layer with weights.

    Args:
        layer: The layer.
        number: The number of its step.
        owner: The number of the step that stores its weights.
        layer_input: The tensor that the layer reads.
        output: The tensor that the layer writes.

    Raises:
        ConversionError: if a zero point of the weights is not a byte.
    """
    narrow = narrow_constants_of(layer, layer_input, output)
    table = _requantization(layer, layer_input, narrow)
    requantization = ConstantObject(f"constants_{number}", np.ascontiguousarray(table).reshape(-1))
    weights = ConstantObject(f"weights_{owner}", _words(pack_weights(layer).tobytes()), is_weight_tensor=True)
    zero_points = _zero_points(layer, number)
    if narrow is None:
        offset_shift, shift, addend = 0, input_shift(layer_input.bits), output.zero_point
    else:
        offset_shift, shift = narrow.offset_shift + narrow.input_shift, narrow.shift
        addend = (output.zero_point << shift) + (1 << (shift - 1))
    stored = (weights if owner == number else None, requantization, zero_points)
    return Constants(
        weights=weights.symbol,
        row_words=0 if layer.is_depthwise else len(weights.words) // len(layer.codes),
        requantization=requantization,
        channel_words=table.shape[1],
        zero_points=zero_points,
        zero_point=0 if zero_points is not None else int(layer.weight_zero_point[0]),
        offset_shift=offset_shift,
        shift=shift,
        addend=addend,
        objects=tuple(each for each in stored if each is not None),
    )


def _requantization(layer: IntegerConvolution, layer_input: IntegerTensor, narrow: NarrowConstants | None) -> Words:
    """Return the requantization constants of a layer, [output channels, words of a channel]."""
    if narrow is not None:
        low = narrow.multiplier.astype(np.uint16).astype(np.uint32)
        high = narrow.offset.astype(np.uint16).astype(np.uint32)
        return (low | high << np.uint32(16))[:, None]
    offsets = chip_offsets(layer, layer_input)
    if layer.thresholds is not None:
        sums = (offsets - layer.bias.astype(np.int64))[:, None]
        direction = layer.thresholds.direction.astype(np.int64)[:, None]
        return _modulo(np.hstack([direction, sums, layer.thresholds.values.astype(np.int64)]))
    factors = layer.requantization
    columns = (offsets, *(np.broadcast_to(each, offsets.shape) for each in (factors.multiplier, factors.shift)))
    return _modulo(np.stack(columns, axis=1).astype(np.int64))


def _modulo(values: npt.NDArray[np.int64]) -> Words:
    """Return whole numbers modulo 2^32."""
    return (values & np.int64(0xFFFFFFFF)).astype(np.uint32)


def _zero_points(layer: IntegerConvolution, number: int) -> ConstantObject | None:
    values = layer.weight_zero_point
    if values.min() < 0 or values.max() > MAX_ZERO_POINT:
        raise fault(
            layer,
            f"has weight zero points from {values.min()} to {values.max()}; expected 0 to {MAX_ZERO_POINT}, because a "
            "chip stores a byte: convert the network again",
        )
    if not layer.scheme.weights.has_zero_point_per_channel and (values == values[0]).all():
        return None
    each = np.broadcast_to(values, len(layer.codes)).astype(np.uint8)
    return ConstantObject(f"zero_points_{number}", _words(each.tobytes()))


def _words(content: bytes) -> Words:
    """Return bytes as little-endian words, with zeros after the last byte."""
    padded = content + bytes(-len(content) % WORD_BYTES)
    return np.frombuffer(padded, dtype="<u4").astype(np.uint32)
