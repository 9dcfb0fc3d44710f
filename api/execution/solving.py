"""Answers to questions about uploaded networks: from what is kept, or from a process with limits.

kept answer of the same question        ──► answer
layers and sensitivities are kept       ──► solve in a process ──► answer; it is kept if more time would not change it
they are not kept                       ──► read the network in a process, keep them, then solve
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from anyio import CapacityLimiter, to_thread

from api.execution.task_requests import DERIVE, FINAL, SOLVE, Derived, DeriveRequest, QuestionKind, SolveTask
from api.execution.time_limits import limited_question, longest_limit
from api.execution.workers import Workers
from api.operations.measures import MeasureChoice
from api.schemas.fit import FitAnswer, FitRequest
from api.schemas.solve import SolveRequest
from api.services.measured_tables import MeasuredTables
from api.services.network_structures import ALL_SCHEMES, DamagedFile, TableScheme
from api.services.networks import Networks
from api.settings import Settings
from api.storage.answer_cache import ProjectAnswers
from api.version import version

ANSWERS_VERSION: Final = 1
"""Number that must grow when the solver answers a question differently."""
_THREADS: Final = 4
"""Number of threads that look into the database and the files at the same time: more would wait for one another."""
_OVERRUN_SECONDS: Final = 20.0
"""Time in seconds that a solve may need beyond twice its time limit: to build the problem, and to check the answer."""


@dataclass(frozen=True, slots=True)
class Answered:
    """Answer to a question.

    Attributes:
        body: The answer as JSON.
        keep: Function that keeps the answer for the next time, to be called after it is sent; None if it is kept
            already, or must not be kept.
    """

    body: bytes
    keep: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """A question in the form in which it is kept and sent to a process.

    Attributes:
        kind: Kind of the question.
        network_id: Identifier of the network.
        request: The request as JSON.
        key: SHA-256 of all that the answer depends on besides the network.
        scheme: Scheme of the sensitivity table from the weights; None if the question needs none.
        kept: The answer, if it is kept.
        task: Request of the task, if the answer is not kept and all computed files are there.
    """

    kind: QuestionKind
    network_id: str
    request: str
    key: str
    scheme: TableScheme | None
    kept: bytes | None = None
    task: bytes | None = None


class Solves:
    """Questions about uploaded networks, for the event loop of the service.

    Args:
        settings: Settings of the service, with the limits.
        networks: The uploaded networks.
        measured: Sensitivity tables of earlier jobs.
        answers: Kept answers.
        workers: Processes that solve.
        answered: Number of questions whose answer was kept, under True, and of those that were solved, under False;
            this counts them.
    """

    def __init__(
        self,
        settings: Settings,
        networks: Networks,
        measured: MeasuredTables,
        answers: ProjectAnswers,
        workers: Workers,
        answered: Counter[bool],
    ) -> None:
        self._request_seconds = settings.request_seconds
        self._networks = networks
        self._measured = measured
        self._answers = answers
        self._workers = workers
        self._threads = CapacityLimiter(_THREADS)
        self._answered = answered
        self._deriving: dict[tuple[str, TableScheme | None], asyncio.Lock] = {}

    @property
    def longest_seconds(self) -> float:
        """Largest time limit of a question, in seconds."""
        return longest_limit(self._request_seconds)

    async def answer(self, kind: QuestionKind, network_id: str, request: SolveRequest) -> Answered:
        """Answer a question about an uploaded network; if this is cancelled, the process that solves it is killed.

        Args:
            kind: Kind of the question; "job" for the fit with which a job is checked.
            network_id: Identifier of the network.
            request: The request.

        Raises:
            NotFound: If the network does not exist, or a job that the request names.
            SolvingLimit: If the time limit of the request is too large, or solving needs too much time or memory.
            Busy: If too many requests wait.
            BitbudgetError: If parts of the request do not suit each other.
        """
        give_up_at = time.monotonic() + self._request_seconds
        limited = limited_question(kind, network_id, request, self._request_seconds)
        question = await to_thread.run_sync(self._question, kind, network_id, limited, limiter=self._threads)
        self._answered[question.kept is not None] += 1
        if question.kept is not None:
            return Answered(question.kept)
        if question.task is None:
            await self._derive_missing(question)
        try:
            answer = await self._solved(question, limited, give_up_at)
        except DamagedFile:
            await self._derive(question)
            question = replace(question, task=None)
            answer = await self._solved(question, limited, give_up_at)
        body = answer[1:]
        return Answered(body, (lambda: self._keep(question, body)) if answer.startswith(FINAL) else None)

    async def fit(self, kind: Literal["fit", "job"], network_id: str, request: FitRequest) -> FitAnswer:
        """Return the answer of a fit as an object, after it was kept; this raises what `answer` raises.

        Args:
            kind: Kind of the question; "job" for the fit with which a job is checked.
            network_id: Identifier of the network.
            request: The request.
        """
        answered = await self.answer(kind, network_id, request)
        if answered.keep is not None:
            await to_thread.run_sync(answered.keep)
        return await to_thread.run_sync(FitAnswer.model_validate_json, answered.body)

    async def structure(self, network_id: str) -> Path:
        """Return the file with the layers of a network, which is computed if it is missing.

        Raises:
            NotFound: If the network does not exist.
        """
        question = _Question(kind="job", network_id=network_id, request="", key="", scheme=None)
        await self._derive_missing(question)
        structure, _ = self._files(question)
        if structure is None:
            raise DamagedFile("a computed file was deleted; send the request again")
        return structure

    def _question(self, kind: QuestionKind, network_id: str, request: SolveRequest) -> _Question:
        """Read what the database and the disk know about a question; this runs in a thread."""
        self._networks.require(network_id)
        request = self._measured.resolved(request, network_id)
        choice = MeasureChoice.of(request)
        if kind == "job":
            choice = choice.without_samples()
        document = request.model_dump(mode="json")
        # The fit of a job does not depend on its dataset and its training options.
        asked = {name: document[name] for name in FitRequest.model_fields} if kind == "job" else document
        purpose = document.get("kind") if kind == "job" else None
        identity = [ANSWERS_VERSION, version(), kind, purpose, asked]
        key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        question = _Question(
            kind=kind,
            network_id=network_id,
            request=json.dumps(document),
            key=key,
            scheme=(choice.scheme or ALL_SCHEMES) if choice.reads_weights else None,
            kept=self._answers.read(network_id, key),
        )
        if question.kept is not None or not self._is_complete(question):
            return question
        with contextlib.suppress(DamagedFile):
            return replace(question, task=self._task(question))
        return question

    def _files(self, question: _Question) -> tuple[Path | None, Path | None]:
        structures = self._networks.structures
        table = None if question.scheme is None else structures.table(question.network_id, question.scheme)
        return structures.structure(question.network_id), table

    def _is_complete(self, question: _Question) -> bool:
        structure, table = self._files(question)
        return structure is not None and (table is not None or question.scheme is None)

    async def _derive_missing(self, question: _Question) -> None:
        """Compute what the solve needs of the network, once for all requests that wait for it."""
        if self._is_complete(question):
            return
        place = (question.network_id, question.scheme)
        lock = self._deriving.setdefault(place, asyncio.Lock())
        async with lock:
            try:
                if not self._is_complete(question):
                    await self._derive(question)
            finally:
                self._deriving.pop(place, None)

    async def _derive(self, question: _Question) -> None:
        with ExitStack() as holds:
            files = await to_thread.run_sync(self._networks.files, question.network_id, holds)
            request = DeriveRequest(files=files, scheme=question.scheme).model_dump_json().encode()
            answer = await self._workers.read_network(DERIVE, request, (files.path, *files.weights.values()))

        def keep() -> None:
            derived = Derived.model_validate_json(answer)
            self._networks.structures.keep_derived(
                question.network_id, derived.structure, question.scheme, derived.table
            )

        await to_thread.run_sync(keep)

    async def _solved(self, question: _Question, request: SolveRequest, give_up_at: float) -> bytes:
        task = question.task
        if task is None:
            task = await to_thread.run_sync(self._task, question, limiter=self._threads)
        left_seconds = give_up_at - time.monotonic()
        needed_seconds = min(request.time_limit_seconds, self._request_seconds / 2)
        return await self._workers.solve(
            SOLVE,
            task,
            wait_seconds=left_seconds - needed_seconds,
            seconds=2 * request.time_limit_seconds + _OVERRUN_SECONDS,
            whole_seconds=left_seconds,
        )

    def _task(self, question: _Question) -> bytes:
        """Return the request of the task for a question; this runs in a thread.

        Raises:
            DamagedFile: If a computed file is missing or damaged: it must be computed again.
        """
        structure, table = self._files(question)
        if structure is None or (table is None and question.scheme is not None):
            raise DamagedFile("a computed file was deleted")
        try:
            task = SolveTask(
                kind=question.kind,
                network_id=question.network_id,
                structure=structure.read_text(encoding="utf-8"),
                table=None if table is None else table.read_text(encoding="utf-8"),
                request=question.request,
            )
        except (OSError, UnicodeDecodeError) as error:
            raise DamagedFile("a computed file was deleted or is damaged") from error
        return task.model_dump_json().encode()

    def _keep(self, question: _Question, body: bytes) -> None:
        """Keep an answer, unless the network was deleted in the meantime; this runs in a thread."""
        if self._networks.exists(question.network_id):
            self._answers.write(question.network_id, question.key, body)
