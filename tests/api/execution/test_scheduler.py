"""Policy of the scheduler, without processes: workers are threads that a test controls."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import pytest

from api.execution.executor import Attempt
from api.execution.scheduler import Scheduler
from api.schemas.job_state import JobState
from api.settings import Settings
from api.storage.database import Store
from api.storage.job_directory import JobDirectory
from api.storage.records import Job
from tests.api.execution.thread_executor import PATIENCE_SECONDS, Cluster, ThreadExecutor, Worker

GRACE_SECONDS = {False: PATIENCE_SECONDS, True: 0.05}
"""By whether workers ignore a request to end: a long grace shows that none was killed, a short one keeps tests fast."""


class Factory:
    """A database and a cluster, with schedulers on them, one after the other, as in successive services."""

    def __init__(self, folder: Path, grace_seconds: float = PATIENCE_SECONDS, **options: Any) -> None:
        options = {"max_concurrent_jobs": 1, **options}
        self.settings = Settings(data_directory=folder, grace_seconds=grace_seconds, turn_seconds=0.01, **options)
        self.store = Store(self.settings.database)
        self.cluster = Cluster(self._work)
        self.orders: dict[str, SimpleQueue[str]] = {}
        self.ignores_requests = False
        self.scheduler = self.new_scheduler()

    def new_scheduler(self) -> Scheduler:
        """Return the scheduler of the next service; the previous one is not closed, as if it had been killed."""
        self.scheduler = Scheduler(self.store, self.settings, ThreadExecutor(self.cluster))
        return self.scheduler

    def add(self, *job_ids: str) -> None:
        for job_id in job_ids:
            self.orders[job_id] = SimpleQueue()
            assert self.store.add_job(job_id, {}, None)

    def job(self, job_id: str) -> Job:
        job = self.store.job_of_any_project(job_id)
        assert job is not None
        return job

    def states(self, *job_ids: str) -> list[str]:
        return [self.job(job_id).state.value for job_id in job_ids]

    def order(self, job_id: str, what: str) -> None:
        """Let the worker of a job succeed or crash, and wait until it has ended."""
        worker = next(each for each in self.cluster.workers.values() if each.attempt == self.latest(job_id))
        self.orders[job_id].put(what)
        worker.thread.join(PATIENCE_SECONDS)
        assert not worker.thread.is_alive()

    def latest(self, job_id: str) -> Attempt:
        return Attempt(job_id, self.job(job_id).attempt)

    def turn_until(self, condition: Callable[[], bool]) -> None:
        self.turn_of(self.scheduler, condition)

    def turn_of(self, scheduler: Scheduler, condition: Callable[[], bool]) -> None:
        """Let a scheduler check the jobs until a condition holds."""
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < give_up_at
            scheduler.turn()
            time.sleep(0.005)

    def close(self) -> None:
        ThreadExecutor(self.cluster).close()
        for worker in self.cluster.workers.values():
            worker.killed.set()
            worker.thread.join(PATIENCE_SECONDS)
        self.store.close()

    def _work(self, worker: Worker) -> str:
        job_id, number = worker.attempt.job_id, worker.attempt.number
        while not worker.killed.is_set():
            if worker.asked.is_set() and not self.ignores_requests:
                return "asked to end"
            try:
                order = self.orders[job_id].get(timeout=0.005)
            except Empty:
                continue
            if order == "crash":
                raise RuntimeError("out of memory")
            self.store.change_job_of_any_project(
                job_id, [JobState.RUNNING], of_attempt=number, state=JobState.SUCCEEDED
            )
            return "exit code 0"
        return "killed"


@pytest.fixture
def factory(tmp_path: Path) -> Iterator[Factory]:
    made = Factory(tmp_path)
    yield made
    made.close()


@pytest.fixture
def wide(tmp_path: Path) -> Iterator[Factory]:
    """Return a factory whose schedulers run up to three jobs at a time."""
    made = Factory(tmp_path, max_concurrent_jobs=3)
    yield made
    made.close()


def test_the_oldest_jobs_run_first_and_no_more_than_allowed(wide: Factory) -> None:
    wide.add("a", "b", "c", "d", "e")
    wide.scheduler.turn()
    wide.scheduler.turn()
    assert wide.states("a", "b", "c", "d", "e") == ["running"] * 3 + ["queued"] * 2
    wide.order("b", "succeed")
    wide.scheduler.turn()
    assert wide.states("a", "b", "c", "d", "e") == ["running", "succeeded", "running", "running", "queued"]
    assert [attempt.job_id for attempt in wide.cluster.living] == ["a", "c", "d"]


def test_a_crash_is_tried_again_at_the_head_of_the_queue_and_the_second_is_the_end(factory: Factory) -> None:
    factory.add("a", "b")
    factory.scheduler.turn()
    factory.order("a", "crash")
    factory.scheduler.turn()
    assert factory.states("a", "b") == ["running", "queued"]
    assert (factory.job("a").attempt, factory.job("a").crashes) == (2, 1)
    factory.order("a", "crash")
    factory.scheduler.turn()
    assert factory.states("a", "b") == ["failed", "running"]
    error = factory.job("a").error
    assert error is not None
    for expected in (
        "2 times",
        "exception out of memory",
        "/v1/jobs/a/retry",
        "the memory of the worker of a",
        "the last words of a",
    ):
        assert expected in error["detail"]


def test_a_crash_may_be_tried_as_often_as_set(tmp_path: Path) -> None:
    factory = Factory(tmp_path, max_crashes=3)
    factory.add("a")
    for _ in range(4):
        factory.scheduler.turn()
        assert factory.states("a") == ["running"]
        factory.order("a", "crash")
    factory.scheduler.turn()
    assert (factory.states("a"), factory.job("a").attempt) == (["failed"], 4)
    factory.close()


def test_a_result_that_was_written_before_the_end_counts(factory: Factory) -> None:
    factory.add("a")
    factory.scheduler.turn()
    factory.order("a", "succeed")
    factory.scheduler.turn()
    assert factory.states("a") == ["succeeded"]
    assert factory.job("a").crashes == 0


@pytest.mark.parametrize(("is_stubborn", "ending"), [(False, "asked to end"), (True, "killed")])
def test_a_cancelled_worker_is_asked_and_after_the_grace_killed(tmp_path: Path, is_stubborn: bool, ending: str) -> None:
    factory = Factory(tmp_path, GRACE_SECONDS[is_stubborn])
    factory.ignores_requests = is_stubborn
    factory.add("a", "b")
    factory.scheduler.turn()
    results = JobDirectory.of("a", factory.settings).attempt(1).artifacts
    results.mkdir(parents=True)
    factory.store.change_job("a", [JobState.RUNNING], state=JobState.CANCELLING)
    factory.turn_until(lambda: factory.states("a") == ["cancelled"])
    (worker, *_) = factory.cluster.workers.values()
    assert worker.ending == ending
    assert worker.killed.is_set() == is_stubborn
    assert not results.exists()
    assert factory.job("a").crashes == 0
    factory.scheduler.turn()
    assert factory.states("b") == ["running"]
    factory.close()


@pytest.mark.parametrize("is_stubborn", [False, True])
def test_a_stop_ends_workers_and_queues_their_jobs_without_counting_a_crash(tmp_path: Path, is_stubborn: bool) -> None:
    wide = Factory(tmp_path, GRACE_SECONDS[is_stubborn], max_concurrent_jobs=3)
    wide.ignores_requests = is_stubborn
    wide.add("a", "b", "c")
    wide.scheduler.start()
    while wide.states("a", "b", "c") != ["running"] * 3:
        time.sleep(0.005)
    assert wide.scheduler.is_alive
    wide.store.change_job("c", [JobState.RUNNING], state=JobState.CANCELLING)
    wide.scheduler.stop()
    assert not wide.scheduler.is_alive
    assert wide.cluster.living == []
    assert wide.states("a", "b", "c") == ["queued", "queued", "cancelled"]
    assert (wide.job("a").crashes, wide.job("a").attempt) == (0, 1)
    wide.new_scheduler().turn()
    assert wide.states("a", "b") == ["running", "running"]
    assert wide.job("a").attempt == 2
    wide.close()


def test_a_new_service_finds_the_workers_of_a_killed_one(wide: Factory) -> None:
    wide.add("a", "b", "c")
    wide.scheduler.turn()
    wide.new_scheduler()
    wide.order("b", "succeed")
    wide.order("c", "crash")
    wide.scheduler.turn()
    assert wide.states("a", "b", "c") == ["running", "succeeded", "running"]
    assert [wide.job(job_id).attempt for job_id in ("a", "b", "c")] == [1, 1, 2]
    wide.store.change_job("a", [JobState.RUNNING], state=JobState.CANCELLING)
    wide.turn_until(lambda: wide.states("a") == ["cancelled"])


def test_a_service_that_died_before_the_start_leaves_a_job_that_is_tried_again(factory: Factory) -> None:
    factory.add("a")
    factory.store.change_job("a", [JobState.QUEUED], state=JobState.RUNNING, attempt=1)
    factory.scheduler.turn()
    assert (factory.states("a"), factory.job("a").attempt) == (["running"], 2)


def test_no_attempt_starts_while_an_earlier_one_lives(factory: Factory) -> None:
    factory.add("a")
    factory.scheduler.turn()
    factory.store.change_job("a", [JobState.RUNNING], state=JobState.QUEUED)
    factory.scheduler.turn()
    assert (factory.states("a"), len(factory.cluster.living)) == (["queued"], 1)
    factory.order("a", "crash")
    factory.scheduler.turn()
    assert (factory.states("a"), factory.job("a").attempt) == (["running"], 2)


def test_a_full_executor_lets_jobs_wait(wide: Factory) -> None:
    wide.cluster.room = 1
    wide.add("a", "b")
    wide.scheduler.turn()
    assert wide.states("a", "b") == ["running", "queued"]
    assert (wide.job("b").attempt, wide.job("b").started_at) == (0, None)
    wide.order("a", "succeed")
    wide.scheduler.turn()
    assert wide.states("a", "b") == ["succeeded", "running"]


def test_an_executor_that_cannot_be_reached_costs_no_attempt(wide: Factory) -> None:
    wide.add("a", "b")
    wide.scheduler.turn()
    wide.cluster.is_reachable = False
    wide.add("c")
    wide.order("a", "crash")
    for _ in range(3):
        wide.scheduler.turn()
    assert wide.states("a", "b", "c") == ["running"] * 3
    wide.cluster.is_reachable = True
    wide.scheduler.turn()
    wide.scheduler.turn()
    assert [wide.job(job_id).attempt for job_id in ("a", "b", "c")] == [2, 1, 1]
    assert [wide.job(job_id).crashes for job_id in ("a", "b", "c")] == [1, 0, 0]
    assert len(wide.cluster.living) == 3


def test_a_start_whose_answer_was_lost_is_repeated_and_not_doubled(factory: Factory) -> None:
    factory.add("a")
    factory.cluster.loses_next_answer = True
    factory.scheduler.turn()
    factory.scheduler.turn()
    assert (factory.job("a").attempt, factory.job("a").crashes) == (1, 0)
    assert factory.cluster.living == [Attempt("a", 1)]


def test_jobs_of_an_unreachable_executor_are_left_to_the_next_service(tmp_path: Path) -> None:
    factory = Factory(tmp_path, grace_seconds=0.05)
    factory.add("a")
    factory.scheduler.turn()
    factory.cluster.is_reachable = False
    factory.scheduler.stop()
    factory.cluster.is_reachable = True
    assert (factory.states("a"), factory.cluster.living) == (["running"], [Attempt("a", 1)])
    factory.new_scheduler().turn()
    assert factory.job("a").attempt == 1
    factory.close()


def test_a_crash_counts_only_if_no_work_was_saved(factory: Factory) -> None:
    factory.add("a")
    for _ in range(5):
        factory.scheduler.turn()
        assert factory.job("a").progress_at is None, "nothing is saved at the start of an attempt"
        factory.store.change_job("a", [JobState.RUNNING], progress_at=time.time())
        factory.order("a", "crash")
    factory.scheduler.turn()
    assert (factory.states("a"), factory.job("a").attempt, factory.job("a").crashes) == (["running"], 6, 0)
    factory.order("a", "crash")
    factory.scheduler.turn()
    assert (factory.states("a"), factory.job("a").crashes) == (["running"], 1)
    factory.order("a", "crash")
    factory.scheduler.turn()
    assert factory.states("a") == ["failed"]


def test_projects_take_turns_and_the_oldest_job_of_each_is_first(tmp_path: Path) -> None:
    factory = Factory(tmp_path, max_concurrent_jobs=3)
    factory.add(*(f"large-{number}" for number in range(5)))
    for project in ("one", "two"):
        for number in range(2):
            job_id = f"{project}-{number}"
            factory.orders[job_id] = SimpleQueue()
            assert factory.store.of_project(project).add_job(job_id, {}, None)
    factory.scheduler.turn()
    assert [attempt.job_id for attempt in factory.cluster.living] == ["large-0", "one-0", "two-0"]
    for done, expected in (("one-0", "one-1"), ("large-0", "large-1"), ("one-1", "large-2"), ("two-0", "two-1")):
        factory.order(done, "succeed")
        factory.scheduler.turn()
        assert [attempt.job_id for attempt in factory.cluster.living][-1] == expected
    factory.close()


def test_a_worker_that_hangs_is_killed_and_one_that_gives_signs_of_life_is_not(tmp_path: Path) -> None:
    factory = Factory(tmp_path, silence_seconds=0.3, max_crashes=0)
    factory.add("a")
    factory.scheduler.turn()
    ends_at = time.monotonic() + 0.9
    while time.monotonic() < ends_at:
        factory.store.change_job("a", [JobState.RUNNING], heartbeat_at=time.time())
        factory.scheduler.turn()
        time.sleep(0.01)
    assert len(factory.cluster.living) == 1
    factory.turn_until(lambda: factory.states("a") == ["failed"])
    error = factory.job("a").error
    assert error is not None
    assert "killed, because it gave no sign of life for 0.3 s" in error["detail"]
    factory.close()


def test_a_worker_that_has_not_begun_is_not_silent(tmp_path: Path) -> None:
    """A cluster may have queued it."""
    factory = Factory(tmp_path, silence_seconds=0.01)
    factory.add("a")
    for _ in range(10):
        factory.scheduler.turn()
        time.sleep(0.01)
    assert len(factory.cluster.living) == 1
    factory.close()


def test_a_job_has_a_longest_duration_and_can_be_retried(tmp_path: Path) -> None:
    factory = Factory(tmp_path, job_seconds=0.2)
    factory.add("a")
    factory.scheduler.turn()
    factory.turn_until(lambda: factory.states("a") == ["failed"])
    factory.turn_until(lambda: not factory.cluster.living)
    error = factory.job("a").error
    assert error is not None
    assert error["type"] == "/problems/job-limit"
    assert "0.2 s" in error["detail"]
    factory.close()
