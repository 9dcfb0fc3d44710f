"""Requests for jobs as the database stores them and as an answer repeats them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from api.schemas.jobs import JobRequest, JobRequestEcho, SensitivityJobRequestEcho, echo_of, request_of
from network.allocation import WeightScheme

DEVICE = {"name": "my-board", "core": "cortex-m4", "flash": "480 KiB", "ram": "96 KiB"}
TABLE = {"weights": {"first": {"8": 0, "4": 1, "2": 2}}, "activations": {}}
SPEED = {
    "core": "my-core",
    "source": "measured",
    "multiply_accumulates_per_cycle": {"pointwise_convolution": {"8/8": 0.5}},
    "elements_per_cycle": {"add": 0.1},
}


@pytest.mark.parametrize(
    "given",
    [
        {"flash": "60kB", "ram": 40_000},
        {"device": "nrf52840", "reserved_flash": 0, "reserved_ram": "1 KiB"},
        {"device": DEVICE},
        {"device": {**DEVICE, "clock_hz": None, "chip_flash": None, "chip_ram": "128 KiB"}},
        {"device": DEVICE, "core_speed": SPEED, "max_cycles": 1000},
        {"sensitivity": TABLE},
        {"sensitivity": {"job_id": "1"}},
        {"training": {"augmentation": "flip_shift", "post_training": {}, "overrides": {"first": {}}}},
    ],
)
def test_a_request_survives_the_database(given: dict[str, Any]) -> None:
    request = JobRequest.model_validate({"network_id": "n", "dataset": "digits", **given})
    document = request.model_dump(mode="json")
    assert request_of(document) == request
    echo = echo_of(document)
    assert isinstance(echo, JobRequestEcho)
    assert echo.model_dump(mode="json") == document


def test_a_job_of_an_earlier_release_is_read_with_the_scheme_that_it_had() -> None:
    """Requests were stored with the one scheme of all weights, without allowed schemes and sensitivities by scheme."""
    request = JobRequest.model_validate({"network_id": "n", "dataset": "digits", "sensitivity": TABLE})
    document = request.model_dump(mode="json") | {"scheme": "PerChannelSymLSQ"}
    del document["allowed_schemes"]
    del document["sensitivity"]["weights_by_scheme"]
    read = request_of(document)
    assert isinstance(read, JobRequest)
    assert read.schemes == (WeightScheme.PER_CHANNEL_SYM_LSQ,)
    assert read.sensitivity == request.sensitivity
    echo = echo_of(document)
    assert isinstance(echo, JobRequestEcho)
    assert echo.scheme == "PerChannelSymLSQ"


def test_an_echo_has_sizes_in_bytes_and_every_field() -> None:
    given = {"network_id": "n", "dataset": "digits", "device": DEVICE, "flash": "60kB"}
    echo = echo_of(given).model_dump(mode="json")
    assert (echo["kind"], echo["flash"], echo["ram"], echo["reserved_ram"]) == ("training", 60_000, None, 0)
    assert (echo["device"]["flash"], echo["device"]["chip_ram"]) == (480 * 1024, 96 * 1024)
    assert echo.keys() == JobRequestEcho.model_fields.keys()


def test_a_kind_chooses_the_echo() -> None:
    assert isinstance(
        echo_of({"kind": "sensitivity", "network_id": "n", "dataset": "digits"}), SensitivityJobRequestEcho
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"flash": None}, "flash"),
        ({"clock_hz": 0}, "clock_hz"),
        ({"clock_hz": 2**31}, "clock_hz"),
        ({"speed": None}, "unknown key 'speed'"),
    ],
)
def test_an_invalid_device_is_rejected(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        JobRequest.model_validate({"network_id": "n", "dataset": "digits", "device": {**DEVICE, **change}})
