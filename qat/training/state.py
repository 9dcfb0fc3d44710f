"""All of a training run that changes from step to step, taken as a snapshot and brought back to the last bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from qat.quantized_network import QuantizedNetwork
from qat.training.oscillation import Oscillations

MODULE: Final = "module/"
OPTIMIZER: Final = "optimizer/"
OSCILLATIONS: Final = "oscillations/"


@dataclass(frozen=True, slots=True)
class Position:
    """Where a run stands between two steps.

    Attributes:
        step: steps done in the epoch after the last one that was judged; 0 between epochs.
        loss_sum: over the samples of these steps.
        learning_rate_scale: what every learning rate is multiplied by.
        has_gone_back: a loss or gradient was not finite once.
    """

    step: int = 0
    loss_sum: float = 0.0
    learning_rate_scale: float = 1.0
    has_gone_back: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A run between two steps.

    Attributes:
        position: where.
        tensors: of module, optimizer and oscillations, by their names with the prefixes above, on the CPU.
    """

    position: Position
    tensors: Mapping[str, Tensor]

    @property
    def of_module(self) -> dict[str, Tensor]:
        """The module's tensors, as its `load_state_dict` takes them."""
        return below(MODULE, self.tensors)


class TrainingState:
    """What a step of training changes.

    Attributes:
        module: that learns.
        optimizer: of its parameters.
        oscillations: of its weights.
        position: how far it is.
    """

    def __init__(self, module: QuantizedNetwork, optimizer: torch.optim.Optimizer, oscillations: Oscillations) -> None:
        self.module = module
        self.optimizer = optimizer
        self.oscillations = oscillations
        self.position = Position()

    def snapshot(self) -> Snapshot:
        """A copy of everything."""
        tensors = {f"{MODULE}{name}": tensor for name, tensor in self.module.state_dict().items()}
        for number, state in self.optimizer.state_dict()["state"].items():
            tensors |= {
                f"{OPTIMIZER}{number}/{name}": value for name, value in state.items() if isinstance(value, Tensor)
            }
        tensors |= {f"{OSCILLATIONS}{name}": tensor for name, tensor in self.oscillations.tensors().items()}
        return Snapshot(self.position, {name: _copied(tensor) for name, tensor in tensors.items()})

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from there; the module already has the bits that it had then.

        Raises:
            KeyError, RuntimeError, ValueError: the snapshot is of another module.
        """
        self.module.load_state_dict(snapshot.of_module)
        self._restore_optimizer(below(OPTIMIZER, snapshot.tensors))
        self.oscillations.restore(below(OSCILLATIONS, snapshot.tensors))
        self.position = snapshot.position

    def _restore_optimizer(self, tensors: Mapping[str, Tensor]) -> None:
        groups = self.optimizer.state_dict()["param_groups"]
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        numbers = [number for group in groups for number in group["params"]]
        parameter_of = dict(zip(numbers, parameters, strict=True))
        state: dict[int, dict[str, Any]] = {}
        for name, tensor in tensors.items():
            number, _, what = name.partition("/")
            # Laid out in memory as the parameter is, and a copy: the optimizer writes into it.
            like = parameter_of[int(number)]
            own = tensor.clone() if tensor.shape != like.shape else torch.empty_like(like, device="cpu").copy_(tensor)
            state.setdefault(int(number), {})[what] = own.requires_grad_(False)
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})


def below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin so, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _copied(tensor: Tensor) -> Tensor:
    """Contiguous, on the CPU, sharing nothing."""
    return torch.empty(tensor.shape, dtype=tensor.dtype).copy_(tensor.detach())
