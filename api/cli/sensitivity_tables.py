"""The sensitivity table of a command line: read from a file, computed from the weights, or measured on samples."""

from __future__ import annotations

from api.cli.files import read_dataset
from api.operations.measures import MeasureChoice
from api.schemas.solve import SolveRequest
from network.network import Network
from network.sensitivity.table import SensitivityTable


def table_for(
    request: SolveRequest, network: Network, data: str | None, label_offset: int = 0, *, is_quiet: bool
) -> SensitivityTable | None:
    """Return the sensitivity table for the objective of a command-line request; None if the request needs none.

    Args:
        request: Request with the name of a measure, or with a table.
        network: The network, with its weights if the table comes from them.
        data: Path of a dataset, or the name of the built-in one; None if there are no samples.
        label_offset: Number that is added to each label.
        is_quiet: Whether progress is hidden.

    Raises:
        RequestError: If the measure needs samples and there are none.
        DatasetError: If samples cannot be read or do not suit the network.
    """
    choice = MeasureChoice.of(request)
    if data is None:
        return choice.table_without_samples(network)
    # Without samples, a fit does not need the readers of images that these modules import.
    from api.cli.text.dataset import shown_first
    from api.cli.text.progress import progress_line
    from api.operations.train import require_weights, wait_without_spinning
    from qat.data.checks import check_dataset

    dataset = read_dataset(data, label_offset)
    check_dataset(dataset, network)
    require_weights(network.name, has_weights=network.has_weights)
    wait_without_spinning()
    with progress_line(is_wanted=not is_quiet) as report:
        return choice.table_with_samples(network, dataset, shown_first(dataset, report))
