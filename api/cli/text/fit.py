"""The chosen bits and the memory of a network as text, for the command line."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from api.cli.text.columns import Rows, bar, bars, code, figures, verdict, words
from api.schemas.answer import format_bytes
from api.schemas.fit import FitAnswer, NextImprovementAnswer
from network.host_steps import HostSteps


def fit_text(answer: FitAnswer) -> RenderableType:
    """Return the result of a fit as text: bits and bytes of each layer, total memory, and whether the network fits."""
    return Group(*_parts(answer))


def _parts(answer: FitAnswer) -> Iterator[RenderableType]:
    on_device = "" if answer.device is None else f" on {answer.device}"
    level = "" if answer.optimization is None else f", code {code(answer.optimization)}"
    yield Text(f"{answer.network.name}{on_device}: {answer.method}, {answer.accounting} accounting{level}\n")
    if answer.certificate is None:
        yield _layer_table(answer)
        yield Text()
    if answer.memory.shared:
        yield _shared_table(answer)
        yield Text()
    yield _totals(answer)
    yield from map(Text, _shared_weights(answer))
    yield from map(Text, (*_host(answer), *_order(answer), *_latency(answer), *_objective(answer)))
    if answer.fits:
        yield verdict("FITS", is_good=True)
    elif answer.certificate is not None:
        yield verdict(f"DOES NOT FIT: {answer.certificate.sentence}", is_good=False)


def _layer_table(answer: FitAnswer) -> Rows:
    """Return a text table with one row for each layer: bits, quantization scheme, flash and RAM in bytes."""
    flash = {layer.layer: layer for layer in answer.memory.layers}
    rows = Rows(
        words("layer"), words("kind"), figures("weight bits"), figures("output bits"), words("scheme"),
        figures("flash bytes"), figures("RAM bytes"), bars(),
    )  # fmt: skip
    for step in answer.memory.steps:
        layer = flash.get(step.layer)
        has_weights = layer is not None and layer.weight_bits is not None
        peak = " peak" if step.layer == answer.memory.peak_layer else ""
        rows.add(
            step.layer,
            layer.kind if layer else "",
            str(layer.weight_bits) if layer and has_weights else "",
            str(answer.activation_bits[step.output]),
            f"{answer.schemes[step.layer]} {answer.foldings[step.layer]}" if has_weights else "",
            format_bytes(layer.flash_bytes) if layer else "",
            format_bytes(step.ram_bytes),
            bar(step.ram_bytes, answer.budget.ram_bytes, peak),
            style="bold" if peak else "",
        )
    return rows


def _shared_table(answer: FitAnswer) -> Rows:
    """Return a text table of the memory that all layers share, in bytes; `~` marks an estimated size."""
    rows = Rows(words("shared"), words(), figures("bytes"))
    for each in answer.memory.shared:
        about = "~" if each.is_estimate else ""
        rows.add(each.part, each.region, f"{about}{each.size_bytes:,}")
    return rows


def _totals(answer: FitAnswer) -> Rows:
    """Return a text table of the flash and RAM that a network requires, and of the available bytes."""
    totals = (
        ("flash", answer.memory.flash_bytes, answer.budget.flash_bytes, ""),
        ("RAM", answer.memory.ram_bytes, answer.budget.ram_bytes, f"peak at {answer.memory.peak_layer}"),
    )
    at = "" if answer.certificate is None else " at 2 bits"
    rows = Rows(words(), figures(), words(), words(), bars(), words(), has_header=False)
    for what, required, budget, where in totals:
        rows.add(
            f"{what}{at}",
            format_bytes(required),
            f"of {budget:,} bytes",
            f"({required / budget:.1%})",
            bar(required, budget),
            where,
        )
    return rows


def _objective(answer: FitAnswer) -> list[str]:
    """Return lines of text with the summed quantization sensitivity and the shadow prices of flash and RAM."""
    if answer.objective is None:
        return []
    if answer.sensitivity_is_zero:
        zero = f"every sensitivity ({answer.sensitivity}) is 0: the measure does not distinguish any bits"
        return [f"{zero}, and their sum proves nothing; measure on other samples, or with another measure"]
    proof = ""
    if answer.gap is not None:
        proof = ", proven minimal" if answer.gap == 0 else f", at most {answer.gap:.2%} above the minimum"
    lines = [f"summed sensitivity ({answer.sensitivity}) {answer.objective:.6g}{proof}"]
    if answer.shadow_prices is not None:
        prices = answer.shadow_prices
        lines.append(
            f"one more kB of flash reduces this sum by {prices.flash:.4g}, one more kB of RAM by {prices.ram:.4g}"
        )
        lines += _next_improvement("flash", prices.next_flash) + _next_improvement("RAM", prices.next_ram)
    return lines


def _next_improvement(memory: str, found: NextImprovementAnswer | None) -> list[str]:
    """Return a line of text on how many more bytes of flash or RAM reduce the sum; an empty list if one kB does."""
    if found is None:
        return []
    if found.more_bytes is None:
        search = "" if found.is_proven else " was found that"
        return [f"no larger budget of {memory}{search} reduces this sum"]
    needed = f"{'' if found.is_proven else 'at most '}{found.more_bytes:,} more bytes of {memory}"
    return [f"the next reduction needs {needed}, which reduce this sum by {found.reduction:.4g}"]


def _shared_weights(answer: FitAnswer) -> list[str]:
    """Return a line of text for each weight tensor that several layers read and flash stores once."""
    readers: dict[str, list[str]] = {}
    for layer in answer.memory.layers:
        if layer.reuses_weights_of is not None:
            readers.setdefault(layer.reuses_weights_of, []).append(f"'{layer.layer}'")
    return [
        f"the weights of '{owner}' are stored once and reused by {', '.join(names)}" for owner, names in readers.items()
    ]


def _host(answer: FitAnswer) -> list[str]:
    """Return a line of text for each output of the file that the caller's program computes from tensors."""
    return [
        f"the host computes '{steps.output}': {HostSteps(steps.output, tuple(steps.tensors), tuple(steps.operators))}"
        for steps in answer.host_steps
    ]


def _order(answer: FitAnswer) -> list[str]:
    """Return a line of text on the RAM that a reordering of the layers saves; an empty list if it saves none."""
    given = answer.given_order_ram_bytes
    if given is None or given <= answer.memory.ram_bytes:
        return []
    required = format_bytes(given)
    return [f"the layers are reordered; in the order of the file, these bits need {required} bytes of RAM"]


def _latency(answer: FitAnswer) -> list[str]:
    latency = answer.latency
    if latency is None:
        return []
    time = "" if latency.milliseconds is None else f", {latency.milliseconds:,.1f} ms at the device's clock"
    compiled = "" if latency.optimization is None else f" at -{latency.optimization}"
    return [f"latency  ~{latency.cycles:,} cycles of {latency.core}{compiled}{time}"]
