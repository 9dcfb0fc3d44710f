"""What the process of a task may do: limits of memory, time and files, without root and without other programs.

    rlimits               memory, processor time, size of files, number of open files, no core dump
    PR_SET_PDEATHSIG      the task ends with the server that forked it
    network namespace     a network without interfaces, where the kernel lets an unprivileged process have one
    Landlock              no file beyond those that it is given and the interpreter's own; no TCP, no signal to others

The kernel of a container may refuse namespaces, and an old kernel has no Landlock: then the other limits remain, and
`missing_protections` names what is missing, for the log of the service.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from network.budget import MAX_BUDGET_BYTES

MIB: Final = 2**20
MAX_FILE_BYTES: Final = 512 * MIB
"""Largest file that a task may write, in its scratch directory."""
MAX_OPEN_FILES: Final = 256
"""Largest number of files that a task may have open."""

_PACKAGES: Final = ("api", "deploy", "network", "qat", "solver")
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38

_HAS_COMMON_NUMBERS: Final = platform.machine() in {"x86_64", "aarch64", "riscv64"}
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""Numbers of Landlock's system calls, which are the same on all architectures that are newer than 2019's kernels."""
_GET_VERSION, _RULE_PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_ACCESS_BITS: Final = {1: 13, 2: 14, 3: 15, 4: 15}
"""Number of kinds of file access that each version of Landlock knows; later versions know 16."""
_TCP_BIND_CONNECT: Final = 0b11
_ABSTRACT_SOCKETS_AND_SIGNALS: Final = 0b11
_READ: Final = _EXECUTE | _READ_FILE | _READ_DIR
_OF_FILES: Final = _EXECUTE | _WRITE_FILE | _READ_FILE | 1 << 14 | 1 << 15
"""Kinds of access that a rule about a file, and not a directory, may have."""


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def isolate_network() -> bool:
    """Give this process, which has one thread, a network without interfaces; return whether the kernel allowed it."""
    return any(_LIBC.unshare(flags) == 0 for flags in (_CLONE_NEWNET, _CLONE_NEWUSER | _CLONE_NEWNET))


def landlock_version() -> int:
    """Return the version of Landlock that the kernel has; 0 if it has none."""
    if not _HAS_COMMON_NUMBERS:
        return 0
    return max(0, int(_LIBC.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_GET_VERSION))))


def missing_protections(*, has_own_network: bool) -> list[str]:
    """Return the protections that this kernel does not give the processes of tasks, as phrases for a log.

    Args:
        has_own_network: Whether `isolate_network` succeeded.
    """
    version = landlock_version()
    missing = [] if version else ["no restriction of the files that they can read (Landlock)"]
    if not has_own_network:
        missing.append("no network namespace" + ("; TCP is refused by Landlock" if version >= 4 else ""))
    return missing


def end_with_parent(parent_id: int) -> None:
    """Let the kernel kill this process when its parent ends; end at once if the parent has ended already.

    Args:
        parent_id: Process id of the parent.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_id:
        os._exit(1)


def limit_resources(meter: MemoryMeter, memory_bytes: int, cpu_seconds: int) -> None:
    """Limit the memory that this process may allocate from now on, its processor time, and its files.

    Args:
        meter: Meter of this process.
        memory_bytes: Memory in bytes, in addition to what the process has.
        cpu_seconds: Processor time in whole seconds, from the start of the process.
    """
    allowed = min(meter.allocated_bytes() + memory_bytes, MAX_BUDGET_BYTES)
    for kind, limit in (
        (resource.RLIMIT_DATA, allowed),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, MAX_FILE_BYTES),
        (resource.RLIMIT_NOFILE, MAX_OPEN_FILES),
    ):
        _, hard = resource.getrlimit(kind)
        within = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (within, within))


def restrict_access(readable: Iterable[Path], writable: Path | None) -> None:
    """Let this process open no file but the given ones and those of the interpreter, where the kernel has Landlock.

    It cannot use TCP or send a signal to another process either, as far as the kernel's Landlock knows these limits.

    Args:
        readable: Files and directories that it may read.
        writable: Directory in which it may read and write; None for none.

    Raises:
        OSError: If the kernel refuses to restrict the process.
    """
    version = landlock_version()
    if not version:
        return
    known = (1 << _ACCESS_BITS.get(version, 16)) - 1
    wanted = _Ruleset(
        known, _TCP_BIND_CONNECT if version >= 4 else 0, _ABSTRACT_SOCKETS_AND_SIGNALS if version >= 6 else 0
    )
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = _checked(_LIBC.syscall(_CREATE_RULESET, ctypes.byref(wanted), ctypes.c_size_t(size), ctypes.c_uint32(0)))
    try:
        for path in (*_of_interpreter(), *readable):
            _allow(ruleset, path, _READ & known)
        for device in ("/dev/null", "/dev/urandom"):
            _allow(ruleset, Path(device), (_READ_FILE | _WRITE_FILE) & known)
        if writable is not None:
            _allow(ruleset, writable, known)
        _checked(_LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _checked(_LIBC.syscall(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0)))
    finally:
        os.close(ruleset)


def _of_interpreter() -> list[Path]:
    """Return where Python, its packages, the project's packages and the system's libraries are."""
    root = Path(__file__).resolve().parents[2]
    project = [root / name for name in _PACKAGES]
    return [*map(Path, {sys.prefix, sys.base_prefix, "/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache"}), *project]


def _allow(ruleset: int, path: Path, access: int) -> None:
    """Add a rule for a path; a path that does not exist needs no rule, because a task can open nothing there."""
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        allowed = access if path.is_dir() else access & _OF_FILES
        rule = _PathBeneath(allowed, opened)
        _checked(
            _LIBC.syscall(
                _ADD_RULE,
                ctypes.c_int(ruleset),
                ctypes.c_int(_RULE_PATH_BENEATH),
                ctypes.byref(rule),
                ctypes.c_uint32(0),
            )
        )
    finally:
        os.close(opened)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(result)


class MemoryMeter:
    """Memory of this process that counts towards its limit; it can be read after access to files was restricted."""

    def __init__(self) -> None:
        self._file = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)

    def allocated_bytes(self) -> int:
        """Return the size of heap, stack and private writable mappings, in bytes."""
        return int(os.pread(self._file, 200, 0).split()[5]) * resource.getpagesize()
