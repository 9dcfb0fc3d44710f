"""Which table of sensitivities a request is judged by: a name is turned into figures, with or without samples.

weights                      from the weights alone, wherever a network is
fisher, hessian, measured    on samples of a dataset: in a job, or in a command that has one
a table                      as it is
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from network.allocation import WeightScheme
from network.errors import DatasetError, RequestError
from network.network import Network
from network.sensitivity.from_weights import weight_sensitivity
from network.sensitivity.table import SensitivityTable, sensitivity_of
from qat.data.dataset import Dataset
from qat.options.sensitivity import Measure, SensitivityOptions
from qat.progress import Report

WEIGHTS_MEASURE: Final = "weights"
BEST_MEASURE: Final = Measure.FISHER
"""Where there are samples: the best by `python -m benchmarks.sensitivity`."""

MEASURES: Final = (WEIGHTS_MEASURE, *Measure)


@dataclass(frozen=True, slots=True)
class MeasureChoice:
    """What a request asks for.

    Attributes:
        given: a measure's name, a table as decoded JSON, or None for the default.
        scheme: how weights are quantized.
        minimises: the method needs a table; else one is only used to compare, where it is asked for.
    """

    given: str | dict[str, Any] | None
    scheme: WeightScheme
    minimises: bool

    @property
    def reads_weights(self) -> bool:
        """Whether the table, where there are no samples, comes from the network's weights."""
        return self.given == WEIGHTS_MEASURE or (self.given is None and self.minimises)

    def without_data(self, network: Network) -> SensitivityTable | None:
        """The table where there are no samples: by default from the weights.

        Raises:
            RequestError: an unknown measure, one that needs samples, or no table.
        """
        given = self.given
        if given is None:
            given = WEIGHTS_MEASURE if self.minimises else None
        if isinstance(given, str) and self._known(given) != WEIGHTS_MEASURE:
            raise RequestError(
                f"the sensitivity '{given}' is measured on samples, and there are none here: name a dataset, or measure"
                f" it first and give the table; or take '{WEIGHTS_MEASURE}'"
            )
        return self._plain(given, network)

    @property
    def measures_samples(self) -> bool:
        """Whether the table, where there are samples, is measured on them."""
        return self.given in list(Measure) if isinstance(self.given, str) else self.given is None and self.minimises

    def with_data(self, network: Network, dataset: Dataset, report: Report) -> SensitivityTable | None:
        """The table where there are samples: by default the best measure, on the training set.

        Raises:
            RequestError: an unknown measure, or no table.
            InvalidNetwork, TrainingError: it cannot be measured.
        """
        given = self.given
        if given is None:
            given = str(BEST_MEASURE) if self.minimises else None
        if not isinstance(given, str) or self._known(given) == WEIGHTS_MEASURE:
            return self._plain(given, network)
        options = SensitivityOptions(measure=Measure(given), scheme=self.scheme)
        return measured_table(network, dataset, options, report)

    def _plain(self, given: str | dict[str, Any] | None, network: Network) -> SensitivityTable | None:
        if given is None:
            return None
        return sensitivity_of(given) if isinstance(given, dict) else weight_sensitivity(network, self.scheme)

    @staticmethod
    def _known(name: str) -> str:
        if name not in MEASURES:
            raise RequestError(f"unknown sensitivity {name[:60]!r}; expected one of: {', '.join(MEASURES)}; or a table")
        return name


def measured_table(network: Network, dataset: Dataset, options: SensitivityOptions, report: Report) -> SensitivityTable:
    """The table that a measure finds on a dataset's training set. Loads torch.

    Raises:
        DatasetError: no labels, which the measure needs; or a sample cannot be read.
    """
    from qat.data.images import fitted
    from qat.sensitivity.measuring import measure_sensitivity

    labels = dataset.train_y
    if labels is None:
        if options.measure is Measure.HESSIAN:
            raise DatasetError(f"the dataset has no labels, and '{options.measure}' needs them; take '{BEST_MEASURE}'")
        labels = np.zeros(len(dataset.train_x), dtype=np.int64)  # nobody looks at them
    return measure_sensitivity(network, fitted(dataset, network).train_x, labels, options, report=report)
