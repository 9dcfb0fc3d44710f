"""The table of sensitivities that a command's answer is judged by."""

from __future__ import annotations

from api.cli.files import read_dataset
from api.schemas.solve import SolveRequest
from network.network import Network
from network.sensitivity.table import SensitivityTable
from qat.data.checks import check_dataset


def table_for(request: SolveRequest, network: Network, data: str | None, *, is_quiet: bool) -> SensitivityTable | None:
    """From the weights or the request alone, or measured on samples, with a line of progress.

    Args:
        request: says which.
        network: whose tensors are meant.
        data: where samples are; None: nowhere.
        is_quiet: no progress is shown.

    Raises:
        RequestError: an unknown measure, or one that needs samples.
        DatasetError: samples that cannot be read, or do not fit the network.
    """
    if data is None:
        return request.measure.without_data(network)
    from api.cli.text.progress import progress_line
    from api.operations.train import require_weights, wait_without_spinning

    dataset = read_dataset(data)
    check_dataset(dataset, network)
    require_weights(network.name, has_weights=network.has_weights)
    wait_without_spinning()
    with progress_line(is_wanted=not is_quiet) as report:
        return request.measure.with_data(network, dataset, report)
