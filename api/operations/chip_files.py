"""The files of a training for a chip: C, what its emission needs, and the linked report.

A trained network is kept even if it has no C, or the compiler refuses it: the reasons become warnings of the report.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from api.operations.emission import archive_of, emit_network
from api.operations.linked_report import linked_report
from deploy.deployment import DEPLOYMENT_FILE, Deployment, deployment_bytes
from deploy.integer_network import IntegerNetwork
from deploy.result_folder import LINKED_FILE
from deploy.sample_codes import VECTORS_FILE, vectors_bytes
from network.budget import Budget
from network.devices.device import Device
from network.errors import BitbudgetError
from network.host_graph import HostGraph
from network.memory.accounting import Accounting
from qat.data.dataset import Dataset
from qat.data.sample_codes import sample_codes


@dataclass(frozen=True, kw_only=True, eq=False)
class ChipFiles:
    """What a training knows beside its integer-only network, for the files for a chip.

    Attributes:
        host_graph: Computation behind the network; None if it is not known.
        dataset: The samples, some of which become inputs of the self-test.
        accounting: The rules by which bytes were counted.
        device: The device of the request; None without one.
        budget: Flash and RAM that the network may use.
    """

    host_graph: HostGraph | None
    dataset: Dataset
    accounting: Accounting
    device: Device | None
    budget: Budget

    def write(self, network: IntegerNetwork, directory: Path) -> Sequence[str]:
        """Write the files for a chip into a directory.

        Args:
            network: The integer-only network.
            directory: The directory, which exists.

        Returns:
            The reasons why files are missing; empty if there are none.
        """
        deployment = Deployment.of(self.accounting, self.host_graph)
        codes = sample_codes(network, self.dataset)
        (directory / DEPLOYMENT_FILE).write_bytes(deployment_bytes(deployment))
        (directory / VECTORS_FILE).write_bytes(vectors_bytes(network, codes))

        def emit() -> None:
            emitted = emit_network(network, deployment, codes)
            (directory / emitted.archive_name).write_bytes(archive_of(emitted))

        def link() -> None:
            linked = linked_report(network, self.device, self.budget, deployment, codes)
            if linked is not None:
                (directory / LINKED_FILE).write_text(linked.model_dump_json(indent=2) + "\n", encoding="utf-8")

        reasons = (_reason(emit, "no C files were written"), _reason(link, "the C files were not linked"))
        return [each for each in reasons if each is not None]


def _reason(write: Callable[[], None], what: str) -> str | None:
    """Write a file; return why it is missing, or None."""
    try:
        write()
    except BitbudgetError as error:
        return f"{what}: {error}"
    return None
