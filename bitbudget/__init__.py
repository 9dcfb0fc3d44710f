"""Fit neural networks into microcontrollers: the public Python API, described in docs/python-api.md.

Importing this package loads only the names below. Each name is loaded from its module at its first use, so that torch,
scipy and the reader of ONNX files are imported only by a program that needs them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from bitbudget._shadowing import import_internal_packages

if TYPE_CHECKING:
    from api.client.client import Client
    from api.client.errors import (
        ClientError,
        DamagedDownload,
        JobCancelled,
        JobFailed,
        NoConnection,
        NotBitbudget,
        ServiceProblem,
        StillRunning,
        VersionMismatch,
    )
    from api.client.jobs import Job
    from api.client.retries import Timeouts
    from api.errors import DoesNotFit
    from api.schemas.keywords import BudgetOptions, SensitivityFields, SolveOptionFields
    from bitbudget._budgets import DatasetLike
    from bitbudget._building import BuildResult, build
    from bitbudget._devices import Catalogue, DevicesResult, devices
    from bitbudget._emission import EmitResult, emit
    from bitbudget._fit import FitResult, fit
    from bitbudget._integers import codes_of_inputs, input_codes, input_values, load, real_values, run, save
    from bitbudget._pareto import ParetoResult, pareto
    from bitbudget._reading import dataset, read, write
    from bitbudget._samples import sensitivity
    from bitbudget._shrinking import ShrinkResult, shrink
    from bitbudget._training import TrainResult, train
    from deploy.integer_network import IntegerNetwork
    from network.allocation import Allocation
    from network.budget import Budget
    from network.devices.device import Device
    from network.errors import (
        BitbudgetError,
        BuildError,
        ConversionError,
        DatasetError,
        IntegerFileError,
        InvalidNetwork,
        NetworkError,
        RequestError,
        TrainingError,
        UnreadableFile,
        UnsupportedOperator,
    )
    from network.network import Network
    from network.sensitivity.table import SensitivityTable
    from qat.calibration import calibrate
    from qat.conversion import convert
    from qat.data.dataset import Dataset
    from qat.data.input_arrays import InputArrays
    from qat.options.sensitivity import SensitivityOptions
    from qat.options.training import TrainingOptions
    from qat.prepare import prepare
    from qat.progress import Progress
    from qat.quantized_network import QuantizedNetwork
    from qat.torch_reader import read_module
    from qat.training.compiling import compiled
    from qat.training.optimizer import new_optimizer
    from solver.options import Method, SolveOptions
    from solver.question import Question
    from solver.solution import Solution

__all__ = [
    "Allocation",
    "BitbudgetError",
    "Budget",
    "BudgetOptions",
    "BuildError",
    "BuildResult",
    "Catalogue",
    "Client",
    "ClientError",
    "ConversionError",
    "DamagedDownload",
    "Dataset",
    "DatasetError",
    "DatasetLike",
    "Device",
    "DevicesResult",
    "DoesNotFit",
    "EmitResult",
    "FitResult",
    "InputArrays",
    "IntegerFileError",
    "IntegerNetwork",
    "InvalidNetwork",
    "Job",
    "JobCancelled",
    "JobFailed",
    "Method",
    "Network",
    "NetworkError",
    "NoConnection",
    "NotBitbudget",
    "ParetoResult",
    "Progress",
    "QuantizedNetwork",
    "Question",
    "RequestError",
    "SensitivityFields",
    "SensitivityOptions",
    "SensitivityTable",
    "ServiceProblem",
    "ShrinkResult",
    "Solution",
    "SolveOptionFields",
    "SolveOptions",
    "StillRunning",
    "Timeouts",
    "TrainResult",
    "TrainingError",
    "TrainingOptions",
    "UnreadableFile",
    "UnsupportedOperator",
    "VersionMismatch",
    "build",
    "calibrate",
    "codes_of_inputs",
    "compiled",
    "convert",
    "dataset",
    "devices",
    "emit",
    "fit",
    "input_codes",
    "input_values",
    "load",
    "new_optimizer",
    "pareto",
    "prepare",
    "read",
    "read_module",
    "real_values",
    "run",
    "save",
    "sensitivity",
    "shrink",
    "train",
    "write",
]

_NAMES_OF_MODULE: Final = {
    "api.client.client": ("Client",),
    "api.client.errors": (
        "ClientError",
        "DamagedDownload",
        "JobCancelled",
        "JobFailed",
        "NoConnection",
        "NotBitbudget",
        "ServiceProblem",
        "StillRunning",
        "VersionMismatch",
    ),
    "api.client.jobs": ("Job",),
    "api.client.retries": ("Timeouts",),
    "api.errors": ("DoesNotFit",),
    "api.schemas.keywords": ("BudgetOptions", "SensitivityFields", "SolveOptionFields"),
    "bitbudget._budgets": ("DatasetLike",),
    "bitbudget._building": ("BuildResult", "build"),
    "bitbudget._devices": ("Catalogue", "DevicesResult", "devices"),
    "bitbudget._emission": ("EmitResult", "emit"),
    "bitbudget._fit": ("FitResult", "fit"),
    "bitbudget._integers": ("codes_of_inputs", "input_codes", "input_values", "load", "real_values", "run", "save"),
    "bitbudget._pareto": ("ParetoResult", "pareto"),
    "bitbudget._reading": ("dataset", "read", "write"),
    "bitbudget._samples": ("sensitivity",),
    "bitbudget._shrinking": ("ShrinkResult", "shrink"),
    "bitbudget._training": ("TrainResult", "train"),
    "deploy.integer_network": ("IntegerNetwork",),
    "network.allocation": ("Allocation",),
    "network.budget": ("Budget",),
    "network.devices.device": ("Device",),
    "network.errors": (
        "BitbudgetError",
        "BuildError",
        "ConversionError",
        "DatasetError",
        "IntegerFileError",
        "InvalidNetwork",
        "NetworkError",
        "RequestError",
        "TrainingError",
        "UnreadableFile",
        "UnsupportedOperator",
    ),
    "network.network": ("Network",),
    "network.sensitivity.table": ("SensitivityTable",),
    "qat.calibration": ("calibrate",),
    "qat.conversion": ("convert",),
    "qat.data.dataset": ("Dataset",),
    "qat.data.input_arrays": ("InputArrays",),
    "qat.options.sensitivity": ("SensitivityOptions",),
    "qat.options.training": ("TrainingOptions",),
    "qat.prepare": ("prepare",),
    "qat.progress": ("Progress",),
    "qat.quantized_network": ("QuantizedNetwork",),
    "qat.torch_reader": ("read_module",),
    "qat.training.compiling": ("compiled",),
    "qat.training.optimizer": ("new_optimizer",),
    "solver.options": ("Method", "SolveOptions"),
    "solver.question": ("Question",),
    "solver.solution": ("Solution",),
}

_MODULE_OF_NAME: Final = {name: module for module, names in _NAMES_OF_MODULE.items() for name in names}

import_internal_packages()

if TYPE_CHECKING:
    __version__: str
else:  # with this function in view, a type checker would accept any name

    def __getattr__(name: str) -> Any:
        """Import a public name of the package from its module at the first use."""
        if name == "__version__":
            return import_module("api.version").version()
        if name not in _MODULE_OF_NAME:
            raise AttributeError(f"module 'bitbudget' has no attribute {name!r}")
        value = getattr(import_module(_MODULE_OF_NAME[name]), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        """Return the public names of the package, including those that are not imported yet."""
        return [*__all__, "__version__"]
