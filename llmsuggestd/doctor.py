"""The checks of `doctor`: every part that must work before an editor shows suggestions."""

from __future__ import annotations

import contextlib
import difflib
import itertools
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from llmsuggestd import accelerators, building, environment, lake, lean_package, service, tactic
from llmsuggestd.building import Description
from llmsuggestd.client import Client, elsewhere
from llmsuggestd.config import VARIABLES, load_config
from llmsuggestd.engine import builds, crashes
from llmsuggestd.engine.postmortem import last_line
from llmsuggestd.environment import Reach
from llmsuggestd.errors import ConfigError, LlmsuggestdError, NotRunningError
from llmsuggestd.lock import holder
from llmsuggestd.models import gguf, remotes, store
from llmsuggestd.ownership import check_ours
from llmsuggestd.paths import Paths, home
from llmsuggestd.resources import resource
from llmsuggestd.units import device_text
from llmsuggestd.version import __version__

Level = Literal["ok", "warning", "failed"]


class Finding(NamedTuple):
    """The result of checking one part."""

    part: str
    level: Level
    message: str
    remedy: str = ""


def examine(paths: Paths) -> Iterator[Finding]:
    """Check each part in turn. Changes nothing; the question to the daemon may load the model."""
    yield _python()
    yield from _files(paths)
    yield from _variables(paths)
    found = building.describe(builds.chosen(paths))
    yield from _llama_cpp(paths, found)
    yield from _settings(paths)
    curl = _curl()
    yield curl
    yield from _daemon(
        paths,
        has_curl=curl.level == "ok",
        sees_gpu=any(device["is_gpu"] for device in found.devices),
    )
    yield _lean()
    yield _package(paths)
    yield from _projects(paths)
    yield _service()


def _python() -> Finding:
    where = f"Python {platform.python_version()} in {sys.prefix}"
    if sys.prefix == sys.base_prefix:
        return Finding(
            "python", "warning", f"{where}, not a virtual environment", "install with pipx"
        )
    return Finding("python", "ok", where)


def _files(paths: Paths) -> Iterator[Finding]:
    """The finding about our own folders and files that cannot be used, if any."""
    try:
        check_ours(paths)
    except LlmsuggestdError as error:
        yield Finding("files", "failed", error.message, error.hint)


def _variables(paths: Paths) -> Iterator[Finding]:
    """This shell's variables that are obeyed, and those whose user may think that they are."""
    by_service = service.registered() is not None
    here = environment.obeyed()
    known = [*VARIABLES.values(), *environment.names("LLMSUGGESTD_")]
    for name in sorted(os.environ):
        if name.startswith("LLMSUGGESTD_") and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.9)
            remedy = f"did you mean {near[0]}?" if near else "unset it"
            yield Finding("variables", "warning", f"there is no setting for {name}", remedy)
    for row in environment.TABLE:
        names = [name for name, of in environment.reported() if of is row]
        if names and row.reach == Reach.NONE:
            yield Finding("variables", "ok", f"{', '.join(names)}: ignored; {row.note}")
        elif names and by_service and Reach.SERVICE not in row.reach:
            here = {name: value for name, value in here.items() if name not in names}
            yield Finding("variables", "ok", f"{', '.join(names)}: not seen by the service")
    there = here
    with contextlib.suppress(LlmsuggestdError):  # no daemon: `_daemon` reports that
        status = Client(paths).request("GET", "/v1/status", timeout=5)
        there = status.get("environment", here)  # missing in an older daemon's status
    same = [f"{name}={value}" for name, value in here.items() if there.get(name) == value]
    if same:
        yield Finding("variables", "ok", f"obeyed: {' '.join(same)}")
    yield from _differing(here, there, by_service=by_service)


def _differing(
    here: dict[str, str], there: dict[str, str], *, by_service: bool
) -> Iterator[Finding]:
    """The variables that the daemon takes from a shell, if this shell has other values now."""
    reach = Reach.SERVICE if by_service else Reach.DAEMON
    renew = "`llmsuggestd install`" if by_service else "`llmsuggestd restart`"
    for name in sorted({*here, *there}):
        row = environment.row_of(name)
        if row is None or reach not in row.reach or here.get(name) == there.get(name):
            continue
        one, other = (
            f"is {variables[name]!r}" if name in variables else "is not set"
            for variables in (there, here)
        )
        yield Finding(
            "variables",
            "warning",
            f"{name} {one} in the daemon, and {other} in this shell",
            f"{renew} takes it from this shell",
        )


