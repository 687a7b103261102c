"""Accelerators: what this machine has, and building llama.cpp for it.

llama-cpp-python comes from PyPI as source, and is built for the CPU unless it is told otherwise.
`install --accelerator` builds it again with the flags for a GPU. The wheel is made in a temporary
folder, and has to show the GPU in a process of its own, before it takes the place of the one that
works; that one is kept as a wheel too, and comes back if anything goes wrong.
"""

from __future__ import annotations

import base64
import csv
import ctypes
import hashlib
import importlib.util
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from llmsuggestd import environment, service
from llmsuggestd.errors import LlmsuggestdError
from llmsuggestd.paths import Paths, make_private

Name = Literal["cpu", "cuda", "metal", "vulkan", "rocm"]

NAMES: Final[tuple[Name, ...]] = ("cuda", "rocm", "metal", "vulkan", "cpu")
"""In the order in which `auto` prefers them."""

PACKAGE: Final = "llama-cpp-python"

BUILD_TIMEOUT: Final = 2 * 60 * 60
"""Seconds that a build may take; CUDA's on two slow cores takes the better part of an hour."""

CHECK_TIMEOUT: Final = 120
"""Seconds in which a build must say which devices it sees; the first time, drivers are slow."""


class AcceleratorError(LlmsuggestdError):
    """There is no such accelerator here, or no llama.cpp for it could be built."""

    code = "accelerator"


class Accelerator(NamedTuple):
    """One kind of device, as far as this machine has it."""

    name: Name
    device: str
    """What is there, for people; empty if nothing is."""
    missing: str
    """What building for it lacks; empty if nothing."""
    remedy: str
    """How to get that."""
    flags: tuple[str, ...]
    """CMake's, for llama.cpp."""
    environment: dict[str, str]
    """Variables that the build needs besides."""
    prefix: str
    """How llama.cpp's names of such devices begin."""
    duration: str
    """How long building takes, for people."""


class Describe(NamedTuple):
    """What an installed or a built llama.cpp says of itself."""

    devices: list[dict[str, Any]]
    problem: str = ""
    """Why it cannot be used; empty if it can."""
    remedy: str = ""
    """What to do about that."""
    build: str = ""
    """Its version and how it was compiled."""
    physical_cores: int = 0
    no_own_kernels: str = ""
    """Why our own kernels cannot be used with it; empty if they can."""
    cpu_quota: float | None = None
    """How many processors' time the control group has; None without a limit."""

    def sees(self, accelerator: Accelerator) -> bool:
        """Whether it works, and offers that accelerator."""
        if self.problem:
            return False
        if accelerator.name == "cpu":
            return not any(device["is_gpu"] for device in self.devices)
        return any(device["name"].startswith(accelerator.prefix) for device in self.devices)


# --- what the machine has ---------------------------------------------------------------------


def find(name: str) -> Accelerator:
    """What this machine has of one kind. Looks only; takes less than a second or two."""
    return {"cpu": _cpu, "cuda": _cuda, "metal": _metal, "vulkan": _vulkan, "rocm": _rocm}[name]()


def best() -> Accelerator:
    """The fastest accelerator that this machine has; the CPU if no other."""
    return next(found for name in NAMES if (found := find(name)).device)


def _cpu() -> Accelerator:
    flags = ("-DGGML_METAL=off",) if sys.platform == "darwin" else ()
    missing, remedy = _compiler()
    return Accelerator("cpu", "CPU", missing, remedy, flags, {}, "CPU", "about five minutes")


def _cuda() -> Accelerator:
    names = _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").splitlines()
    device = names[0].strip() if names else ""
    if not device and _loads("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"):
        device = "an NVIDIA GPU" if _has_nvidia_device() else ""
    roots = [os.environ.get("CUDA_PATH"), os.environ.get("CUDA_HOME"), "/usr/local/cuda"]
    nvcc = _program("nvcc", *(Path(root) / "bin" for root in roots if root))
    missing, remedy = _compiler()
    environment, flags = {}, ["-DGGML_CUDA=on"]
    if nvcc is None:
        missing = "the CUDA toolkit (nvcc)"
        remedy = "install it: https://developer.nvidia.com/cuda-downloads"
    else:
        environment["CUDACXX"] = str(nvcc)
        libraries = nvcc.parent.parent / "lib64"
        if sys.platform == "linux" and libraries.is_dir():
            # so that a service finds them, which has no LD_LIBRARY_PATH of a shell's
            flags.append(f"-DCMAKE_SHARED_LINKER_FLAGS=-Wl,-rpath,{libraries}")
    return Accelerator(
        "cuda", device, missing, remedy, tuple(flags), environment, "CUDA", "10 to 40 minutes"
    )


