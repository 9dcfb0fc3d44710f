"""Packing of weight codes into bytes of flash, in the order in which the kernels of a microcontroller read them.

Depthwise convolutions have rows of bytes (`deploy.weight_rows`), and the whole tensor is padded to 4 bytes. All other
weights are words of 32 bits (little-endian). A row is one output channel: kernel row, kernel column, input channel;
it is padded with code 0 to whole words. A mask of a word gives two codes, k and k + 2, in its two halfwords:

    bits   codes in a word, from the least significant bits        pairs                                mask
    8      k0 k1 | k2 k3                                           (word >> 8 j), j = 0, 1              0x00FF00FF
    4      k0 k1 k4 k5 | k2 k3 k6 k7                               (word >> 4 j), j = 0 to 3            0x000F000F
    2      k0 k1 k4 k5 k8 k9 k12 k13 | k2 k3 k6 k7 k10 k11 k14 k15 (word >> 2 j), j = 0 to 7            0x00030003

Inside a group of channels, two rows are interleaved word by word; a last odd row is alone. Examples, bytes in
hexadecimal:

    rows of one group                           bits   words                       bytes
    1 2 3 4 5                                   8      04030201 00000005           01 02 03 04 05 00 00 00
    1 2 3 4 5 6 7 8 9                           4      87436521 00000009           21 65 43 87 09 00 00 00
    3 0 1 2 3                                   2      00090033                    33 00 09 00
    1 2 3 4 5 | 6 7 8 9 10                      8      04030201 09080706           01 02 03 04 06 07 08 09
                                                       00000005 0000000a           05 00 00 00 0a 00 00 00
    1 | 2 | 3                                   4      00000001 00000002 00000003  01 00 00 00 02 00 00 00 03 00 00 00
    depthwise: 1 2 3 | 4 5 6 (1x2 kernel)       4                                  21 03 54 06
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from deploy.arithmetic import CodeArray, pack_rows, unpack_rows
from deploy.integer_network import IntegerConvolution
from deploy.weight_rows import CodesShape, codes_shape, pack_weight_rows, packed_shape, unpack_weight_rows
from network.allocation import Bits
from network.layers import is_depthwise
from network.memory.packing import WORD_BYTES, packed_row_words, weight_tensor_bytes

WORD_ORDER: Final = "words of pairs of output channels | kernel_row, kernel_column, input_channel"
BYTE_ORDER: Final = "bytes of kernel_row, kernel_column | output_channel"
"""Order of packed weights in words, and in bytes (depthwise): index of a row | indices inside a row."""


def packed_weight_bytes(shape: CodesShape, groups: int, bits: Bits) -> int:
    """Return the number of bytes of a layer's packed weights, including all padding.

    Args:
        shape: The shape of the codes.
        groups: Number of groups of channels.
        bits: Number of bits of each code: 8, 4 or 2.
    """
    return weight_tensor_bytes(shape, bits, is_depthwise=_is_depthwise(shape, groups))


def pack_weights(layer: IntegerConvolution) -> npt.NDArray[np.uint8]:
    """Pack the weight codes of a convolution into the bytes that flash holds, uint8 [bytes]."""
    shape = codes_shape(layer)
    packed = np.zeros(packed_weight_bytes(shape, layer.groups, layer.weight_bits), np.uint8)
    if layer.is_depthwise:
        rows = pack_weight_rows(layer)
        packed[: rows.size] = rows.ravel()
        return packed
    per_word, words = _words(shape, layer.weight_bits)
    codes = np.zeros((shape[0], words * per_word), np.uint8)
    codes[:, : layer.codes[0].size] = layer.codes.reshape(shape[0], -1)
    fields = codes.reshape(-1, per_word)[:, _code_of_field(per_word)]
    packed[:] = pack_rows(fields, layer.weight_bits)[_stored_words(shape[0], layer.groups, words)].ravel()
    return packed


def unpack_weights(packed: npt.NDArray[np.uint8], shape: CodesShape, groups: int, bits: Bits) -> CodeArray:
    """Unpack the weight codes of a convolution from the bytes that flash holds, the inverse of `pack_weights`.

    Args:
        packed: The packed weights, uint8 [bytes].
        shape: The shape of the codes.
        groups: Number of groups of channels.
        bits: Number of bits of each code: 8, 4 or 2.

    Returns:
        The codes, uint8 of `shape`.

    Raises:
        ValueError: if the packed weights have another type or shape, if the output channels cannot be divided into
            `groups` groups, or if an unused bit is not 0.
    """
    expected = packed_weight_bytes(shape, groups, bits)
    if packed.dtype != np.uint8 or packed.shape != (expected,):
        raise ValueError(
            f"weights of shape {list(shape)} at {bits} bits need packed bytes of type uint8 and shape "
            f"[{expected}], not {packed.dtype} of shape {list(packed.shape)}"
        )
    if shape[0] % groups:
        raise ValueError(f"{shape[0]} output channels in {groups} groups; expected the same number in each group")
    if _is_depthwise(shape, groups):
        rows = packed_shape(shape, groups, bits)
        _require_zeros(packed[math.prod(rows) :])
        return unpack_weight_rows(packed[: math.prod(rows)].reshape(rows), shape, groups, bits)
    per_word, words = _words(shape, bits)
    stored = np.empty((shape[0] * words, WORD_BYTES), np.uint8)
    stored[_stored_words(shape[0], groups, words)] = packed.reshape(-1, WORD_BYTES)
    codes = np.empty((len(stored), per_word), np.uint8)
    codes[:, _code_of_field(per_word)] = unpack_rows(stored, per_word, bits)
    channels = codes.reshape(shape[0], -1)
    elements = math.prod(shape[1:])
    _require_zeros(channels[:, elements:])
    return np.ascontiguousarray(channels[:, :elements]).reshape(shape)


def _is_depthwise(shape: CodesShape, groups: int) -> bool:
    return is_depthwise(groups, shape[3] * groups)


def _words(shape: CodesShape, bits: Bits) -> tuple[int, int]:
    """Return the number of codes of a word and the number of words of a row."""
    return 8 * WORD_BYTES // bits, packed_row_words(math.prod(shape[1:]), bits)


def _code_of_field(per_word: int) -> npt.NDArray[np.int64]:
    """Return the index of the code in each field of a word, from the least significant bits."""
    codes = np.arange(per_word).reshape(-1, 2, 2)
    return codes.swapaxes(0, 1).ravel()


def _stored_words(rows: int, groups: int, words: int) -> npt.NDArray[np.int64]:
    """Return the index, row * words + word, of each word in the order in which flash holds them."""
    order = np.arange(rows * words).reshape(groups, rows // groups, words)
    even = rows // groups // 2 * 2
    paired = order[:, :even].reshape(groups, even // 2, 2, words).swapaxes(2, 3)
    return np.concatenate((paired.reshape(groups, -1), order[:, even:].reshape(groups, -1)), axis=1).ravel()


def _require_zeros(unused: npt.NDArray[np.uint8]) -> None:
    if unused.any():
        raise ValueError("the packed weights have a 1 among the unused bits; expected 0")
