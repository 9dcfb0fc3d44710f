"""Builds of `NAME_host.c` as a shared library, and calls of its functions."""

from __future__ import annotations

import ctypes
import math
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deploy.arithmetic import pack_rows
from deploy.host_c.after import After
from deploy.host_c.views import Kind
from deploy.integer_network import IntegerNetwork, IntegerTensor
from network.allocation import Bits

Array = npt.NDArray[Any]

FLAGS = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-fPIC", "-O1")

_TYPES = {Kind.REAL: np.float32, Kind.WHOLE: np.int32, Kind.TRUTH: np.uint8}
_CTYPES: dict[Kind, Any] = {Kind.REAL: ctypes.c_float, Kind.WHOLE: ctypes.c_int32, Kind.TRUTH: ctypes.c_uint8}


def with_bits(network: IntegerNetwork, bits: Bits) -> IntegerNetwork:
    """Return a network whose tensors have codes of other bits."""
    tensors = {name: replace(tensor, bits=bits) for name, tensor in network.tensors.items()}
    return replace(network, tensors=tensors)


def built(files: Mapping[str, bytes], directory: Path, *flags: str) -> ctypes.CDLL:
    """Compile C files with all warnings as errors, and load them."""
    for name, content in files.items():
        (directory / name).write_bytes(content)
    sources = [name for name in files if name.endswith(".c")]
    command = ["gcc", *FLAGS, *flags, "-shared", "-o", "host.so", *sources, "-lm"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[:4000]
    return ctypes.CDLL(str(directory / "host.so"))


def packed(codes: Array, tensor: IntegerTensor) -> Array:
    """Return codes [height, width, channels] as the chip stores them: each pixel starts on a byte."""
    return pack_rows(codes.reshape(-1, tensor.shape.channels), tensor.bits).reshape(-1)


def codes_by_c(library: ctypes.CDLL, function: str, sample: Array, tensor: IntegerTensor) -> Array:
    """Call a function that converts a sample to packed codes."""
    pixels = tensor.shape.height * tensor.shape.width
    found = np.full(pixels * math.ceil(tensor.shape.channels * tensor.bits / 8), 0xA5, np.uint8)
    getattr(library, function)(_pointer(np.ascontiguousarray(sample)), _pointer(found))
    return found


def outputs_by_c(
    library: ctypes.CDLL, name: str, after: After, codes: Sequence[Array], samples: Sequence[Array] = ()
) -> list[Array]:
    """Call `NAME_finish`, and return the values for the caller, in the extents of the source file.

    Args:
        library: The library.
        name: Prefix of the function.
        after: The computation, which describes the structure.
        codes: The packed codes of the outputs of the network.
        samples: The samples, if the computation reads them.
    """
    finals = {each.member for each in after.outputs}
    members = sorted(after.members.items(), key=lambda item: item[0] not in finals)

    class Values(ctypes.Structure):
        _fields_ = [(member, _CTYPES[kind] * elements) for member, (kind, elements) in members]

    values = Values()
    given = [np.ascontiguousarray(each) for each in (*codes, *samples)]
    getattr(library, f"{name}_finish")(*map(_pointer, given), ctypes.byref(values))
    return [
        np.array(getattr(values, each.member), dtype=_TYPES[each.kind]).reshape(each.dims) for each in after.outputs
    ]


def _pointer(array: Array) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
