"""Descriptions of uploaded networks: layers, tensors, files and numbers of parameters."""

from __future__ import annotations

from datetime import UTC, datetime

from api.schemas.fit import HostStepsAnswer
from api.schemas.networks import (
    InputAnswer,
    LayerAnswer,
    NetworkAnswer,
    ReadingOptionsAnswer,
    TensorAnswer,
    WeightFileAnswer,
)
from api.storage.uploads import Upload
from network.joined_samples import joined_dims
from network.layers import WeightLayer
from network.network import Network
from network.reading_options import ReadingOptions


def describe_network(network: Network, upload: Upload, options: ReadingOptions) -> NetworkAnswer:
    """Return the description of an uploaded network that was read with the given options."""
    input_shapes, outputs = options.texts()
    return NetworkAnswer(
        id=upload.digest,
        name=network.name,
        size_bytes=upload.size_bytes,
        created_at=datetime.now(UTC),
        parameters=sum(_parameters(network, layer) for layer in network.weight_layers),
        has_weights=network.has_weights,
        sample_shape=list(joined_dims(network.inputs)),
        input_mean=list(options.declared.mean),
        input_scale=list(options.declared.scale),
        input=network.input_names[0],
        inputs=[InputAnswer(name=each.name, sample_shape=list(each.format.dims)) for each in network.inputs],
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
            TensorAnswer(name=name, shape=[shape.channels, shape.height, shape.width])
            for name, shape in network.shapes.items()
        ],
        reading_options=None
        if options.is_empty
        else ReadingOptionsAnswer(input_shape=list(input_shapes), output=list(outputs)),
        host_steps=[HostStepsAnswer.model_validate(steps) for steps in network.host_steps],
        weight_files=weight_files_of(upload),
    )


def weight_files_of(upload: Upload) -> list[WeightFileAnswer]:
    """Return the names, sizes and hashes of the files of weights of an upload, by name."""
    return [
        WeightFileAnswer(name=each.name, size_bytes=each.size_bytes, sha256=each.digest)
        for each in sorted(upload.weights, key=lambda each: each.name)
    ]


def _parameters(network: Network, layer: WeightLayer) -> int:
    biases = 0 if layer.bias is None else layer.output_channels
    scales = 0 if layer.batch_norm is None else 2 * layer.output_channels
    weights = network.weight_elements(layer) if network.weight_owners.stores(layer.name) else 0
    return weights + biases + scales
