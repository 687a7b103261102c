"""Builds llama.cpp for an accelerator, beside the installed one.

llama-cpp-python is distributed as source, and is built for the CPU by default. Here, pip builds a
wheel for the accelerator in a temporary folder. A separate process then checks that the build sees
the accelerator. Only after that, the build moves to `Paths.builds`, where engines find it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from llmsuggestd import environment, service
from llmsuggestd.accelerators import Accelerator, AcceleratorError
from llmsuggestd.distribution import install_command
from llmsuggestd.engine import builds, host, postmortem
from llmsuggestd.files import make_private
from llmsuggestd.paths import Paths
from llmsuggestd.resources import resource

BUILD_TIMEOUT: Final = 2 * 60 * 60
"""Timeout for a build in seconds. CUDA's takes most of an hour on two slow cores."""

CHECK_TIMEOUT: Final = 120
"""Timeout for listing a build's devices, in seconds. Drivers are slow the first time."""


class Description(NamedTuple):
    """A llama.cpp's description of itself."""

    devices: list[dict[str, Any]]
    problem: str = ""
    """Why it cannot be used; empty if it can."""
    remedy: str = ""
    """The remedy for the problem."""
    build: str = ""
    """Its version and its compile options."""
    physical_cores: int = 0
    no_own_kernels: str = ""
    """Why our own kernels cannot be used with it; empty if they can."""
    instructions: str | None = None
    """The instruction set that they use."""
    cpu_quota: float | None = None
    """The control group's CPU limit, in CPUs; None without a limit."""

    def sees(self, accelerator: Accelerator) -> bool:
        """Whether this llama.cpp works and supports the accelerator."""
        if self.problem:
            return False
        if accelerator.name == "cpu":
            return not any(device["is_gpu"] for device in self.devices)
        return any(device["name"].startswith(accelerator.prefix) for device in self.devices)


def describe(build: Path | None) -> Description:
    """Describe a build, or the installed llama.cpp for None.

    A separate process does this in the engine's environment, since a broken build or driver can
    crash it.
    """
    variables = environment.for_engine(build=build)
    if service.detect()[0] is not None:
        for name in environment.LIBRARY_PATHS:
            variables.pop(name, None)
    try:
        result = subprocess.run(
            (*host.COMMAND, "--describe"),
            capture_output=True,
            timeout=CHECK_TIMEOUT,
            check=False,
            env=variables,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Description([], f"the engine does not run: {error}")
    if result.returncode != 0:
        words = result.stderr.decode(errors="replace")
        death = postmortem.examine(
            result.returncode, words, "looking for devices", variables=variables
        )
        return Description([], death.message, death.hint)
    found = json.loads(result.stdout)
    return Description(
        found["devices"],
        build=found["build"],
        physical_cores=found["physical_cores"],
        no_own_kernels=found["no_own_kernels"],
        instructions=found["instructions"],
        cpu_quota=found["cpu_quota"],
    )


def command(accelerator: Accelerator) -> str:
    """The shell command that builds the wheel."""
    values = _build_variables(accelerator)
    words = [f"{name}={shlex.quote(value)}" for name, value in values.items()]
    return " ".join([*words, shlex.join(_wheel_command([sys.executable, "-m", "pip"]))])


def build(accelerator: Accelerator, paths: Paths, tick: Callable[[float], None]) -> Path:
    """Build llama.cpp for an accelerator, check it, and make engines use it from their next start.

    `tick` is called every second during the build, with the elapsed seconds. Returns the build's
    folder. Raises AcceleratorError; the previous llama.cpp is then still used.
    """
    for directory in (paths.state, paths.data, paths.builds):
        make_private(directory)
    log = build_log(paths)
    target = builds.folder(paths, accelerator.name)
    # in the same folder, so that one rename installs it; the dot keeps engines from choosing it
    with tempfile.TemporaryDirectory(prefix=".", dir=paths.builds) as name:
        temporary = Path(name)
        wheel = _make_wheel(accelerator, temporary, log, tick)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(temporary / "new")
        _check_sees(describe(temporary / "new"), accelerator, log)
        remove_builds(paths)
        (temporary / "new").replace(target)
    log.unlink(missing_ok=True)
    return target


def remove_builds(paths: Paths) -> None:
    """Remove every build, so that engines use the installed llama.cpp again."""
    for found in paths.builds.glob("[a-z]*"):
        shutil.rmtree(found, ignore_errors=True)


def build_log(paths: Paths) -> Path:
    """The output of the last build that failed."""
    return paths.state / "build.log"


def _make_wheel(
    accelerator: Accelerator, folder: Path, log: Path, tick: Callable[[float], None]
) -> Path:
    command = [*_wheel_command(_pip(folder)), "--wheel-dir", str(folder)]
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | _build_variables(accelerator),
        )
        try:
            while process.poll() is None:
                if time.monotonic() - began > BUILD_TIMEOUT:
                    raise AcceleratorError(
                        f"building took more than {BUILD_TIMEOUT // 60} minutes", f"see {log}"
                    )
                tick(time.monotonic() - began)
                time.sleep(1 if process.poll() is None else 0)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    wheels = list(folder.glob("*.whl"))
    if process.returncode != 0 or not wheels:
        raise AcceleratorError(
            f"llama.cpp could not be built for {accelerator.name}: {_reason(log)}",
            f"{log} has the whole output; the previous llama.cpp is still used",
        )
    return wheels[0]


def _wheel_command(pip: Sequence[str]) -> list[str]:
    return [*pip, "wheel", "--verbose", "--no-deps", "--no-cache-dir", "--no-binary",
            builds.PACKAGE, f"{builds.PACKAGE}=={builds.version()}"]  # fmt: skip


def _build_variables(accelerator: Accelerator) -> dict[str, str]:
    """The build's environment variables. The user's own CMAKE_ARGS come last."""
    flags = [*accelerator.flags, os.environ.get("CMAKE_ARGS", "")]
    left_out = (resource("packaging") / "llama.cmake").as_posix()
    variables = {"SKBUILD_CMAKE_DEFINE": f"CMAKE_PROJECT_INCLUDE={left_out}"}
    variables |= accelerator.environment
    given = {name: os.environ.get(name, value) for name, value in variables.items()}
    return given | {"CMAKE_ARGS": " ".join(filter(None, flags))}


def _pip(folder: Path) -> list[str]:
    """The command for pip. In an environment without pip, such as uv's, a temporary one."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    try:
        subprocess.run(
            [sys.executable, "-m", "venv", str(folder / "pip")], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise AcceleratorError(
            f"pip is not installed for {sys.executable}",
            install_command({"debian": "python3-venv"}, "install pip for this Python"),
        ) from error
    bin_ = "Scripts" if sys.platform == "win32" else "bin"
    return [str(folder / "pip" / bin_ / "python"), "-m", "pip"]


def _reason(log: Path) -> str:
    """The line of a build's output that best explains its failure."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    for index, line in enumerate(lines):
        if line.startswith("CMake Error"):  # the explanation is on the next line
            return " ".join(lines[index : index + 2])
    told = [line for line in lines if "error:" in line.lower()]
    return told[0] if told else (lines or ["it printed nothing"])[-1]


def _check_sees(found: Description, accelerator: Accelerator, log: Path) -> None:
    """Raise AcceleratorError unless a build works and sees the accelerator."""
    if found.sees(accelerator):
        return
    what = found.problem or f"it sees only {', '.join(d['name'] for d in found.devices)}"
    raise AcceleratorError(
        f"the llama.cpp built for {accelerator.name} does not work here: {what}",
        f"{log} has the build's output; the previous llama.cpp is still used",
    )
