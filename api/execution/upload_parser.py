"""Reading of uploaded networks in processes with limits of memory and time."""

from __future__ import annotations

import math
from typing import Final

from api.errors import ReadingLimit, Unavailable
from api.execution.task_pool import Outcome, PoolBusy, TaskLimits, TaskPool
from api.execution.task_process import Ending
from api.services.upload_parsing import ParsedUpload, UploadOptions, UploadRequest
from api.settings import MIB, Settings
from api.storage.uploads import Upload
from network import errors
from network.errors import BitbudgetError, UnreadableFile

PLACES: Final = 2
"""Number of uploads that are read at the same time."""

WAIT_SECONDS: Final = 30.0
"""Longest time in seconds that an upload waits for its turn."""

_TASK: Final = "api.execution.upload_task:answer"
_ERRORS: Final = {
    each.__name__: each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, BitbudgetError)
}
"""Class of each error that the process may report, by name."""
_SUGGESTION: Final = "upload a smaller network, or let the operator of the service raise"


class UploadParser:
    """Reader of uploaded networks in processes with limits; several threads can use it.

    Args:
        settings: Settings of the service, with the limits.
    """

    def __init__(self, settings: Settings) -> None:
        self._limits = TaskLimits(memory_bytes=settings.parse_memory_bytes, seconds=settings.parse_seconds)
        self._pool = TaskPool(_TASK, self._limits, PLACES)

    def start(self) -> None:
        """Start a process, so that the first upload does not wait for its imports."""
        self._pool.warm_up()

    def close(self) -> None:
        """End all processes."""
        self._pool.close()

    def parse_upload(self, upload: Upload, options: UploadOptions) -> ParsedUpload:
        """Read an uploaded network in a process with limits.

        Args:
            upload: The uploaded files.
            options: Choices of the caller.

        Raises:
            NetworkError: If the upload is not a valid network.
            RequestError: If the upload has files of weights to which the network does not refer.
            ReadingLimit: If reading the network needs too much time or memory.
            Unavailable: If the processes are busy with other uploads for too long.
        """
        request = UploadRequest(upload=upload, options=options).model_dump_json().encode()
        try:
            outcome = self._pool.run(request, wait_seconds=WAIT_SECONDS)
        except PoolBusy:
            raise Unavailable(
                f"the service was reading other networks for {WAIT_SECONDS:g} s, or is ending; try again later"
            ) from None
        if outcome.ending is Ending.ANSWERED:
            return ParsedUpload.model_validate_json(outcome.body)
        raise _error_of(outcome, self._limits)


def _error_of(outcome: Outcome, limits: TaskLimits) -> BitbudgetError:
    """Return the error for a caller whose upload was not read."""
    text = outcome.body.decode(errors="replace")
    match outcome.ending:
        case Ending.REFUSED:
            name, _, message = text.partition("\n")
            return _ERRORS.get(name, UnreadableFile)(message)
        case Ending.TOO_LONG:
            return ReadingLimit(
                f"reading the network took longer than {limits.seconds:g} s; expected a network for a microcontroller, "
                f"which is read within seconds: {_SUGGESTION} BITBUDGET_PARSE_SECONDS"
            )
        case Ending.OUT_OF_MEMORY:
            return ReadingLimit(
                f"reading the network needs more than {math.floor(limits.memory_bytes / MIB)} MiB of memory; expected "
                f"a network for a microcontroller: {_SUGGESTION} BITBUDGET_PARSE_MEMORY"
            )
        case _:
            return UnreadableFile(
                f"the process that read the network was ended by {text[:80]}; expected a complete ONNX, TFLite or JSON "
                "file: export the network again, and if that does not help, report this file as a fault of bitbudget"
            )
