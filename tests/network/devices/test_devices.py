"""The catalogue of devices, files of a user's own, and the page that shows them."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docs.device_table import with_table
from network.budget import MAX_BUDGET_BYTES, Budget
from network.devices.catalogue import (
    MAX_FILE_BYTES,
    catalogue,
    device_named,
    device_of,
    device_to_json,
    devices_from_json,
    devices_to_json,
)
from network.devices.device import FIGURES, Device, Source
from network.errors import RequestError
from network.kernels import IN_PLACE_KERNELS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "devices.md").read_text()
RAW = json.loads((ROOT / "network" / "devices" / "devices.json").read_text())["devices"]

SMALL: dict[str, Any] = {"name": "small", "core": "cortex-m4", "flash": "480 KiB", "ram": 98304}

names = st.text(st.sampled_from("abz059-_. "), min_size=1, max_size=20).filter(lambda text: text == text.strip())
sizes = st.integers(1, MAX_BUDGET_BYTES)
texts = st.text(max_size=30).filter(lambda text: text == "" or text.isprintable())
sources = st.builds(
    Source,
    st.lists(st.sampled_from(FIGURES), min_size=1, unique=True).map(tuple),
    texts.filter(bool),
)


@st.composite
def devices(draw: st.DrawFn) -> Device:
    flash_bytes, ram_bytes = draw(sizes), draw(sizes)
    return Device(
        name=draw(names),
        title=draw(names),
        core=draw(names),
        clock_hz=draw(st.none() | st.integers(1, 2**31 - 1)),
        chip_flash_bytes=draw(st.integers(flash_bytes, MAX_BUDGET_BYTES)),
        chip_ram_bytes=draw(st.integers(ram_bytes, MAX_BUDGET_BYTES)),
        flash_bytes=flash_bytes,
        ram_bytes=ram_bytes,
        flash_is_external=draw(st.booleans()),
        in_place=draw(st.frozensets(st.sampled_from(IN_PLACE_KERNELS))),
        reuses_input=draw(st.booleans()),
        note=draw(texts),
        sources=draw(st.lists(sources, max_size=3).map(tuple)),
    )


@given(st.lists(devices(), min_size=1, max_size=4, unique_by=lambda device: device.name))
def test_a_file_gives_back_the_devices_that_were_written(given_devices: list[Device]) -> None:
    assert devices_from_json(devices_to_json(given_devices)) == tuple(given_devices)
    assert [device_of(json.loads(json.dumps(device_to_json(device)))) for device in given_devices] == given_devices


def test_what_is_left_out() -> None:
    device = device_of(SMALL)
    assert device == Device(
        name="small",
        title="small",
        core="cortex-m4",
        clock_hz=None,
        chip_flash_bytes=480 * 1024,
        chip_ram_bytes=96 * 1024,
        flash_bytes=480 * 1024,
        ram_bytes=96 * 1024,
    )
    assert device.budget == Budget(480 * 1024, 96 * 1024)
    assert "clock_hz" not in device_to_json(device)


REFUSED: list[tuple[Any, str]] = [
    (None, "the device is null; expected an object"),
    ([], "the device is a list of 0"),
    ({}, "the device lacks its name"),
    (SMALL | {"name": 7}, "the device has the number 7 as its name"),
    (SMALL | {"name": "a\nb"}, "printable"),
    (SMALL | {"name": "Small"}, "expected lower case: 'small'"),
    (SMALL | {"name": " small"}, "no space around it"),
    (SMALL | {"name": "x" * 101}, "1 to 100 printable characters"),
    (SMALL | {"core": "Cortex-M4"}, "expected lower case: 'cortex-m4'"),
    (SMALL | {"title": ""}, "as its title"),
    (SMALL | {"sram": 1}, "device 'small' has the unknown key 'sram'; known keys are name, title, core"),
    ({key: value for key, value in SMALL.items() if key != "ram"}, "device 'small' lacks its ram"),
    ({key: value for key, value in SMALL.items() if key != "core"}, "device 'small' lacks its core"),
    (SMALL | {"flash": 0}, "the flash of device 'small' is 0 bytes; expected between 1 byte"),
    (SMALL | {"flash": -1}, "expected bytes or a number with kB"),
    (SMALL | {"flash": 512.0}, "device 'small' has the number 512.0 as its flash; expected whole bytes or text"),
    (SMALL | {"flash": True}, "device 'small' has true as its flash"),
    (SMALL | {"flash": None}, "device 'small' has null as its flash"),
    (SMALL | {"ram": "96 KiBit"}, "'KiBit' means bits"),
    (SMALL | {"ram": [1]}, "a list of 1 as its ram"),
    (SMALL | {"chip_flash": "479 KiB"}, "491520 usable bytes of flash, but its chip has 490496"),
    (SMALL | {"chip_ram": 98303}, "98304 usable bytes of RAM, but its chip has 98303"),
    (SMALL | {"clock_hz": 0}, "0 as its clock_hz; expected a whole number"),
    (SMALL | {"clock_hz": "80 MHz"}, "'80 MHz' as its clock_hz"),
    (SMALL | {"in_place": "add"}, "the text 'add' as its in_place; expected a list"),
    (SMALL | {"in_place": ["add", "pool"]}, "'pool' as its in_place; expected some of activation, add, depthwise"),
    (SMALL | {"in_place": [3]}, "as its in_place"),
    (SMALL | {"reuses_input": 1}, "expected true or false"),
    (SMALL | {"flash_is_external": "no"}, "expected true or false"),
    (SMALL | {"note": "a\nb"}, "as its note"),
    (SMALL | {"note": 5}, "as its note"),
    (SMALL | {"sources": {}}, "an object as its sources; expected a list of objects"),
    (SMALL | {"sources": ["book"]}, "source number 1 of device 'small' is the text 'book'"),
    (SMALL | {"sources": [{"figures": ["ram"]}]}, "lacks its where"),
    (SMALL | {"sources": [{"where": "a book"}]}, "lacks its figures"),
    (SMALL | {"sources": [{"figures": [], "where": "a book"}]}, "has no figures; expected one or more of core"),
    (SMALL | {"sources": [{"figures": ["pins"], "where": "a book"}]}, "the unknown figure 'pins'"),
    (SMALL | {"sources": [{"figures": ["ram"], "where": "a book", "page": 3}]}, "unknown key 'page'"),
]


@pytest.mark.parametrize(("given_object", "said"), REFUSED)
def test_refused_objects(given_object: Any, said: str) -> None:
    with pytest.raises(RequestError) as caught:
        device_of(given_object)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 350


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"flash_bytes": True}, "true as its flash_bytes"),
        ({"ram_bytes": 1.5}, "1.5 as its ram_bytes"),
        ({"chip_ram_bytes": MAX_BUDGET_BYTES + 1}, "as its chip_ram_bytes"),
        ({"clock_hz": -1}, "as its clock_hz"),
        ({"reuses_input": 1}, "as its reuses_input"),
        ({"in_place": frozenset({"conv"})}, "'conv' as its in_place"),
        ({"core": ""}, "as its core"),
    ],
)
def test_refused_devices(change: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError) as caught:
        replace(device_of(SMALL), **change)
    assert said in str(caught.value)


FILES: list[tuple[str | bytes, str]] = [
    ("", "cannot be read: the file is not valid JSON"),
    ('{"devices": [', "truncated"),
    ("[]", "a list of 0; expected an object"),
    ("{}", "the devices file lacks its devices"),
    ('{"device": []}', "unknown key 'device'"),
    ('{"devices": {}}', "has an object as its devices; expected a list of 1 to 1000"),
    ('{"devices": []}', "a list of 0 as its devices"),
    (json.dumps({"devices": [SMALL] * 1001}), "a list of 1001 as its devices"),
    (json.dumps({"devices": [SMALL, SMALL]}), "two devices in the devices file are named 'small'"),
    (json.dumps({"devices": [SMALL, {}]}), "device number 2 lacks its name"),
    ('{"devices": [{"name": "a", "name": "b"}]}', "the key 'name' twice"),
    ('{"devices": [{"name": "a", "clock_hz": NaN}]}', "NaN"),
    ('{"devices": ' + "[" * 100_000, "nested too deep; expected at most six levels"),
    (b"\xff", "not UTF-8"),
    ('{"devices": ["\ud800"]}', "not UTF-8"),
    ("x" * (MAX_FILE_BYTES + 1), "1048577 bytes; expected at most 1048576 (1 MiB)"),
]


@pytest.mark.parametrize(("text", "said"), FILES, ids=range(len(FILES)))
def test_refused_files(text: str | bytes, said: str) -> None:
    with pytest.raises(RequestError) as caught:
        devices_from_json(text)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 350


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*SMALL, "sources"]), inner),
        max_leaves=8,
    )
)
def test_any_object_gives_a_device_or_a_refusal(value: Any) -> None:
    for given_object in (value, SMALL | value if isinstance(value, dict) else value):
        try:
            assert isinstance(device_of(given_object), Device)
        except RequestError as error:
            assert str(error)  # noqa: PT017  # both outcomes are right, for different values


def test_devices_by_name() -> None:
    assert device_named("STM32F746NG") is catalogue()["stm32f746ng"]
    assert device_named("small", {"small": device_of(SMALL)}).ram_bytes == 98304
    with pytest.raises(RequestError, match=rf"'nrf52'; expected one of {len(catalogue())} .*nrf52840"):
        device_named("nrf52")
    with pytest.raises(RequestError, match="one of 1 known devices; none has a similar name"):
        device_named("stm32f746ng", {"small": device_of(SMALL)})
    with pytest.raises(RequestError) as caught:
        device_named("\x00" * 10**6)
    assert len(str(caught.value)) < 400


def test_the_catalogue_goes_from_little_ram_to_much() -> None:
    order = [(device.ram_bytes, device.flash_bytes, device.name) for device in catalogue().values()]
    assert order == sorted(order)
    assert len(order) == len(RAW) >= 25
    assert all(name == device.name for name, device in catalogue().items())
    with pytest.raises(TypeError):
        catalogue()["mine"] = device_of(SMALL)  # type: ignore[index]


@pytest.mark.parametrize("raw", RAW, ids=lambda raw: raw["name"])
def test_every_figure_of_the_catalogue_is_given_and_has_a_source(raw: dict[str, Any]) -> None:
    assert {"title", "core", "flash", "ram", "chip_flash", "chip_ram", "sources"} <= set(raw)
    device = catalogue()[raw["name"]]
    sourced = {figure for source in device.sources for figure in source.figures}
    known = {figure for figure in FIGURES if getattr(device, figure) is not None}
    assert known == sourced
    less_is_usable = (device.flash_bytes, device.ram_bytes) != (device.chip_flash_bytes, device.chip_ram_bytes)
    assert device.note or not less_is_usable


def test_devices_whose_figures_many_know() -> None:
    # Counted by hand from the regions of the memory map: usable, then all.
    kib = 1024
    for name, flash, ram, chip_flash, chip_ram in (
        ("stm32f407vg", 1024, 112 + 16, 1024, 112 + 16 + 64),
        ("stm32f746ng", 1024, 64 + 240 + 16, 1024, 64 + 240 + 16 + 16),
        ("stm32h743zi", 2048, 512, 2048, 512 + 3 * 128 + 32 + 64 + 64),
        ("stm32l4r5zi", 2048, 192 + 64 + 384, 2048, 640),
        ("nrf52840", 1024, 256, 1024, 256),
        ("rp2350-pico2", 4096, 8 * 64 + 2 * 4, 4096, 520),
    ):
        device = catalogue()[name]
        assert (device.flash_bytes, device.ram_bytes) == (flash * kib, ram * kib)
        assert (device.chip_flash_bytes, device.chip_ram_bytes) == (chip_flash * kib, chip_ram * kib)


def test_the_catalogue_is_packaged() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert "devices.json" in setuptools["package-data"]["network.devices"]


def test_the_page_shows_the_catalogue() -> None:
    assert PAGE.count("<!-- catalogue -->") == 1
    assert with_table(PAGE) == PAGE, "run: make docs"
    (rows,) = re.findall(r"^\| name \|.*?(?=\n<!--)", PAGE, re.MULTILINE | re.DOTALL)
    assert re.findall(r"^\| `(.+?)` \|", rows, re.MULTILINE) == list(catalogue())
    assert "| `nrf52840` | cortex-m4 | 64 | 1,024 KiB | 1,024 KiB | 256 KiB | 256 KiB | |" in rows
    assert "| `rp2040-pico` | cortex-m0plus | 133 | 2,096,896 bytes | 2,048 KiB, external | 264 KiB | 264 KiB |" in rows


def test_the_example_on_the_page_is_read() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert [device.name for device in devices_from_json(example)] == ["door-sensor", "door-sensor-2"]
