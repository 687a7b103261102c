"""What `doctor` looks at: every part that must work for suggestions to appear in an editor."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

from llmsuggestd import accelerators, building, service
from llmsuggestd.client import Client
from llmsuggestd.config import load_config
from llmsuggestd.engine import builds
from llmsuggestd.engine.host import recall_crashed
from llmsuggestd.errors import LlmsuggestdError
from llmsuggestd.models import store
from llmsuggestd.paths import Paths
from llmsuggestd.resources import resource
from llmsuggestd.version import __version__

Level = Literal["ok", "warning", "failed"]

CURL_MINIMUM: Final = (7, 40)
"""The first curl with --unix-socket."""


class Finding(NamedTuple):
    """What is the case with one part."""

    part: str
    level: Level
    message: str
    remedy: str = ""


def examine(paths: Paths) -> Iterator[Finding]:
    """Look at each part in turn. Starts nothing and changes nothing."""
    yield _python()
    yield from _llama_cpp(paths)
    yield from _settings(paths)
    yield _daemon(paths)
    yield _curl()
    yield _lean()
    yield _service()


def _python() -> Finding:
    where = f"Python {platform.python_version()} in {sys.prefix}"
    if sys.prefix == sys.base_prefix:
        return Finding(
            "python", "warning", f"{where}, not a virtual environment", "install with pipx"
        )
    return Finding("python", "ok", where)


def _llama_cpp(paths: Paths) -> Iterator[Finding]:
    part = "llama.cpp"
    build = builds.chosen(paths)
    found = building.describe(build)
    if found.problem:
        yield Finding(
            part,
            "failed",
            f"{build}: {found.problem}" if build else found.problem,
            found.remedy or "`llmsuggestd install --accelerator cpu` builds another",
        )
        return
    quota = "" if found.cpu_quota is None else f", limited to {found.cpu_quota:g} CPUs (cgroup)"
    where = f", built in {build}" if build else ""
    yield Finding(part, "ok", f"{found.build}, {found.physical_cores} physical cores{quota}{where}")
    for old in builds.outdated(paths):
        name = old.name.partition("-")[0]
        yield Finding(
            part,
            "warning",
            f"{old} is not used: llama-cpp-python is at version {builds.version()} now",
            f"`llmsuggestd install --accelerator {name}` builds it again",
        )
    gpus = [device for device in found.devices if device["is_gpu"]]
    for device in gpus:
        free, total = device["free"] / 2**30, device["total"] / 2**30
        yield Finding(
            "device", "ok", f"{device['description']}, {free:.1f} of {total:.1f} GiB free"
        )
    if not gpus:
        yield _no_gpu(next((d["description"] for d in found.devices), "unknown"))
    crashed = recall_crashed(paths)
    again = f"to try again, remove {paths.engine_memory}"
    if "own_kernels" in crashed:
        yield Finding("kernels", "warning", "ours crashed here: llama.cpp's are used", again)
    elif found.no_own_kernels:
        yield Finding("kernels", "ok", f"llama.cpp's; of ours: {found.no_own_kernels}")
    else:
        yield Finding("kernels", "ok", "ours, for Q4_K, Q5_K and Q6_K; llama.cpp's for others")
    if "extra_buffers" in crashed:
        yield Finding(
            "kernels",
            "warning",
            "llama.cpp's fastest (extra buffer types) crashed here, and are left out",
            again,
        )


def _no_gpu(cpu: str) -> Finding:
    """A model that is slow because nobody said that it could be fast is a common complaint."""
    best = accelerators.best()
    if best.name == "cpu":
        return Finding("device", "ok", f"CPU only: {cpu}")
    return Finding(
        "device",
        "warning",
        f"{best.device} is here, and llama.cpp uses the CPU only",
        f"`llmsuggestd install --accelerator {best.name}` builds it anew ({best.duration})",
    )


def _settings(paths: Paths) -> Iterator[Finding]:
    """The settings, and the model that they choose."""
    try:
        config = load_config(paths)
    except LlmsuggestdError as error:
        yield Finding("settings", "failed", error.message, error.hint)
        return
    file = paths.config_file
    source = str(file) if file.exists() else f"defaults, since there is no {file}"
    yield Finding("settings", "ok", f"{source}; model {config.model}, port {config.port}")
    yield _model(paths, config.model)


def _model(paths: Paths, model_id: str) -> Finding:
    try:
        model = store.find(paths, model_id)
    except LlmsuggestdError as error:
        return Finding("model", "failed", error.message, error.hint)
    if model.id == store.STARTER and not store.has_starter(paths):
        return Finding(
            "model",
            "failed",
            f"{model.path} is not the starter model of this version",
            "`llmsuggestd install` puts it in place",
        )
    return Finding("model", "ok", f"{model.id}, {model.bytes / 1e6:.1f} MB, {model.path}")


def _daemon(paths: Paths) -> Finding:
    try:
        status = Client(paths).request("GET", "/v1/status", timeout=5)
    except LlmsuggestdError as error:  # it does not run, or is too busy to say
        return Finding("socket", "failed", error.message, error.hint)
    if status["state"] == "failed":
        return Finding("socket", "failed", status["reason"], status["hint"])
    if status["version"] != __version__:
        return Finding(
            "socket",
            "warning",
            f"the daemon is of version {status['version']}, this is {__version__}",
            "`llmsuggestd restart`",
        )
    where = status["socket"] or status["url"]
    return Finding("socket", "ok", f"{where}, {status['state']}, on {status['device']}")


def _curl() -> Finding:
    remedy = "install curl: the Lean tactic asks through it"
    curl = shutil.which("curl")
    if curl is None:
        return Finding("curl", "failed", "there is no curl", remedy)
    words = _first_line(curl, "--version")
    version = re.search(r"curl (\d+)\.(\d+)", words)
    if version is None or tuple(map(int, version.groups())) < CURL_MINIMUM:
        return Finding("curl", "failed", f"{curl}: {words or 'does not run'}", remedy)
    return Finding("curl", "ok", f"{curl}, {version.group(0)}")


def _lean() -> Finding:
    wanted = (resource("lean") / "lean-toolchain").read_text().strip()
    elan_bin = Path(os.environ.get("ELAN_HOME") or Path.home() / ".elan") / "bin"
    lean = shutil.which("lean") or shutil.which("lean", path=str(elan_bin))
    if lean is None:
        return Finding(
            "lean", "warning", "there is no `lean`", "install elan: https://lean-lang.org/install"
        )
    words = _first_line(lean, "--version")
    if not words.startswith("Lean"):
        return Finding("lean", "warning", f"{lean} does not run", "try `elan default stable`")
    return Finding("lean", "ok", f"{words.split(',')[0]} (the package is made for {wanted})")


def _service() -> Finding:
    manager, reason = service.detect()
    if manager is None:
        return Finding("service", "ok", f"none: {reason}")
    if not manager.is_registered():
        return Finding(
            "service", "warning", f"not registered with {manager.manager}", "`llmsuggestd install`"
        )
    if not manager.is_current():
        return Finding(
            "service",
            "warning",
            f"{manager.file} is not of this installation",
            "`llmsuggestd install` renews it",
        )
    if missing := [file for file in manager.files() if not file.exists()]:
        return Finding(
            "service",
            "warning",
            f"{manager.manager} does not start it at login: {missing[0]} is not there",
            "unless you want it so: `systemctl --user enable llmsuggestd`",
        )
    return Finding("service", "ok", f"{manager.manager}, {manager.file}")


def _first_line(*command: str) -> str:
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (result.stdout.splitlines() or [""])[0]
