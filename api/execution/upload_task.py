"""Task of the processes that read uploaded networks; only these processes import this module."""

from __future__ import annotations

# `read_network` imports the readers when a file needs them; here they are imported once, before the first fork.
import network.onnx_reading
import network.tflite_reading  # noqa: F401
from api.services.networks import parse_upload
from api.services.upload_parsing import UploadRequest


def answer(request: bytes) -> bytes:
    """Read an uploaded network.

    Args:
        request: The `UploadRequest` as JSON.

    Returns:
        The `ParsedUpload` as JSON.
    """
    given = UploadRequest.model_validate_json(request)
    return parse_upload(given.upload, given.options).model_dump_json().encode()
