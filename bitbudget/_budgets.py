"""Conversion of the samples of public functions to sensitivity tables."""

from __future__ import annotations

import os

from api.operations.measures import MeasureChoice
from api.operations.train import require_weights, wait_without_spinning
from api.schemas.solve import SolveRequest
from bitbudget._reading import dataset_of
from network.network import Network
from network.sensitivity.table import SensitivityTable
from qat.data.checks import check_dataset
from qat.data.dataset import Dataset
from qat.progress import Report, silent

DatasetLike = Dataset | str | os.PathLike[str]
"""A dataset, its path, or "digits" for the built-in one."""


def table_for(
    request: SolveRequest, network: Network, data: DatasetLike | None, progress: Report | None
) -> SensitivityTable | None:
    """Return the sensitivity table that a request minimizes: given, from the weights, or measured on samples.

    Args:
        request: The request, which names the measure or holds the table.
        network: The network, with its weights if the table comes from them.
        data: The samples; None if there are none.
        progress: Callback that receives the progress of the measurement; None for none.

    Raises:
        RequestError: If the measure needs samples and there are none.
        DatasetError: If samples cannot be read or do not match the network.
        InvalidNetwork: If samples are given and the network has no weights.
    """
    choice = MeasureChoice.of(request)
    if data is None or not choice.measures_samples:
        return choice.table_without_samples(network)
    dataset = dataset_of(data)
    check_dataset(dataset, network)
    require_weights(network.name, has_weights=network.has_weights)
    wait_without_spinning()
    return choice.table_with_samples(network, dataset, progress or silent)
