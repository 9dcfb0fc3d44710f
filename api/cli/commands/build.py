"""The command `bitbudget build`: compile and link a trained network for a device, and compare it with the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from api.cli.main import DOES_NOT_FIT
from api.cli.options import custom_devices, devices_file_option, json_option
from network.devices.catalogue import catalogue, device_named
from network.devices.device import Device
from network.errors import RequestError
from network.kernel_sizes.tables import Optimization

NOT_AS_PROMISED: Final = DOES_NOT_FIT
"""Exit code if a build is not what the report promises."""


@click.command("build", short_help="Compile and link a trained network, and compare it with the prediction.")
@click.argument("result", metavar="RESULT", type=click.Path(path_type=Path))
@click.option(
    "--device",
    metavar="NAME",
    help="Microcontroller whose core and memory the linker uses; 'bitbudget devices' lists all.",
)
@devices_file_option
@click.option("--core", metavar="NAME", help="Core, such as cortex-m4 or rv32imac.  [default: that of the device]")
@click.option(
    "--optimize",
    "optimization",
    type=click.Choice([each.value for each in Optimization]),
    help="Optimization flag of the compiler.  [default: the one for which the training chose bits]",
)
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Directory for the C files, object files, map and program.  [default: none is kept]",
)
@click.option("--run", "is_run", is_flag=True, help="Run the self-test on the emulated chip, and measure the stack.")
@json_option
def command(result: Path, out: Path | None, is_run: bool, as_json: bool, **options: Any) -> int:
    """Compile and link the integer-only network in RESULT, the directory that 'bitbudget train' has written.

    The linker places the network into regions of exactly the device's flash and RAM. The table shows predicted and
    linked bytes side by side. GCC 12.2 for the core must be installed; with another version, flash may be smaller, or
    up to 0.5 % larger.

    \b
    Exit codes:
      0  the linked network fits and is as predicted
      1  it does not fit, differs from the prediction, or fails the audit or the self-test
      2  the input is invalid, or a tool is missing

    \b
    Examples:
      bitbudget build result --device stm32f411re --run
      bitbudget build result --core rv32imac --optimize Os --out build
    """
    from api.operations.build import BuildJob, build_network
    from deploy.deployment import read_deployment
    from deploy.files import load
    from deploy.sample_codes import read_vectors

    device = _device(options["device"], options["devices_file"])
    if device is None and options["core"] is None:
        raise RequestError("neither --device nor --core is given; expected one of them, such as --device stm32f411re")
    network, given = load(result), options["optimization"]
    deployment = read_deployment(result, network)
    optimization = deployment.optimization if given is None else Optimization(given)
    job = BuildJob.of(
        network,
        device,
        options["core"],
        optimization,
        pairs=deployment.pairs,
        codes=read_vectors(result, network),
        is_run=is_run,
    )
    answer = build_network(job, out)
    if as_json:
        click.echo(answer.model_dump_json(indent=2))
    else:
        from api.cli.text.build import build_text
        from api.cli.text.columns import show

        show(build_text(answer))
    return 0 if answer.is_good else NOT_AS_PROMISED


def _device(name: str | None, devices_file: Path | None) -> Device | None:
    """Return the device that the options name; None without a name."""
    devices = custom_devices(devices_file)
    if name is None:
        if devices:
            raise RequestError(
                f"--devices-file has {len(devices)} devices, and none is named; choose one with --device"
            )
        return None
    return device_named(name, {**catalogue(), **devices})
