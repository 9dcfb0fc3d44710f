"""Choice of the sensitivity table for a request: computed from weights, measured on samples, or given.

weights                      computed from the weights alone, for every network
fisher, hessian, measured    measured on samples of a dataset: in a job, or in a command with a dataset
a table                      used as it is given
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from api.schemas.sensitivity_fields import WEIGHTS_MEASURE, JobTable
from api.schemas.solve import SolveRequest
from network.allocation import WeightScheme
from network.errors import RequestError
from network.network import Network
from network.sensitivity.from_weights import weight_sensitivity
from network.sensitivity.table import SensitivityTable
from qat.data.dataset import Dataset
from qat.fan_out import IN_ORDER, FanOut
from qat.options.sensitivity import Measure, SensitivityOptions
from qat.options.task import TaskKind
from qat.progress import Report
from solver.options import Method

BEST_MEASURE: Final = Measure.FISHER
"""Default measure if there are samples: the best one according to `python -m benchmarks.sensitivity`."""


@dataclass(frozen=True, slots=True)
class MeasureChoice:
    """Sensitivity table that a request chooses: computed from weights, measured on samples, or given.

    Attributes:
        given: Name of a measure, a table, or None for the default.
        scheme: How weights are quantized when the table is made; None for a table of all schemes.
        minimizes: Whether the method minimizes a table; otherwise a table that is given only compares answers.
    """

    given: str | SensitivityTable | None
    scheme: WeightScheme | None
    minimizes: bool

    @classmethod
    def of(cls, request: SolveRequest) -> MeasureChoice:
        """Return which sensitivity table a request chooses.

        Raises:
            RequestError: If the request names a job whose table has not replaced the name.
        """
        given = request.sensitivity
        if isinstance(given, JobTable):
            raise RequestError(
                "the sensitivity names a job of the service, which only the service can read; give the table of the job"
            )
        return cls(given, request.only_scheme, minimizes=request.method is Method.EXACT)

    @property
    def reads_weights(self) -> bool:
        """Whether the sensitivity table is computed from the network's weights if there are no samples."""
        return self.given == WEIGHTS_MEASURE or (self.given is None and self.minimizes)

    @property
    def measures_samples(self) -> bool:
        """Whether the sensitivity table is measured on samples if there are any."""
        return self.given in list(Measure) if isinstance(self.given, str) else self.given is None and self.minimizes

    @property
    def measure_on_samples(self) -> Measure | None:
        """Measure by which the table is measured if there are samples; None if it is not measured on samples."""
        if not self.measures_samples:
            return None
        return Measure(self.given) if isinstance(self.given, str) else BEST_MEASURE

    def without_samples(self) -> MeasureChoice:
        """Return this choice, with the measure `weights` in place of a measure that needs samples."""
        if not self.measures_samples:
            return self
        return MeasureChoice(WEIGHTS_MEASURE, self.scheme, minimizes=self.minimizes)

    def table_without_samples(self, network: Network) -> SensitivityTable | None:
        """Return the sensitivity table if there are no samples; by default, it is computed from the weights.

        Raises:
            RequestError: If the measure needs samples.
        """
        if isinstance(self.given, str) and self.given != WEIGHTS_MEASURE:
            raise RequestError(
                f"the sensitivity '{self.given}' is measured on samples, and there are none here: give a dataset, or "
                f"measure it first and give the table, or choose '{WEIGHTS_MEASURE}'"
            )
        if self.reads_weights:
            return weight_sensitivity(network, self.scheme)
        return self.given if isinstance(self.given, SensitivityTable) else None

    def table_with_samples(
        self,
        network: Network,
        dataset: Dataset,
        report: Report,
        task: TaskKind | None = None,
        fan_out: FanOut = IN_ORDER,
    ) -> SensitivityTable | None:
        """Return the sensitivity table if there are samples; by default, the best measure computes it.

        Args:
            network: The network with its weights.
            dataset: The samples.
            report: Callback that receives the progress.
            task: What the network is for; None chooses the task by the dataset and the network.
            fan_out: Places that measure groups of tensors at the same time.

        Raises:
            InvalidNetwork, DatasetError, TrainingError: If the table cannot be measured.
        """
        measure = self.measure_on_samples
        if measure is None:
            return self.table_without_samples(network)
        options = SensitivityOptions(measure=measure, scheme=self.scheme, task=task)
        return measured_table(network, dataset, options, report, fan_out)


def measured_table(
    network: Network,
    dataset: Dataset,
    options: SensitivityOptions,
    report: Report,
    fan_out: FanOut = IN_ORDER,
) -> SensitivityTable:
    """Measure a network's sensitivity table on the training set of a dataset; this loads torch.

    Args:
        network: The network with its weights.
        dataset: The samples.
        options: The measure, and how many samples it uses.
        report: Callback that receives the progress.
        fan_out: Places that measure groups of tensors at the same time.

    Raises:
        DatasetError: If the measure needs labels and there are none, or a sample cannot be read.
    """
    from qat.data.feature_scales import with_feature_scales
    from qat.data.images import fitted
    from qat.sensitivity.measuring import measure_sensitivity
    from qat.tasks.choice import choose_task

    dataset = fitted(dataset, network)
    task = choose_task(network, dataset, options.task)
    scaled = with_feature_scales(network, dataset.train_x)
    return measure_sensitivity(
        scaled, dataset.train_x, dataset.train_y, options, task=task, report=report, fan_out=fan_out
    )
