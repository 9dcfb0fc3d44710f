"""Watch over the workers of services while a test disturbs them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Event, Thread


@contextmanager
def watched(workers: Callable[[], Iterable[tuple[int, str]]]) -> Iterator[list[str]]:
    """Look all the time for jobs that two workers run; the list has a text for each that was seen.

    Args:
        workers: Function that returns the process id and the job of each worker.
    """
    seen: list[str] = []
    stopped = Event()

    def watch() -> None:
        while not stopped.wait(0.05):
            counts = Counter(job for _, job in workers())
            seen.extend(f"{count} workers run {job}" for job, count in counts.items() if count > 1)

    thread = Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        stopped.set()
        thread.join()
