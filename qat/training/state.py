"""State of a training run that each training step changes, and snapshots that restore it bit for bit."""

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
    """Position of a training run between two training steps.

    Attributes:
        step: Number of finished steps in the current epoch; 0 between epochs.
        loss_sum: Sum of the training loss over the samples of these steps.
        learning_rate_scale: Factor of all learning rates: 1, or 0.5 after the run was restored once.
        has_gone_back: Whether the run was restored once because a loss or gradient was not finite.
    """

    step: int = 0
    loss_sum: float = 0.0
    learning_rate_scale: float = 1.0
    has_gone_back: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Copy of the state of a training run between two training steps.

    Attributes:
        position: Position of the run.
        tensors: Tensors of the network, the optimizer and the oscillation statistics on the CPU, by name with the
            prefix "module/", "optimizer/" or "oscillations/".
    """

    position: Position
    tensors: Mapping[str, Tensor]

    @property
    def of_module(self) -> dict[str, Tensor]:
        """The tensors of the network, as `load_state_dict` of its torch module expects them."""
        return below(MODULE, self.tensors)


class TrainingState:
    """State of a training run that each training step changes.

    Attributes:
        module: The fake-quantized network.
        optimizer: Optimizer of its parameters.
        oscillations: Oscillation statistics of its weights.
        position: Position of the run.
    """

    def __init__(self, module: QuantizedNetwork, optimizer: torch.optim.Optimizer, oscillations: Oscillations) -> None:
        self.module = module
        self.optimizer = optimizer
        self.oscillations = oscillations
        self.position = Position()

    def snapshot(self) -> Snapshot:
        """Copy the state of the training run: position, network, optimizer and oscillation statistics."""
        tensors = {f"{MODULE}{name}": tensor for name, tensor in self.module.state_dict().items()}
        for number, state in self.optimizer.state_dict()["state"].items():
            tensors |= {
                f"{OPTIMIZER}{number}/{name}": value for name, value in state.items() if isinstance(value, Tensor)
            }
        tensors |= {f"{OSCILLATIONS}{name}": tensor for name, tensor in self.oscillations.tensors().items()}
        return Snapshot(self.position, {name: _copied(tensor) for name, tensor in tensors.items()})

    def restore(self, snapshot: Snapshot) -> None:
        """Restore the state of the training run from a snapshot; the network must already have the bits of the
        snapshot.

        Raises:
            KeyError, RuntimeError, ValueError: If the snapshot belongs to another network.
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
            # A copy in the memory format of the parameter, because the optimizer writes to it.
            like = parameter_of[int(number)]
            own = tensor.clone() if tensor.shape != like.shape else torch.empty_like(like, device="cpu").copy_(tensor)
            state.setdefault(int(number), {})[what] = own.requires_grad_(False)
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})


def below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix, by name without the prefix."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _copied(tensor: Tensor) -> Tensor:
    """Copy a torch tensor to contiguous memory of the CPU."""
    return torch.empty(tensor.shape, dtype=tensor.dtype).copy_(tensor.detach())
