"""A container as an engine starts it with `--read-only --tmpfs /tmp`: own processes, a root that cannot be written.

`buildah run` in chroot isolation has neither. So the image's root is mounted read-only in namespaces of its own, and
the entrypoint is process 1 in them. The network is that of the machine.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.docker import buildah

USER = 10001


@dataclass(frozen=True)
class Engine:
    """A running container.

    Attributes:
        process: The process that waits for the container's process 1.
        root: Root of the image's files.
        log: File with the output of the container.
        environment: Variables of the environment of process 1.
    """

    process: subprocess.Popen[bytes]
    root: Path
    log: Path
    environment: Mapping[str, str]

    @property
    def init(self) -> int:
        """Number of the container's process 1, as the machine counts."""
        return _child_of(self.process.pid)

    def run(self, script: str) -> str:
        """Run a shell script in the container, as `docker exec` does, and return what it prints."""
        command = [_tool("nsenter"), "--target", str(self.init), "--mount", "--pid", "--root", "--wd"]
        command += ["--setuid", str(USER), "--setgid", str(USER), "--", "/usr/bin/env", "--ignore-environment"]
        command += [f"{name}={value}" for name, value in self.environment.items()]
        return buildah.run(*command, "/bin/sh", "-c", script)

    def processes(self) -> dict[int, tuple[str, str]]:
        """Return state and name of each process in the container, by its number there."""
        lines = self.run("for each in /proc/[0-9]*; do cat $each/stat 2>/dev/null; done; true").splitlines()
        fields = [(line.partition(" ")[0], line.partition("(")[2].rpartition(")")) for line in lines]
        return {int(number): (rest.split()[0], name) for number, (name, _, rest) in fields}

    def terminate(self, within_seconds: float) -> int:
        """Send SIGTERM to process 1, as `docker stop` does, and return the exit code of the container."""
        os.kill(self.init, signal.SIGTERM)
        return self.process.wait(timeout=within_seconds)


@contextmanager
def running(
    image: str,
    configuration: Mapping[str, Any],
    folder: Path,
    mounts: Mapping[Path, str] | None = None,
    **variables: str,
) -> Iterator[Engine]:
    """Run the image's entrypoint and command with a read-only root until the context ends.

    Args:
        image: Name of the image.
        configuration: What the image says about how it is run.
        folder: Folder for the volume /data and the log.
        mounts: Files or folders of this machine, by which the container reads them, read-only.
        variables: Variables of the environment, besides those of the image.
    """
    data, log = folder / "data", folder / "engine.log"
    data.mkdir(exist_ok=True)
    os.chown(data, USER, USER)
    name = buildah.run("buildah", "from", "--pull-never", image)
    try:
        root = Path(buildah.run("buildah", "mount", name))
        environment = dict(each.split("=", 1) for each in configuration["Env"]) | variables
        script = _mounts(root, {data: "/data"}, mounts or {})
        setting = ["env", "--ignore-environment", *(f"{key}={value}" for key, value in environment.items())]
        setting += [*configuration["Entrypoint"], *configuration["Cmd"]]
        script += f"exec chroot --userspec={USER}:{USER} {shlex.quote(str(root))} {shlex.join(setting)}"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [_tool("unshare"), "--mount", "--pid", "--fork", "--kill-child", "bash", "-euc", script],
                stdout=output, stderr=output, stdin=subprocess.DEVNULL,
            )  # fmt: skip
            try:
                yield Engine(process, root, log, environment)
            finally:
                _end(process)
    finally:
        buildah.run("buildah", "umount", name)
        buildah.run("buildah", "rm", name)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a container as `docker stop` does, so that its files are free for the next one."""
    try:
        if process.poll() is None:
            os.kill(_child_of(process.pid), signal.SIGTERM)
            process.wait(timeout=20)
    finally:
        process.kill()
        process.wait()


def _child_of(pid: int) -> int:
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


def _mounts(root: Path, writable: Mapping[Path, str], readable: Mapping[Path, str]) -> str:
    """Return the script that mounts what an engine mounts: /proc, /dev, /tmp, the volume and the given files."""
    at = shlex.quote(str(root))
    lines = [f"mount --bind {at} {at}"]
    for source, target in (*writable.items(), *readable.items()):
        place = root / target.lstrip("/")
        if source.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
    lines += [f"mount -o remount,ro,bind {at}", f"mount -t proc proc {at}/proc", f"mount --rbind /dev {at}/dev"]
    lines += [f"mount -t tmpfs -o mode=1777 tmpfs {at}/tmp"]  # noqa: S108  # the container's own
    for source, target in (*writable.items(), *readable.items()):
        inside = shlex.quote(str(root / target.lstrip("/")))
        lines.append(f"mount --bind {shlex.quote(str(source))} {inside}")
        if source in readable:
            lines.append(f"mount -o remount,ro,bind {inside}")
    return "".join(f"{line}\n" for line in lines)


def why_not() -> str:
    """Why no container can be run here; empty if it can."""
    if reason := buildah.why_not():
        return reason
    missing = [tool for tool in ("unshare", "nsenter", "chroot") if shutil.which(tool) is None]
    if missing or sys.platform != "linux":
        return f"needs Linux and {' and '.join(missing)}"
    tried = subprocess.run([_tool("unshare"), "--mount", "--pid", "--fork", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "needs the right to make namespaces"


def _tool(name: str) -> str:
    return str(shutil.which(name))
