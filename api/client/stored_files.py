"""Networks, datasets and devices of a service, as the client uploads, lists and deletes them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

from api.client.connection import Call, Connection, path_of
from api.client.jobs import delete
from api.client.pages import items_of
from api.client.uploads import upload_dataset, upload_network
from api.schemas.answer import Answer
from api.schemas.datasets import DatasetAnswer
from api.schemas.devices import DeviceAnswer
from api.schemas.keywords import reading_options_of
from api.schemas.networks import NetworkAnswer, NetworkSummary
from qat.data.dataset import Dataset

Got = TypeVar("Got", bound=Answer)

NetworkLike = NetworkSummary | str
"""A network of the service: the answer of its upload, or its identifier."""

StoredDataset = DatasetAnswer | str
"""A dataset of the service: the answer of its upload, its identifier, or its name such as "digits"."""


class StoredFiles:
    """What a service stores apart from jobs, and the devices that it knows.

    Args:
        connection: Connections to the service.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def upload_network(
        self,
        source: str | os.PathLike[str] | bytes,
        name: str | None = None,
        *,
        weights: Mapping[str, bytes] = MappingProxyType({}),
        input_shape: Sequence[int] | Mapping[str, Sequence[int]] = (),
        outputs: Sequence[str] = (),
        input_mean: float | Sequence[float] | None = None,
        input_scale: float | Sequence[float] | None = None,
    ) -> NetworkAnswer:
        """Store a network in the service, and return its description; a content that the service has is not sent.

        Args:
            source: Path of an ONNX file, a TFLite file or a JSON description; or the content of one as bytes.
            name: Name of the network in reports. None uses the name of the file. A stored content keeps its first name.
            weights: Name of each file in which an ONNX file keeps weights -> its content. If it is empty, the files
                beside `source` are sent.
            input_shape: Extents of the input, if the file leaves them open, as for `bitbudget.read`.
            outputs: Names of the tensors of the file at which the network ends, as for `bitbudget.read`.
            input_mean: Number to subtract from each sample, or one for each channel, as for `bitbudget.read`.
            input_scale: Number to multiply the difference with, or one for each channel, as for `bitbudget.read`.

        Raises:
            RequestError: If an option is invalid.
            UnreadableFile: If the file, or a file of weights, cannot be read.
            ServiceProblem: If the service refuses the network.
            ClientError: If there is no answer.
        """
        options = reading_options_of(input_shape, outputs, input_mean, input_scale)
        return upload_network(self._connection, source, name, weights, options)

    def upload_dataset(self, source: str | os.PathLike[str] | Dataset) -> DatasetAnswer:
        """Store a dataset in the service, and return its description; a content that the service has is not sent.

        Args:
            source: Path of an .npz, a .parquet or a .tar file, or of a directory of array files or of images in folders
                of classes, which is packed into one file (docs/datasets.md); or a `bitbudget.Dataset` of arrays.

        Raises:
            DatasetError: If there is no valid dataset, or it cannot be packed into one file.
            ServiceProblem: If the service refuses the dataset.
            ClientError: If there is no answer.
        """
        return upload_dataset(self._connection, source)

    def networks(self) -> Iterator[NetworkSummary]:
        """Yield all networks of the service, newest first."""
        return items_of(self._connection, NetworkSummary, path_of("networks"))

    def network(self, network_id: str) -> NetworkAnswer:
        """Return the description of a network."""
        return self._get(NetworkAnswer, "networks", network_id)

    def delete_network(self, network: NetworkLike) -> None:
        """Delete a network; the service refuses it while an unfinished job needs the network."""
        delete(self._connection, path_of("networks", id_of(network)))

    def datasets(self) -> Iterator[DatasetAnswer]:
        """Yield the built-in dataset, those of the operator, and the uploaded ones, newest first."""
        return items_of(self._connection, DatasetAnswer, path_of("datasets"))

    def dataset(self, dataset_id: str) -> DatasetAnswer:
        """Return the description of a dataset, by its identifier or its name."""
        return self._get(DatasetAnswer, "datasets", dataset_id)

    def delete_dataset(self, dataset: StoredDataset) -> None:
        """Delete an uploaded dataset; the service refuses it while an unfinished job needs the dataset."""
        delete(self._connection, path_of("datasets", id_of(dataset)))

    def catalogue(self) -> Iterator[DeviceAnswer]:
        """Yield the microcontrollers that the service knows by name."""
        return items_of(self._connection, DeviceAnswer, path_of("devices"))

    def _get(self, kind: type[Got], *parts: str) -> Got:
        return self._connection.ask(kind, Call(method="GET", path=path_of(*parts)))


def id_of(thing: NetworkLike | StoredDataset) -> str:
    """Return the identifier of a network or of a dataset.

    Args:
        thing: Answer of its upload, or its identifier itself.
    """
    return thing if isinstance(thing, str) else thing.id
