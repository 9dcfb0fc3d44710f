"""A service that is stopped and started again while a client waits for a job."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from api.client.client import Client
from tests.api.live_service import LiveService
from tests.api.small_files import tiny_dataset, tiny_json


@pytest.mark.long
def test_a_restart_does_not_end_the_wait(tmp_path: Path) -> None:
    (tmp_path / "data.npz").write_bytes(tiny_dataset())
    services = [LiveService(tmp_path / "data")]
    url = services[0].url
    is_training = threading.Event()

    def restart() -> None:
        if is_training.wait(60):
            services[0].end(signal.SIGTERM)
            services.append(LiveService(tmp_path / "data", f"--port={urlsplit(url).port}"))

    thread = threading.Thread(target=restart)
    thread.start()
    try:
        with Client(url) as client:
            network, dataset = client.upload_network(tiny_json(), "tiny"), client.upload_dataset(tmp_path / "data.npz")
            job = client.train(
                network,
                dataset,
                training={"epochs": 200, "threads": 1},
                method="mixpc",
                accounting="paper",
                flash=400,
                ram=60,
            )
            epochs: list[int] = []

            def show(progress: object) -> None:
                epochs.append(getattr(progress, "epoch", None) or 0)
                if epochs[-1] > 2:
                    is_training.set()

            report = job.wait(progress=show)
            assert len(report.epochs) == 201
            assert len(services) == 2, "the job has ended before the service was stopped"
            assert client.job(job.id).report == report
    finally:
        is_training.set()
        thread.join()
        services[-1].end(signal.SIGTERM)
