"""Checkpoint files of a training run, from which the run can continue after any step; they do not use pickle.

`checkpoint.safetensors` contains the state of the run after its last finished epoch, and the network of the best epoch
so far. `step.safetensors` contains the state in the middle of the following epoch. Tensors are stored in the
safetensors format, and all other values as JSON text in the file's metadata. A file is replaced atomically, so that
after a crash either the new or the previous checkpoint exists.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from deploy.atomic_write import replacing
from network.errors import TrainingError
from qat.training.best_state import Losses, keeps_up, lesser
from qat.training.epoch_result import EpochResult, best_of
from qat.training.state import Position, Snapshot, below

FILE_NAME: Final = "checkpoint.safetensors"
STEP_FILE_NAME: Final = "step.safetensors"
VERSION: Final = 3
_BEST: Final = "best/"
_NOW: Final = "now/"
_LEAST: Final = "least_losses"
_UNREADABLE: Final = (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError)

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """State of a training run after an epoch, with the network of the best epoch.

    Attributes:
        epochs: Results of all finished epochs, from epoch 0.
        now: State from which the run continues.
        best: Tensors of the fake-quantized network after the best epoch, by name.
        best_number: Number of the best epoch.
        least: Least held-out losses and distances so far; None if epochs are compared by quality.
    """

    epochs: tuple[EpochResult, ...]
    now: Snapshot
    best: Mapping[str, Tensor]
    best_number: int
    least: Losses | None = None

    @property
    def best_epoch(self) -> EpochResult:
        return self.epochs[self.best_number]


def after_epoch(
    before: Checkpoint | None, result: EpochResult, now: Snapshot, losses: Losses | None = None
) -> Checkpoint:
    """Create the checkpoint after an epoch; its network becomes the best one if its quality is better than in all
    earlier epochs, or if its losses or its distances keep up with the least ones.

    Args:
        before: Checkpoint after the previous epoch; None before epoch 0.
        result: Result of the epoch.
        now: State of the run after the epoch.
        losses: Loss and distance of each held-out sample; None if epochs are compared by quality.
    """
    if before is None:
        return Checkpoint((result,), now, now.of_module, result.epoch, losses)
    least = before.least
    if losses is None or least is None:
        is_best = result.merit > before.best_epoch.merit
    else:
        is_best = not result.at_doubled_bits and keeps_up(losses, least)
        least = least if result.at_doubled_bits else lesser(losses, least)
    best, number = (now.of_module, result.epoch) if is_best else (before.best, before.best_number)
    return Checkpoint((*before.epochs, result), now, best, number, least)


class CheckpointDirectory:
    """Directory that holds the checkpoint files of one training run.

    Args:
        path: Path of the directory, which is created with the first checkpoint.
        fingerprint: Hash of the run's inputs. A checkpoint with a different one is rejected.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self._path = path
        self._fingerprint = fingerprint

    def save(self, checkpoint: Checkpoint) -> None:
        """Write the checkpoint after an epoch, and remove the checkpoint that was written in the
        middle of this epoch.
        """
        tensors = {f"{_NOW}{name}": tensor for name, tensor in checkpoint.now.tensors.items()}
        tensors |= {f"{_BEST}{name}": tensor for name, tensor in checkpoint.best.items()}
        epochs = [asdict(result) for result in checkpoint.epochs]
        if checkpoint.least is not None:
            tensors[_LEAST] = torch.from_numpy(checkpoint.least)
        rest = {"epochs": epochs, "position": asdict(checkpoint.now.position), "best_epoch": checkpoint.best_number}
        self._write(FILE_NAME, tensors, rest)
        (self._path / STEP_FILE_NAME).unlink(missing_ok=True)

    def save_step(self, epochs_done: int, snapshot: Snapshot) -> None:
        """Write a checkpoint in the middle of an epoch, which replaces the previous one.

        Args:
            epochs_done: Number of finished epochs of training.
            snapshot: State of the run.
        """
        rest = {"epochs_done": epochs_done, "position": asdict(snapshot.position)}
        self._write(STEP_FILE_NAME, {f"{_NOW}{name}": tensor for name, tensor in snapshot.tensors.items()}, rest)

    def load(self) -> Checkpoint | None:
        """Read the checkpoint that was written after the last finished epoch.

        Returns:
            The checkpoint; None if the directory has none.

        Raises:
            TrainingError: If the checkpoint is damaged or belongs to another run.
        """
        found = self._read(FILE_NAME)
        if found is None:
            return None
        rest, tensors = found

        def read() -> Checkpoint:
            epochs = tuple(EpochResult(**result) for result in rest["epochs"])
            if [result.epoch for result in epochs] != list(range(len(epochs))) or not epochs:
                raise ValueError("the epochs of the checkpoint are missing or not in ascending order from 0")
            least = tensors[_LEAST].numpy() if _LEAST in tensors else None
            number = rest.get("best_epoch", best_of(epochs).epoch)  # checkpoints of earlier versions do not have it
            return Checkpoint(epochs, _snapshot(rest, tensors), below(_BEST, tensors), number, least)

        return self.or_damaged(FILE_NAME, read)

    def load_step(self, epochs_done: int) -> Snapshot | None:
        """Read the checkpoint that was written in the middle of an epoch.

        Args:
            epochs_done: Number of finished epochs of training.

        Returns:
            The state in the middle of the following epoch; None if there is no checkpoint for it.

        Raises:
            TrainingError: If the checkpoint is damaged or belongs to another run.
        """
        found = self._read(STEP_FILE_NAME)
        # The file is older than the last epoch's checkpoint if a crash came between writing that one and removing this.
        if found is None or found[0].get("epochs_done") != epochs_done:
            return None
        return self.or_damaged(STEP_FILE_NAME, lambda: _snapshot(*found))

    def or_damaged(self, name: str, use: Callable[[], _Value]) -> _Value:
        """Call a function that uses the content of a checkpoint file, and report its errors as a damaged checkpoint.

        Args:
            name: Name of the checkpoint file, for the message.
            use: The function to call.

        Raises:
            TrainingError: If the function fails because the content is invalid.
        """
        try:
            return use()
        except _UNREADABLE as error:
            raise TrainingError(
                f"the checkpoint {name} in '{self._path.name}' is damaged ({str(error)[:200]}); remove the file to "
                "restart the training without it"
            ) from error

    def _write(self, name: str, tensors: Mapping[str, Tensor], rest: Mapping[str, Any]) -> None:
        document = {"version": VERSION, "fingerprint": self._fingerprint, **rest}
        self._path.mkdir(parents=True, exist_ok=True)
        # safetensors rejects tensors that share memory, so that each further use of the same memory is copied.
        seen: set[int] = set()
        own = {}
        for each, tensor in tensors.items():
            own[each] = tensor.clone() if tensor.data_ptr() in seen else tensor
            seen.add(tensor.data_ptr())
        with replacing(self._path / name, is_only_writer=True) as unfinished:
            save_file(own, unfinished, metadata={"checkpoint": json.dumps(document)})

    def _read(self, name: str) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        path = self._path / name
        if not path.exists():
            return None

        def read() -> tuple[dict[str, Any], dict[str, Tensor]] | None:
            with safe_open(path, framework="pt") as file:
                rest = json.loads(file.metadata()["checkpoint"])
                if rest["version"] != VERSION or rest["fingerprint"] != self._fingerprint:
                    return None
                return rest, {each: file.get_tensor(each) for each in file.keys()}  # noqa: SIM118  # no mapping

        found = self.or_damaged(name, read)
        if found is None:
            raise TrainingError(
                f"the checkpoint {name} in '{self._path.name}' belongs to a run with another network, allocation, "
                "dataset or other options; use an empty directory, or remove the file to restart the training"
            )
        return found


def _snapshot(rest: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Snapshot:
    return Snapshot(Position(**rest["position"]), below(_NOW, tensors))
