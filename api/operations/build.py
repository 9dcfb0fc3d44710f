"""Build of a trained network for a device: C files, compiler, linker, and the comparison with the prediction."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from api.schemas.build import BuildAnswer, CheckAnswer, ComparedAnswer, FindingAnswer
from deploy.arithmetic import CodeArray
from deploy.building.build import BuildReport, build
from deploy.building.checking import CheckedRun, run_check
from deploy.building.comparison import Comparison, compare
from deploy.building.cores import Core, core_named
from deploy.building.predicted import predicted_memory
from deploy.emission.emitter import emit
from deploy.integer_network import IntegerNetwork
from deploy.sample_codes import codes_of_test
from network.budget import Budget
from network.devices.device import Device
from network.errors import RequestError
from network.kernel_functions import Form
from network.kernel_sizes.tables import Optimization, sizes_for
from network.memory.deployed import DeployedAccounting
from network.memory.report import MemoryReport, Region


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildJob:
    """A network to build, and what it is built for.

    Attributes:
        network: The integer-only network.
        core: The core for which C is compiled.
        device: The device, whose kernels may overwrite inputs; None without one.
        budget: Flash and RAM that the network may use; None without a budget.
        optimization: Optimization flag of the compiler.
        pairs: Names of the layers that multiply pairs of 2-bit codes at once.
        codes: Codes of real samples for the self-test, by the name of the input; None for pseudo-random ones.
        is_run: Whether the self-test runs on the emulated chip.
    """

    network: IntegerNetwork
    core: Core
    device: Device | None = None
    budget: Budget | None = None
    optimization: Optimization = Optimization.SPEED
    pairs: frozenset[str] = frozenset()
    codes: Mapping[str, CodeArray] | None = None
    is_run: bool = False

    @classmethod
    def of(
        cls,
        network: IntegerNetwork,
        device: Device | None,
        core: str | None,
        optimization: Optimization = Optimization.SPEED,
        *,
        pairs: frozenset[str] = frozenset(),
        codes: Mapping[str, CodeArray] | None = None,
        is_run: bool = False,
    ) -> BuildJob:
        """Return the build of a network for a device with all its memory, or for a core without a budget.

        Args:
            network: The integer-only network.
            device: The device; None without one.
            core: Name of the core; None for that of the device.
            optimization: Optimization flag of the compiler.
            pairs: Names of the layers with functions for pairs of 2-bit codes.
            codes: Codes of real samples for the self-test, by the name of the input; None for pseudo-random ones.
            is_run: Whether the self-test runs on the emulated chip.

        Raises:
            RequestError: If there is neither a device nor a core, or if C cannot be built for the core.
        """
        if core is None:
            if device is None:
                raise RequestError(
                    "neither a device nor a core is given; expected one of them, such as the device stm32f411re or the "
                    "core cortex-m4"
                )
            core = device.core
        return cls(
            network=network,
            core=core_named(core),
            device=device,
            budget=None if device is None else device.budget,
            optimization=optimization,
            pairs=pairs,
            codes=codes,
            is_run=is_run,
        )

    @property
    def accounting(self) -> DeployedAccounting:
        """Rules by which the bytes of the network are predicted."""
        sizes = sizes_for(self.core.name, self.optimization)
        forms = dict.fromkeys(sorted(self.pairs), Form.PAIRS)
        if self.device is None:
            return DeployedAccounting(sizes, forms=forms)
        return DeployedAccounting(sizes, self.device.in_place, reuses_input=self.device.reuses_input, forms=forms)


def build_network(job: BuildJob, directory: Path | None = None) -> BuildAnswer:
    """Build a network, compare it with the prediction, and run its self-test if that is asked for.

    Args:
        job: The network, and what it is built for.
        directory: Directory for the sources, object files and programs, which is created; None for a temporary one.

    Raises:
        BuildError: If the compiler or the emulator is missing, or the files do not compile or link.
        ConversionError: If the network cannot be written as C.
    """
    if directory is None:
        with tempfile.TemporaryDirectory() as temporary:
            return build_network(job, Path(temporary))
    memory = predicted_memory(job.network, job.accounting)
    vectors = None if job.codes is None else codes_of_test(job.network, job.codes)
    files = emit(job.network, accounting=job.accounting, vectors=vectors)
    report = build(
        files,
        job.core,
        job.budget,
        optimization=job.optimization,
        stack_bytes=_exact_stack(memory),
        directory=directory,
    )
    comparison = compare(report, memory, [layer.name for layer in job.network.layers])
    samples = 0 if vectors is None else len(next(iter(vectors.values())))
    return _answer(job, report, comparison, run_check(report) if job.is_run else None, samples)


def _exact_stack(memory: MemoryReport) -> int | None:
    """Return the bytes of stack that the accounting reserves; None if they are an estimate."""
    stack = [each for each in memory.shared if each.region is Region.RAM]
    return None if any(each.is_estimate for each in stack) else sum(each.size_bytes for each in stack)


def _answer(
    job: BuildJob, report: BuildReport, comparison: Comparison, check: CheckedRun | None, test_samples: int
) -> BuildAnswer:
    compiler = report.toolchain
    return BuildAnswer(
        network=job.network.name,
        device=None if job.device is None else job.device.name,
        core=job.core.name,
        compiler=f"{compiler.compiler.name} {compiler.version}",
        optimization=job.optimization,
        has_locked_toolchain=compiler.is_locked,
        flash_bytes=report.flash_bytes,
        ram_bytes=report.ram_bytes,
        flash_budget_bytes=None if job.budget is None else job.budget.flash_bytes,
        ram_budget_bytes=None if job.budget is None else job.budget.ram_bytes,
        excess_bytes={region.value: excess for region, excess in report.excess_bytes.items()},
        sections=[ComparedAnswer.model_validate(each) for each in comparison.sections],
        layers=[ComparedAnswer.model_validate(each) for each in comparison.layers],
        functions=[ComparedAnswer.model_validate(each) for each in comparison.functions],
        is_as_predicted=comparison.is_kept,
        stack_bound_bytes=report.stack.stack_bytes,
        stack_path=list(report.stack.path),
        reserved_stack_bytes=report.reserved_stack_bytes,
        findings=[FindingAnswer.model_validate(each) for each in report.linked.findings],
        test_samples=test_samples,
        check=None if check is None else _checked(check),
        is_good=report.is_good and comparison.is_kept and _has_passed(report, check),
    )


def _checked(check: CheckedRun) -> CheckAnswer:
    return CheckAnswer(
        passed=check.passed,
        wrong=check.wrong,
        painted_stack_bytes=check.painted_stack_bytes,
        instructions=list(check.instructions),
    )


def _has_passed(report: BuildReport, check: CheckedRun | None) -> bool:
    """Return whether the self-test passed within the reserved stack, or was not run."""
    return check is None or (check.passed and check.painted_stack_bytes <= report.reserved_stack_bytes)
