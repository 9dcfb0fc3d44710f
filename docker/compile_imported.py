"""Import what the service imports, and use torch once, so that Python writes bytecode for these modules alone.

The bytecode of all modules would need 180 MB. Without any, each worker would compile torch anew, since the image's user
cannot write it.
"""

from __future__ import annotations

import sys
from importlib import import_module

MODULES = [
    "alembic.command",
    "alembic.runtime.migration",
    "click",
    "elftools.elf.elffile",
    "fastapi",
    "fastapi.openapi.docs",
    "fastapi.staticfiles",
    "flatbuffers",
    "fsspec.implementations.local",
    "httpx",
    "jwt",
    "kornia.augmentation",
    "numpy",
    "onnx",
    "onnx.checker",
    "onnx.numpy_helper",
    "onnx.reference",
    "onnx.shape_inference",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk.trace.export",
    "PIL.BmpImagePlugin",
    "PIL.JpegImagePlugin",
    "PIL.PngImagePlugin",
    "prometheus_client",
    "psycopg",
    "psycopg_binary",
    "pulp",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "pydantic_settings",
    "python_multipart",
    "rich.console",
    "rich.progress",
    "rich.table",
    "rich.text",
    "s3fs",
    "safetensors.numpy",
    "safetensors.torch",
    "scipy.optimize",
    "scipy.sparse",
    "scipy.stats",
    "sklearn.datasets",
    "sklearn.metrics",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite",
    "tflite",
    "threadpoolctl",
    "torch.nn.functional",
    "torch.nn.utils",
    "torch.optim.lr_scheduler",
    "torch.utils.data",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.main",
    "uvicorn.protocols.http.h11_impl",
]


def main() -> None:
    """Import the modules, and train a layer by one step, which imports what torch loads late."""
    for name in MODULES:
        import_module(name)
    import torch

    layer = torch.nn.Conv2d(1, 1, 3)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.zeros(1, 1, 8, 8)).sum().backward()
    optimizer.step()
    print(f"{sum(getattr(module, '__cached__', None) is not None for module in sys.modules.values())} modules compiled")


if __name__ == "__main__":
    main()