def _llama_cpp(paths: Paths, found: Description) -> Iterator[Finding]:
    part = "llama.cpp"
    build = builds.chosen(paths)
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
    crashed = crashes.recall(paths)
    again = f"to try again, remove {paths.engine_memory}"
    if "own" in crashed:
        yield Finding(
            "kernels", "warning", "our own crashed on this machine; using llama.cpp's", again
        )
    elif found.no_own_kernels:
        yield Finding("kernels", "ok", f"llama.cpp's ({found.no_own_kernels})")
    else:
        ours = f"our own ({found.instructions}) for Q4_K, Q5_K and Q6_K"
        yield Finding("kernels", "ok", f"{ours}, llama.cpp's for others")
    if "repacked" in crashed:
        yield Finding(
            "kernels",
            "warning",
            "llama.cpp's repacked kernels crashed on this machine, and are not used",
            again,
        )


def _no_gpu(cpu: str) -> Finding:
    """The finding if llama.cpp sees no GPU. Says so if the machine has one."""
    best = accelerators.best()
    if best.name == "cpu":
        return Finding("device", "ok", f"CPU only: {cpu}")
    return Finding(
        "device",
        "warning",
        f"this machine has {best.device}, but llama.cpp uses only the CPU",
        f"`llmsuggestd install --accelerator {best.name}` builds it for that ({best.duration})",
    )


def _settings(paths: Paths) -> Iterator[Finding]:
    """The settings, and the model that they choose."""
    try:
        config = load_config(paths)
    except LlmsuggestdError as error:
        yield Finding("settings", "failed", error.message, error.hint)
        return
    file = paths.config_file
    source = str(file) if file.exists() else f"defaults ({file} does not exist)"
    yield Finding("settings", "ok", f"{source}; model {config.model}, port {config.port}")
    yield _model(paths, config.model)


def _model(paths: Paths, model_id: str) -> Finding:
    try:
        if (remote := remotes.find(paths, model_id)) is not None:
            return _remote(paths, remote)
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
    try:
        gguf.check(model.path)
        prompt_format = store.format_of(paths, model, load_config(paths).formats)
    except LlmsuggestdError as error:
        return Finding("model", "failed", error.message, error.hint)
    except ImportError as error:  # LD_LIBRARY_PATH may give numpy an incompatible library
        words = last_line(str(error))
        return Finding("model", "warning", f"{model.path} could not be checked: {words}")
    words = f"{model.id}, {model.bytes / 1e6:.1f} MB, format {prompt_format.name}, {model.path}"
    return Finding("model", "ok", words)


def _remote(paths: Paths, remote: remotes.Remote) -> Finding:
    """The finding for a remote model. Raises an error if it cannot be used."""
    address = remote.address
    remotes.check(remote, load_config(paths))
    remotes.key_reader(paths, remote)()
    words = f"{remote.id}: {remote.model}, format {remote.format}"
    if address.is_loopback:
        return Finding("model", "ok", f"{words}; goals are sent to {address} on this machine")
    return Finding(
        "model",
        "warning",
        f"{words}; goals are sent to another machine, {address}",
        "`llmsuggestd models use starter` keeps them on this machine",
    )


def _curl() -> Finding:
    try:
        curl = tactic.find_curl()
    except LlmsuggestdError as error:
        return Finding("curl", "failed", error.message, error.hint)
    words = _first_line(curl, "--version")
    return Finding("curl", "ok", f"{curl}, {' '.join(words.split()[:2]) or 'of unknown version'}")


def _daemon(paths: Paths, *, has_curl: bool, sees_gpu: bool) -> Iterator[Finding]:
    """The answer to the tactic's call, then the daemon's own status."""
    if has_curl:
        yield _tactic(paths)
    try:  # the tactic's call has loaded the model
        status = Client(paths).request("GET", "/v1/status", timeout=5)
    except LlmsuggestdError as error:
        if not has_curl:  # with curl, the tactic's finding has reported it
            yield Finding("socket", "failed", error.message, error.hint)
        return
    yield _socket(status)
    if status["device"] is not None:
        yield _engine(paths, status, sees_gpu=sees_gpu)


def _tactic(paths: Paths) -> Finding:
    try:
        reply = tactic.ask(paths)
    except NotRunningError as error:
        return _unreached(paths, error)
    except LlmsuggestdError as error:
        return Finding("tactic", "failed", error.message, error.hint)
    first = reply.suggestions[0].splitlines()[0] if reply.suggestions else "nothing"
    message = f"answered in {reply.seconds:.2f} s; the first suggestion for `q ∧ p`: {first}"
    return Finding("tactic", "ok", message)


