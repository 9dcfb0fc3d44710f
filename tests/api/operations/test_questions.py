"""Devices, Pareto fronts, shadow prices and latency ceilings: equal answers of command and service, and errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from api.cli.main import run
from network.devices.catalogue import catalogue
from tests.api.http.test_uploads import assert_problem
from tests.api.live_service import LiveService
from tests.api.small_files import tiny_json

OWN = {"name": "own", "core": "cortex-m4", "flash": 6000, "ram": 1000, "clock_hz": 1_000_000}
MOBILENET = Path(__file__).parents[3] / "examples" / "mobilenet_v1.json"
SMALL = {"name": "small", "core": "cortex-m4", "flash": 100, "ram": 1000}


@pytest.fixture
def network_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.json"
    path.write_bytes(tiny_json())
    return path


@pytest.fixture
def devices_file(tmp_path: Path) -> Path:
    path = tmp_path / "devices.json"
    path.write_text(json.dumps({"devices": [OWN, SMALL]}))
    return path


@pytest.fixture
def network_id(service: LiveService) -> str:
    return service.upload_network(tiny_json())


def printed(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> Any:
    assert run([*map(str, arguments), "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_a_device_gives_the_budget(
    service: LiveService, network_id: str, network_file: Path, devices_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--device", "own", "--devices-file", devices_file, "--reserved-flash", "500", "--reserved-ram", "100")
    answer = printed(capsys, "fit", network_file, *options)
    assert answer["budget"] == {"flash_bytes": 5500, "ram_bytes": 900}
    assert answer["device"] == "own"
    regions = {each["region"]: each for each in answer["regions"]}
    assert regions["flash"]["required_bytes"] == answer["memory"]["flash_bytes"] <= 5500
    assert (regions["ram"]["available_bytes"], regions["ram"]["excess_bytes"]) == (900, 0)
    assert regions["ram"]["layer"] == answer["memory"]["peak_layer"]
    assert answer["latency"]["optimization"] == answer["optimization"] == "Os"
    assert answer["latency"]["milliseconds"] == pytest.approx(answer["latency"]["cycles"] / 1000)
    request = {"device": OWN, "reserved_flash": 500, "reserved_ram": 100}
    assert service.http.post(f"/v1/networks/{network_id}/fit", json=request).json() == answer
    named = service.http.post(f"/v1/networks/{network_id}/fit", json={"device": "nrf52840", "ram": "40kB"}).json()
    assert named["budget"] == {"flash_bytes": catalogue()["nrf52840"].flash_bytes, "ram_bytes": 40_000}


def test_what_is_missing_is_said_by_region(network_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = printed(capsys, "fit", network_file, "--flash", "1000", "--ram", "2kB", code=1)
    flash = answer["regions"][0]
    assert flash["excess_bytes"] == flash["required_bytes"] - 1000 == answer["certificate"]["missing_bytes"] > 0


def test_which_devices_a_network_fits(
    service: LiveService, network_id: str, network_file: Path, devices_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = printed(capsys, "devices", network_file, "--devices-file", devices_file)
    assert [(each["device"]["name"], each["fits"]) for each in answer["devices"]] == [("own", True), ("small", False)]
    own, small = answer["devices"]
    assert 2 <= own["mean_weight_bits"] <= 8
    assert (own["gap"], small["objective"]) == (0, None)
    assert small["regions"][0]["excess_bytes"] > 0
    response = service.http.post(f"/v1/networks/{network_id}/devices", json={"devices": [OWN, SMALL]})
    assert response.json() == answer
    assert printed(capsys, "devices", network_file, "--devices-file", devices_file, "--device", "small", code=1)
    everything = service.http.post(f"/v1/networks/{network_id}/devices", json={}).json()
    assert [each["device"]["name"] for each in everything["devices"]] == list(catalogue())
    assert all(each["fits"] for each in everything["devices"])


def test_a_device_that_the_reserve_takes_whole_holds_nothing(
    network_file: Path, devices_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--devices-file", devices_file, "--reserved-flash", 100)
    own, small = printed(capsys, "devices", network_file, *options)["devices"]
    assert (own["fits"], own["budget"]["flash_bytes"]) == (True, 5900)
    assert (small["fits"], small["budget"]["flash_bytes"]) == (False, 0)
    assert small["regions"][0]["excess_bytes"] == small["regions"][0]["required_bytes"]
    assert run(["devices", str(network_file), *map(str, options)]) == 0
    assert "of 0" in capsys.readouterr().out


def test_the_devices_alone(service: LiveService, devices_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = printed(capsys, "devices")
    assert listed == service.listed("/v1/devices")
    assert [each["name"] for each in listed] == list(catalogue())
    assert all(each["sources"] for each in listed)
    assert service.http.get("/v1/devices/nrf52840").json() in listed
    assert_problem(service.http.get("/v1/devices/abacus"), 404, "not-found")
    assert [each["name"] for each in printed(capsys, "devices", "--devices-file", devices_file)] == ["own", "small"]
    assert run(["devices"]) == 0
    table = capsys.readouterr().out
    assert all(name in table for name in catalogue())


@pytest.mark.parametrize("axis", ["flash", "ram", "both"])
def test_the_pareto_front(
    service: LiveService, network_id: str, network_file: Path, capsys: pytest.CaptureFixture[str], axis: str
) -> None:
    budget = {"flash": 300, "ram": 100}
    request: dict[str, Any] = {"axis": axis, "points": 5, "accounting": "paper"} | {
        what: size for what, size in budget.items() if axis not in {what, "both"}
    }
    options = [f"--{name}={value}" for name, value in request.items()]
    answer = printed(capsys, "pareto", network_file, *options)
    assert service.http.post(f"/v1/networks/{network_id}/pareto", json=request).json() == answer
    assert answer["is_complete"]
    points = answer["points"]
    assert len(points) > 1
    for point in points:
        assert point["gap"] == 0
        assert point["flash_bytes"] <= point["budget"]["flash_bytes"]
        assert point["ram_bytes"] <= point["budget"]["ram_bytes"]
        for other in points:
            if other is not point:
                assert any(other[what] > point[what] for what in ("flash_bytes", "ram_bytes", "objective"))
    assert run(["pareto", str(network_file), *options]) == 0
    assert "proven" in capsys.readouterr().out


def test_no_front_where_the_other_budget_is_too_small(network_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pareto", str(network_file), "--axis=flash", "--ram=10"]) == 1
    assert "NOTHING FITS" in capsys.readouterr().out


def test_what_one_more_kb_buys(network_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--ram=2kB", "--accounting=paper")
    tight = printed(capsys, "fit", network_file, "--flash=300", *options, "--prices")
    assert tight["shadow_prices"]["flash"] > 0
    assert tight["shadow_prices"]["ram"] == 0
    assert tight["shadow_prices"]["next_flash"] is None
    assert tight["shadow_prices"]["next_ram"] == {"more_bytes": None, "reduction": 0, "is_proven": True}
    more = printed(capsys, "fit", network_file, "--flash=1300", *options)
    assert tight["objective"] - more["objective"] == pytest.approx(tight["shadow_prices"]["flash"])
    assert run(["fit", str(network_file), "--flash=300", *options, "--prices"]) == 0
    text = capsys.readouterr().out
    assert "one more kB of flash reduces this sum by" in text
    assert "no larger budget of RAM reduces this sum" in text


def test_how_many_bytes_the_next_improvement_needs(
    service: LiveService, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--flash=2MB", "--ram=350kB", "--prices")
    answer = printed(capsys, "fit", MOBILENET, *options)
    prices = answer["shadow_prices"]
    assert prices["flash"] == prices["ram"] == 0
    for found in (prices["next_flash"], prices["next_ram"]):
        assert found["is_proven"]
        assert found["more_bytes"] > 1000
        assert found["reduction"] > 0
    enough = 350_000 + prices["next_ram"]["more_bytes"]
    more = printed(capsys, "fit", MOBILENET, "--flash=2MB", f"--ram={enough}")
    assert answer["objective"] - more["objective"] == pytest.approx(prices["next_ram"]["reduction"])
    network_id = service.upload_network(MOBILENET.read_bytes())
    request = {"flash": "2MB", "ram": "350kB", "shadow_prices": True}
    assert service.http.post(f"/v1/networks/{network_id}/fit", json=request).json()["shadow_prices"] == prices
    assert run(["fit", str(MOBILENET), *options]) == 0
    proven = (
        f"the next reduction needs {prices['next_ram']['more_bytes']:,} more bytes of RAM, which reduce this sum by"
    )
    assert proven in capsys.readouterr().out
    monkeypatch.setattr("solver.prices.MAX_SEARCH_SOLVES", 2)
    assert run(["fit", str(MOBILENET), *options]) == 0
    assert "the next reduction needs at most " in capsys.readouterr().out


def test_bits_can_be_pinned(
    service: LiveService, network_id: str, network_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--flash=20kB", "--ram=2kB", "--weight-bits=first=2", "--activation-bits=first=4,2")
    answer = printed(capsys, "fit", network_file, *options)
    assert answer["weight_bits"] == {"first": 2, "last": 8}
    assert answer["activation_bits"]["first"] == 4
    request = {
        "flash": "20kB",
        "ram": "2kB",
        "allowed_weight_bits": {"first": [2]},
        "allowed_activation_bits": {"first": [4, 2]},
    }
    assert service.http.post(f"/v1/networks/{network_id}/fit", json=request).json() == answer
    others = ("--weight-bits=*=4", "--weight-bits=last=8", "--activation-bits=*=2")
    answer = printed(capsys, "fit", network_file, "--flash=20kB", "--ram=2kB", *others)
    assert answer["weight_bits"] == {"first": 4, "last": 8}
    assert answer["activation_bits"] == {"input": 8, "first": 2, "scores": 8}


def test_a_ceiling_of_latency(network_file: Path, devices_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--device=own", f"--devices-file={devices_file}", "--flash=20kB", "--ram=2kB")
    free = printed(capsys, "fit", network_file, *options)
    cycles = free["latency"]["cycles"]
    assert printed(capsys, "fit", network_file, *options, f"--max-cycles={cycles}") == free
    answer = printed(capsys, "fit", network_file, *options, f"--max-milliseconds={cycles / 2000}", code=1)
    assert answer["certificate"]["budget"] == "latency"
    assert cycles / 2 < answer["certificate"]["least_cycles"] <= cycles
    assert run(["fit", str(network_file), *options, "--max-cycles=1"]) == 1
    assert "cycles" in capsys.readouterr().out.splitlines()[-1]


BAD_ARGUMENTS: dict[str, tuple[list[str], str]] = {
    "unknown device": (["fit", "--device=nrf5284"], "similar names are: nrf52840"),
    "no such devices file": (["fit", "--device=a", "--devices-file=no.json"], "cannot read 'no.json'"),
    "a file of devices and no name": (["fit", "--devices-file=DEVICES"], "choose one with --device"),
    "no budget": (["fit", "--flash=5kB"], "the budget of ram is missing"),
    "nothing is left": (
        ["fit", "--flash=5kB", "--ram=1kB", "--reserved-ram=1kB"],
        "reserved_ram uses up all 1000 bytes of ram",
    ),
    "bits that are none": (["fit", "--flash=9kB", "--ram=1kB", "--weight-bits=first=3"], "--weight-bits is 'first=3'"),
    "bits of no layer": (["fit", "--flash=9kB", "--ram=1kB", "--weight-bits=third=2"], "third"),
    "latency by a rule": (
        ["fit", "--device=nrf52840", "--method=mixpc", "--max-cycles=9"],
        "exact",
    ),
    "latency without a core": (["fit", "--flash=9kB", "--ram=1kB", "--max-cycles=9"], "needs the speed of the core"),
    "two ceilings": (["fit", "--device=nrf52840", "--max-cycles=9", "--max-milliseconds=1"], "both limit the latency"),
    "a device without a clock": (
        ["fit", "--device=small", "--devices-file=DEVICES", "--max-milliseconds=1"],
        "needs the clock frequency",
    ),
    "prices of a rule": (["fit", "--flash=9kB", "--ram=1kB", "--method=mixpc", "--prices"], "choose method 'exact'"),
    "a front by rule": (["pareto", "--ram=1kB", "--method=mixpc"], "choose method 'exact'"),
    "unknown axis": (["pareto", "--ram=1kB", "--axis=time"], "'time' is not one of 'flash', 'ram', 'both'"),
    "one point": (["pareto", "--ram=1kB", "--points=1"], "1 is not in the range 2<=x<=1000"),
    "samples are needed": (["fit", "--flash=9kB", "--ram=1kB", "--sensitivity=fisher"], "measured on samples"),
    "no such samples": (["fit", "--flash=9kB", "--ram=1kB", "--data=no.npz"], "there is no file 'no.npz'"),
    "other samples": (["fit", "--flash=9kB", "--ram=1kB", "--data=digits"], "this network needs"),
    "unknown device in a matrix": (["devices", "--device=abacus"], "unknown device 'abacus'"),
}


@pytest.mark.parametrize("what", BAD_ARGUMENTS)
def test_bad_arguments_give_one_line(
    network_file: Path, devices_file: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    (subcommand, *options), expected = BAD_ARGUMENTS[what]
    options = [option.replace("DEVICES", str(devices_file)) for option in options]
    assert run([subcommand, str(network_file), *options]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert expected in output.err


BAD_REQUESTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "unknown device": ("fit", {"device": "abacus"}, "unknown device 'abacus'"),
    "a device without RAM": ("fit", {"device": {"name": "x", "core": "y", "flash": 5}}, "ram"),
    "a device that is a number": ("fit", {"device": 5}, "device"),
    "no bits": (
        "fit",
        {"flash": 9000, "ram": 900, "allowed_weight_bits": {"first": []}},
        "first: expected 1 or more entries",
    ),
    "three bits": (
        "fit",
        {"flash": 9000, "ram": 900, "allowed_weight_bits": {"first": [3]}},
        "expected one of: 8, 4 or 2; it is 3",
    ),
    "a list as reserve": ("fit", {"flash": 9000, "ram": 900, "reserved_ram": [5]}, "reserved_ram is '[5]'"),
    "a truth as reserve": ("fit", {"flash": 9000, "ram": 900, "reserved_ram": False}, "reserved_ram is 'False'"),
    "no devices": ("devices", {"devices": []}, "devices: expected 1 or more entries"),
    "one device twice": ("devices", {"devices": ["nrf52840", "nrf52840"]}, "two devices have the same name"),
    "a budget for many devices": ("devices", {"flash": 5}, "body.flash"),
    "too many points": (
        "pareto",
        {"ram": 900, "points": 10_000},
        "points: expected a whole number from 2 to 1,000; it is 10000",
    ),
    "no ceiling": (
        "fit",
        {"device": "nrf52840", "max_cycles": 0},
        "max_cycles: expected a whole number from 1 to 9,007,199,254,740,992; it is 0",
    ),
    "a table of speeds that is none": ("fit", {"flash": 9000, "ram": 900, "core_speed": {}}, "table of speeds"),
}


@pytest.mark.parametrize("what", BAD_REQUESTS)
def test_bad_requests_are_problems(service: LiveService, network_id: str, what: str) -> None:
    operation, body, expected = BAD_REQUESTS[what]
    response = service.http.post(f"/v1/networks/{network_id}/{operation}", json=body)
    assert expected in assert_problem(response, 422, "invalid-request")
