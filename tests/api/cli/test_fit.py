"""`bitbudget fit` and `POST /v1/networks/{id}/fit`: one answer, exit codes, problems, and speed."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import onnx
import pytest

from api.cli.main import run
from tests.api.http.test_uploads import assert_problem
from tests.api.live_service import ROOT, LiveService
from tests.api.small_files import BAD_NETWORKS, tiny_json, tiny_network
from tests.builders import mobilenet_v1
from tests.onnx_files import to_onnx

LARGEST_FLASH, LEAST_FLASH, LARGEST_RAM, LEAST_RAM = 569, 227, 144, 48
RULE = ["--method=mixpc", "--accounting=paper"]


@pytest.fixture
def network_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.json"
    path.write_bytes(tiny_json())
    return path


@pytest.fixture(scope="module")
def mobilenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mobilenet") / "mobilenet.onnx"
    path.write_bytes(to_onnx(mobilenet_v1(seed=0)))
    return path


@pytest.mark.parametrize(
    ("flash", "ram", "exit_code", "exceeded"),
    [
        (LARGEST_FLASH, LARGEST_RAM, 0, None),
        (LARGEST_FLASH - 1, LARGEST_RAM - 1, 0, None),
        (LEAST_FLASH, LEAST_RAM, 0, None),
        (LEAST_FLASH - 1, LEAST_RAM, 1, "flash"),
        (LEAST_FLASH, LEAST_RAM - 1, 1, "ram"),
    ],
)
def test_exit_code_and_certificate_change_with_one_byte(
    network_file: Path, capsys: pytest.CaptureFixture[str], flash: int, ram: int, exit_code: int, exceeded: str | None
) -> None:
    assert run(["fit", str(network_file), f"--flash={flash}", f"--ram={ram}", *RULE, "--json"]) == exit_code
    answer = json.loads(capsys.readouterr().out)
    assert answer["fits"] is (exit_code == 0)
    assert (answer["certificate"] or {"budget": None})["budget"] == exceeded


@pytest.mark.parametrize("method", ["exact", "mixpl", "mixpc"])
@pytest.mark.parametrize(("flash", "ram"), [("10kB", "1 KiB"), (6000, 700), (100, 2000), (6000, 10)])
def test_command_and_service_give_the_same_object(
    service: LiveService,
    network_file: Path,
    capsys: pytest.CaptureFixture[str],
    flash: int | str,
    ram: int | str,
    method: str,
) -> None:
    run(["fit", str(network_file), f"--flash={flash}", f"--ram={ram}", f"--method={method}", "--json"])
    answer = json.loads(capsys.readouterr().out)
    network_id = service.upload_network(network_file.read_bytes())
    request = {"flash": flash, "ram": ram, "method": method}
    response = service.http.post(f"/v1/networks/{network_id}/fit", json=request)
    assert response.status_code == 200
    assert response.json() == answer
    assert list(response.json()["weight_bits"]) == list(answer["weight_bits"])


@pytest.mark.parametrize("scheme", ["PerLayerAsymPACT", "PerChannelsAsymMinMax"])
@pytest.mark.parametrize(("flash", "ram"), [("20kB", "2kB"), (6000, 700), (100, 2000), (20_000, 100)])
def test_the_exact_program_counts_deployed_bytes_alike_in_both(
    service: LiveService,
    network_file: Path,
    capsys: pytest.CaptureFixture[str],
    flash: int | str,
    ram: int | str,
    scheme: str,
) -> None:
    options = ["--method=exact", "--accounting=deployed", f"--scheme={scheme}", "--json"]
    code = run(["fit", str(network_file), f"--flash={flash}", f"--ram={ram}", *options])
    answer = json.loads(capsys.readouterr().out)
    network_id = service.upload_network(network_file.read_bytes())
    request = {"flash": flash, "ram": ram, "method": "exact", "accounting": "deployed", "scheme": scheme}
    response = service.http.post(f"/v1/networks/{network_id}/fit", json=request)
    assert response.json() == answer
    assert answer["fits"] is (code == 0)
    assert (answer["sensitivity"], answer["objective"] is None) == ("weights", not answer["fits"])
    assert {each["part"]: each["is_estimate"] for each in answer["memory"]["shared"]}["stack"]
    assert set(answer["memory"]["arena"]["offsets"]) >= {"input", "first", "scores"}
    if answer["fits"]:
        assert (answer["gap"], answer["bound"]) == (0, answer["objective"])
        assert answer["schedule"] == ["first", "last"]


def test_the_schemes_may_be_restricted_in_both(
    service: LiveService, network_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    allowed = ["PerLayerAsymMinMax", "PerLayerAsymPACT"]
    budget = ["fit", str(network_file), "--flash=20kB", "--ram=2kB"]
    assert run([*budget, f"--allowed-schemes={', '.join(allowed)}", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    network_id = service.upload_network(network_file.read_bytes())
    request = {"flash": "20kB", "ram": "2kB", "allowed_schemes": allowed}
    assert service.http.post(f"/v1/networks/{network_id}/fit", json=request).json() == answer
    assert set(answer["schemes"].values()) == {"PerLayerAsymPACT"}  # its figures are not above those of the other
    assert run([*budget, "--allowed-schemes=mine"]) == 2
    assert "allowed_schemes.0: expected one of: 'PerLayerAsymPACT', " in capsys.readouterr().err


def test_a_sensitivity_table_decides(
    service: LiveService, network_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The layer 'last' gets fewer bits if 'first' is 100 times as sensitive."""
    even = {"8": 0, "4": 1, "2": 2}
    dear = {"8": 0, "4": 100, "2": 200}
    table = {
        "weights": {"first": dear, "last": even},
        "activations": dict.fromkeys(("input", "first", "scores"), even),
    }
    (tmp_path / "table.json").write_text(json.dumps(table))
    budget = ["--flash=400", "--ram=1kB", "--method=exact", "--accounting=paper"]
    assert run(["fit", str(network_file), *budget, f"--sensitivity={tmp_path / 'table.json'}", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["weight_bits"] == {"first": 8, "last": 4}
    assert (answer["objective"], answer["sensitivity"]) == (1, "table")
    network_id = service.upload_network(network_file.read_bytes())
    request = {"flash": 400, "ram": 1000, "accounting": "paper", "sensitivity": table}
    assert service.http.post(f"/v1/networks/{network_id}/fit", json=request).json() == answer
    del table["weights"]["last"]
    refused = service.http.post(f"/v1/networks/{network_id}/fit", json=request)
    assert refused.status_code == 422
    assert "lacks 'last'" in refused.json()["detail"]


def test_what_the_answer_holds(network_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fit", str(network_file), "--flash", "400", "--ram", "60", *RULE, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert list(answer["weight_bits"]) == ["first", "last"] == list(answer["schemes"]) == list(answer["foldings"])
    assert answer["weight_bits"] == {"first": 8, "last": 4}
    assert answer["activation_bits"] == {"input": 8, "first": 2, "scores": 8}
    assert set(answer["schemes"].values()) == {"PerChannelsAsymMinMax"}
    assert set(answer["foldings"].values()) == {"ICN"}
    assert answer["certificate"] is None
    memory = answer["memory"]
    # by hand: 8*9 weights at 8 bits + 10*8+8; 384 weights at 4 bits + 7*3+4
    assert [(each["weight_bytes"], each["parameter_bytes"]) for each in memory["layers"]] == [(72, 88), (192, 25)]
    assert memory["flash_bytes"] == sum(each["flash_bytes"] for each in memory["layers"]) == 377
    # 16 bytes of input + 128 elements at 2 bits; then these and 3 bytes of output
    assert [(each["input_bytes"], each["output_bytes"]) for each in memory["steps"]] == [(16, 32), (32, 3)]
    assert memory["ram_bytes"] == 48
    assert memory["peak_layer"] == "first"


def test_weights_that_two_layers_share_are_counted_and_reported_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    convolution = {"kind": "convolution", "output_channels": 8, "kernel": 1}
    sharing = [{**convolution, "name": name, "shared_weight": "w"} for name in ("one", "two", "three")]
    layers = [
        {**convolution, "name": "first"},
        *sharing,
        {"name": "fc", "kind": "fully_connected", "output_channels": 2},
    ]
    path = tmp_path / "shared.json"
    path.write_text(json.dumps({"input": {"shape": [3, 2, 2]}, "layers": layers}))
    budget = ["fit", str(path), "--flash", "20kB", "--ram", "20kB"]
    assert run([*budget, "--weight-bits", "two=4", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert {answer["weight_bits"][name] for name in ("one", "two", "three")} == {4}
    found = [(each["weight_bytes"], each["reuses_weights_of"]) for each in answer["memory"]["layers"]]
    assert found == [(32, None), (32, None), (0, "one"), (0, "one"), (64, None)]
    assert run(budget) == 0
    assert "the weights of 'one' are stored once and reused by 'two', 'three'" in capsys.readouterr().out


def test_a_certificate_names_what_is_missing(network_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fit", str(network_file), "--flash", "60kB", "--ram", "40", *RULE, "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["certificate"] == {
        "budget": "ram",
        "layer": "first",
        "least_bytes": 48,
        "available_bytes": 40,
        "missing_bytes": 8,
        "conflicting": ["ram"],
        "least_flash_bytes": None,
        "least_ram_bytes": 48,
        "least_cycles": None,
        "available_cycles": None,
        "is_proven": True,
    }
    assert answer["weight_bits"] == answer["activation_bits"] == answer["schemes"] == answer["foldings"] == {}
    assert answer["memory"]["ram_bytes"] == 48
    assert run(["fit", str(network_file), "--flash", "60kB", "--ram", "40", *RULE]) == 1
    text = capsys.readouterr().out
    assert text.splitlines()[-1] == (
        "DOES NOT FIT: with the fewest bits layer 'first' needs 48 bytes of RAM, 40 are available: 8 are missing"
    )


def test_the_table_shows_layers_totals_and_the_verdict(network_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fit", str(network_file), "--flash", "400", "--ram", "60", *RULE]) == 0
    lines = capsys.readouterr().out.splitlines()
    (first,) = [line for line in lines if line.startswith("first")]
    assert first.split()[:8] == ["first", "convolution", "8", "2", "PerChannelsAsymMinMax", "ICN", "160", "48"]
    assert first.endswith("peak")
    assert any(re.match(r"flash +377 +of 400 bytes +\(94\.2%\)", line) for line in lines)
    assert lines[-1] == "FITS"


BAD_ARGUMENTS: dict[str, tuple[list[str], str]] = {
    "no such file": (["nothing.onnx"], "the network file 'nothing.onnx' does not exist"),
    "a directory": (["."], "is a directory"),
    "a NUL in the name": (["a\0b"], "cannot read"),
    "negative budget": (["NETWORK", "--flash=-5"], "flash is '-5'"),
    "no budget at all": (["NETWORK", "--flash=0"], "expected between 1 byte"),
    "absurd budget": (["NETWORK", "--ram=99999999999999999"], "expected between 1 byte"),
    "half a byte": (["NETWORK", "--ram=0.5"], "not a whole number of bytes"),
    "no number": (["NETWORK", "--ram=lots"], "ram is 'lots'"),
    "unknown unit": (["NETWORK", "--ram=5 parsec"], "unknown unit 'parsec'"),
    "unknown method": (
        ["NETWORK", "--method=best"],
        "Invalid value for '--method': 'best' is not one of 'exact', 'mixpl', 'mixpc'",
    ),
    "unknown accounting": (
        ["NETWORK", "--accounting=mine"],
        "Invalid value for '--accounting': 'mine' is not one of 'deployed', 'paper'",
    ),
    "unknown scheme": (
        ["NETWORK", "--method=exact", "--scheme=mine"],
        "Invalid value for '--scheme': 'mine' is not one of",
    ),
    "unknown schedule": (
        ["NETWORK", "--method=exact", "--schedule=mine"],
        "Invalid value for '--schedule': 'mine' is not one of 'best', 'given'",
    ),
    "unknown backend": (["NETWORK", "--method=exact", "--backend=mine"], "unknown backend 'mine'"),
    "a solver that is not here": (["NETWORK", "--method=exact", "--backend=pulp:MINE"], "finds no solver 'MINE'"),
    "no time": (
        ["NETWORK", "--method=exact", "--time-limit=0"],
        "Invalid value for '--time-limit': 0.0 is not in the range 0<x<=86400.0",
    ),
    "no such table": (["NETWORK", "--sensitivity=no.json"], "cannot read 'no.json' as a sensitivity table"),
    "unknown option": (["NETWORK", "--fast"], "No such option"),
}


@pytest.mark.parametrize("what", BAD_ARGUMENTS)
def test_bad_arguments_give_one_line_and_exit_code_2(
    network_file: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    arguments, expected = BAD_ARGUMENTS[what]
    given = [str(network_file) if each == "NETWORK" else each for each in arguments]
    for option in ("--flash", "--ram"):
        if not any(each.startswith(option) for each in given):
            given.append(f"{option}=1000")
    assert run(["fit", *given]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("bitbudget: ")
    assert output.err.count("\n") == 1
    assert expected in output.err


@pytest.mark.parametrize("what", BAD_NETWORKS)
def test_bad_networks_give_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(BAD_NETWORKS[what][0])
    assert run(["fit", str(path), "--flash", "1000", "--ram", "1000"]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert re.fullmatch(r"bitbudget: .{20,}\n", output.err)


BAD_REQUESTS: dict[str, tuple[Any, str]] = {
    "negative budget": ({"flash": -5, "ram": 1}, "flash is '-5'"),
    "absurd budget": ({"flash": 10**30, "ram": 1}, "more digits"),
    "a truth as budget": ({"flash": True, "ram": 1}, "flash is 'True'"),
    "a list as budget": ({"flash": [5], "ram": 1}, "flash is '[5]'"),
    "no budget": ({"flash": 5}, "the budget of ram is missing"),
    "unknown method": (
        {"flash": 5, "ram": 5, "method": "best"},
        "method: expected one of: 'exact', 'mixpl' or 'mixpc'",
    ),
    "unknown accounting": (
        {"flash": 5, "ram": 5, "accounting": "mine"},
        "accounting: expected one of: 'deployed' or 'paper'; it is 'mine'",
    ),
    "unknown scheme": (
        {"flash": 5, "ram": 5, "method": "exact", "scheme": "mine"},
        "scheme: expected one of: 'PerLayerAsymPACT', ",
    ),
    "unknown measure": (
        {"flash": 5, "ram": 5, "sensitivity": "mine"},
        "sensitivity: expected a sensitivity table, or one of the measures weights, fisher, hessian, measured; it is",
    ),
    "no table": ({"flash": 5, "ram": 5, "sensitivity": {}}, "an object with 'weights' and 'activations'"),
    "unknown field": ({"flash": 5, "ram": 5, "flsh": 5}, "body.flsh: there is no such field"),
    "no object": ([1], "expected a JSON object"),
    "no JSON": (b'{"flash": ', "the JSON of the request is not valid"),
}


@pytest.mark.parametrize("what", BAD_REQUESTS)
def test_bad_requests_are_problems(service: LiveService, what: str) -> None:
    body, expected = BAD_REQUESTS[what]
    content = body if isinstance(body, bytes) else json.dumps(body)
    response = service.http.post(
        f"/v1/networks/{service.upload_network(tiny_json())}/fit",
        content=content,
        headers={"content-type": "application/json"},
    )
    assert expected in assert_problem(response, 422, "invalid-request")


def test_an_unknown_network_is_not_found(service: LiveService) -> None:
    for network_id in ("0" * 64, "tiny", "..%2f..%2fbitbudget.sqlite"):
        response = service.http.post(f"/v1/networks/{network_id}/fit", json={"flash": 5, "ram": 5})
        assert_problem(response, 404, "not-found")


def test_counts_are_enough_to_choose_bits(service: LiveService) -> None:
    budget = {"flash": 400, "ram": 60, "method": "mixpc", "accounting": "paper"}
    answers = [
        service.http.post(f"/v1/networks/{service.upload_network(tiny_json(with_weights=known))}/fit", json=budget)
        for known in (True, False)
    ]
    first, second = ({**answer.json(), "network": None} for answer in answers)
    assert first == second


def test_the_rules_take_50_milliseconds_in_the_service(service: LiveService, mobilenet: Path) -> None:
    network_id = service.upload_network(mobilenet.read_bytes(), mobilenet.name)
    seconds = []
    for ram in range(500_000, 510_000, 1000):
        started = time.perf_counter()
        response = service.http.post(
            f"/v1/networks/{network_id}/fit", json={"flash": "2MB", "ram": ram, "method": "mixpc"}
        )
        seconds.append(time.perf_counter() - started)
        assert response.json()["fits"]
    assert min(seconds) < 0.05


def test_fit_is_a_short_process_without_torch(mobilenet: Path, tmp_path: Path) -> None:
    """Processor time of a whole process on MobileNetV1 1.0/224 (17 MB), and modules that it must not load."""
    command = [
        sys.executable,
        "-m",
        "api.cli.main",
        "fit",
        str(mobilenet),
        "--flash",
        "2MB",
        "--ram",
        "512kB",
        *RULE,
        "--json",
    ]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert len(json.loads(done.stdout)["weight_bits"]) == 28
    # processor time equals the elapsed time of a process that never waits, on an idle machine
    assert (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime) < 1.5
    program = (
        "import sys; from api.cli.main import run; code = run(sys.argv[1:]); "
        "assert code == 0; "
        "loaded = {'torch', 'fastapi', 'sqlalchemy', 'uvicorn', 'rich', 'sklearn'} & set(sys.modules); "
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", program, *command[3:]], cwd=ROOT, capture_output=True, check=True)


def test_what_a_library_prints_in_c_is_no_part_of_an_answer(network_file: Path) -> None:
    program = (
        "import os, sys; import api.cli.commands.fit as fit, api.cli.main as command; answer_fit = fit.answer_fit; "
        "fit.answer_fit = lambda *given: (os.write(1, b'noise'), answer_fit(*given))[1]; command.main()"
    )
    arguments = ["fit", str(network_file), "--flash", "20kB", "--ram", "2kB", "--json"]
    done = subprocess.run([sys.executable, "-c", program, *arguments], cwd=ROOT, capture_output=True, check=True)
    assert json.loads(done.stdout)["fits"]


def test_a_network_may_come_from_the_standard_input(network_file: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "api.cli.main", "fit", "-", "--flash", "20kB", "--ram", "2kB", "--json"],
        input=network_file.read_bytes(),
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout)["fits"]


def test_a_reader_that_leaves_is_no_error(mobilenet: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "api.cli.main", "fit", str(mobilenet), "--flash", "2MB", "--ram", "512kB", "--json"],
        cwd=ROOT,
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert done.stderr == b""
    assert done.returncode == 141


def test_help_names_every_subcommand(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    assert {"fit", "train", "serve"} <= set(capsys.readouterr().out.split())
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("bitbudget ")
    assert run(["fly"]) == 2
    assert capsys.readouterr().err == "bitbudget: No such command 'fly'.\n"


def test_the_help_of_fit_shows_what_an_option_may_be(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fit", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for shown in (
        "--flash SIZE Flash that the network may use: bytes, or a number with kB, KiB, MB or MiB;",
        "--reserved-ram SIZE RAM that the rest of the program needs; it is subtracted from the budget. [default: 0]",
        "--method [exact|mixpl|mixpc] How bits are chosen.",
        "--time-limit FLOAT RANGE",
        "[default: 60.0; 0<x<=86400.0]",
        "--weight-bits LAYER=BITS Bits that the layer's weights may have, for the method exact;",
    ):
        assert shown in text
    assert ".." not in text


def test_a_fault_of_ours_is_not_taken_for_an_answer(
    network_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a rule was broken")

    monkeypatch.setattr("api.cli.commands.fit.answer_fit", broken)
    assert run(["fit", str(network_file), "--flash", "1kB", "--ram", "1kB"]) == 70
    assert "a rule was broken" in capsys.readouterr().err


def test_the_tiny_network_takes_what_these_tests_say() -> None:
    network = tiny_network()
    assert [network.weight_elements(layer) for layer in network.weight_layers] == [72, 384]


def test_what_the_host_computes_is_stated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = onnx.load_from_string(to_onnx(tiny_network()))
    scores = model.graph.output[0].name
    model.graph.node.append(onnx.helper.make_node("Sigmoid", [scores], ["probabilities"]))
    model.graph.output[0].name = "probabilities"
    path = tmp_path / "tiny.onnx"
    path.write_bytes(model.SerializeToString())
    arguments = ["fit", str(path), f"--flash={LARGEST_FLASH}", f"--ram={LARGEST_RAM}", *RULE]
    assert run([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["host_steps"] == [
        {"output": "probabilities", "tensors": [scores], "operators": ["Sigmoid"]}
    ]
    assert run(arguments) == 0
    assert f"the host computes 'probabilities': Sigmoid of '{scores}'" in capsys.readouterr().out