def _rocm() -> Accelerator:
    targets = _amd_targets()
    hipconfig = _program("hipconfig", Path(os.environ.get("ROCM_PATH") or "/opt/rocm") / "bin")
    missing, remedy, environment = "", "", {}
    if hipconfig is None:
        missing = "ROCm's HIP compiler (hipconfig)"
        remedy = "install it: https://rocm.docs.amd.com/projects/install-on-linux/"
    else:
        environment["HIPCXX"] = _output(str(hipconfig), "-l") + "/clang"
        environment["HIP_PATH"] = _output(str(hipconfig), "-R")
    flags = ("-DGGML_HIP=on", f"-DGPU_TARGETS={';'.join(targets)}")
    device = f"an AMD GPU ({', '.join(targets)})" if targets else ""
    return Accelerator(
        "rocm", device, missing, remedy, flags, environment, "ROCm", "10 to 40 minutes"
    )


def _metal() -> Accelerator:
    is_here = sys.platform == "darwin" and os.uname().machine == "arm64"
    missing = "" if _output("xcode-select", "-p") else "Apple's command line tools"
    return Accelerator(
        "metal",
        "Apple silicon" if is_here else "",
        missing,
        "xcode-select --install",
        ("-DGGML_METAL=on",),
        {},
        "M",  # Metal, or MTL0
        "about five minutes",
    )


def _vulkan() -> Accelerator:
    device = ""
    for block in re.split(r"^GPU\d+:", _output("vulkaninfo", "--summary"), flags=re.M)[1:]:
        lines = [line.partition("=") for line in block.splitlines()]
        values = {key.strip(): value.strip() for key, _, value in lines}
        if values.get("deviceType") != "PHYSICAL_DEVICE_TYPE_CPU":  # which is slower than ours
            device = device or values.get("deviceName", "")
    missing, remedy = _compiler()
    if _program("glslc", Path(os.environ.get("VULKAN_SDK", "/usr")) / "bin") is None:
        missing = "the Vulkan SDK (glslc)"
        remedy = "apt install libvulkan-dev glslc spirv-headers, or https://vulkan.lunarg.com/sdk"
    return Accelerator(
        "vulkan", device, missing, remedy, ("-DGGML_VULKAN=on",), {}, "Vulkan", "5 to 20 minutes"
    )


def _compiler() -> tuple[str, str]:
    """What is missing to compile C++ at all, and how to get it; both empty if nothing."""
    names = [os.environ.get("CXX", ""), "c++", "g++", "clang++", "cl"]
    if sys.platform == "win32" or any(name and shutil.which(name) for name in names):
        return "", ""  # on Windows, CMake finds Visual Studio where no path leads to it
    remedy = "xcode-select --install" if sys.platform == "darwin" else "apt install build-essential"
    return "a C++ compiler", remedy


def _has_nvidia_device() -> bool:
    return sys.platform == "win32" or any(Path("/dev").glob("nvidia[0-9]*"))


def _amd_targets(nodes: Path = Path("/sys/class/kfd/kfd/topology/nodes")) -> list[str]:
    """The architectures of the AMD GPUs that the kernel's driver has, such as `gfx1030`."""
    targets = []
    for file in sorted(nodes.glob("*/properties")):
        for line in file.read_text(encoding="ascii").splitlines():
            key, _, value = line.partition(" ")
            if key == "gfx_target_version" and int(value):  # 0: a CPU
                major, rest = divmod(int(value), 10000)
                targets.append(f"gfx{major}{rest // 100:x}{rest % 100:x}")
    return list(dict.fromkeys(targets))


