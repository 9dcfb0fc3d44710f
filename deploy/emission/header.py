"""NAME.h: sizes, scales and zero points of a network as macros, and the function that runs it."""

from __future__ import annotations

from collections.abc import Sequence

from deploy.emission.names import distinct_suffixes
from deploy.emission.notice import Notice
from deploy.emission.program import Program
from deploy.emission.text import comment_text, from_template, string_literal, unsigned


def header(program: Program, notice: Notice) -> str:
    """Return the content of NAME.h.

    Args:
        program: The network.
        notice: Where the file comes from.
    """
    inputs, outputs = ends(program, "input"), ends(program, "output")
    return from_template(
        "network.h",
        program.name,
        notice=notice.text,
        version=notice.version,
        digest=notice.digest,
        literal=string_literal(program.network.name),
        steps=unsigned(len(program.steps)),
        operations=unsigned(program.multiply_accumulates),
        arena=unsigned(program.placement.arena_bytes),
        fill="\n       ".join(f"... write the codes of the input to {each.function}(arena) ..." for each in inputs),
        read="\n       ".join(f"... read the codes of the output from {each.function}(arena) ..." for each in outputs),
        tensors="\n".join(each.macros(program) for each in (*inputs, *outputs)),
        accessors="\n".join(each.accessor() for each in (*inputs, *outputs)),
    )


class End:
    """Input or output of a network in C.

    Attributes:
        tensor: Name of the tensor.
        role: "input" or "output".
        function: Name of the function that returns its address.
    """

    def __init__(self, name: str, tensor: str, role: str, suffix: str) -> None:
        """Create an end.

        Args:
            name: Name of the C files.
            tensor: Name of the tensor.
            role: "input" or "output".
            suffix: What distinguishes it from the others of its role; empty if it is the only one.
        """
        self.tensor = tensor
        self.role = role
        self.function = f"{name}_{role}{suffix}"

    @property
    def macro(self) -> str:
        """Beginning of the names of its macros."""
        return self.function.upper()

    def macros(self, program: Program) -> str:
        """Return the macros that describe the tensor."""
        tensor, region = program.network.tensors[self.tensor], program.placement.tensors[self.tensor]
        shape = tensor.shape
        values = {
            "OFFSET": f"{unsigned(region.offset_bytes)} /* bytes from the start of the arena */",
            "BYTES": unsigned(region.size_bytes),
            "HEIGHT": unsigned(shape.height),
            "WIDTH": unsigned(shape.width),
            "CHANNELS": unsigned(shape.channels),
            "BITS": f"{unsigned(tensor.bits)} /* of each code */",
            "SCALE": _decimal(tensor.scale),
            "ZERO_POINT": str(tensor.zero_point),
        }
        if self.role == "input":
            is_intact = program.placement.is_intact(self.tensor)
            note = (
                "a run leaves the input as it is" if is_intact else "a run overwrites the input: write it before each"
            )
            values["IS_INTACT"] = f"{int(is_intact)} /* {note} */"
        lines = "".join(f"#define {self.macro}_{what} {value}\n" for what, value in values.items())
        return f'/* {self.role.capitalize()} "{comment_text(self.tensor)}". */\n{lines}'

    def accessor(self) -> str:
        """Return the definition of the function that returns the address of the tensor."""
        return (
            f'/* Returns the address of the {self.role} "{comment_text(self.tensor)}" in an arena. */\n'
            f"static inline uint8_t *{self.function}(uint32_t *arena)\n"
            "{\n"
            f"    return (uint8_t *)arena + {self.macro}_OFFSET;\n"
            "}\n"
        )


def ends(program: Program, role: str) -> Sequence[End]:
    """Return the inputs or the outputs of a network.

    Args:
        program: The network.
        role: "input" or "output".
    """
    network = program.network
    tensors = network.input_names if role == "input" else tuple(dict.fromkeys(network.outputs))
    suffixes = distinct_suffixes(tensors)
    return [End(program.name, tensor, role, f"_{suffixes[tensor]}" if len(tensors) > 1 else "") for tensor in tensors]


def _decimal(number: float) -> str:
    """Return a real number as the shortest decimal C constant that is equal to it."""
    text = repr(number)
    return text if "." in text or "e" in text else f"{text}.0"
