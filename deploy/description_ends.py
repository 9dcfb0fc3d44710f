"""Reading of the inputs of an integer-only network, and of the host's steps behind it, from `network.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from deploy.description import CODES_OF_BYTES
from deploy.integer_network import IntegerTensor
from network.errors import IntegerFileError
from network.host_steps import HostSteps
from network.json_reading.fields import Fields
from network.network_input import MAX_INPUTS, InputFormat, NetworkInput

LARGEST_EXTENT: Final = 2**24
"""Largest extent, stride, dilation, padding and group count to read; `deploy.consistency` bounds their products."""


def read_inputs(description: Fields, tensors: Mapping[str, IntegerTensor]) -> tuple[NetworkInput, ...]:
    """Read the inputs of a network: the object `input`, or the list `inputs` of several.

    Args:
        description: The content of `network.json`.
        tensors: The tensors of the network, by name.

    Raises:
        IntegerFileError: if a field is missing, or has another type or range, or if there are too many inputs.
    """
    several = description.children("inputs") if "inputs" in description else [description.child("input")]
    if len(several) > MAX_INPUTS:
        raise IntegerFileError(f"{description.owner} has {len(several)} inputs; expected at most {MAX_INPUTS}")
    inputs = []
    for given in several:
        name = given.string("tensor")
        if name not in tensors:
            raise given.refused("tensor", "the name of a tensor of the network")
        form = InputFormat(
            dims=given.integers("sample_extents", most=LARGEST_EXTENT),
            channels_last=given.flag("channels_last"),
            subtract=given.numbers("subtract"),
            multiply=given.numbers("multiply"),
            samples_are_bytes=CODES_OF_BYTES in given,
        )
        inputs.append(NetworkInput(name, tensors[name].shape, form))
    return tuple(inputs)


def read_host_steps(description: Fields) -> tuple[HostSteps, ...]:
    """Read what the caller's program computes behind a network; nothing if the description does not state it.

    Args:
        description: The content of `network.json`.

    Raises:
        IntegerFileError: if a field is missing, or has another type.
    """
    given = description.children("host_steps") if "host_steps" in description else []
    return tuple(
        HostSteps(steps.string("output"), steps.strings("tensors"), steps.strings("operators")) for steps in given
    )
