"""File of measurements of a long benchmark, so that an interrupted benchmark can be continued."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from benchmarks.outcome import Outcome

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


class KeptMeasurements(Generic[T]):
    """File of measurements by the fingerprint of their inputs, with one line of JSON for each.

    Each measurement is written as soon as it is known. If an interruption has cut off the last line, that line is
    ignored.

    Args:
        path: The file, which is created if it is missing; None keeps the measurements only in memory.
        kind: The dataclass of a measurement, with plain values.
    """

    def __init__(self, path: Path | None, kind: type[T]) -> None:
        self._path = path
        self._known: dict[str, T] = {}
        self._is_cut_off = False
        if path is not None and path.exists():
            text = path.read_text()
            self._is_cut_off = not text.endswith("\n") and bool(text)
            for line in text.splitlines():
                try:
                    kept = json.loads(line)
                except ValueError:
                    continue
                self._known[kept["key"]] = kind(**kept["outcome"])

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def __getitem__(self, key: str) -> T:
        return self._known[key]

    def get(self, key: str) -> T | None:
        """Return the recorded measurement of a fingerprint of inputs; None if there is none."""
        return self._known.get(key)

    def remember(self, key: str, outcome: T, what: Mapping[str, Any]) -> None:
        """Record a measurement in memory and at the end of the file.

        Args:
            key: The fingerprint of the inputs.
            outcome: The measurement.
            what: A description for a human reader of the file.
        """
        self._known[key] = outcome
        if self._path is not None:
            line = json.dumps({"key": key, **what, "outcome": asdict(outcome)})
            with self._path.open("a") as file:
                file.write(f"\n{line}\n" if self._is_cut_off else f"{line}\n")
            self._is_cut_off = False


class Kept(KeptMeasurements[Outcome]):
    """File of the outcomes of trainings by the fingerprint of their inputs.

    Args:
        path: The file, which is created if it is missing; None keeps the outcomes only in memory.
    """

    def __init__(self, path: Path | None) -> None:
        super().__init__(path, Outcome)
