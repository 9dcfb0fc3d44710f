"""Networks that are kept: read and checked before, found by the hash of their content after."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from threading import Lock
from typing import Final

from pydantic import AwareDatetime, Field

from api.errors import InUse, NotFound
from api.http.uploads import Upload
from api.operations.fit import answer_fit
from api.operations.questions import DevicesAnswer, ParetoAnswer, answer_devices, answer_pareto
from api.operations.train import stand_in
from api.schemas.answers import Answer, FitAnswer, NetworkName
from api.schemas.fit import FitRequest
from api.schemas.questions import DevicesRequest, ParetoRequest
from api.schemas.solve import SolveRequest
from api.services.measured_tables import MeasuredTables
from api.settings import Settings
from api.storage.blobs import Blobs, is_digest
from api.storage.database import Store
from api.storage.records import KeptFile
from network.layers import Layer, WeightLayer
from network.network import Network
from network.reading import read_network
from network.sensitivity.table import SensitivityTable

KIND: Final = "network"
_PARSED: Final = 16
"""Networks that stay parsed, without their weights: a few thousand layers each at most, in practice."""


class NetworkSummary(Answer):
    """A kept network, in short."""

    id: str = Field(description="SHA-256 of the file, in hexadecimal: the same content has the same id")
    name: str = Field(description="what reports call it; the name that came with the first upload of this content")
    size_bytes: int = Field(description="of the file, in bytes")
    created_at: AwareDatetime = Field(description="when it was first uploaded")
    parameters: int = Field(description="weights, biases, and gamma and beta of each batch norm")
    has_weights: bool = Field(description="false: only counts; bits can be chosen, but nothing can be retrained")


class TensorAnswer(Answer):
    """An activation tensor."""

    name: str
    shape: tuple[int, int, int] = Field(description="channels, height, width")


class LayerAnswer(Answer):
    """A layer, with its batch norm and activation function folded in."""

    name: str
    kind: str = Field(description="convolution, fully_connected, add, concat, max_pool, average_pool, pad, activation")
    inputs: list[str] = Field(description="the tensors that it reads")
    output: str = Field(description="the tensor that it writes")
    weight_shape: list[int] | None = Field(
        description="output channels, input channels / groups, kernel height, kernel width; fully connected: output "
        "and input elements; null for a layer without weights"
    )


class NetworkAnswer(NetworkSummary):
    """A kept network."""

    sample_shape: list[int] = Field(description="extents of one sample as a caller gives it, without the batch")
    input: str = Field(description="the tensor that the caller writes")
    outputs: list[str] = Field(description="the tensors that the caller reads")
    layers: list[LayerAnswer] = Field(description="in schedule order")
    tensors: list[TensorAnswer] = Field(description="in the order in which they are written, the input first")


class Networks:
    """The networks of a data directory."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._blobs = Blobs(settings.networks_directory)
        self._keeping = Lock()
        self._measured = MeasuredTables(store)
        self._without_weights = lru_cache(maxsize=_PARSED)(self._read_without_weights)

    def keep(self, upload: Upload) -> tuple[NetworkAnswer, bool]:
        """Keep a network, once; and whether it is new.

        Raises:
            NetworkError: it cannot be used; nothing is kept.
        """
        known = self._store.file(KIND, upload.digest)
        if known is not None:
            return NetworkAnswer.model_validate(known.summary), False
        network = read_network(upload.path.read_bytes(), upload.name)
        answer = _describe(network, upload)
        with self._keeping:
            self._blobs.keep(upload.digest, upload.path)
            is_new = self._store.add_file(
                KeptFile(
                    kind=KIND,
                    id=upload.digest,
                    name=upload.name,
                    size_bytes=upload.size_bytes,
                    created_at=answer.created_at.timestamp(),
                    summary=answer.model_dump(mode="json"),
                )
            )
        return (answer, True) if is_new else (self.describe(upload.digest), False)

    def describe(self, network_id: str) -> NetworkAnswer:
        return NetworkAnswer.model_validate(self._file(network_id).summary)

    def summaries(self) -> list[NetworkSummary]:
        """Newest first."""
        return [NetworkSummary.model_validate(file.summary) for file in self._store.files(KIND)]

    def delete(self, network_id: str) -> None:
        """Forget a network.

        Raises:
            InUse: an unfinished job needs it.
        """
        self._file(network_id)
        with self._keeping:
            if not self._store.delete_file(KIND, network_id):
                raise InUse("an unfinished job needs this network; cancel the job, or wait for it")
            self._blobs.delete(network_id)
        self._without_weights.cache_clear()

    def fit(self, network_id: str, request: FitRequest) -> FitAnswer:
        """Bits under a budget, or the certificate that none fit."""
        request = self._measured.resolved(request, network_id)
        network, name, table = self._with_table(network_id, request)
        return answer_fit(network, name, request, table)[0]

    def could_fit(self, network_id: str, request: FitRequest) -> FitAnswer:
        """Whether any bits fit, whatever measure decides between them."""
        network = self.with_weights(network_id)
        name = NetworkName(id=network_id, name=network.name)
        return answer_fit(network, name, request, stand_in(network, request))[0]

    def devices(self, network_id: str, request: DevicesRequest) -> DevicesAnswer:
        """Which devices the network fits, and how well."""
        request = self._measured.resolved(request, network_id)
        network, name, table = self._with_table(network_id, request)
        return answer_devices(network, name, request, table)

    def pareto(self, network_id: str, request: ParetoRequest) -> ParetoAnswer:
        """What bytes buy."""
        request = self._measured.resolved(request, network_id)
        network, name, table = self._with_table(network_id, request)
        return answer_pareto(network, name, request, table)

    def _with_table(
        self, network_id: str, request: SolveRequest
    ) -> tuple[Network, NetworkName, SensitivityTable | None]:
        """The network, with its weights only where the table comes from them."""
        choice = request.measure
        network = self.with_weights(network_id) if choice.reads_weights else self.counted(network_id)
        return network, NetworkName(id=network_id, name=network.name), choice.without_data(network)

    def counted(self, network_id: str) -> Network:
        """The network with its weights left out, which is enough to choose bits."""
        self._file(network_id)
        return self._without_weights(network_id)

    def with_weights(self, network_id: str) -> Network:
        """The whole network, read anew."""
        file = self._file(network_id)
        return read_network(self._blobs.path(network_id).read_bytes(), file.name)

    def _read_without_weights(self, network_id: str) -> Network:
        network = self.with_weights(network_id)
        return replace(network, layers=tuple(_without_weights(layer) for layer in network.layers))

    def _file(self, network_id: str) -> KeptFile:
        file = self._store.file(KIND, network_id) if is_digest(network_id) else None
        if file is None:
            raise NotFound(f"there is no network {network_id[:64]!r}; upload it with POST /v1/networks")
        return file


