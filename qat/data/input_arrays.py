"""Samples of a network with several inputs, stored as one array for each input. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from network.errors import DatasetError
from network.joined_samples import joined
from network.network_input import NetworkInput
from qat.data.dataset import Indices, Part, Samples, SampleSource, in_layout_of, sample_dims
from qat.data.names import printable


@dataclass(frozen=True, eq=False)
class InputArrays:
    """Samples as one array for each input of a network, which are joined to float32 vectors when they are indexed.

    Attributes:
        sources: Key of each array -> samples of one input. The keys are the names of the inputs, or "0", "1", ... in
            the order of the inputs.
        inputs: The inputs that read the arrays, in the order of the arrays; None if the network is not known yet.

    Raises:
        DatasetError: if the arrays have different numbers of samples.
    """

    sources: Mapping[str, SampleSource]
    inputs: tuple[NetworkInput, ...] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        counts = {key: len(source) for key, source in self.sources.items()}
        if len(set(counts.values())) != 1:
            listed = ", ".join(f"{count} of '{printable(key)}'" for key, count in list(counts.items())[:5])
            raise DatasetError(f"the inputs have {listed or 'no'} samples; expected the same number for each input")

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the joined samples: float32."""
        return np.dtype(np.float32)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of all joined samples together, [n, elements]."""
        return (len(self), sum(int(np.prod(source.shape[1:], dtype=object)) for source in self.sources.values()))

    def __len__(self) -> int:
        return len(next(iter(self.sources.values())))

    def __getitem__(self, selected: slice | Indices, /) -> Samples:
        parts = [source[selected] for source in self.sources.values()]
        if self.inputs is not None:
            parts = [in_layout_of(part, given) for part, given in zip(parts, self.inputs, strict=True)]
        return joined([part.astype(np.float32) for part in parts])

    def of_inputs(self, inputs: Sequence[NetworkInput], part: str) -> InputArrays:
        """Return the same samples, joined in the order of a network's inputs, with uint8 images in its layout.

        Args:
            inputs: The inputs of the network.
            part: Name of the samples in errors: "train_x" or "test_x".

        Raises:
            DatasetError: if an input has no array, an array belongs to no input, or a shape does not fit.
        """
        names = [each.name for each in inputs]
        keys = names if set(self.sources) == set(names) else [str(number) for number in range(len(inputs))]
        if set(self.sources) != set(keys):
            expected = ", ".join(f"{part}_{printable(name)}" for name in names[:5])
            found = ", ".join(f"{part}_{printable(key)}" for key in list(self.sources)[:5])
            raise DatasetError(
                f"the samples have the arrays {found}; expected one for each input of the network: {expected}, or "
                f"{part}_0 to {part}_{len(inputs) - 1} in this order"
            )
        for key, given in zip(keys, inputs, strict=True):
            source = self.sources[key]
            dims = sample_dims(given.format, source.dtype)
            if source.shape[1:] != dims:
                raise DatasetError(
                    f"{part}_{printable(key)} is {source.dtype} with shape {list(source.shape)}; the input "
                    f"'{printable(given.name)}' of the network needs [n, {', '.join(map(str, dims))}]"
                )
        return replace(self, sources={key: self.sources[key] for key in keys}, inputs=tuple(inputs))


def holds_bytes(samples: SampleSource, name: str) -> bool:
    """Return whether joined samples come from arrays of which that of one input holds bytes.

    Args:
        samples: The samples.
        name: Name of the input.
    """
    whole = samples.source if isinstance(samples, Part) else samples
    if not isinstance(whole, InputArrays) or whole.inputs is None:
        return False
    pairs = zip(whole.inputs, whole.sources.values(), strict=True)
    return any(given.name == name and source.dtype == np.uint8 for given, source in pairs)
