"""A training run on disk: everything needed to go on after the last finished epoch, in one file, without pickle.

`checkpoint.safetensors` holds the tensors, and in its metadata one JSON text with the rest. It is replaced as a whole,
so that a crash at any moment leaves the last checkpoint or the one before.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from network.errors import TrainingError
from qat.quantized_network import QuantizedNetwork

FILE_NAME: Final = "checkpoint.safetensors"
VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class EpochResult:
    """How one epoch went.

    Attributes:
        epoch: from 1; 0 is the calibrated network before any training.
        training_loss: averaged over the epoch; None for epoch 0.
        validation_percent: accuracy as deployed on the samples held out of the training set.
        validation_loss: cross-entropy there.
        seconds: by the wall clock, validation included.
    """

    epoch: int
    training_loss: float | None
    validation_percent: float
    validation_loss: float
    seconds: float

    @property
    def merit(self) -> tuple[float, float]:
        """The better epoch has the greater merit: accuracy first, then the loss."""
        return self.validation_percent, -self.validation_loss


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A run after an epoch.

    Attributes:
        fingerprint: of the run's inputs.
        epochs: the results so far.
        best: tensors of the module at the best epoch.
    """

    fingerprint: str
    epochs: tuple[EpochResult, ...]
    best: Mapping[str, Tensor]

    @property
    def best_epoch(self) -> EpochResult:
        return max(self.epochs, key=lambda result: result.merit)


def after_epoch(checkpoint: Checkpoint, result: EpochResult, module: QuantizedNetwork) -> Checkpoint:
    """The checkpoint with one more epoch; the module's tensors are kept if it is the best so far."""
    is_best = not checkpoint.epochs or result.merit > checkpoint.best_epoch.merit
    best = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()} if is_best else None
    return replace(checkpoint, epochs=(*checkpoint.epochs, result), best=best or checkpoint.best)


def save(
    checkpoint: Checkpoint, module: QuantizedNetwork, optimizer: torch.optim.Optimizer | None, directory: Path
) -> None:
    """Write the checkpoint, replacing the one before."""
    tensors = {f"module/{name}": tensor for name, tensor in module.state_dict().items()}
    tensors |= {f"best/{name}": tensor for name, tensor in checkpoint.best.items()}
    if optimizer is not None:
        for number, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{number}/{name}": tensor for name, tensor in state.items()}
    rest = {
        "version": VERSION,
        "fingerprint": checkpoint.fingerprint,
        "epochs": [asdict(result) for result in checkpoint.epochs],
    }
    directory.mkdir(parents=True, exist_ok=True)
    unfinished = directory / f"{FILE_NAME}.unfinished"
    # A copy of each: safetensors refuses tensors that share memory or are not contiguous.
    save_file(
        {name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()},
        unfinished,
        metadata={"checkpoint": json.dumps(rest)},
    )
    with unfinished.open("rb") as written:
        os.fsync(written.fileno())
    unfinished.replace(directory / FILE_NAME)


def restore(
    fingerprint: str, module: QuantizedNetwork, optimizer: torch.optim.Optimizer | None, directory: Path
) -> Checkpoint | None:
    """Bring module and optimizer to where the directory's checkpoint stands; None if it holds none.

    Raises:
        TrainingError: the checkpoint is damaged, or belongs to another run.
    """
    path = directory / FILE_NAME
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            rest = json.loads(file.metadata()["checkpoint"])
            if rest["version"] != VERSION or rest["fingerprint"] != fingerprint:
                raise TrainingError(
                    f"the checkpoint in '{directory.name}' belongs to a run with another network, allocation, dataset "
                    "or other options; give an empty directory, or remove it to start anew"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
            epochs = tuple(EpochResult(**result) for result in rest["epochs"])
        module.load_state_dict(_below("module/", tensors))
        if optimizer is not None:
            _restore_optimizer(optimizer, _below("optimizer/", tensors))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise TrainingError(
            f"the checkpoint in '{directory.name}' is damaged ({str(error)[:200]}); remove it to start anew"
        ) from error
    return Checkpoint(fingerprint, epochs, _below("best/", tensors))


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        number, _, what = name.partition("/")
        state.setdefault(int(number), {})[what] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
