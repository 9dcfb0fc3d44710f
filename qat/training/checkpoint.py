"""A training run on disk: everything needed to go on after any step, without pickle.

`checkpoint.safetensors` holds the run after its last epoch, and the best epoch so far; `step.safetensors` the run in
the middle of the epoch after that. The tensors are safetensors', the rest one JSON text in the file's metadata. A file
is replaced as a whole, so that a crash at any moment leaves the last checkpoint or the one before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from deploy.atomic_write import replacing
from network.errors import TrainingError
from qat.training.epoch_result import EpochResult, best_of
from qat.training.state import Position, Snapshot, below

FILE_NAME: Final = "checkpoint.safetensors"
STEP_FILE_NAME: Final = "step.safetensors"
VERSION: Final = 2
_BEST: Final = "best/"
_NOW: Final = "now/"
_UNREADABLE: Final = (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError)

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A run after an epoch.

    Attributes:
        epochs: the results so far.
        now: the run as it goes on.
        best: tensors of the module at the best epoch.
    """

    epochs: tuple[EpochResult, ...]
    now: Snapshot
    best: Mapping[str, Tensor]

    @property
    def best_epoch(self) -> EpochResult:
        return best_of(self.epochs)


def after_epoch(before: Checkpoint | None, result: EpochResult, now: Snapshot) -> Checkpoint:
    """The checkpoint with one more epoch; the module's tensors are kept if it is the best so far."""
    if before is None:
        return Checkpoint((result,), now, now.of_module)
    is_best = result.merit > before.best_epoch.merit
    return Checkpoint((*before.epochs, result), now, now.of_module if is_best else before.best)


class CheckpointDirectory:
    """Where a run's checkpoints lie.

    Args:
        path: the directory; it comes into being with the first checkpoint.
        fingerprint: of the run's inputs: what belongs to another run is refused.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self._path = path
        self._fingerprint = fingerprint

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint by that of one more epoch."""
        tensors = {f"{_NOW}{name}": tensor for name, tensor in checkpoint.now.tensors.items()}
        tensors |= {f"{_BEST}{name}": tensor for name, tensor in checkpoint.best.items()}
        epochs = [asdict(result) for result in checkpoint.epochs]
        self._write(FILE_NAME, tensors, {"epochs": epochs, "position": asdict(checkpoint.now.position)})
        (self._path / STEP_FILE_NAME).unlink(missing_ok=True)

    def save_step(self, epochs_done: int, snapshot: Snapshot) -> None:
        """Replace the checkpoint in the middle of an epoch."""
        rest = {"epochs_done": epochs_done, "position": asdict(snapshot.position)}
        self._write(STEP_FILE_NAME, {f"{_NOW}{name}": tensor for name, tensor in snapshot.tensors.items()}, rest)

    def load(self) -> Checkpoint | None:
        """The run after its last epoch; None if there is none.

        Raises:
            TrainingError: the checkpoint is damaged, or belongs to another run.
        """
        found = self._read(FILE_NAME)
        if found is None:
            return None
        rest, tensors = found

        def read() -> Checkpoint:
            epochs = tuple(EpochResult(**result) for result in rest["epochs"])
            if [result.epoch for result in epochs] != list(range(len(epochs))) or not epochs:
                raise ValueError("its epochs are not in order")
            return Checkpoint(epochs, _snapshot(rest, tensors), below(_BEST, tensors))

        return self.or_damaged(FILE_NAME, read)

    def load_step(self, epochs_done: int) -> Snapshot | None:
        """The run in the middle of the epoch after so many; None if there is none.

        Raises:
            TrainingError: the checkpoint is damaged, or belongs to another run.
        """
        found = self._read(STEP_FILE_NAME)
        # One that is older than the last epoch's checkpoint: a crash came between writing that and removing this.
        if found is None or found[0].get("epochs_done") != epochs_done:
            return None
        return self.or_damaged(STEP_FILE_NAME, lambda: _snapshot(*found))

    def or_damaged(self, name: str, act: Callable[[], _Value]) -> _Value:
        """Do something with what a file holds.

        Raises:
            TrainingError: what it holds does not do.
        """
        try:
            return act()
        except _UNREADABLE as error:
            raise TrainingError(
                f"the checkpoint {name} in '{self._path.name}' is damaged ({str(error)[:200]}); remove it to start anew"
            ) from error

    def _write(self, name: str, tensors: Mapping[str, Tensor], rest: Mapping[str, Any]) -> None:
        document = {"version": VERSION, "fingerprint": self._fingerprint, **rest}
        self._path.mkdir(parents=True, exist_ok=True)
        # A copy of what is there twice: safetensors refuses tensors that share memory.
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
                "dataset or other options; give an empty directory, or remove it to start anew"
            )
        return found


def _snapshot(rest: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Snapshot:
    return Snapshot(Position(**rest["position"]), below(_NOW, tensors))
