"""Cache on disk of answers to questions about networks, with limits on its size and on the number of answers.

    answers/SHA-256 of the network-SHA-256 of the question.json

The answer that was used least recently is deleted first. Deleting any of it costs time and nothing else. A file begins
with the SHA-256 of the answer instead of being synchronized with the disk, which takes longer than a small fit: after a
loss of power, an answer that is damaged is computed again.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import OrderedDict
from pathlib import Path
from tempfile import NamedTemporaryFile
from threading import Lock
from typing import Final

from api.settings import DEFAULT_PROJECT

MAX_ANSWERS: Final = 10_000
"""Largest number of kept answers: the service has the name of each of them in memory, some 400 bytes."""
_DIGEST_BYTES: Final = 32


class AnswerCache:
    """Answers to questions about networks, which several threads of the service read and write.

    Args:
        directory: The directory; it is created when the first answer is written.
        max_bytes: Largest size of all answers together, in bytes.
        max_answers: Largest number of answers.
    """

    def __init__(self, directory: Path, max_bytes: int, max_answers: int = MAX_ANSWERS) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._max_answers = max_answers
        self._changing = Lock()
        for incomplete in directory.glob("tmp*"):
            incomplete.unlink(missing_ok=True)
        self._sizes = _sizes_in(directory)
        self._total_bytes = sum(self._sizes.values())
        self._make_room()

    @property
    def total_bytes(self) -> int:
        """Size of all answers together, in bytes."""
        return self._total_bytes

    def read(self, network_id: str, question: str) -> bytes | None:
        """Return an answer; None if it is not kept.

        Args:
            network_id: Identifier of the network.
            question: SHA-256 of the question, in hexadecimal.
        """
        name = _name(network_id, question)
        with self._changing:
            if name not in self._sizes:
                return None
            self._sizes.move_to_end(name)
        try:
            content = (self._directory / name).read_bytes()
        except OSError:
            return None
        digest, answer = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        return answer if hashlib.sha256(answer).digest() == digest else None

    def write(self, network_id: str, question: str, answer: bytes) -> None:
        """Keep an answer, unless it alone is larger than the limit, or the disk is full.

        Args:
            network_id: Identifier of the network.
            question: SHA-256 of the question, in hexadecimal.
            answer: The answer.
        """
        name, size_bytes = _name(network_id, question), _DIGEST_BYTES + len(answer)
        if size_bytes > self._max_bytes:
            return
        with contextlib.suppress(OSError):
            self._directory.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=self._directory, delete=False) as file:
                file.write(hashlib.sha256(answer).digest() + answer)
            with self._changing:
                Path(file.name).replace(self._directory / name)
                self._total_bytes += size_bytes - self._sizes.pop(name, 0)
                self._sizes[name] = size_bytes
                self._make_room()

    def forget(self, network_id: str) -> None:
        """Delete all answers about a network."""
        with self._changing:
            for name in [each for each in self._sizes if each.startswith(network_id)]:
                self._delete(name)

    def _make_room(self) -> None:
        while self._total_bytes > self._max_bytes or len(self._sizes) > self._max_answers:
            self._delete(next(iter(self._sizes)))

    def _delete(self, name: str) -> None:
        self._total_bytes -= self._sizes.pop(name)
        with contextlib.suppress(OSError):
            (self._directory / name).unlink(missing_ok=True)


class ProjectAnswers:
    """Kept answers of one project: another project that asks the same about the same network does not find them.

    An answer has names that its project gave. And that it is there already, so that it comes faster, would tell what
    another project has uploaded.

    Args:
        cache: Kept answers of all projects.
        project: Name of the project.
    """

    def __init__(self, cache: AnswerCache, project: str) -> None:
        self._cache = cache
        self._project = project

    def read(self, network_id: str, question: str) -> bytes | None:
        """Return an answer; None if it is not kept.

        Args:
            network_id: Identifier of the network.
            question: SHA-256 of the question, in hexadecimal.
        """
        return self._cache.read(self._place(network_id), question)

    def write(self, network_id: str, question: str, answer: bytes) -> None:
        """Keep an answer, unless it alone is larger than the limit, or the disk is full.

        Args:
            network_id: Identifier of the network.
            question: SHA-256 of the question, in hexadecimal.
            answer: The answer.
        """
        self._cache.write(self._place(network_id), question, answer)

    def forget(self, network_id: str) -> None:
        """Delete all answers of this project about a network."""
        self._cache.forget(self._place(network_id))

    def _place(self, network_id: str) -> str:
        """Return what stands for the network in names of files, 64 hexadecimal digits."""
        if self._project == DEFAULT_PROJECT:
            return network_id
        return hashlib.sha256(f"{self._project}/{network_id}".encode()).hexdigest()


def _name(network_id: str, question: str) -> str:
    return f"{network_id}-{question}.json"


def _sizes_in(directory: Path) -> OrderedDict[str, int]:
    """Return the size of each kept answer, the one that was written first in front."""
    found: list[tuple[float, str, int]] = []
    with contextlib.suppress(OSError):
        for path in directory.glob("*-*.json"):
            status = path.stat()
            found.append((status.st_mtime, path.name, status.st_size))
    return OrderedDict((name, size) for _, name, size in sorted(found))
