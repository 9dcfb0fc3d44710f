"""The command `bitbudget`: its exit codes and its subcommands.

    exit code   0    the network fits, or the command is done
                1    the network does not fit (the certificate, or what a training wrote, is on standard output)
                2    the input is invalid (one line on standard error says why)
               69    the service of --server cannot be reached, refuses the key, or has failed
               70    an internal error, with its traceback on standard error
              130    the command was interrupted
              141    the reader of the output has closed it

Each subcommand is imported when it is called, so that `fit` starts without FastAPI, SQLAlchemy and torch.
"""

from __future__ import annotations

import os
import sys
import traceback
from importlib import import_module
from typing import Final

import click
from click.core import ParameterSource

from network.errors import BitbudgetError

DOES_NOT_FIT: Final = 1
BAD_INPUT: Final = 2
SERVICE_FAILED: Final = 69
INTERNAL_ERROR: Final = 70
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141

_SUBCOMMANDS: Final = (
    "fit",
    "pareto",
    "devices",
    "sensitivity",
    "train",
    "shrink",
    "emit",
    "build",
    "compare",
    "serve",
    "backup",
    "restore",
    "keys",
    "projects",
    "openapi",
)


ON_A_SERVICE: Final = frozenset({"fit", "pareto", "devices", "sensitivity", "train", "shrink"})
"""Subcommands whose work a service can do."""


class ServiceFailed(BitbudgetError):
    """Error: the service that a command uses cannot be reached, refuses the key, or has failed."""


class _Subcommands(click.Group):
    """Group of click subcommands, each imported only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _SUBCOMMANDS:
            return None
        command: click.Command = import_module(f"api.cli.commands.{cmd_name}").command
        return command


def _print_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from api.version import version

        click.echo(f"bitbudget {version()}")
        context.exit()


@click.group(cls=_Subcommands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print the version."
)
@click.option(
    "--server",
    metavar="URL",
    envvar="BITBUDGET_SERVER",
    show_envvar=True,
    help="Service that does the work of fit, pareto, devices, sensitivity, train or shrink; the other commands work on "
    "this machine. Its key is read from the variable BITBUDGET_API_KEY.",
)
@click.pass_context
def bitbudget(context: click.Context, server: str | None) -> None:
    """Fit neural networks into microcontrollers.

    bitbudget chooses 8, 4 or 2 bits for every tensor of a network, so that the network fits the flash and RAM of a
    device. It then retrains the network with these bits and converts it to integer arithmetic.
    """
    is_given = context.get_parameter_source("server") is ParameterSource.COMMANDLINE
    if is_given and context.invoked_subcommand not in ON_A_SERVICE:
        raise click.UsageError(
            f"'{context.invoked_subcommand}' works on this machine alone; leave --server out, which is for "
            f"{', '.join(sorted(ON_A_SERVICE))}"
        )
    context.obj = server or None


def run(arguments: list[str] | None = None) -> int:
    """Run the `bitbudget` command line with the given arguments, and return its exit code.

    Args:
        arguments: Arguments of the command; None for those of the process.
    """
    try:
        return _invoke(sys.argv[1:] if arguments is None else arguments)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return BAD_INPUT
    except (click.ClickException, BitbudgetError) as error:
        message = error.format_message() if isinstance(error, click.ClickException) else str(error)
        click.echo(f"bitbudget: {' '.join(message.split())}", err=True)
        return SERVICE_FAILED if isinstance(error, ServiceFailed) else BAD_INPUT
    except (click.Abort, KeyboardInterrupt):
        click.echo("bitbudget: interrupted; incomplete files were removed", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception:  # exit code 1 means "does not fit", and nothing else may use it
        traceback.print_exc()
        return INTERNAL_ERROR


def _invoke(arguments: list[str]) -> int:
    try:
        with bitbudget.make_context("bitbudget", list(arguments)) as context:  # click's own main() may exit with 1
            exit_code = bitbudget.invoke(context)
    except click.exceptions.Exit as ended:
        exit_code = ended.exit_code
    if sys.stdout is not None:  # None: closed by the caller
        sys.stdout.flush()  # reports a closed pipe here, not at exit
    return exit_code if isinstance(exit_code, int) else 0


def main() -> None:
    """Run the console script `bitbudget`, and exit the process with its exit code."""
    _keep_standard_output_for_answers()
    sys.exit(run())


def _keep_standard_output_for_answers() -> None:
    """Discard what C libraries such as HiGHS print to standard output, but keep what Python's `sys.stdout` prints."""
    if sys.stdout is None:  # closed by the caller
        return
    sys.stdout.flush()
    answers = os.dup(sys.stdout.fileno())
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    sys.stdout = os.fdopen(answers, "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors)


if __name__ == "__main__":
    main()
