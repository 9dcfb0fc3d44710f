"""Options of reading a network file: extents of open dimensions, and the tensors at which the network ends."""

from __future__ import annotations

import difflib
import hashlib
import heapq
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from network.declared_input import NOTHING_DECLARED, DeclaredInput
from network.errors import RequestError
from network.names import is_name, shown
from network.network import MAX_TENSOR_ELEMENTS

MAX_INPUT_SHAPES: Final = 16
"""Largest number of inputs whose shape can be given."""

MAX_OUTPUTS: Final = 100
"""Largest number of outputs of a file, and of tensors at which the network can end; the time to find what the host
computes grows with it."""

_MAX_DIMENSIONS: Final = 8
_SHAPE: Final = re.compile(r"[0-9]{1,10}(?:\s*[,x]\s*[0-9]{1,10})*")
_MAX_COMPARED: Final = 100
"""Largest number of names that are compared letter by letter with a name that does not exist."""

_COMPARED_LETTERS: Final = 100
"""Number of letters of each name, from its end, that are compared: the time grows with their square."""

_SHOWN_NAMES: Final = 5
_EXAMPLE_EXTENT: Final = 96
"""Extent that an example gives to an open dimension."""

Extents = tuple[int | None, ...]
"""Extents of an input as a file gives them, the batch included; None for an open one."""


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """What the caller states about a network file in addition to its content.

    Attributes:
        input_shapes: Name of an input of the file, or "" for the only one, with its extents. The batch is left out, or
            is 1.
        outputs: Names of the tensors at which the network ends, in the order of the network's outputs; empty for the
            outputs of the file.
        declared: Normalisation of the samples that the file does not contain.

    Raises:
        RequestError: If a name is not printable, a shape is given twice, an extent is less than 1, or there are too
            many shapes or outputs.
    """

    input_shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()
    outputs: tuple[str, ...] = ()
    declared: DeclaredInput = NOTHING_DECLARED

    def __post_init__(self) -> None:
        names = [name for name, _ in self.input_shapes]
        if len(set(names)) < len(names) or len(names) > MAX_INPUT_SHAPES or ("" in names and len(names) > 1):
            raise RequestError(
                f"the option input_shape gives {len(names)} shapes; expected one shape, or at most {MAX_INPUT_SHAPES} "
                "of the form NAME=1x40x98, each with the name of another input"
            )
        for name, extents in self.input_shapes:
            if name and not is_name(name):
                raise RequestError(f"the option input_shape names the input '{shown(name)}'; expected printable text")
            if not 1 <= len(extents) <= _MAX_DIMENSIONS or not all(
                1 <= each <= MAX_TENSOR_ELEMENTS for each in extents
            ):
                raise RequestError(
                    f"the option input_shape gives the extents {list(extents[:_MAX_DIMENSIONS])}; expected 1 to "
                    f"{_MAX_DIMENSIONS} whole numbers from 1 to {MAX_TENSOR_ELEMENTS}"
                )
        if len(self.outputs) > MAX_OUTPUTS or len(set(self.outputs)) < len(self.outputs):
            raise RequestError(
                f"the option output names {len(self.outputs)} tensors; expected at most {MAX_OUTPUTS}, each once"
            )
        for name in self.outputs:
            if not is_name(name):
                raise RequestError(f"the option output names the tensor '{shown(name)}'; expected printable text")

    @classmethod
    def of_texts(
        cls,
        input_shapes: Iterable[str] = (),
        outputs: Iterable[str] = (),
        input_mean: str | None = None,
        input_scale: str | None = None,
    ) -> ReadingOptions:
        """Return the options that a command line or a query gives as texts.

        Args:
            input_shapes: One shape such as "1,40,98", or shapes with the names of inputs such as "x=1x40x98".
            outputs: Names of tensors.
            input_mean: Numbers to subtract from each sample, such as "127.5"; None subtracts nothing.
            input_scale: Numbers to multiply the difference with; None multiplies by 1.

        Raises:
            RequestError: If a text is not a shape or a list of numbers, or the options contradict each other.
        """
        declared = DeclaredInput.of_text(input_mean, input_scale)
        return cls(tuple(_named_shape(text) for text in input_shapes), tuple(outputs), declared)

    @property
    def is_empty(self) -> bool:
        """Whether the layers and shapes are those of the file."""
        return not self.input_shapes and not self.outputs

    def identity(self, digest: str) -> str:
        """Return the identifier of the network that these options read from a file.

        Args:
            digest: SHA-256 of the content of the file, in hexadecimal.

        Returns:
            The digest itself without options; otherwise another SHA-256, in hexadecimal.
        """
        if not self.is_empty:
            digest = hashlib.sha256(json.dumps([digest, self.input_shapes, self.outputs]).encode()).hexdigest()
        return self.declared.network_id(digest)

    def texts(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return input shapes and outputs as the texts from which `of_texts` makes equal ones."""
        shapes = ((name, "x".join(map(str, extents))) for name, extents in self.input_shapes)
        return tuple(f"{name}={extents}" if name else extents for name, extents in shapes), self.outputs

    def fixed(self, inputs: Mapping[str, Extents]) -> dict[str, Extents]:
        """Return the extents of the inputs of a file, with open ones replaced by the given ones.

        Args:
            inputs: Name of each input of the file -> its extents, the batch first if there is one.

        Returns:
            The extents of each input, as many as in the file. The batch is 1 if the option gives it, and as in the file
            otherwise.

        Raises:
            RequestError: If an input does not exist, or a given extent contradicts a fixed extent of the file.
        """
        fixed = dict(inputs)
        for given_name, given in self.input_shapes:
            name = given_name if given_name or len(inputs) != 1 else next(iter(inputs))
            if name not in inputs:
                wrong = f"'{shown(given_name)}'" if given_name else "no input by name"
                raise RequestError(
                    f"the option input_shape names {wrong}; expected NAME=SHAPE with one of the inputs of the file: "
                    f"{_listed(inputs)}"
                )
            fixed[name] = _fixed(name, inputs[name], given)
        return fixed


AS_IN_FILE: Final = ReadingOptions()
"""Options that read a file as it is."""


def open_extent_advice(name: str, extents: Extents, *, has_batch: bool = True) -> str:
    """Return how to give the open extents of an input, with an example that has the other extents of the file.

    Args:
        name: Name of the input.
        extents: Extents of the input as the file gives them, at least one of them open.
        has_batch: Whether the first extent is the batch.
    """
    example = [each if each is not None and each > 0 else _EXAMPLE_EXTENT for each in extents]
    if has_batch:
        example[0] = 1
    return (
        f"give '{shown(name)}' fixed extents by the option input_shape, for example --input-shape "
        f"{','.join(map(str, example))}, or export the network with a fixed size"
    )


def unknown_output(name: str, known: Iterable[str], outputs: Sequence[str]) -> RequestError:
    """Return the error for a tensor that the option output names and no operator writes.

    Args:
        name: The name.
        known: Names of the tensors at which the network can end.
        outputs: Names of the outputs that there are without the option.
    """
    wanted = _pairs_of_letters(name)
    likely = heapq.nlargest(_MAX_COMPARED, known, key=lambda each: len(wanted & _pairs_of_letters(each)))
    ends = {each[-_COMPARED_LETTERS:]: each for each in likely}
    close = difflib.get_close_matches(name[-_COMPARED_LETTERS:], ends, n=_SHOWN_NAMES, cutoff=0.5)
    near = f"close names are {_listed(ends[each] for each in close)}, and " if close else ""
    return RequestError(
        f"the option output names '{shown(name)}', which no operator writes; {near}the outputs are {_listed(outputs)}"
    )


def _pairs_of_letters(name: str) -> set[str]:
    return {name[place : place + 2] for place in range(len(name))}


def _named_shape(text: str) -> tuple[str, tuple[int, ...]]:
    name, _, shape = text.rpartition("=")
    if not _SHAPE.fullmatch(shape.strip()):
        raise RequestError(
            f"the option input_shape is '{shown(text)}'; expected extents such as 1,40,98, or NAME=1x40x98 for one of "
            "several inputs"
        )
    return name, tuple(int(each) for each in re.split("[,x]", shape))


def _fixed(name: str, in_file: Extents, given: tuple[int, ...]) -> Extents:
    """Return the extents of one input, the open ones replaced by given ones.

    Args:
        name: Name of the input.
        in_file: Extents in the file; empty if the file states none.
        given: The given extents, with or without the batch.
    """
    file_text = f"{','.join('?' if each is None else str(each) for each in in_file)}"
    owner = f"the option input_shape gives '{shown(name)}' the extents {','.join(map(str, given))}"
    if not in_file:
        return given
    rank = len(in_file)
    if rank > 1 and len(given) == rank - 1:
        given_all: Extents = (in_file[0], *given)
    elif len(given) != rank:
        raise RequestError(
            f"{owner}, and the file has the extents {file_text}; expected as many extents, or one less without the "
            "batch"
        )
    elif rank > 1 and given[0] != 1 and in_file[0] != given[0]:
        raise RequestError(
            f"{owner}, and the file has the extents {file_text}; expected 1 as the first extent, which is the batch, "
            "or extents without the batch"
        )
    else:
        given_all = (given[0] if in_file[0] is None else in_file[0], *given[1:])
    for expected, extent in zip(in_file, given_all, strict=True):
        if expected is not None and extent != expected:
            raise RequestError(
                f"{owner}, and the file fixes the extents {file_text}; expected the extents of the file where it does "
                "not have a '?'"
            )
    return given_all


def _listed(names: Iterable[str]) -> str:
    first = [f"'{shown(name)}'" for name in islice(names, _SHOWN_NAMES + 1)]
    more = ", ..." if len(first) > _SHOWN_NAMES else ""
    return (", ".join(first[:_SHOWN_NAMES]) or "none") + more
