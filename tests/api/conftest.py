"""One running service, which all tests share that do not change its configuration."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.live_service import LiveService
from tests.api.s3_server import S3Server

NETWORK_LIMIT_BYTES = 20_000_000
DATASET_LIMIT_BYTES = 2_000_000


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    data = tmp_path_factory.mktemp("service") / "data"
    limits = ["--max-jobs=1", f"--max-network-size={NETWORK_LIMIT_BYTES}", f"--max-dataset-size={DATASET_LIMIT_BYTES}"]
    with LiveService(data, *limits) as running:
        yield running


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server
