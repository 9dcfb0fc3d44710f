"""Building and running the image where no Docker engine runs: buildah, with chroot isolation, as root."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

BASE = "docker.io/library/debian:bookworm-slim"
TRANSLATED = ("info", "locale", "man")
WITHOUT_DOCUMENTS = "".join(f"path-exclude /usr/share/{each}/*\n" for each in ("doc", *TRANSLATED)) + (
    "path-include /usr/share/doc/*/copyright\n"
)
IMAGE = "localhost/bitbudget-under-test"
VERSION = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["version"]
SLIM = "bitbudget.base=slim"
"""Label of the base that this module makes, with the rules of today."""
CERTIFICATES = "/mnt/pip-cert.pem"
PACKAGE_SOURCES = ("index-url", "extra-index-url", "find-links")


def why_not() -> str:
    """Why nothing can be built here; empty if it can."""
    missing = [tool for tool in ("buildah", "debootstrap") if shutil.which(tool) is None]
    if missing:
        return f"needs {' and '.join(missing)}"
    return "" if os.geteuid() == 0 else "needs root, for chroot"


def run(*command: str) -> str:
    """The command's output; its errors come with the failure."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:3])} ... failed:\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout.strip()


def make_base() -> None:
    """Debian from its own packages under the name that the Dockerfile gives: nothing is pulled from a registry.

    As in Debian's image of this name, documents, manuals and translations are left out.
    """
    if run("buildah", "images", "--quiet", "--filter", f"reference={BASE}", "--filter", f"label={SLIM}"):
        return
    with TemporaryDirectory() as directory:
        root = Path(directory, "root")
        run("debootstrap", "--variant=minbase", "bookworm", str(root))
        for leftovers in ("var/cache/apt", "var/lib/apt/lists", *(f"usr/share/{each}" for each in TRANSLATED)):
            shutil.rmtree(root / leftovers, ignore_errors=True)
            (root / leftovers).mkdir()
        for place in ("var/cache/apt/archives/partial", "var/lib/apt/lists/partial"):
            (root / place).mkdir(parents=True)
        for document in (root / "usr/share/doc").rglob("*"):
            if not document.is_dir() and document.name != "copyright":
                document.unlink()
        (root / "etc/dpkg/dpkg.cfg.d/docker").write_text(WITHOUT_DOCUMENTS)
        container = run("buildah", "from", "scratch")
        run("buildah", "add", container, str(root), "/")
        run("buildah", "config", f"--label={SLIM}", container)
        run("buildah", "commit", "--rm", container, BASE)


def build(project: Path, image: str = IMAGE, **options: str) -> None:
    """Build the project's Dockerfile under a name, with build arguments.

    Layers are kept, so that a second build is a matter of seconds.
    """
    make_base()
    build_arguments, mounts = _pip_of_this_machine()
    build_arguments |= {"TORCH_INDEX_URL": "", "VERSION": VERSION}  # this machine's pip has a CPU build of torch
    command = [
        "buildah",
        "bud",
        "--pull-never",
        "--layers",
        "--force-rm",
        "--isolation",
        "chroot",
        "--format",
        "docker",
    ]
    command += [f"--build-arg={name}={value}" for name, value in {**build_arguments, **options}.items()]
    command += [f"--volume={here}:{there}:ro" for here, there in mounts.items()]
    run(*command, "--file", str(project / "docker" / "Dockerfile"), "--tag", image, str(project))


def configuration(image: str = IMAGE) -> dict[str, Any]:
    """What the image says about how it is run: User, Entrypoint, Cmd, Healthcheck, Volumes, ..."""
    inspected = json.loads(run("buildah", "inspect", "--type", "image", image))
    config: dict[str, Any] = inspected["Docker"]["config"]
    return config


class Container:
    """A working container of an image."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, *command: str) -> str:
        """Run a command in it to its end, as the image's user."""
        return run("buildah", "run", "--isolation", "chroot", self.name, "--", *command)

    def set_environment(self, **variables: str) -> None:
        """As `docker run --env` does."""
        run("buildah", "config", *(f"--env={name}={value}" for name, value in variables.items()), self.name)

    @contextmanager
    def running(self, *command: str, log: Path) -> Iterator[None]:
        """Run a command in it until the context ends; then SIGTERM, as `docker stop` sends it.

        Raises:
            RuntimeError: it did not end by itself within 20 s of the signal.
        """
        with log.open("wb") as output:
            runner = subprocess.Popen(
                [str(shutil.which("buildah")), "run", "--isolation", "chroot", self.name, "--", *command],
                stdout=output, stderr=output, stdin=subprocess.DEVNULL,
            )  # fmt: skip
            try:
                yield
            finally:
                _stop(runner)


@contextmanager
def container(image: str = IMAGE) -> Iterator[Container]:
    """A fresh container, removed again."""
    name = run("buildah", "from", "--pull-never", image)
    try:
        yield Container(name)
    finally:
        run("buildah", "rm", name)


def _stop(runner: subprocess.Popen[bytes]) -> None:
    """End what `buildah run` runs, by a signal to the command alone: when signalled itself, buildah kills it."""
    try:
        if runner.poll() is None:
            os.kill(_innermost_child(runner.pid), signal.SIGTERM)
            runner.wait(timeout=20)
    except subprocess.TimeoutExpired:
        raise RuntimeError("the service did not end within 20 s of SIGTERM") from None
    finally:
        runner.kill()
        runner.wait()


def _innermost_child(pid: int) -> int:
    """buildah -> its chroot runtime -> its chroot exec -> the command: the third child."""
    for _ in range(3):
        # A child belongs to the thread that started it.
        (pid,) = (
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        )
    return pid


def _pip_of_this_machine() -> tuple[dict[str, str], dict[str, str]]:
    """Where this machine's pip looks for packages: build arguments, and what of this machine is mounted where."""
    values: dict[str, str] = {}
    for line in run(sys.executable, "-m", "pip", "config", "list").splitlines():
        key, _, quoted = line.partition("=")
        values[key.rpartition(".")[2]] = quoted.strip("'\"")
    mounts = {}
    if "cert" in values:  # not at its own path, where the image's certificates are installed
        mounts[values["cert"]] = CERTIFICATES
        values["cert"] = CERTIFICATES
    for word in " ".join(values.get(name, "") for name in PACKAGE_SOURCES).split():
        url = urlsplit(word)
        if url.scheme == "file":  # an index names its files relative to itself, beside it
            mounts[str(Path(url.path).parent)] = str(Path(url.path).parent)
        elif not url.scheme and Path(word).exists():
            mounts[word] = word
    settings = (name for name in (*PACKAGE_SOURCES, "cert") if name in values)
    return {f"PIP_{name.upper().replace('-', '_')}": values[name] for name in settings}, mounts
