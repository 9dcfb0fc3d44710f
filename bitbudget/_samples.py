"""The function `sensitivity`, which measures a network's quantization sensitivities on samples."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Unpack

from api.operations.sensitivity import SensitivityJob, measure
from api.schemas.keywords import SensitivityFields
from bitbudget._budgets import DatasetLike
from bitbudget._reading import dataset_of, name_of
from deploy.result_folder import write_text
from network.network import Network
from network.sensitivity.table import SensitivityTable, sensitivity_to_json
from qat.options.sensitivity import SensitivityOptions
from qat.progress import Report, silent


def sensitivity(
    network: Network,
    data: DatasetLike,
    *,
    out: str | os.PathLike[str] | None = None,
    progress: Report | None = None,
    **options: Unpack[SensitivityFields],
) -> SensitivityTable:
    """Estimate, for every tensor of a network, how much the loss increases if it alone gets 8, 4 or 2 bits.

    Args:
        network: The network with its weights, from `read` or `read_module`.
        data: Samples, of which those of the training set are used.
        out: File to which the table is written as JSON; None writes none.
        progress: Callback that receives the progress of the measurement.
        options: How sensitivities are measured: the fields of `SensitivityOptions`, which docs/sensitivity.md lists.

    Returns:
        The table, for the option `sensitivity` of `fit`, `pareto`, `devices` and `train`.

    Raises:
        RequestError: If an option is invalid, or the file cannot be written.
        InvalidNetwork: If the network has no weights.
        DatasetError: If the samples cannot be read or do not match the network.
        TrainingError: If the network gives values that are not finite.
    """
    job = SensitivityJob(
        network=network,
        network_name=name_of(network),
        options=SensitivityOptions(**options),  # type: ignore[arg-type]  # pydantic accepts the names of measure and scheme
        dataset=dataset_of(data),
    )
    _, table = measure(job, progress or silent)
    if out is not None:
        write_text(Path(out), sensitivity_to_json(table) + "\n")
    return table
