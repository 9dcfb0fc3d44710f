"""The files `NAME_host.h` and `NAME_host.c`: the host's work before and after a network, in C99.

    sample --NAME_input_from_bytes--> input codes -> [network] -> output codes --NAME_finish--> outputs of the file

The functions compute what `host.py` computes (`deploy.host_program`). They use floating point, unlike the network
itself, so a firmware that needs only codes leaves this file out. They need no heap: values in between are in a
structure of the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from deploy.emission.notice import Notice
from deploy.emission.text import comment_text
from deploy.host_c.after import After, HostOutput, after_in_c
from deploy.host_c.before import input_definitions, input_prototypes
from deploy.host_c.views import INDENT, Kind
from deploy.integer_network import IntegerNetwork
from network.host_graph import HostGraph
from network.host_steps import HostSteps

_BYTES: Final = {Kind.REAL: 4, Kind.WHOLE: 4, Kind.TRUTH: 1}


def host_c_files(
    network: IntegerNetwork, graph: HostGraph | None, notice: Notice, name: str, steps: Sequence[HostSteps] = ()
) -> dict[str, bytes]:
    """Return the C files of the host's work.

    Args:
        network: The integer-only network.
        graph: Host graph of the network from which the integer-only network was made; None if it is not known.
        notice: Where the files come from.
        name: Prefix of the identifiers and of the names of the files (`deploy.emission.names`).
        steps: What the host computes, for a comment if the graph is not known.

    Returns:
        Content of each file by its name.
    """
    after = after_in_c(network, graph, steps)
    return {
        f"{name}_host.h": _text(_header(name, network, notice, after)),
        f"{name}_host.c": _text(_source(name, network, notice, after)),
    }


def _text(lines: Sequence[str]) -> bytes:
    return ("\n".join(line.rstrip() for line in lines).rstrip("\n") + "\n").encode("ascii")


def _header(name: str, network: IntegerNetwork, notice: Notice, after: After) -> list[str]:
    guard = f"{name.upper()}_HOST_H"
    return [
        f"/* {name}_host.h: the work before and after the network, in floating point: samples to codes, and codes to",
        "   real values and outputs. The network itself does not need this file.",
        "", f"{notice.text} */", "",
        f"#ifndef {guard}", f"#define {guard}", "", "#include <stdint.h>", "",
        "#ifdef __cplusplus", 'extern "C" {', "#endif", "",
        *input_prototypes(name, network),
        *_structure(name, after),
        *_declaration_comment_text(network, after),
        f"{_signature(name, network, after)};", "",
        "#ifdef __cplusplus", "}", "#endif", "", "#endif",
    ]  # fmt: skip


def _structure(name: str, after: After) -> list[str]:
    total = sum(_BYTES[kind] * elements for kind, elements in after.members.values())
    notes = {each.member: _note(each) for each in after.outputs}
    return [
        f"/* What {name}_finish computes, with its values in between: about {total} bytes. */",
        "typedef struct {",
        *(
            f"{INDENT}{kind} {member}[{elements}];{notes.get(member, '')}"
            for member, (kind, elements) in sorted(after.members.items(), key=lambda item: item[0] not in notes)
        ),
        f"}} {name}_host_values;", "",
    ]  # fmt: skip


def _note(output: HostOutput) -> str:
    dims = " x ".join(map(str, output.dims)) or "one number"
    return f" /* {'output' if output.is_final else 'value'} '{comment_text(output.name)}', {dims} */"


def _declaration_comment_text(network: IntegerNetwork, after: After) -> list[str]:
    lines = [
        f"   codes_{index}: output '{comment_text(tensor)}' of the network, as the chip stores it."
        for index, tensor in enumerate(network.outputs)
    ]
    if after.needs_samples:
        lines.append("   sample_0, ...: the samples as real numbers, before any normalisation.")
    if after.missing:
        lines.append("   Not computed here, because there is no C for these operators; see host.py:")
        lines += [f"     {comment_text(each)}" for each in after.missing]
    lines[-1] += " */"
    return ["/* Computes the outputs of the source file from the codes of the network's outputs.", *lines]


def _signature(name: str, network: IntegerNetwork, after: After) -> str:
    parameters = [f"const uint8_t *codes_{index}" for index in range(len(network.outputs))]
    if after.needs_samples:
        parameters += [f"const float *sample_{index}" for index in range(len(network.inputs))]
    return f"void {name}_finish({', '.join(parameters)}, {name}_host_values *values)"


def _source(name: str, network: IntegerNetwork, notice: Notice, after: After) -> list[str]:
    read = "\n".join(after.lines)
    parameters = [f"codes_{index}" for index in range(len(network.outputs))]
    if after.needs_samples:
        parameters += [f"sample_{index}" for index in range(len(network.inputs))]
    return [
        f"/* {name}_host.c: the work before and after the network, in floating point.", "", f"{notice.text} */", "",
        f'#include "{name}_host.h"', "", "#include <math.h>", "",
        *input_definitions(name, network),
        *(line for definition in after.constants for line in (*definition.splitlines(), "")),
        _signature(name, network, after), "{",
        *(f"{INDENT}(void){each};" for each in parameters if f"{each}[" not in read),
        *after.lines,
        "}",
    ]  # fmt: skip
