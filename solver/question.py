"""The question that the solver answers: a network, a budget and all options for choosing bits.

    request or command  ->  Question  ->  fit(question) -> Solution
                                          violations(question, solution) -> list of broken rules
                                          pareto_front(question, ...) -> ParetoFront
                                          shadow_prices(question, solution) -> ShadowPrices

A question is made once, where a request or a command comes in. No later code parses a name, a size or a device again.
`question_json.py` converts a question to JSON text and back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from network.allocation import Bits
from network.budget import Budget
from network.devices.device import Device
from network.devices.latency import CoreSpeed, Latency
from network.errors import RequestError
from network.memory.accounting import Accounting
from network.memory.books import optimization_of
from network.memory.deployed import DeployedAccounting
from network.network import Network
from network.sensitivity.table import SensitivityTable, check_sensitivity
from solver.exact.choices import Choices, check_choices
from solver.options import ALL_OTHERS, Method, SolveOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Question for the solver: a network, a budget and all options for choosing the bits of its tensors.

    Attributes:
        network: The network, with its layers in the order of its file. The solver needs no weights.
        budget: Number of bytes of flash and RAM that the network may use.
        accounting: The rule book that counts bytes.
        alternatives: Rule books that the solver uses instead, the first one first, where they allow a smaller sum or
            are needed to fit, e.g. those of code that is compiled for size.
        sensitivity: The sensitivity table whose sum the exact program minimizes, and by which solutions of the rules
            are compared with it; None only for the rules.
        options: The method that chooses bits, and its options.
        device: The device that was chosen; None if only a budget was given.
        speed: Speed of the kernels of the core, for estimates of latency; None if it is not known.
        max_cycles: Largest estimated number of cycles of one inference, 1 to 2^53; None for no latency ceiling.
    """

    network: Network
    budget: Budget
    accounting: Accounting = field(default_factory=DeployedAccounting)
    sensitivity: SensitivityTable | None = None
    options: SolveOptions = field(default_factory=SolveOptions)
    device: Device | None = None
    speed: CoreSpeed | None = None
    max_cycles: int | None = None
    alternatives: tuple[Accounting, ...] = ()

    @property
    def method(self) -> Method:
        """The method that chooses bits: `exact` (an integer program), or a rule of arXiv 1905.13082."""
        return self.options.method

    @property
    def latency(self) -> Latency | None:
        """The latency ceiling of an inference, with the speed of the code that the accounting counts; None without one.

        Raises:
            RequestError: If a ceiling is set and the speed of the core is unknown.
        """
        if self.max_cycles is None:
            return None
        if self.speed is None:
            raise RequestError(
                "a latency ceiling needs the speed of the core, which is not known; give a table of speeds by kernel "
                "and bits"
            )
        return Latency(self.speed.compiled(optimization_of(self.accounting)), self.max_cycles)

    @property
    def choices(self) -> Choices:
        """Allowed schemes of the weights and allowed bits of each tensor, with '*' replaced by tensor names.

        Allowed bits of one layer hold for all layers that share its weight tensor and are not listed themselves.
        """
        network, options = self.network, self.options
        fixed = {*network.input_names, *network.outputs}
        return Choices(
            options.schemes,
            _named(
                _for_all_readers(network, options.allowed_weight_bits), [layer.name for layer in network.weight_layers]
            ),
            _named(options.allowed_activation_bits, [name for name in network.tensors if name not in fixed]),
        )


def check_question(question: Question) -> None:
    """Reject a question to the solver whose network, options and sensitivity table contradict each other.

    Args:
        question: The network, the budget and the options.

    Raises:
        RequestError: If the sensitivity table or the allowed bits do not match the network; if the exact program has no
            table; if one of the paper's rules is combined with a latency ceiling or with allowed bits; if the scheme is
            not one of the allowed schemes.
    """
    network, method, options = question.network, question.method, question.options
    allowed = options.allowed_schemes
    if options.scheme is not None and allowed is not None and options.scheme not in allowed:
        raise RequestError(
            f"the scheme of all weights is {options.scheme}, but the allowed schemes are "
            f"{', '.join(allowed)}; add it to them, or leave out one of the two options"
        )
    if question.sensitivity is not None:
        check_sensitivity(question.sensitivity, network)
    check_choices(question.choices, network, question.accounting.same_bits(network))
    if method is Method.EXACT:
        if question.sensitivity is None:
            raise RequestError(
                "the exact program needs a sensitivity table, but none is given; choose one, e.g. 'weights'"
            )
    elif question.latency is not None or question.options.restricts_bits:
        what = "a latency ceiling" if question.latency is not None else "allowed bits of single tensors"
        raise RequestError(f"method {method} does not support {what}; use method 'exact', or remove {what}")


def require_exact(question: Question, what: str) -> None:
    """Reject a question whose method is not `exact`, or that has no sensitivity table.

    Args:
        question: The question.
        what: Name of the computation that needs the exact program, for the error message.

    Raises:
        RequestError: If the method is one of the paper's rules, or there is no table.
    """
    if question.method is not Method.EXACT or question.sensitivity is None:
        raise RequestError(
            f"{what} can be computed only with method 'exact' and a sensitivity table, but the method is "
            f"'{question.method}' and there is {'no' if question.sensitivity is None else 'a'} table; "
            "choose method 'exact' and a sensitivity table"
        )


def _for_all_readers(network: Network, allowed: Mapping[str, list[Bits]]) -> dict[str, list[Bits]]:
    """Return a table of allowed bits in which a layer that is not listed has those of a layer that shares its weights.

    Of several listed layers that share the weights, the first one counts.

    Args:
        network: The network.
        allowed: Name of a layer or '*' -> allowed bits.
    """
    spread = dict(allowed)
    for names in network.weight_owners.sharing.values():
        listed = [name for name in names if name in allowed]
        for name in names if listed else ():
            spread.setdefault(name, allowed[listed[0]])
    return spread


def _named(allowed: Mapping[str, list[Bits]], names: list[str]) -> dict[str, list[Bits]]:
    """Replace the key '*' in a table of allowed bits by all tensor names that the table does not list.

    Args:
        allowed: Name or '*' -> allowed bits.
        names: The names that '*' may stand for.
    """
    others = allowed.get(ALL_OTHERS)
    given = {name: bits for name, bits in allowed.items() if name != ALL_OTHERS}
    return given if others is None else {**dict.fromkeys(names, others), **given}
