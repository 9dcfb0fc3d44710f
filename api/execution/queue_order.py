"""Order in which queued jobs start: fair between projects, the oldest job of a project first."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator

from api.storage.records import Job


def in_fair_order(queued: Iterable[Job], running: Iterable[Job]) -> Iterator[Job]:
    """Yield queued jobs in the order in which they should start.

    The next job is of the project with the fewest running jobs, those that have just been yielded included; of several
    such projects, the one whose next job is the oldest. A project with many jobs therefore does not delay the others.

    Args:
        queued: The queued jobs, in any order.
        running: The jobs that run, in this service or in another one.
    """
    waiting: dict[str, deque[Job]] = defaultdict(deque)
    for job in sorted(queued, key=lambda job: job.number):
        waiting[job.project].append(job)
    started = Counter(job.project for job in running)
    heap = [(started[project], jobs[0].number, project) for project, jobs in waiting.items()]
    heapq.heapify(heap)
    while heap:
        count, _, project = heapq.heappop(heap)
        yield waiting[project].popleft()
        if waiting[project]:
            heapq.heappush(heap, (count + 1, waiting[project][0].number, project))
