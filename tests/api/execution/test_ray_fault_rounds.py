"""Random faults of a Ray cluster while jobs train on it: workers, nodes, the head and the service are killed.

Nothing is lost, nothing runs twice, no job is stuck, and the final network has the same bytes as after an unbroken run.
Each round draws its faults from its number; BITBUDGET_FAULT_ROUNDS sets how many rounds are run, 3 by default.
"""

from __future__ import annotations

import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.api.execution.test_crashes import assert_whole, job_request
from tests.api.execution.test_fault_rounds import (
    OPTIONS,
    ROUNDS,
    contents,
    kill_if_alive,
    wait_until_final,
    workers_of,
)
from tests.api.execution.watched_workers import watched
from tests.api.live_service import LiveService
from tests.api.ray_cluster import Node, RayCluster

pytestmark = pytest.mark.long

EPOCHS: Final = 60
JOBS: Final = 2
LONGEST_PAUSE_SECONDS: Final = 8.0
"""Longest time in seconds between two faults; Ray needs some of it to start a worker."""
LONGEST_LOSS_SECONDS: Final = 2.0
"""Longest time in seconds until a lost node or head is replaced."""
FAULTS: Final = ("worker", "node", "service", "head")


class Cluster:
    """A Ray cluster whose head runs no jobs, with one node that runs all of them."""

    def __init__(self) -> None:
        self._cluster = RayCluster(processors=0)
        self._nodes: list[Node] = []

    def __enter__(self) -> Cluster:
        self._cluster.__enter__()
        self._add_node()
        return self

    def __exit__(self, *exception: object) -> None:
        self._cluster.__exit__(*exception)

    @property
    def url(self) -> str:
        return self._cluster.url

    def lose_node(self, seconds: float) -> None:
        """Kill the node that was added last with all that runs on it, and add another one after a while."""
        self._cluster.kill_node(self._nodes.pop())
        time.sleep(seconds)
        self._add_node()

    def lose_head(self, seconds: float) -> None:
        """Kill the head and its node, and start both again after a while.

        A node ends when it misses its head, but late, and Ray starts no head on a machine with a node that looks for
        one at the same address.
        """
        self._cluster.kill()
        self._cluster.kill_node(self._nodes.pop())
        time.sleep(seconds)
        self._cluster.start()
        self._add_node()

    def _add_node(self) -> None:
        self._nodes.append(self._cluster.add_node(processors=JOBS))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster() as running:
        yield running


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the hashes of the artifacts of a job that nothing disturbs, and that needs no Ray."""
    with LiveService(tmp_path_factory.mktemp("unbroken") / "data", *OPTIONS) as service:
        job_id = service.start_job(**job_request(service, EPOCHS))
        wait_until_final(service, [job_id])
        return contents(service.job(job_id))


def disturb(service: LiveService, cluster: Cluster, faults: list[str], draw: random.Random) -> LiveService:
    """Do the faults of a round, and return the service that runs after them."""
    for fault in faults:
        time.sleep(draw.uniform(0, LONGEST_PAUSE_SECONDS))
        if fault == "worker":
            for process_id, _ in workers_of(service.data)[:1]:
                kill_if_alive(process_id)
        elif fault == "node":
            cluster.lose_node(draw.uniform(0, LONGEST_LOSS_SECONDS))
        elif fault == "head":
            cluster.lose_head(draw.uniform(0, LONGEST_LOSS_SECONDS))
        else:
            service.end(draw.choice([signal.SIGKILL, signal.SIGTERM]))
            service = started(service.data, cluster)
    return service


def started(data: Path, cluster: Cluster) -> LiveService:
    where = ("--executor=ray", f"--ray-address={cluster.url}", f"--ray-python={sys.executable}", "--job-processors=1")
    return LiveService(data, *OPTIONS, *where)


@pytest.mark.parametrize("round_number", range(ROUNDS))
def test_a_cluster_loses_and_doubles_nothing(
    tmp_path: Path, cluster: Cluster, unbroken: dict[str, str], round_number: int
) -> None:
    draw = random.Random(3000 + round_number)  # noqa: S311  # a repeatable draw
    # Each fault comes first in one of four rounds, so that few rounds have all of them.
    faults = [FAULTS[(round_number + 1) % len(FAULTS)], draw.choice(FAULTS)]
    service = started(tmp_path / "data", cluster)
    try:
        request = job_request(service, EPOCHS)
        job_ids = [service.start_job(**request) for _ in range(JOBS)]
        with watched(lambda: workers_of(tmp_path / "data")) as doubled:
            service = disturb(service, cluster, faults, draw)
            wait_until_final(service, job_ids)
        assert doubled == []
        for job_id in job_ids:
            job = service.job(job_id)
            assert_whole(service, job, EPOCHS)
            assert contents(job) == unbroken
        give_up_at = time.monotonic() + 20
        while workers_of(tmp_path / "data"):
            assert time.monotonic() < give_up_at, "a worker lives on"
            time.sleep(0.1)
    finally:
        if service.process.poll() is None:
            service.end(signal.SIGTERM)
