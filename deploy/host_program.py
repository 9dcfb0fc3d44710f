"""The host program beside an integer-only network: `host.py`, which needs numpy alone, and the files that it reads.

    sample of the caller --before--> input codes -> [device] -> output codes --after--> outputs of the source file

`before` applies the input format and quantizes; with several inputs, it reads a list with one sample for each. `after`
dequantizes and computes what the network leaves to the host (`network.host_graph`): a final sigmoid or softmax,
reshapes, box decoding. The program is text of this module, numbers, and comments with escaped names; no text of the
source file becomes code.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx

from deploy.host_expressions import HostLines, comment, host_lines, operators_without_line
from deploy.host_input import input_functions
from deploy.host_lines import FUNCTIONS
from deploy.integer_network import IntegerNetwork, IntegerTensor
from network.host_graph import HostGraph, HostRead
from network.host_model import parsed_host_model
from network.host_steps import HostSteps

HOST_FILE: Final = "host.py"
CONSTANTS_FILE: Final = "host.npz"
MODEL_FILE: Final = "host_after.onnx"

_HEAD: Final = '''"""What the host computes before and after the integer-only network; needs numpy{also}.

    codes = {before}
    outputs = after({call:<18}  # list of the codes of the output tensors -> outputs of the source file

The codes of a tensor are uint8 [height, width, channels], as on the device; network.json has its scale and zero point.
On the command line, with numpy's files:

    python host.py before {samples} {codes}
    python host.py after {sample_files}codes_of_first_output.npy ... outputs.npz
"""

import sys
{path_import}
import numpy as np
'''

_MAIN: Final = """

if __name__ == "__main__":
    command, *paths, target = sys.argv[1:]
    arrays = [np.load(path) for path in paths]
    if command == "before":
        {save_codes}
    else:
        np.savez(target, *after({arrays}))
"""


_BEFORE: Final = {
    "sample": "before(sample)            # sample of the source file -> codes of the input tensor",
    "samples": "before(samples)           # list of one sample for each input -> list of the codes of the inputs",
}
"""Line of the head of the host program that explains `before`, for one input and for several."""

_SAMPLE_FILES: Final = {"sample": "sample.npy", "samples": "sample_of_first_input.npy ..."}
"""Names of the files with samples on the command line, for one input and for several."""


def host_files(network: IntegerNetwork, graph: HostGraph | None, steps: Sequence[HostSteps] = ()) -> dict[str, bytes]:
    """Return the files of the host program.

    Args:
        network: The integer-only network.
        graph: Host graph of the network from which the integer-only network was made; None if it is not known.
        steps: What the host computes, for a comment if the graph is not known.

    Returns:
        Content of each file by its name: `host.py`, `host.npz` if there are large constants, and `host_after.onnx` if
        an operator has no line of numpy.
    """
    after = _after(network, graph, steps)
    samples = "sample" if len(network.inputs) == 1 else "samples"
    needs_sample = graph is not None and any(read.is_sample for read in graph.reads)
    reads_files = after.model is not None or bool(after.lines and after.lines.constants)
    parts = [
        _HEAD.format(
            also=f" and {after.package}" if after.package else " alone",
            before=_BEFORE[samples],
            samples=_SAMPLE_FILES[samples],
            codes="codes.npy" if len(network.inputs) == 1 else "codes.npz",
            call=f"codes, {samples})" if needs_sample else "codes)",
            sample_files=f"{_SAMPLE_FILES[samples]} " if needs_sample else "",
            path_import="from pathlib import Path\n" if reads_files else "",
        )
    ]
    if after.lines and after.lines.constants:
        parts.append(
            f'\nwith np.load(Path(__file__).with_name("{CONSTANTS_FILE}")) as stored:\n    CONSTANTS = dict(stored)\n'
        )
    parts += [f"\n\n{FUNCTIONS[name]}".rstrip("\n") + "\n" for name in (after.lines.functions if after.lines else ())]
    parts += [
        f"\n\n{text}"
        for text in (*input_functions(network), *_finish(network, after, f", {samples}" if needs_sample else ""))
    ]
    parts.append(_main(len(network.inputs), needs_sample=needs_sample))
    files = {HOST_FILE: "".join(parts).encode("ascii")}
    if after.lines and after.lines.constants:
        buffer = io.BytesIO()
        np.savez(buffer, **dict(after.lines.constants))  # type: ignore[arg-type]  # typed as if a key were allow_pickle
        files[CONSTANTS_FILE] = buffer.getvalue()
    if after.model is not None:
        files[MODEL_FILE] = after.model
    return files


@dataclass(frozen=True, eq=False)
class _After:
    """Computation behind the network as text.

    Attributes:
        body: Lines of the function `finish`, without indentation.
        lines: The translated host graph; None if there is none, or if it has no lines.
        model: Content of the file `host_after.onnx`; None without one.
        package: Name of the package that runs the model; empty without one.
    """

    body: tuple[str, ...]
    lines: HostLines | None = None
    model: bytes | None = None
    package: str = ""


def _after(network: IntegerNetwork, graph: HostGraph | None, steps: Sequence[HostSteps]) -> _After:
    tensors = list(network.outputs)
    model = parsed_host_model(graph.model) if graph is not None else None
    if (
        graph is None
        or model is None
        or not {each.name for each in model.graph.input} <= {read.value for read in graph.reads}
    ):
        notes = [f"# Not in this file: {comment(str(each))} -> {comment(each.output)}" for each in steps]
        values = ", ".join(f"values[{index}].transpose(2, 0, 1)[None]" for index in range(len(tensors)))
        return _After((*notes, f"return [{values}]  # [1, channels, height, width]"))
    identifiers, body = {}, []
    for index, read in enumerate(graph.reads):
        identifiers[read.value] = f"x{index}"
        body.append(f"x{index} = {_read(network, read, tensors)}  # {comment(read.value)}")
    if not model.graph.node:
        return _After((*body, _returned(graph, identifiers)))
    lines = host_lines(model, identifiers)
    if lines is not None:
        return _After((*body, *lines.lines, _returned(graph, lines.identifiers)), lines)
    return _by_model(graph, model, body, identifiers)


def _by_model(graph: HostGraph, model: onnx.ModelProto, body: list[str], identifiers: dict[str, str]) -> _After:
    """Return the computation as a run of the ONNX model."""
    missing = ", ".join(map(comment, operators_without_line(model)[:8])) or "a form of an operator"
    is_standard = not any(node.domain for node in model.graph.node)
    inputs = ", ".join(f"{each.name!a}: {identifiers[each.name]}" for each in model.graph.input)
    path = f'str(Path(__file__).with_name("{MODEL_FILE}"))'
    if is_standard:
        package, run = "onnx", f"ReferenceEvaluator({path}).run(None, {{{inputs}}})"
        setup = "from onnx.reference import ReferenceEvaluator"
    else:
        package, run = "onnxruntime", f"InferenceSession({path}).run(None, {{{inputs}}})"
        setup = "from onnxruntime import InferenceSession"
    found = {each.name: f"computed[{index}]" for index, each in enumerate(model.graph.output)}
    return _After(
        (
            setup, "", *body, f"# {MODEL_FILE}, because there is no line of numpy for {missing}",
            f"computed = {run}", _returned(graph, identifiers | found),
        ),
        model=model.SerializeToString(deterministic=True),
        package=package,
    )  # fmt: skip


def _returned(graph: HostGraph, identifiers: Mapping[str, str]) -> str:
    known = [identifiers[name] for name in graph.outputs if name in identifiers]
    return f"return [{', '.join(known)}]"


def _read(network: IntegerNetwork, read: HostRead, tensors: list[str]) -> str:
    """Return the expression of a value that is read from a tensor of the network, or from the sample of an input."""
    dims = f"({', '.join(map(str, read.dims))}{',' if len(read.dims) == 1 else ''})"
    if read.is_sample:
        names = network.input_names
        sample = "sample" if len(names) == 1 else f"samples[{names.index(read.tensor)}]"
        return f"np.asarray({sample}, dtype=np.float32).reshape{dims}"
    shape = network.tensors[read.tensor].shape
    is_moved = not read.channels_last and shape.channels > 1 and shape.height * shape.width > 1
    return f"values[{tensors.index(read.tensor)}]{'.transpose(2, 0, 1)' if is_moved else ''}.reshape{dims}"


def _main(inputs: int, *, needs_sample: bool) -> str:
    """Return the text of the command line.

    Args:
        inputs: Number of inputs of the network.
        needs_sample: Whether `after` needs the samples in addition to the codes.
    """
    samples = "arrays[0]" if inputs == 1 else f"arrays[:{inputs}]"
    return _MAIN.format(
        save_codes="np.save(target, before(*arrays))" if inputs == 1 else "np.savez(target, *before(arrays))",
        arrays=f"arrays[{inputs}:], {samples}" if needs_sample else "arrays",
    )


def _finish(network: IntegerNetwork, after: _After, more: str) -> tuple[str, str]:
    """Return the texts of the functions that compute the outputs of the file from real values and from codes.

    Args:
        network: The integer-only network.
        after: The computation.
        more: Further parameters of the functions: ", sample", ", samples", or empty.
    """
    body = "\n".join(f"    {line}".rstrip() for line in after.body)
    finish = (
        f"def finish(values{more}):\n"
        '    """Return the outputs of the source file from the real values of the output tensors, [height, width, '
        'channels]."""\n'
        f"{body}\n"
    )
    reals = [_real(network.tensors[name], index) for index, name in enumerate(network.outputs)]
    lines = "".join(f"        {real}\n" for real in reals)
    codes = (
        f"def after(codes{more}):\n"
        '    """Return the outputs of the source file from the codes of the output tensors, in the order of '
        'network.json."""\n'
        f"    return finish([\n{lines}    ]{more})\n"
    )
    return finish, codes


def _real(tensor: IntegerTensor, index: int) -> str:
    numbers = f"(codes[{index}].astype(np.float32) - {tensor.zero_point}) * np.float32({float(tensor.scale)!r})"
    return f"{numbers},  # {comment(tensor.name)}"
