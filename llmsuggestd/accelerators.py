"""Finds this machine's accelerators, and what is missing to build llama.cpp for each.

This module changes nothing. `building` builds llama.cpp for an accelerator.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, Literal, NamedTuple

from llmsuggestd.distribution import install_command
from llmsuggestd.errors import LlmsuggestdError

Name = Literal["cpu", "cuda", "metal", "vulkan", "rocm"]

NAMES: Final[tuple[Name, ...]] = ("cuda", "rocm", "metal", "vulkan", "cpu")
"""All accelerators, in the order in which `auto` prefers them."""

VULKAN_PROBE: Final = """
#include <vulkan/vulkan_core.h>
#ifndef VK_EXT_layer_settings
#error too old
#endif
"""
"""A program that compiles if the Vulkan headers are new enough for llama.cpp 0.3.36. The newest
extension that it uses is VK_EXT_layer_settings, which Debian 12's headers (1.3.239) lack."""

# distribution -> the packages with a C++ compiler, and those that a Vulkan build needs besides
COMPILER: Final = {
    "debian": "build-essential",
    "fedora": "gcc-c++",
    "arch": "base-devel",
    "suse": "gcc-c++",
}
VULKAN: Final = {
    "debian": "libvulkan-dev glslc spirv-headers",
    "fedora": "vulkan-headers vulkan-loader-devel glslc spirv-headers-devel",
    "arch": "vulkan-headers vulkan-icd-loader shaderc spirv-headers",
    "suse": "vulkan-devel shaderc spirv-headers",
}


class AcceleratorError(LlmsuggestdError):
    """The accelerator was not found here, or llama.cpp cannot be built for it."""

    code = "accelerator"


class Accelerator(NamedTuple):
    """A kind of device, and this machine's support for it."""

    name: Name
    device: str
    """The device's name, for messages; empty if this machine has none."""
    missing: str
    """The first missing requirement of a build; empty if nothing is missing."""
    remedy: str
    """How to get the missing requirement."""
    flags: tuple[str, ...]
    """CMake options for llama.cpp."""
    environment: dict[str, str]
    """Further environment variables for the build."""
    prefix: str
    """The prefix of llama.cpp's names for these devices."""
    duration: str
    """How long building takes, for messages."""


def find(name: str) -> Accelerator:
    """This machine's support for an accelerator. Takes a second or two at most."""
    return {"cpu": _cpu, "cuda": _cuda, "metal": _metal, "vulkan": _vulkan, "rocm": _rocm}[name]()


def best() -> Accelerator:
    """The fastest accelerator of this machine; the CPU if it has no other."""
    return next(found for name in NAMES if (found := find(name)).device)


def check_possible(accelerator: Accelerator, *, named: bool) -> None:
    """Raise AcceleratorError, with the remedy, if llama.cpp cannot be built for an accelerator.

    A missing device is an error only if the user `named` the accelerator.
    """
    if named and not accelerator.device:
        seen = best()
        raise AcceleratorError(
            f"no device for {accelerator.name} was found",
            f"found: {seen.device}; check the driver, or use --accelerator {seen.name}",
        )
    if accelerator.missing:
        raise AcceleratorError(
            f"building llama.cpp for {accelerator.name} needs {accelerator.missing}",
            accelerator.remedy,
        )


def _cpu() -> Accelerator:
    flags = ("-DGGML_METAL=off",) if sys.platform == "darwin" else ()
    missing, remedy = _compiler()
    return Accelerator("cpu", "CPU", missing, remedy, flags, {}, "CPU", "about three minutes")


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
            # so that a service, which has no LD_LIBRARY_PATH, finds the libraries too
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
        "about three minutes",
    )


def _vulkan() -> Accelerator:
    device = ""
    for block in re.split(r"^GPU\d+:", _output("vulkaninfo", "--summary"), flags=re.M)[1:]:
        lines = [line.partition("=") for line in block.splitlines()]
        values = {key.strip(): value.strip() for key, _, value in lines}
        if values.get("deviceType") != "PHYSICAL_DEVICE_TYPE_CPU":  # slower than our CPU kernels
            device = device or values.get("deviceName", "")
    sdk = Path(os.environ.get("VULKAN_SDK", "/usr"))
    missing, remedy = _compiler()
    if _program("glslc", sdk / "bin") is None:
        missing = "the Vulkan SDK (glslc)"
        page = "https://vulkan.lunarg.com/sdk"
        remedy = f"{install_command(VULKAN, 'install the Vulkan SDK')}, or {page}"
    elif not missing and not _compiles(VULKAN_PROBE, sdk / "include"):
        missing = "newer Vulkan headers (with VK_EXT_layer_settings; Debian 12's are too old)"
        remedy = "install the Vulkan SDK and source its setup-env.sh: https://vulkan.lunarg.com/sdk"
    return Accelerator(
        "vulkan", device, missing, remedy, ("-DGGML_VULKAN=on",), {}, "Vulkan", "5 to 20 minutes"
    )


def _compiler() -> tuple[str, str]:
    """The missing C++ compiler and how to install one; both empty if there is one."""
    names = [os.environ.get("CXX", ""), "c++", "g++", "clang++", "cl"]
    if sys.platform == "win32" or any(name and shutil.which(name) for name in names):
        return "", ""  # on Windows, CMake finds Visual Studio even if it is not on the PATH
    if sys.platform == "darwin":
        return "a C++ compiler", "xcode-select --install"
    return "a C++ compiler", install_command(COMPILER, "install GCC or Clang")


def _compiles(program: str, include: Path) -> bool:
    """Whether a C++ program compiles. Assumed where only CMake can find the compiler."""
    names = (os.environ.get("CXX", ""), "c++", "g++", "clang++")
    compiler = next((found for name in names if name and (found := shutil.which(name))), None)
    if compiler is None:
        return True
    result = subprocess.run(
        [compiler, "-x", "c++", "-fsyntax-only", f"-I{include}", "-"],
        input=program.encode(), capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    return result.returncode == 0


def _has_nvidia_device() -> bool:
    return sys.platform == "win32" or any(Path("/dev").glob("nvidia[0-9]*"))


def _amd_targets(nodes: Path = Path("/sys/class/kfd/kfd/topology/nodes")) -> list[str]:
    """The architectures, such as `gfx1030`, of the AMD GPUs that the kernel's driver lists."""
    targets = []
    for file in sorted(nodes.glob("*/properties")):
        try:
            properties = file.read_text(encoding="ascii")
        except OSError:  # a container may see the GPU's files, but not use it
            continue
        for line in properties.splitlines():
            key, _, value = line.partition(" ")
            if key == "gfx_target_version" and int(value):  # 0: a CPU
                major, rest = divmod(int(value), 10000)
                targets.append(f"gfx{major}{rest // 100:x}{rest % 100:x}")
    return list(dict.fromkeys(targets))


def _program(name: str, *folders: Path) -> Path | None:
    """The path of a program, from the PATH or else from `folders`; None if it is not found."""
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
    """A program's output; empty if the program is missing or fails."""
    try:
        result = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=20,
            check=False,
            # a check must not leave a driver's cache in the user's home
            env=os.environ | {"MESA_SHADER_CACHE_DISABLE": "true", "__GL_SHADER_DISK_CACHE": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""