def _unreached(paths: Paths, error: LlmsuggestdError) -> Finding:
    """The finding if nothing listens where the tactic looks."""
    process = holder(paths.lock_file)
    if process is None:
        return Finding("socket", "failed", error.message, error.hint)
    if process.is_elsewhere:
        message = f"the daemon of this home runs elsewhere ({process})"
        return Finding("socket", "failed", message, elsewhere())
    message = f"a daemon runs, but curl cannot reach it: {error.message}"
    if "snap" in Path(tactic.find_curl()).resolve().parts:
        remedy = "install the distribution's curl: a snap's curl is not allowed to use the socket"
        return Finding("socket", "failed", message, remedy)
    return Finding("socket", "failed", message, "`llmsuggestd restart`")


def _socket(status: dict[str, Any]) -> Finding:
    if status["version"] != __version__:
        return Finding(
            "socket",
            "warning",
            f"the daemon's version is {status['version']}, but this is {__version__}",
            "`llmsuggestd install` finishes an upgrade",
        )
    return Finding("socket", "ok", f"{status['socket'] or status['url']}, pid {status['pid']}")


def _engine(paths: Paths, status: dict[str, Any], *, sees_gpu: bool) -> Finding:
    """The device of the engine that has just answered."""
    device = device_text(status["device"], status["threads"])
    message = f"{status['model']['id']} runs on {device}"
    if sees_gpu and status["device"] == "CPU" and load_config(paths).gpu != "off":
        remedy = "`llmsuggestd restart` tries the GPU again, `llmsuggestd logs` says what failed"
        return Finding("engine", "warning", f"{message}, though llama.cpp sees a GPU", remedy)
    return Finding("engine", "ok", message)


def _lean() -> Finding:
    wanted = (resource("lean") / "lean-toolchain").read_text().strip()
    lean = shutil.which("lean") or _elans_lean()
    if lean is None:
        return Finding(
            "lean",
            "warning",
            "Lean is not installed",
            "install elan: https://lean-lang.org/install",
        )
    words = _first_line(lean, "--version")
    if not words.startswith("Lean"):
        return Finding("lean", "warning", f"{lean} does not run", "try `elan default stable`")
    return Finding("lean", "ok", f"{words.split(',')[0]} (the package is built with {wanted})")


def _package(paths: Paths) -> Finding:
    folder = lean_package.folder(paths)
    if not folder.exists():
        message, remedy = f"{folder} does not exist yet", "`llmsuggestd install` makes it"
    elif not lean_package.is_current(paths):
        version = lake.package_version(folder)
        which = "is damaged" if version == __version__ else f"has version {version or 'unknown'}"
        message = f"{folder} {which}; this is {__version__}"
        remedy = "`llmsuggestd install` renews it"
    else:
        return Finding("package", "ok", f"{folder}, version {__version__}")
    return Finding("package", "warning", message, remedy)


def _projects(paths: Paths) -> Iterator[Finding]:
    """The recorded Lake projects that require the package, and the one in the current folder."""
    known = lean_package.projects(paths)
    with contextlib.suppress(OSError):  # the current folder was removed
        here = Path.cwd()
        around = (d for d in (here, *here.parents) if lake.required_path(d) is not None)
        known = [*itertools.islice(around, 1), *known]
    for project in dict.fromkeys(known):
        yield _project(paths, project)


def _project(paths: Paths, project: Path) -> Finding:
    part, add = "project", f"`llmsuggestd lean add {shlex.quote(str(project))}`"
    package = lake.required_path(project)
    assert package is not None
    version = lake.package_version(package)
    if version is None:
        message = f"{project} requires the package in {package}, but it is not there"
        return Finding(part, "warning", message, f"{add} repairs it")
    if version != __version__ and package != lean_package.folder(paths).resolve():
        message = f"{project} requires the package in {package}, whose version is {version}"
        return Finding(part, "warning", f"{message}, not {__version__}", f"{add} repairs it")
    if warning := lean_package.too_old(project):
        remedy = "write a newer version into its lean-toolchain"
        return Finding(part, "warning", f"{project}: {warning}", remedy)
    return Finding(part, "ok", f"{project} requires the package")


def _elans_lean() -> str | None:
    with contextlib.suppress(ConfigError):  # there is no home
        elan = os.environ.get("ELAN_HOME") or home() / ".elan"
        return shutil.which("lean", path=str(Path(elan) / "bin"))
    return None


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
            f"{manager.file} belongs to another installation",
            "`llmsuggestd install` renews it",
        )
    if missing := [file for file in manager.files() if not file.exists()]:
        return Finding(
            "service",
            "warning",
            f"{manager.manager} does not start it at login: {missing[0]} is missing",
            "to start it at login: `systemctl --user enable llmsuggestd`",
        )
    return Finding("service", "ok", f"{manager.manager}, {manager.file}")


def _first_line(*command: str) -> str:
    try:
        result = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=20,
            check=False,
            cwd=sys.prefix,  # in a project, elan would download the Lean version that it names
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (result.stdout.splitlines() or [""])[0]
