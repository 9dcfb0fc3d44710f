"""JSON schemas of a build: predicted and linked bytes, the stack, the audit, and the run on the emulated chip."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.schemas.answer import Answer, Count


class ComparedAnswer(Answer):
    """Predicted and linked bytes of a part of a network."""

    part: str = Field(description="section, kind of constants of a layer, or function")
    layer: str = Field(description="name of the layer; empty for another part")
    predicted_bytes: Count = Field(description="bytes that the accounting predicts")
    linked_bytes: Count = Field(description="bytes in the linked program")
    is_estimate: bool = Field(description="whether the prediction is only an estimate")


class FindingAnswer(Answer):
    """A breach of a rule of the audit."""

    rule: str = Field(description="the rule, such as heap or recursion")
    where: str = Field(description="function, object or section that breaks it")
    what: str = Field(description="sentence that says what was found")


class CheckAnswer(Answer):
    """Result of the self-test on the emulated chip."""

    passed: bool = Field(description="whether every integer was right")
    wrong: str = Field(description="what was wrong, such as 'the output of step 3'; empty if the self-test passed")
    painted_stack_bytes: Count = Field(description="bytes of stack that a run of the network wrote")
    instructions: list[Count] = Field(description="executed instructions of each step, in order")


class BuildAnswer(Answer):
    """A network that was compiled and linked for a core, beside what the accounting predicts."""

    network: str = Field(description="name of the network")
    device: str | None = Field(description="name of the device; null without one")
    core: str = Field(description="name of the core")
    compiler: str = Field(description="name and version of the compiler")
    optimization: str = Field(description="optimization flag, such as O2")
    has_locked_toolchain: bool = Field(
        description="whether predictions must be exact; with another compiler, flash may be smaller, or up to 0.5 % "
        "larger"
    )
    flash_bytes: Count = Field(description="linked flash of the network, in bytes")
    ram_bytes: Count = Field(description="linked RAM of the network: arena and reserved stack, in bytes")
    flash_budget_bytes: Count | None = Field(
        description="flash that the network may use, in bytes; null without a budget"
    )
    ram_budget_bytes: Count | None = Field(description="RAM that the network may use, in bytes; null without a budget")
    excess_bytes: dict[Literal["flash", "ram"], Count] = Field(
        description="kind of memory -> bytes that the linker found too many; empty if the network fits"
    )
    sections: list[ComparedAnswer] = Field(description="weights, constants, code, arena and stack")
    layers: list[ComparedAnswer] = Field(description="weights and constants of each layer")
    functions: list[ComparedAnswer] = Field(description="code of each function")
    is_as_predicted: bool = Field(description="whether the linked program keeps the prediction")
    stack_bound_bytes: Count = Field(
        description="largest stack in bytes, by the frames along the deepest path of calls"
    )
    stack_path: list[str] = Field(description="functions of this path, the outermost first")
    reserved_stack_bytes: Count = Field(description="bytes of RAM that are reserved for the stack")
    findings: list[FindingAnswer] = Field(description="breaches of the audit's rules; empty if it keeps all")
    test_samples: Count = Field(
        default=0, description="number of real samples in the self-test; 0: it has pseudo-random codes"
    )
    check: CheckAnswer | None = Field(description="result of the self-test on the emulated chip; null if not asked for")
    is_good: bool = Field(
        description="whether the network fits, is as predicted, keeps the audit's rules and passes the self-test"
    )
