"""Files of weights beside a network file, which an ONNX file refers to by their names."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from network.errors import UnreadableFile


class WeightFilesBeside:
    """Reader of the files in one folder; only plain names are looked up, and links are not followed.

    Attributes:
        contents: Content of each file that was read, by name.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Read nothing yet.

        Args:
            folder: Folder of the network file.
            max_bytes: Largest size of all files together, in bytes.
        """
        self._folder = folder
        self._max_bytes = max_bytes
        self.contents: dict[str, bytes] = {}

    def __call__(self, name: str) -> bytes:
        """Return the content of a file.

        Args:
            name: Name of the file, without a path.

        Raises:
            UnreadableFile: If the name is a path, or if the file does not exist, is a link or a special file, cannot be
                read, or makes all files together too large.
        """
        if name != Path(name).name:
            raise UnreadableFile(f"the network keeps weights in {name[:80]!r}; expected the plain name of a file")
        if name not in self.contents:
            self.contents[name] = self._read(name)
        return self.contents[name]

    def _read(self, name: str) -> bytes:
        allowed = self._max_bytes - sum(map(len, self.contents.values()))
        try:
            # A pipe must not block, and a link could lead out of the folder.
            descriptor = os.open(self._folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise UnreadableFile(f"the network keeps weights in '{name}', which is not a regular file")
                content = file.read(allowed + 1)
        except FileNotFoundError:
            raise UnreadableFile(
                f"the network keeps weights in the file '{name}', which is not in the folder of the network; expected "
                "both files side by side, with their names as they were exported"
            ) from None
        except OSError as error:
            raise UnreadableFile(
                f"cannot read '{name}', the file in which the network keeps weights: {error.strerror}; expected a file "
                "beside the network that is not a link"
            ) from None
        if len(content) > allowed:
            raise UnreadableFile(
                f"the network keeps weights in '{name}', and has more than {self._max_bytes} bytes with it; expected a "
                "network for a microcontroller"
            )
        return content
