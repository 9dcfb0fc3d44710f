"""What the processes that train together tell each other and the worker of their job: an actor of the cluster.

    worker  ◄── take ── TrainingBoard ◄── tell ──  first process     progress, signs of life, checkpoints
                                      ◄── begin ── first process     the network and its bits
                                      ─── begun ─► other processes

Checkpoints go through the worker, which alone writes the files of its attempt: a process that outlives its worker for a
moment cannot change them, and the nodes need no shared directory.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Any, Final, Self

import ray

from api.execution.executor import HEARTBEAT_SECONDS
from api.execution.heartbeat import LEAST_CPU_SECONDS
from api.storage.file_copies import Copies, copies_of
from api.storage.saved_work import SavedWork
from network.allocation import Allocation
from network.network import Network
from qat.progress import Progress

POLL_SECONDS: Final = 0.5
"""Time in seconds between two looks at the board, and between two messages to it."""
CHECKPOINT_SECONDS: Final = 1.0
"""Time in seconds between two looks for a new checkpoint."""


@dataclass(frozen=True, slots=True)
class News:
    """What the first process has told since the last look.

    Attributes:
        has_told: Whether it has told anything yet.
        is_alive: Whether it has reported or computed since the last look.
        progress: Its latest progress; None before the first report.
        checkpoint: Files of its latest checkpoint; None if there is no new one.
    """

    has_told: bool = False
    is_alive: bool = False
    progress: Progress | None = None
    checkpoint: Copies | None = None


class TrainingBoard:
    """Messages of the processes of one training; `start_board` makes it an actor of the cluster."""

    def __init__(self) -> None:
        self._news = News()
        self._begun: tuple[Network, Allocation] | None = None

    def tell(self, progress: Progress | None, checkpoint: Copies | None) -> None:
        """Keep what the first process tells until the worker takes it."""
        kept = self._news.checkpoint if checkpoint is None else checkpoint
        self._news = News(has_told=True, is_alive=True, progress=progress, checkpoint=kept)

    def take(self) -> News:
        """Return what is new since the last call."""
        taken = self._news
        self._news = News(has_told=taken.has_told, progress=taken.progress)
        return taken

    def begin(self, network: Network, allocation: Allocation) -> None:
        """Keep what all processes train."""
        self._begun = network, allocation

    def begun(self) -> tuple[Network, Allocation] | None:
        """Return what all processes train; None as long as the first process chooses the bits."""
        return self._begun


def start_board() -> Any:  # Any: a handle of an actor, whose methods Ray makes
    """Return a new board, which ends with the process that calls this."""
    return ray.remote(TrainingBoard).options(num_cpus=0).remote()


class Teller:
    """Thread of the first process that tells the board what is new; it runs in a `with` block.

    Args:
        board: The board.
        checkpoint: Directory of the checkpoints.
    """

    def __init__(self, board: Any, checkpoint: Path) -> None:
        self._board = board
        self._checkpoint = checkpoint
        self._saved = SavedWork(checkpoint)
        self._looked_at = self._measured_at = time.monotonic()
        self._used_seconds = time.process_time()
        self._latest: Progress | None = None
        self._is_new = True
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="teller", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def report(self, progress: Progress) -> None:
        """Let the thread tell this progress, unless there is a later one until then."""
        self._latest, self._is_new = progress, True

    def _run(self) -> None:
        while not self._stopped.wait(POLL_SECONDS):
            is_new, self._is_new = self._is_new, False
            checkpoint = self._new_checkpoint()
            computes = self._computes()
            if is_new or computes or checkpoint is not None:
                ray.get(self._board.tell.remote(self._latest, checkpoint))

    def _new_checkpoint(self) -> Copies | None:
        now = time.monotonic()
        if now - self._looked_at < CHECKPOINT_SECONDS or not self._saved.has_grown():
            return None
        copies = copies_of(self._checkpoint)
        self._looked_at = time.monotonic()
        return copies

    def _computes(self) -> bool:
        """Return whether this process has used the processor, at most every `HEARTBEAT_SECONDS`."""
        now, used_seconds = time.monotonic(), time.process_time()
        if now - self._measured_at < HEARTBEAT_SECONDS:
            return False
        has_computed = used_seconds - self._used_seconds >= LEAST_CPU_SECONDS
        self._measured_at, self._used_seconds = now, used_seconds
        return has_computed