def _program(name: str, *folders: Path) -> Path | None:
    """A program on the path, or in one of the places where its installer puts it."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *map(str, folders)])
    found = shutil.which(name, path=path)
    return Path(found) if found else None


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _output(*command: str) -> str:
    """What a program prints; nothing if there is none, or it fails."""
    try:
        result = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=20,
            check=False,
            # drivers would leave caches in the home of who only looks
            env=os.environ | {"MESA_SHADER_CACHE_DISABLE": "true", "__GL_SHADER_DISK_CACHE": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""


# --- what is built, and building ----------------------------------------------------------------


def describe(first: Path | None = None) -> Describe:
    """What the installed llama.cpp says of itself, or the one in the folder `first`.

    It is asked in the environment that the daemon gives it, and in a process of its own: a broken
    build or driver can end it.
    """
    from llmsuggestd.engine import postmortem
    from llmsuggestd.engine.host import COMMAND

    variables = environment.for_engine()
    if service.detect()[0] is not None:
        for name in environment.LIBRARY_PATHS:
            variables.pop(name, None)
    if first is not None:
        variables["PYTHONPATH"] = str(first)
    try:
        result = subprocess.run(
            (*COMMAND, "--describe"),
            capture_output=True,
            timeout=CHECK_TIMEOUT,
            check=False,
            env=variables,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Describe([], f"the engine does not run: {error}")
    if result.returncode != 0:
        words = result.stderr.decode(errors="replace")
        death = postmortem.examine(
            result.returncode, words, "looking for devices", variables=variables
        )
        return Describe([], death.message, death.hint)
    found = json.loads(result.stdout)
    return Describe(
        found["devices"],
        build=found["build"],
        physical_cores=found["physical_cores"],
        no_own_kernels=found["no_own_kernels"],
        cpu_quota=found["cpu_quota"],
    )


def command(accelerator: Accelerator) -> str:
    """The one command that builds and installs it, for a shell."""
    values = _build_variables(accelerator)
    words = [f"{name}={shlex.quote(value)}" for name, value in values.items()]
    no_cache = "--no-cache-dir" if _has_pip() else "--no-cache"
    pip = _pip_for_people(no_cache, "--no-binary", PACKAGE, _requirement())
    return " ".join([*words, shlex.join(pip)])


def check_possible(accelerator: Accelerator, *, asked_for: bool) -> None:
    """Raise AcceleratorError, saying what to do, if it cannot be built here.

    `asked_for` by its name, an accelerator that is not there is an error too.
    """
    if asked_for and not accelerator.device:
        seen = best()
        raise AcceleratorError(
            f"no device for {accelerator.name} is seen here",
            f"what is seen: {seen.device}; check the driver, or take --accelerator {seen.name}",
        )
    if accelerator.missing:
        raise AcceleratorError(
            f"building llama.cpp for {accelerator.name} needs {accelerator.missing}",
            accelerator.remedy,
        )
    packages = Path(sysconfig.get_path("platlib"))
    if not os.access(packages, os.W_OK):
        raise AcceleratorError(
            f"{packages} is not yours to write to",
            f"as its owner (sudo): {command(accelerator)}",
        )


def rebuild(accelerator: Accelerator, paths: Paths, tick: Callable[[float], None]) -> Path:
    """Build llama.cpp for an accelerator, check it, and put it in the place of the present one.

    `tick` is called every second while it builds, with the seconds so far. Returns the wheel of the
    one before. Raises AcceleratorError with the present one in place, as it was.
    """
    make_private(paths.cache)
    make_private(paths.state)
    log = build_log(paths)
    with tempfile.TemporaryDirectory(prefix="llmsuggestd-build-") as name:
        folder = Path(name)
        pip = _pip(folder)
        wheel = _build(accelerator, pip, folder, log, tick)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder / "new")
        _demand(describe(folder / "new"), accelerator, log)
        kept = old_wheels(paths)
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir()
        before = pack_installed(PACKAGE, kept)
        try:
            _install(pip, wheel)
            _demand(describe(), accelerator, log)
        except BaseException:
            _install(pip, before)
            raise
    log.unlink(missing_ok=True)
    return before


def put_back_command(wheel: Path) -> str:
    """The command that puts a kept wheel back in place."""
    return shlex.join(_pip_for_people(str(wheel)))


def build_log(paths: Paths) -> Path:
    """Where a build that failed has left its output."""
    return paths.state / "build.log"


def old_wheels(paths: Paths) -> Path:
    """The folder that keeps the llama-cpp-python of before."""
    return paths.cache / "llama-cpp-python"


def pack_installed(distribution: str, folder: Path) -> Path:
    """Make a wheel of an installed distribution, from the files that its RECORD lists."""
    installed = metadata.distribution(distribution)
    root = Path(str(installed.locate_file("")))
    files = [
        path
        for path in dict.fromkeys(installed.files or [])  # uv lists some twice
        if not path.is_absolute() and ".." not in path.parts and "__pycache__" not in path.parts
    ]
    info = next(path.parts[0] for path in files if path.parts[0].endswith(".dist-info"))
    described = (root / info / "WHEEL").read_text(encoding="utf-8")
    tag = next(
        line.removeprefix("Tag: ") for line in described.splitlines() if line.startswith("Tag: ")
    )
    target = folder / f"{info.removesuffix('.dist-info')}-{tag}.whl"
    rows = []
    of_installers = {f"{info}/{name}" for name in ("RECORD", "INSTALLER", "REQUESTED")}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in files:
            if path.as_posix() in of_installers or not (root / path).is_file():
                continue
            data = (root / path).read_bytes()
            entry = zipfile.ZipInfo.from_file(root / path, path.as_posix())
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
            rows.append((path.as_posix(), f"sha256={digest.decode()}", len(data)))
        record = io.StringIO()
        csv.writer(record, lineterminator="\n").writerows([*rows, (f"{info}/RECORD", "", "")])
        archive.writestr(f"{info}/RECORD", record.getvalue())
    return target


def _has_pip() -> bool:
    """Whether this environment has a pip; those that uv makes have none."""
    return importlib.util.find_spec("pip") is not None


def _pip_for_people(*arguments: str) -> list[str]:
    """A command that installs into this environment over what is there."""
    if _has_pip():
        program = [sys.executable, "-m", "pip", "install", "--force-reinstall"]
    else:
        program = ["uv", "pip", "install", "--python", sys.executable, "--reinstall"]
    return [*program, "--no-deps", *arguments]


def _requirement() -> str:
    return f"{PACKAGE}=={metadata.version(PACKAGE)}"


def _build_variables(accelerator: Accelerator) -> dict[str, str]:
    """What the build is told through its environment; the user's own CMAKE_ARGS come last."""
    flags = [*accelerator.flags, os.environ.get("CMAKE_ARGS", "")]
    given = {name: os.environ.get(name, value) for name, value in accelerator.environment.items()}
    return given | {"CMAKE_ARGS": " ".join(filter(None, flags))}


