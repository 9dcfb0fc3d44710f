"""A boolean flag that is saved with the tensors of a torch module and read without device synchronization."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Flag(nn.Module):
    """A boolean flag of a torch module that is False until `set` is called.

    Compiled code treats it as a constant and is recompiled after a change.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("value", torch.zeros((), dtype=torch.bool))
        self.value: Tensor
        self._is_set = False
        self.register_load_state_dict_post_hook(lambda *_: self._sync())  # type: ignore[no-untyped-call]  # torch's own

    def __bool__(self) -> bool:
        return self._is_set

    def set(self) -> None:
        """Set the flag to True permanently."""
        self.value.fill_(True)
        self._is_set = True

    def _sync(self) -> None:
        self._is_set = bool(self.value)
