"""A switch that is saved with a module's tensors, and read without waiting for a device."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Flag(nn.Module):
    """Off, until it is set. Compiled code takes it for a constant, and is compiled anew when it changes."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("value", torch.zeros((), dtype=torch.bool))
        self.value: Tensor
        self._is_set = False
        self.register_load_state_dict_post_hook(lambda *_: self._follow())  # type: ignore[no-untyped-call]  # torch's own

    def __bool__(self) -> bool:
        return self._is_set

    def set(self) -> None:
        """On, for good."""
        self.value.fill_(True)
        self._is_set = True

    def _follow(self) -> None:
        self._is_set = bool(self.value)