def _pip(folder: Path) -> list[str]:
    """A pip that works on this environment; where there is none, one is made for the occasion."""
    if not _has_pip():
        try:
            subprocess.run(
                [sys.executable, "-m", "venv", str(folder / "pip")], check=True, capture_output=True
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise AcceleratorError("there is no pip", "python -m ensurepip") from error
        bin_ = "Scripts" if sys.platform == "win32" else "bin"
        return [str(folder / "pip" / bin_ / "python"), "-m", "pip", "--python", sys.executable]
    return [sys.executable, "-m", "pip"]


def _build(
    accelerator: Accelerator,
    pip: Sequence[str],
    folder: Path,
    log: Path,
    tick: Callable[[float], None],
) -> Path:
    command = [*pip, "wheel", "--verbose", "--no-deps", "--no-cache-dir", "--no-binary", PACKAGE,
               "--wheel-dir", str(folder), _requirement()]  # fmt: skip
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
            f"{log} has all of it; the llama.cpp that worked is in place",
        )
    return wheels[0]


def _reason(log: Path) -> str:
    """The line of a build's output that says best why it failed."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    for index, line in enumerate(lines):
        if line.startswith("CMake Error"):  # its words come below
            return " ".join(lines[index : index + 2])
    told = [line for line in lines if "error:" in line.lower()]
    return told[0] if told else (lines or ["it says nothing"])[-1]


def _demand(found: Describe, accelerator: Accelerator, log: Path) -> None:
    if found.sees(accelerator):
        return
    what = found.problem or f"it sees only {', '.join(d['name'] for d in found.devices)}"
    raise AcceleratorError(
        f"the llama.cpp built for {accelerator.name} does not work here: {what}",
        f"{log} has the build; the llama.cpp that worked is in place",
    )


def _install(pip: Sequence[str], wheel: Path) -> None:
    result = subprocess.run(
        [*pip, "install", "--quiet", "--force-reinstall", "--no-deps", "--no-index", str(wheel)],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        words = result.stderr.strip().splitlines()
        raise AcceleratorError(f"pip: {words[-1] if words else 'failed'}", put_back_command(wheel))
