"""A built network as text, for the command line: predicted and linked bytes side by side, and the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from api.cli.text.columns import Rows, bar, bars, figures, verdict, words
from api.cli.text.emission import test_vectors
from api.schemas.build import BuildAnswer, CheckAnswer, ComparedAnswer

_MEMORY = {"flash": "flash", "ram": "RAM"}


def build_text(answer: BuildAnswer) -> RenderableType:
    """Return a built network as text: bytes of layers, functions and sections, stack, audit and verdict."""
    return Group(*_parts(answer))


def _parts(answer: BuildAnswer) -> Iterator[RenderableType]:
    on_device = answer.core if answer.device is None else f"{answer.device} ({answer.core})"
    yield Text(f"{answer.network} on {on_device}: {answer.compiler} -{answer.optimization}\n")
    yield _table("layer", answer.layers)
    yield Text()
    yield _table("function", answer.functions)
    yield Text()
    yield _table("section", answer.sections)
    yield Text()
    yield _totals(answer)
    yield Text(_stack(answer))
    yield Text(f"self-test with {test_vectors(answer.test_samples)}")
    if answer.check is not None:
        yield Text(_check(answer.check))
    yield from (verdict(f"audit: {each.what}", is_good=False) for each in answer.findings)
    if not answer.findings:
        yield Text("audit: no heap, no floating point, no 64-bit division, no writable data, no recursion")
    if not answer.has_locked_toolchain:
        yield Text("this compiler is not GCC 12.2: flash may be smaller than predicted, or up to 0.5 % larger")
    yield verdict(_verdict(answer), is_good=answer.is_good)


def _table(name: str, parts: Sequence[ComparedAnswer]) -> Rows:
    """Return a text table with a row for each part; `~` marks an estimated prediction."""
    is_layer = any(each.layer for each in parts)
    rows = Rows(
        words(name), words("part" if is_layer else ""), figures("predicted bytes"), figures("linked bytes"),
        figures("difference"),
    )  # fmt: skip
    for each in parts:
        difference = each.linked_bytes - each.predicted_bytes
        rows.add(
            (each.layer or each.part) if is_layer else each.part,
            each.part if each.layer else "",
            f"{'~' if each.is_estimate else ''}{each.predicted_bytes:,}",
            f"{each.linked_bytes:,}",
            f"{difference:+,}" if difference else "0",
            style="bold red" if difference and not each.is_estimate else "",
        )
    return rows


def _totals(answer: BuildAnswer) -> Rows:
    rows = Rows(words(), figures(), words(), bars(), has_header=False)
    for what, linked, budget in (
        ("flash", answer.flash_bytes, answer.flash_budget_bytes),
        ("RAM", answer.ram_bytes, answer.ram_budget_bytes),
    ):
        if budget is None:
            rows.add(what, f"{linked:,}", "bytes", "")
        else:
            rows.add(what, f"{linked:,}", f"of {budget:,} bytes ({linked / budget:.1%})", bar(linked, budget))
    return rows


def _stack(answer: BuildAnswer) -> str:
    path = ", ".join(answer.stack_path)
    return (
        f"stack: {answer.reserved_stack_bytes:,} bytes reserved, at most {answer.stack_bound_bytes:,} by the frames of "
        f"{path}"
    )


def _check(check: CheckAnswer) -> str:
    if not check.passed:
        return f"self-test on the emulated chip: {check.wrong} is wrong"
    return (
        f"self-test on the emulated chip: passed, {check.painted_stack_bytes:,} bytes of stack painted, "
        f"{sum(check.instructions):,} instructions"
    )


def _verdict(answer: BuildAnswer) -> str:
    """Return the sentence that says whether the build is what was promised, and else the first reason."""
    if answer.is_good:
        return "LINKED AS PREDICTED" if not any(each.is_estimate for each in answer.sections) else "LINKED"
    if answer.excess_bytes:
        excess = " and ".join(f"{more:,} bytes of {_MEMORY[region]}" for region, more in answer.excess_bytes.items())
        return f"DOES NOT FIT: {excess} too many"
    if answer.findings:
        return "FAILS THE AUDIT"
    if answer.check is not None and not answer.check.passed:
        return "FAILS THE SELF-TEST"
    if answer.stack_bound_bytes > answer.reserved_stack_bytes:
        return "THE RESERVED STACK IS TOO SMALL"
    return "DIFFERS FROM THE PREDICTION"
