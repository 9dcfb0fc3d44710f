"""Addresses on which a service without keys may listen."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from api.cli.main import run
from api.http.security.exposure import check_exposure
from api.settings import Settings
from network.errors import RequestError


@pytest.mark.parametrize("address", ["0.0.0.0", "10.0.0.5", "::", "fe80::1%eth0", "192.168.1.7"])  # noqa: S104
def test_other_machines_need_a_key(address: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(RequestError, match="the service has no keys, and other machines may reach"):
        check_exposure(Settings(), address, has_keys=False)
    check_exposure(Settings(), address, has_keys=True)
    assert caplog.text == ""
    with caplog.at_level(logging.WARNING):
        check_exposure(Settings(allow_unauthenticated=True), address, has_keys=False)
    assert f"the service listens on {address} without keys" in caplog.text


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1"])
def test_this_machine_needs_none(address: str, caplog: pytest.LogCaptureFixture) -> None:
    check_exposure(Settings(), address, has_keys=False)
    assert caplog.text == ""


def test_every_host_name_needs_a_key() -> None:
    for settings in (Settings(allowed_hosts="*"), Settings(allowed_hosts="*", allow_unauthenticated=True)):
        with pytest.raises(RequestError, match="--allowed-hosts allows every name"):
            check_exposure(settings, "127.0.0.1", has_keys=False)
        check_exposure(settings, "127.0.0.1", has_keys=True)


def test_the_command_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "--host", "0.0.0.0", "--port", "0", "--data", str(tmp_path / "data")]) == 2  # noqa: S104
    output = capsys.readouterr()
    assert output.out == ""
    assert "listen on 127.0.0.1, or allow this with --allow-unauthenticated" in output.err
    assert output.err.count("\n") == 1
