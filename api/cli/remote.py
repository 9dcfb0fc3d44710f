"""The work of a command on a service: its files are uploaded, and the answers are those of this machine."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, TypeVar

from api.cli.files import STDIN, network_content, read_dataset
from api.cli.main import ServiceFailed
from api.cli.remote_choice import Inputs
from api.cli.text.dataset import printed_first, stored_dataset_text
from api.cli.text.progress import notes_shown, progress_line
from api.client.client import Client
from api.client.errors import ClientError, JobFailed, NoConnection, ServiceProblem
from api.client.job_starts import fields_of_job
from api.client.jobs import Job, Report_co, progress_of
from api.errors import DOES_NOT_FIT, DoesNotFit
from api.operations.measures import MeasureChoice
from api.schemas.answer import NetworkName
from api.schemas.datasets import DatasetAnswer
from api.schemas.devices import DevicesAnswer
from api.schemas.fit import FitAnswer, FitRequest
from api.schemas.jobs import DIGITS, JobRequest, SensitivityJobRequest, SensitivityRequest, ShrinkJobRequest
from api.schemas.networks import NetworkAnswer
from api.schemas.pareto import ParetoAnswer
from api.schemas.reports import Artifact, SensitivityReport, TrainingReport
from api.schemas.sensitivity_fields import WEIGHTS_MEASURE, JobTable
from api.schemas.shrink import ShrinkReport, ShrinkRequest, ShrinkTrainingOptions
from api.schemas.solve import SolveRequest
from api.version import version
from deploy.result_folder import check_writable
from network.budget import MAX_BUDGET_BYTES
from qat.options.training import TrainingOptions
from qat.progress import Report

Answered = TypeVar("Answered", FitAnswer, DevicesAnswer, ParetoAnswer)
Named = TypeVar("Named", FitAnswer, DevicesAnswer, ParetoAnswer, SensitivityReport, TrainingReport, ShrinkReport)
Folder = TypeVar("Folder", TrainingReport, ShrinkReport)

Trained = tuple[TrainingReport, list[Artifact]]
Shrunk = tuple[ShrinkReport, list[Artifact]]

_REFUSALS: Final = frozenset({401, 403, 429})
"""Statuses by which a service refuses the caller, not what the caller asks."""


class Remote:
    """A service that does the work of a command.

    Args:
        url: URL of the service.
        is_quiet: Whether progress is hidden.

    Raises:
        RequestError: If the URL is invalid.
        ServiceFailed: If the service cannot be reached.
    """

    def __init__(self, url: str, *, is_quiet: bool) -> None:
        self._client = Client(url)
        self._is_quiet = is_quiet
        try:
            with _failures():
                other = self._client.service().version
        except BaseException:
            self.close()
            raise
        if other != version():
            _note(f"the service is bitbudget {other}, this command {version()}: their answers may differ")

    def close(self) -> None:
        """Close the connections to the service."""
        self._client.close()

    def answer(self, kind: type[Answered], request: SolveRequest, inputs: Inputs) -> Answered:
        """Return the answer of a question; if it needs sensitivities on samples, a job measures them first.

        Args:
            kind: Class of the answer, which names the question.
            request: The request.
            inputs: The network, and the samples if there are any.

        Raises:
            ServiceFailed: If the service cannot be reached, or has failed.
            BitbudgetError: If the service refuses the input.
        """
        with _failures():
            network, name = self._network(inputs)
            measure = MeasureChoice.of(request).measure_on_samples
            if inputs.data is None or measure is None:
                return _named(self._client.ask(kind, network, request, self._finished), name)
            dataset = self._dataset(inputs.data)
            of_job = fields_of_job("sensitivity", network, dataset, inputs.label_offset) | {"measure": measure}
            if request.only_scheme is not None:
                of_job["scheme"] = request.only_scheme
            job = self._client.start(SensitivityJobRequest(**of_job))
            self._finished(job, dataset)
            request = request.model_copy(update={"sensitivity": JobTable(job_id=job.id)})
            answer = self._client.ask(kind, network, request, self._finished)
            job.delete()  # it is a step of this command, which its user does not know
            return _named(answer, name)

    def measure(self, request: SensitivityRequest, inputs: Inputs) -> tuple[SensitivityReport, str]:
        """Measure sensitivities, and return the report and the text of the table.

        Args:
            request: The options of the measurement.
            inputs: The network and the samples.

        Raises:
            ServiceFailed: If the service cannot be reached, or has failed.
            BitbudgetError: If the service refuses the input, or the job fails.
        """
        with _failures():
            network, name = self._network(inputs)
            dataset = self._dataset(inputs.data)
            of_job = fields_of_job("sensitivity", network, dataset, inputs.label_offset)
            job = self._client.start(SensitivityJobRequest(**(_given(request) | of_job)))
            report = self._finished(job, dataset)
            return _named(report, name), job.read("sensitivity.json").decode()

    def train(self, request: FitRequest, training: TrainingOptions, inputs: Inputs, out: Path) -> Trained:
        """Train a network in a job, write its files to a folder, and return the report and the files.

        Args:
            request: The budget, and how bits are chosen.
            training: The options of the training.
            inputs: The network and the samples.
            out: The folder.

        Raises:
            DoesNotFit: If the network does not fit the budget.
            ServiceFailed: If the service cannot be reached, or has failed.
            BitbudgetError: If the service refuses the input, or the job fails.
        """
        of_job = _given(request) | {"training": training}
        return self._in_folder(
            "training", lambda fields: self._client.start(JobRequest(**fields, **of_job)), request, inputs, out
        )

    def shrink(self, request: ShrinkRequest, training: ShrinkTrainingOptions, inputs: Inputs, out: Path) -> Shrunk:
        """Search the least bytes in a job, write the files of the chosen point to a folder, and return the report and
        the files; this raises what `train` raises.

        Args:
            request: The limit, and how bits are chosen.
            training: How each point is quantized or trained.
            inputs: The network and the samples.
            out: The folder.
        """
        of_job = _given(request) | {"training": training}
        return self._in_folder(
            "shrink", lambda fields: self._client.start(ShrinkJobRequest(**fields, **of_job)), request, inputs, out
        )

    def _in_folder(
        self,
        kind: str,
        start: Callable[[dict[str, Any]], Job[Folder]],
        request: FitRequest,
        inputs: Inputs,
        out: Path,
    ) -> tuple[Folder, list[Artifact]]:
        """Let a job work, write its files to a folder, and return the report and the files.

        Args:
            kind: Kind of the job.
            start: Function that starts it, with the fields that each kind has.
            request: The question by which a job that does not fit is certified.
            inputs: The network and the samples.
            out: The folder.
        """
        with _failures():
            network, name = self._network(inputs)
            dataset = self._dataset(inputs.data)
            check_writable(out)  # before a job has worked in vain
            with self._certified(request, network, name):
                job = start(fields_of_job(kind, network, dataset, inputs.label_offset))
                report = self._finished(job, dataset)
            job.download(out)
            return _named(report, name), job.artifacts

    def _network(self, inputs: Inputs) -> tuple[NetworkAnswer, str]:
        """Return the network of a command, and its name in reports of this machine."""
        content = network_content(inputs.network_file)  # the errors of a file are those of this machine
        is_stdin = inputs.network_file == STDIN
        path, reading = Path(inputs.network_file), inputs.reading
        network = self._client.upload_network(
            content if is_stdin else path,
            "stdin" if is_stdin else None,
            input_shape=dict(reading.input_shapes),
            outputs=reading.outputs,
            input_mean=reading.declared.mean,
            input_scale=reading.declared.scale,
        )
        if content.lstrip()[:1] == b"{":  # a JSON description names its network
            return network, network.name
        return network, "stdin" if is_stdin else path.stem

    def _dataset(self, data: str | None) -> DatasetAnswer:
        """Return the dataset of a command: a file or a folder, or one that the service has by this name."""
        if data is None or data == DIGITS:
            return self._client.dataset(DIGITS)
        if not Path(data).exists():
            if "/" not in data:
                with suppress(ServiceProblem):
                    return self._client.dataset(data)
            read_dataset(data)  # raises the error of this machine
        return self._client.upload_dataset(data)

    def _finished(self, job: Job[Report_co], dataset: DatasetAnswer | None = None) -> Report_co:
        """Show the progress of a job until it has ended, and return its report; Ctrl-C cancels the job."""
        if not self._is_quiet:
            _note(f"job {job.id} on {self._client.url}")
        try:
            with progress_line(is_wanted=not self._is_quiet) as line:
                shown = notes_shown(line)
                if dataset is not None:
                    shown = printed_first(partial(stored_dataset_text, dataset), shown)
                self._watch(job, shown)
            return job.report
        except KeyboardInterrupt:
            _note(f"cancelling job {job.id}; Ctrl-C again leaves it running")
            with suppress(ClientError):
                job.cancel()
            raise
        except NoConnection as error:
            raise NoConnection(
                f"{error} Job {job.id} continues there: in Python, bitbudget.Client({self._client.url!r})"
                f".job({job.id!r}) finds it again, with wait() and download()"
            ) from error

    def _watch(self, job: Job[Report_co], show: Report) -> None:
        """Show the progress of a job, and why it waits in the queue, until it has ended."""
        told = ""
        for answer in job.updates():
            if answer.waiting is not None and answer.waiting.reason != told and not self._is_quiet:
                told = answer.waiting.reason
                _note(f"the job waits: {told}")
            if answer.progress is not None:
                show(progress_of(answer.progress))

    @contextmanager
    def _certified(self, request: FitRequest, network: NetworkAnswer, name: str) -> Iterator[None]:
        """Raise the error of this machine, with the whole answer, if a job is refused because nothing fits."""
        try:
            yield
        except (ServiceProblem, JobFailed) as error:
            if error.problem.type != DOES_NOT_FIT.type:
                raise
            raise DoesNotFit(_named(self._client.ask(FitAnswer, network, _as_fit(request)), name)) from None


def _as_fit(request: FitRequest) -> FitRequest:
    """Return the question by which a job finds out that nothing fits; whether bits fit does not depend on samples."""
    given = {each: value for each, value in _given(request).items() if each in FitRequest.model_fields}
    if MeasureChoice.of(request).measures_samples:
        given["sensitivity"] = WEIGHTS_MEASURE
    if request.device is None:
        given |= {each: MAX_BUDGET_BYTES for each in request.optional_budgets if given.get(each) is None}
    return FitRequest(**given)


def _given(request: SolveRequest | SensitivityRequest) -> dict[str, Any]:
    """Return the fields of a request that the user gave; the service has the defaults of the others."""
    return {each: getattr(request, each) for each in request.model_fields_set}


def _named(answer: Named, name: str) -> Named:
    """Return an answer with the name that this machine gives the network; a service keeps the first name of a file."""
    return answer.model_copy(update={"network": NetworkName(id=answer.network.id, name=name)})


@contextmanager
def _failures() -> Iterator[None]:
    """Tell a service that has failed from input that it refuses: the exit codes of the command differ."""
    try:
        yield
    except JobFailed as error:
        if error.problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise ServiceFailed(str(error)) from error
        raise
    except ServiceProblem as error:
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR or error.status in _REFUSALS:
            raise ServiceFailed(str(error)) from error
        raise
    except ClientError as error:
        raise ServiceFailed(str(error)) from error


def _note(text: str) -> None:
    print(f"bitbudget: {text}", file=sys.stderr, flush=True)
