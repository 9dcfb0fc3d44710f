"""Emission of an integer-only network as C99."""

from __future__ import annotations

from deploy.emission.example import example
from deploy.emission.header import header
from deploy.emission.kernels import kernels_declarations, kernels_definitions
from deploy.emission.names import checked_name, derived_name
from deploy.emission.notice import notice_of
from deploy.emission.program import program_of
from deploy.emission.selftest import selftest_declarations, selftest_definitions, traced_samples
from deploy.emission.source import source, tables
from deploy.integer_network import IntegerNetwork
from deploy.interpreter import InputCodes
from network.memory.deployed import DeployedAccounting


def emit(
    network: IntegerNetwork,
    *,
    name: str | None = None,
    accounting: DeployedAccounting | None = None,
    vectors: InputCodes | None = None,
) -> dict[str, bytes]:
    """Return the C files of an integer-only network; `docs/generated-c.md` describes them. The same network and options
    always give the same bytes.

    Args:
        network: The integer-only network.
        name: Prefix of everything that the files define, and name of the files (`deploy.emission.names`); None derives
            it from the name of the network.
        accounting: The rules by which bytes are counted, which plan the arena and decide which layers overwrite their
            inputs: those of the memory report. None: those of no device.
        vectors: The codes of the samples of the self-test, as `deploy.interpreter.run` reads them; None for fixed
            pseudo-random codes.

    Returns:
        The content of each file by its name.

    Raises:
        RequestError: if the name is not valid.
        ConversionError: if the network is inconsistent, if an accumulator could overflow, or if a number does not fit
            into the C structs.
        InvalidNetwork: if the network has no layer with weights.
        ValueError: if the vectors do not suit the network.
    """
    name = derived_name(network.name) if name is None else checked_name(name)
    program = program_of(network, name, DeployedAccounting() if accounting is None else accounting)
    notice = notice_of(network, name)
    traced = traced_samples(network, vectors)
    texts = {
        f"{name}.h": header(program, notice),
        f"{name}.c": source(program, notice),
        f"{name}_tables.h": tables(program, notice),
        f"{name}_kernels.h": kernels_declarations(program, notice),
        f"{name}_kernels.c": kernels_definitions(program, notice),
        f"{name}_selftest.h": selftest_declarations(program, notice, traced, is_real=vectors is not None),
        f"{name}_selftest.c": selftest_definitions(program, notice, traced),
        "main.c": example(program, notice),
    }
    return {file: text.encode("ascii") for file, text in texts.items()}
