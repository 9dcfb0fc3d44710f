"""One option that the recipe has chosen, with the reason for its value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Choice:
    """An option of a training run that the recipe has chosen.

    Attributes:
        option: Name of the option.
        value: Value of the option as text.
        reason: Reason for the value: the rule and the figures that it depends on.
    """

    option: str
    value: str
    reason: str

    def __str__(self) -> str:
        return f"{self.option}: {self.value} ({self.reason})"
