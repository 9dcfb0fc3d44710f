"""Normalisation of the samples that the user declares for a network file that does not contain it.

The file's input is x = (sample - mean) * scale. Examples, for images that are bytes:

    x / 127.5 - 1                            mean 127.5                   scale 1 / 127.5 = 0.00784313725490196
    x / 255                                  mean 0                       scale 1 / 255 = 0.00392156862745098
    (x / 255 - m) / s, for each channel      mean 255 * m                 scale 1 / (255 * s)
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np

from network.errors import RequestError
from network.names import shown
from network.network import Network

MEAN: Final = "input_mean"
SCALE: Final = "input_scale"

MAX_TEXT_LENGTH: Final = 2**17
"""Largest number of characters of a list of numbers: one for each of several thousand features."""


@dataclass(frozen=True)
class DeclaredInput:
    """Normalisation that the user declares: the input of the network's file is (sample - mean) * scale.

    Attributes:
        mean: Numbers to subtract from each sample: one number, or one for each channel (of a vector: each feature).
        scale: Numbers to multiply the difference with: one number, or one for each channel.

    Raises:
        RequestError: if a list is empty, a number is not finite, or a scale is 0.
    """

    mean: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        for name, numbers in ((MEAN, self.mean), (SCALE, self.scale)):
            if not numbers or not all(map(math.isfinite, numbers)):
                raise RequestError(f"{name} is {_text(numbers)}; expected one or more finite numbers")
        if 0.0 in self.scale:
            raise RequestError(f"{SCALE} is {_text(self.scale)}; expected numbers other than 0")

    @classmethod
    def of(cls, mean: float | Sequence[float] | None, scale: float | Sequence[float] | None) -> Self:
        """Make a declaration from one number or several; None stands for a mean of 0 or a scale of 1.

        Raises:
            RequestError: if a value is not a number or a list of numbers, or is out of range.
        """
        return cls(_numbers(mean, MEAN, 0.0), _numbers(scale, SCALE, 1.0))

    @classmethod
    def of_text(cls, mean: str | None, scale: str | None) -> Self:
        """Make a declaration from texts such as "127.5" or "123.675,116.28,103.53"; None stands for 0 or 1.

        Raises:
            RequestError: if a text is not a list of numbers, or a number is out of range.
        """
        return cls(_parsed(mean, MEAN, 0.0), _parsed(scale, SCALE, 1.0))

    @property
    def changes_samples(self) -> bool:
        """Whether the declared normalisation differs from x = sample."""
        return set(self.mean) != {0.0} or set(self.scale) != {1.0}

    def applied_to(self, network: Network) -> Network:
        """Return the network with the declared normalisation before that of its input format.

        ((sample - mean) * scale - subtract) * multiply = (sample - (mean + subtract / scale)) * (scale * multiply)

        Args:
            network: The network as its file describes it.

        Raises:
            RequestError: if the network has several inputs, if there is neither one number nor one for each channel,
                or if a product is not finite.
        """
        if not self.changes_samples:
            return network
        if len(network.inputs) > 1:
            raise RequestError(
                f"{MEAN} and {SCALE} were given for a network with {len(network.inputs)} inputs "
                f"({', '.join(map(shown, network.input_names[:5]))}); expected a network with one input"
            )
        (declared,) = network.inputs
        channels = declared.shape.channels
        for name, numbers in ((MEAN, self.mean), (SCALE, self.scale)):
            if len(numbers) not in {1, channels}:
                raise RequestError(
                    f"{name} has {len(numbers)} numbers; expected 1, or {channels}: one for each channel of the "
                    "network's input"
                )
        given = declared.format
        mean, scale, subtract, multiply = map(np.asarray, (self.mean, self.scale, given.subtract, given.multiply))
        with np.errstate(over="ignore"):
            both = mean + subtract / scale, scale * multiply
        if not (np.isfinite(both[0]).all() and np.isfinite(both[1]).all() and both[1].all()):
            raise RequestError(
                f"{MEAN} and {SCALE} together with the normalisation in the file give numbers that are zero or not "
                "finite; expected a smaller mean or another scale"
            )
        composed = replace(given, subtract=tuple(both[0].tolist()), multiply=tuple(both[1].tolist()))
        return replace(network, inputs=(replace(declared, format=composed),))

    def network_id(self, digest: str) -> str:
        """Return the identifier of a network: the SHA-256 of its file, or of that and the declared normalisation.

        Args:
            digest: SHA-256 of the file, in hexadecimal.
        """
        if not self.changes_samples:
            return digest
        text = f"{digest} {MEAN} {list(self.mean)} {SCALE} {list(self.scale)}"
        return hashlib.sha256(text.encode()).hexdigest()


NOTHING_DECLARED: Final = DeclaredInput()
"""Declaration that leaves the samples as they are."""


def _text(numbers: tuple[float, ...]) -> str:
    return shown(", ".join(f"{number:g}" for number in numbers)) or "an empty list"


def _numbers(given: float | Sequence[float] | None, name: str, default: float) -> tuple[float, ...]:
    if given is None:
        return (default,)
    try:
        if isinstance(given, str | bytes):
            raise TypeError
        return tuple(float(each) for each in (given if isinstance(given, Sequence | np.ndarray) else (given,)))
    except (TypeError, ValueError):
        raise RequestError(f"{name} is {shown(repr(given))}; expected a number, or a list of numbers") from None


def _parsed(text: str | None, name: str, default: float) -> tuple[float, ...]:
    if text is None:
        return (default,)
    if len(text) > MAX_TEXT_LENGTH:
        raise RequestError(f"{name} has {len(text)} characters; expected at most {MAX_TEXT_LENGTH}")
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise RequestError(
            f"{name} is '{shown(text)}'; expected a number, or numbers with commas between them, such as "
            "123.675,116.28,103.53"
        ) from None