def _without_weights(layer: Layer) -> Layer:
    if not isinstance(layer, WeightLayer):
        return layer
    return replace(layer, weight=None, bias=None, batch_norm=None)


def _describe(network: Network, upload: Upload) -> NetworkAnswer:
    return NetworkAnswer(
        id=upload.digest,
        name=network.name,
        size_bytes=upload.size_bytes,
        created_at=datetime.now(UTC),
        parameters=sum(_parameters(network, layer) for layer in network.weight_layers),
        has_weights=network.has_weights,
        sample_shape=list(network.input_format.dims),
        input=network.input,
        outputs=list(network.outputs),
        layers=[
            LayerAnswer(
                name=layer.name,
                kind=layer.kind,
                inputs=list(layer.inputs),
                output=layer.output,
                weight_shape=list(layer.weight_shape(network.input_shapes(layer)))
                if isinstance(layer, WeightLayer)
                else None,
            )
            for layer in network.layers
        ],
        tensors=[
            TensorAnswer(name=name, shape=(shape.channels, shape.height, shape.width))
            for name, shape in network.shapes.items()
        ],
    )


def _parameters(network: Network, layer: WeightLayer) -> int:
    biases = 0 if layer.bias is None else layer.output_channels
    scales = 0 if layer.batch_norm is None else 2 * layer.output_channels
    return network.weight_elements(layer) + biases + scales
