"""The limits of a service as a list in its OpenAPI document, from the constants and settings that enforce them."""

from __future__ import annotations

from api.execution.task_messages import MAX_ANSWER_BYTES
from api.execution.time_limits import longest_limit
from api.http.uploads import MAX_WEIGHT_FILES
from api.services.networks import MAX_DESCRIPTION_BYTES
from api.settings import MAX_DATASET_EXPANSION, MAX_JSON_BODY_BYTES, MIB, Settings
from network.devices.catalogue import MAX_DEVICES
from network.network import MAX_LAYERS, MAX_TENSOR_ELEMENTS
from network.network_input import MAX_INPUTS
from network.reading_options import MAX_OUTPUTS
from qat.data.decoding import MAX_PIXELS
from solver.pareto import MAX_POINTS, MAX_POINTS_OF_BOTH


def limits_text(settings: Settings) -> str:
    """Return the limits of a service as a Markdown list.

    Args:
        settings: Settings of the service.
    """
    dataset_bytes = settings.max_dataset_bytes
    limits = {
        "size of a network": f"{settings.max_network_bytes:,} bytes with its files of weights, of which it may have "
        f"{MAX_WEIGHT_FILES}",
        "layers of a network": f"{MAX_LAYERS:,}, whose description has at most {MAX_DESCRIPTION_BYTES:,} bytes",
        "elements of a tensor": f"{MAX_TENSOR_ELEMENTS:,}",
        "inputs and declared outputs of a network": f"{MAX_INPUTS} and {MAX_OUTPUTS}",
        "size of a dataset": f"{dataset_bytes:,} bytes; {MAX_DATASET_EXPANSION * dataset_bytes:,} bytes in memory",
        "pixels of an encoded image": f"{MAX_PIXELS:,}",
        "points of a Pareto front": f"{MAX_POINTS:,}; {MAX_POINTS_OF_BOTH} for each budget if both are varied",
        "devices of a request": f"{MAX_DEVICES:,}",
        "JSON body of a request": f"{MAX_JSON_BODY_BYTES:,} bytes",
        "answer to a question": f"{MAX_ANSWER_BYTES:,} bytes",
        "time to read an upload": f"{settings.parse_seconds:g} s, with {settings.parse_memory_bytes // MIB:,} MiB of "
        "memory for a network",
        "time to answer a question": f"{settings.request_seconds:g} s with the time in the queue, and "
        f"{settings.solve_memory_bytes // MIB:,} MiB of memory; `time_limit_seconds` may be "
        f"{longest_limit(settings.request_seconds):g}",
        "requests that wait": f"{settings.queue_length:,}; a further one is refused with 429 and `Retry-After`",
    }
    return "\n".join(f"- {what}: {limit}" for what, limit in limits.items())
