"""Several services on one database: each job runs once, and the jobs of a service that is gone are taken over."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from api.execution.leases import Leases
from api.execution.scheduler import Scheduler
from api.schemas.job_state import JobState
from tests.api.execution.test_scheduler import Factory
from tests.api.execution.thread_executor import Cluster, ThreadExecutor

LEASE_SECONDS = 0.6
GONE_SECONDS = 2.0


class Shared(Factory):
    """A database with any number of services, each on a cluster of its own unless a test says otherwise."""

    def service(self, cluster: Cluster | None = None) -> Scheduler:
        leases = Leases(self.store, is_alone=False, lease_seconds=LEASE_SECONDS, gone_seconds=GONE_SECONDS)
        return Scheduler(self.store, self.settings, ThreadExecutor(cluster or self.cluster), leases)

    def other_machine(self) -> Cluster:
        return Cluster(self.cluster.task)


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Shared]:
    made = Shared(tmp_path, grace_seconds=0.2, max_concurrent_jobs=2)
    yield made
    made.close()


def test_two_services_never_start_one_job_twice(shared: Shared) -> None:
    names = [f"job-{number}" for number in range(40)]
    shared.add(*names)
    for name in names:
        shared.orders[name].put("succeed")
    services = [shared.service(), shared.service()]
    give_up_at = time.monotonic() + 30

    def work(service: Scheduler) -> None:
        while set(shared.states(*names)) != {"succeeded"} and time.monotonic() < give_up_at:
            service.turn()

    threads = [Thread(target=work, args=(service,)) for service in services]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(shared.states(*names)) == {"succeeded"}
    assert [shared.job(name).attempt for name in names] == [1] * 40
    assert len(shared.cluster.workers) == 40


def test_a_service_leaves_the_jobs_of_another_one_alone(shared: Shared) -> None:
    shared.add("a", "b")
    first, second = shared.service(), shared.service(shared.other_machine())
    first.turn()
    owner = shared.job("a").lease_owner
    for _ in range(5):
        second.turn()
    assert [shared.job(name).lease_owner for name in ("a", "b")] == [owner] * 2
    assert [shared.job(name).attempt for name in ("a", "b")] == [1, 1]
    shared.store.change_job("a", [JobState.RUNNING], state=JobState.CANCELLING)
    second.turn()
    assert shared.states("a") == ["cancelling"], "the service that runs the job ends its worker"
    while shared.states("a") != ["cancelled"]:
        first.turn()
    assert shared.job("a").lease_owner is None


def test_a_lease_is_renewed_as_long_as_the_service_lives(shared: Shared) -> None:
    shared.add("a")
    first, second = shared.service(), shared.service(shared.other_machine())
    first.turn()
    ends_at = time.monotonic() + 2 * LEASE_SECONDS
    while time.monotonic() < ends_at:
        first.turn()
        second.turn()
        time.sleep(0.02)
    assert (shared.job("a").attempt, len(shared.cluster.living)) == (1, 1)


def test_the_worker_of_a_service_that_is_gone_is_found_and_looked_after(shared: Shared) -> None:
    shared.add("a")
    shared.service().turn()
    owner = shared.job("a").lease_owner
    second = shared.service()
    shared.turn_of(second, lambda: shared.job("a").lease_owner != owner)
    assert shared.job("a").attempt == 1
    shared.order("a", "crash")
    shared.turn_of(second, lambda: shared.job("a").attempt == 2)
    assert shared.job("a").crashes == 1


def test_a_worker_on_another_machine_counts_as_gone_only_after_its_last_sign_of_life(shared: Shared) -> None:
    """The second service cannot see the worker, which still lives; as long as it gives signs, no other one starts."""
    shared.add("a")
    other = shared.other_machine()
    shared.service(other).turn()
    second = shared.service()
    ends_at = time.monotonic() + LEASE_SECONDS + 1.2 * GONE_SECONDS
    while time.monotonic() < ends_at:
        shared.store.change_job("a", [JobState.RUNNING], of_attempt=1, heartbeat_at=time.time())
        second.turn()
        time.sleep(0.02)
    assert shared.job("a").attempt == 1
    assert shared.cluster.living == []
    shared.turn_of(second, lambda: shared.job("a").attempt == 2)
    assert not shared.store.change_job("a", [JobState.RUNNING], of_attempt=1, state=JobState.SUCCEEDED)
    for worker in other.workers.values():  # it would take the order of the second attempt
        worker.killed.set()
        worker.thread.join()
    shared.order("a", "succeed")
    assert shared.states("a") == ["succeeded"]


def test_a_service_that_slept_changes_nothing_of_a_job_that_was_taken_over(shared: Shared) -> None:
    shared.add("a")
    first = shared.service(shared.other_machine())
    first.turn()
    second = shared.service()
    shared.turn_of(second, lambda: shared.job("a").attempt == 2)
    owner = shared.job("a").lease_owner
    first.stop()
    assert shared.states("a") == ["running"]
    assert (shared.job("a").lease_owner, shared.job("a").attempt) == (owner, 2)
    assert len(shared.cluster.living) == 1


def test_a_service_that_stops_leaves_its_jobs_to_the_others_at_once(shared: Shared) -> None:
    shared.add("a")
    first, second = shared.service(), shared.service()
    first.turn()
    first.stop()
    assert (shared.states("a"), shared.job("a").lease_owner) == (["queued"], None)
    second.turn()
    assert (shared.states("a"), shared.job("a").attempt) == (["running"], 2)
