"""Types of the step from an uploaded network to what the service stores, and access to uploaded files of weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from api.schemas.networks import NetworkAnswer
from api.schemas.received import Received
from api.storage.uploads import Upload
from network.errors import RequestError, UnreadableFile
from network.reading_options import AS_IN_FILE, ReadingOptions

WEIGHTS_FIELD: Final = "weights"
"""Name of the parts of a form that have files of weights."""

_LISTED: Final = 20
_PLAIN: Final = re.compile(r"[A-Za-z0-9._-]{1,80}")


@dataclass(frozen=True, slots=True)
class UploadOptions:
    """Choices of the caller about how a network file is read.

    Attributes:
        name: Name of the network in reports; a JSON description may replace it.
        reading: Options with which the network is read from its file.
    """

    name: str
    reading: ReadingOptions = AS_IN_FILE


class UploadRequest(BaseModel):
    """Request to a process that reads uploaded networks.

    Attributes:
        upload: Paths of the uploaded files.
        options: Choices of the caller.
    """

    upload: Upload
    options: UploadOptions


class ParsedUpload(Received):
    """What the service stores about an uploaded network, in addition to its files.

    Attributes:
        answer: Description of the network for callers.
        structure: JSON description of the layers, without weights.
    """

    answer: NetworkAnswer
    structure: str


class UploadedWeights:
    """Function from the name that an ONNX file gives to the content of the uploaded file of weights.

    A name is compared with the given names, and never used as a path.

    Args:
        files: Path of each file of weights, by the name that the caller gave.
        network_name: Name of the network, for the advice in error messages.
    """

    def __init__(self, files: Mapping[str, Path], network_name: str) -> None:
        self._files = files
        self._network_name = network_name
        self._used: set[str] = set()

    def __call__(self, name: str) -> bytes:
        """Return the content of a file of weights.

        Raises:
            UnreadableFile: If the upload has no such file.
        """
        if name not in self._files:
            found = f"its files of weights are {_listed(self._files)}" if self._files else "it has no files of weights"
            raise UnreadableFile(
                f"the network keeps weights in the file '{name[:80]}', which the upload does not have ({found}); "
                f"expected a form with the network and one part '{WEIGHTS_FIELD}' for each file of weights, under the "
                f"names of the export: {self._command(name)}"
            )
        self._used.add(name)
        return self._files[name].read_bytes()

    def refuse_unused(self) -> None:
        """Reject files of weights to which the network does not refer.

        Raises:
            RequestError: If there are such files.
        """
        unused = [name for name in self._files if name not in self._used]
        if unused:
            expected = _listed(sorted(self._used)) if self._used else "no file of weights"
            raise RequestError(
                f"the upload has the weights {_listed(unused)}, to which the network does not refer; expected "
                f"{expected}: upload only the files that were exported with the network, under their names"
            )

    def _command(self, name: str) -> str:
        network, weights = f"{self._network_name}.onnx", name
        if not (_PLAIN.fullmatch(network) and _PLAIN.fullmatch(weights)):
            network, weights = "NETWORK", "WEIGHTS"  # the shell or curl could take such a name for something else
        return f'curl -F file=@{network} -F {WEIGHTS_FIELD}=@{weights} "$URL/v1/networks"'


def _listed(names: Mapping[str, Path] | list[str]) -> str:
    shown = ", ".join(f"'{name[:80]}'" for name in list(names)[:_LISTED])
    return f"{shown} and {len(names) - _LISTED} more" if len(names) > _LISTED else shown
