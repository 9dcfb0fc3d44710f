"""Text of the C functions that turn samples into the codes of an input tensor, as the chip stores them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from deploy.arithmetic import CodeArray, top_code
from deploy.emission.names import distinct_suffixes
from deploy.emission.text import comment_text
from deploy.host_c.views import INDENT
from deploy.host_c.writer import real_number
from deploy.input_codes import HALF_TOLERANCE, codes_of_bytes, has_table, is_identity
from deploy.integer_network import IntegerNetwork, IntegerTensor
from network.network_input import NetworkInput

_NUMBERS_ON_A_LINE: Final = 20


def input_prototypes(name: str, network: IntegerNetwork) -> list[str]:
    """Return the comments and declarations of the functions for all inputs.

    Args:
        name: Prefix of the identifiers.
        network: The integer-only network.
    """
    lines = []
    for index, given in enumerate(network.inputs):
        tensor = network.tensors[given.name]
        function = f"{name}_input{_suffix(network, index)}"
        dims = " x ".join(map(str, given.format.dims))
        shape = given.shape
        place = (
            f"the codes of input '{comment_text(given.name)}' as the chip stores them, "
            f"{shape.height} x {shape.width} x {shape.channels} (height, width, channels), {tensor.bits} bits each"
        )
        if has_table(given.format):
            lines += [
                f"/* Writes {place},",
                f"   from a sample of bytes, {dims}, by the exact table of the network. */",
                f"void {function}_from_bytes(const uint8_t *sample, uint8_t *codes);", "",
            ]  # fmt: skip
        lines += [
            f"/* Writes {place},",
            f"   from a sample of real numbers, {dims}, before any normalisation. */",
            f"void {function}_from_reals(const float *sample, uint8_t *codes);", "",
        ]  # fmt: skip
    return lines


def input_definitions(name: str, network: IntegerNetwork) -> list[str]:
    """Return the definitions of the functions for all inputs, with their tables; arguments as `input_prototypes`."""
    lines = []
    for index, given in enumerate(network.inputs):
        tensor = network.tensors[given.name]
        suffix = _suffix(network, index)
        if has_table(given.format):
            lines += _from_bytes(f"{name}_input{suffix}_from_bytes", f"table{suffix}", given, tensor)
        lines += _from_reals(f"{name}_input{suffix}_from_reals", f"_of_input{suffix}", given, tensor)
    return lines


def _suffix(network: IntegerNetwork, index: int) -> str:
    """Return what distinguishes an input in identifiers, as in the network's own header; empty for the only one."""
    names = network.input_names
    return "" if len(names) == 1 else f"_{distinct_suffixes(names)[names[index]]}"


def _from_bytes(function: str, table: str, given: NetworkInput, tensor: IntegerTensor) -> list[str]:
    codes = codes_of_bytes(given.format, tensor)
    if is_identity(codes) and tensor.bits == 8:  # a code is a byte
        return _function(function, "uint8_t", given, tensor, [f"const uint32_t code = sample[{_index(given)}];"])
    row = "" if len(codes) == 1 else "[channel]"
    lookup = [f"const uint32_t code = {table}{row}[sample[{_index(given)}]];"]
    return [*_table(table, codes), "", *_function(function, "uint8_t", given, tensor, lookup)]


def _from_reals(function: str, suffix: str, given: NetworkInput, tensor: IntegerTensor) -> list[str]:
    tables, parts = [], []
    for word, numbers in (("subtract", given.format.subtract), ("multiply", given.format.multiply)):
        values = [real_number(each) for each in np.asarray(numbers, dtype=np.float32)]
        if len(values) == 1:
            parts.append(values[0])
        else:
            tables.append(f"static const float {word}{suffix}[{len(values)}] = {{{', '.join(values)}}};")
            parts.append(f"{word}{suffix}[channel]")
    x = f"sample[{_index(given)}]"
    value = x if given.format.is_normalised_already else f"({x} - {parts[0]}) * {parts[1]}"
    top, lift = top_code(tensor.bits), 0.5 + HALF_TOLERANCE
    body = [
        f"const float x = {value};",
        "/* double, because the rounding of float would move values between two codes */",
        f"const double step = floor((double)x / {float(tensor.scale)!r} + {lift!r}) + {tensor.zero_point}.0;",
        f"const uint32_t code = step >= {top}.0 ? {top}u : step > 0.0 ? (uint32_t)step : 0u;",
    ]
    return [*tables, *([""] if tables else []), *_function(function, "float", given, tensor, body)]


def _function(function: str, kind: str, given: NetworkInput, tensor: IntegerTensor, body: Iterable[str]) -> list[str]:
    """Return a function that computes the code of each element and packs it, as the chip stores it."""
    shape, bits = given.shape, tensor.bits
    if bits == 8:  # a code is a byte
        store = [f"codes[pixel * {shape.channels} + channel] = (uint8_t)code;"]
    else:
        store = [
            f"uint8_t *byte = &codes[pixel * {-(-shape.channels * bits // 8)} + channel * {bits} / 8];",
            f"const uint32_t kept = channel * {bits} % 8 == 0 ? 0u : *byte;",
            f"*byte = (uint8_t)(kept | code << (channel * {bits} % 8));",
        ]
    return [
        f"void {function}(const {kind} *sample, uint8_t *codes)", "{",
        f"{INDENT}for (int32_t pixel = 0; pixel < {shape.height * shape.width}; ++pixel) {{",
        f"{INDENT * 2}for (int32_t channel = 0; channel < {shape.channels}; ++channel) {{",
        *(f"{INDENT * 3}{line}" for line in (*body, *store)),
        f"{INDENT * 2}}}", f"{INDENT}}}", "}", "",
    ]  # fmt: skip


def _index(given: NetworkInput) -> str:
    """Return the C expression of the place of an element in the caller's sample."""
    if given.format.channels_last:
        return f"pixel * {given.shape.channels} + channel"
    return f"channel * {given.shape.height * given.shape.width} + pixel"


def _table(name: str, codes: CodeArray) -> list[str]:
    """Return the definition of a table from bytes to codes, with one row or with one for each channel."""
    rows = [[str(code) for code in row] for row in codes.tolist()]
    texts = [
        [", ".join(row[at : at + _NUMBERS_ON_A_LINE]) for at in range(0, len(row), _NUMBERS_ON_A_LINE)] for row in rows
    ]
    if len(rows) == 1:
        return [f"static const uint8_t {name}[256] = {{", *(f"{INDENT}{line}," for line in texts[0]), "};"]
    return [
        f"static const uint8_t {name}[{len(rows)}][256] = {{",
        *(f"{INDENT}{{{(', ' + chr(10) + INDENT).join(lines)}}}," for lines in texts),
        "};",
    ]
