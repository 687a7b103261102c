"""Finding accelerators, with stand-ins for the programs that report devices."""

from __future__ import annotations

import errno
import shlex
import sys
from pathlib import Path

import pytest

from llmsuggestd import accelerators, building, doctor, service
from llmsuggestd.accelerators import AcceleratorError
from llmsuggestd.building import Description
from llmsuggestd.paths import Paths
from llmsuggestd.service import launchd

VULKANINFO = """
Devices:
========
GPU0:
\tapiVersion         = 1.3.230
\tdeviceType         = PHYSICAL_DEVICE_TYPE_{type}
\tdeviceName         = {name}
\tdriverName         = mesa
GPU1:
\tdeviceType         = PHYSICAL_DEVICE_TYPE_CPU
\tdeviceName         = llvmpipe (LLVM 15.0.6, 256 bits)
"""


class Machine:
    """A machine that has only the programs added to it."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder

    def has(self, program: str, prints: str = "", *, fails: bool = False) -> None:
        """Add a program that prints the same for all arguments."""
        (self.bin / program).write_text(
            f"#!/bin/sh\nprintf %s {shlex.quote(prints)}\nexit {int(fails)}\n"
        )
        (self.bin / program).chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("CUDA_PATH", "CUDA_HOME", "ROCM_PATH", "VULKAN_SDK", "CXX"):
        monkeypatch.setenv(name, "/nonexistent")
    monkeypatch.delenv("CMAKE_ARGS", raising=False)
    monkeypatch.setattr(accelerators, "_loads", lambda library: False)
    monkeypatch.setattr(accelerators, "_amd_targets", list)
    monkeypatch.setattr(sys, "platform", "linux")
    found = Machine(tmp_path)
    found.has("c++")
    return found


def test_a_machine_without_a_gpu(machine: Machine) -> None:
    assert accelerators.best().name == "cpu"
    machine.has("vulkaninfo", VULKANINFO.format(type="CPU", name="llvmpipe"))
    assert accelerators.best().name == "cpu"  # a software GPU does not count


def test_an_nvidia_gpu_and_its_toolkit(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.has("nvidia-smi", "NVIDIA H100 80GB HBM3\nNVIDIA T4\n")
    monkeypatch.setattr(accelerators, "_program", lambda name, *folders: None)
    cuda = accelerators.best()
    assert (cuda.name, cuda.device) == ("cuda", "NVIDIA H100 80GB HBM3")
    with pytest.raises(AcceleratorError, match=r"needs the CUDA toolkit \(nvcc\)") as error:
        accelerators.check_possible(cuda, named=True)
    assert "cuda-downloads" in error.value.hint
    toolkit = machine.bin / "cuda"
    (toolkit / "lib64").mkdir(parents=True)
    monkeypatch.setattr(accelerators, "_program", lambda *_: toolkit / "bin" / "nvcc")
    cuda = accelerators.find("cuda")
    assert cuda.missing == ""
    assert cuda.environment == {"CUDACXX": str(toolkit / "bin" / "nvcc")}
    # a service has no LD_LIBRARY_PATH
    assert any(flag.endswith(f"-rpath,{toolkit / 'lib64'}") for flag in cuda.flags)


def test_a_gpu_with_vulkan(machine: Machine) -> None:
    machine.has("vulkaninfo", VULKANINFO.format(type="INTEGRATED_GPU", name="Intel Arc"))
    vulkan = accelerators.best()
    assert (vulkan.name, vulkan.device) == ("vulkan", "Intel Arc")
    assert "glslc" in vulkan.missing
    assert "https://vulkan.lunarg.com/sdk" in vulkan.remedy
    machine.has("glslc")
    assert accelerators.find("vulkan").missing == ""
    # the compiler says that Debian 12's headers lack what llama.cpp uses
    machine.has("c++", fails=True)
    assert "newer Vulkan headers" in accelerators.find("vulkan").missing


def test_an_amd_gpu(machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nodes = tmp_path / "nodes"
    for number, version in enumerate([0, 90402, 100300, 110001, 90010]):
        (nodes / str(number)).mkdir(parents=True)
        (nodes / str(number) / "properties").write_text(
            f"cpu_cores_count 0\ngfx_target_version {version}\nvendor_id 4098\n"
        )
    monkeypatch.undo()
    targets = accelerators._amd_targets(nodes)
    assert targets == ["gfx942", "gfx1030", "gfx1101", "gfx90a"]  # without the CPU's node


def test_an_amd_gpu_that_a_container_may_not_use(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "properties").touch()

    def refused(*_: object, **__: object) -> str:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "read_text", refused)
    assert accelerators._amd_targets(tmp_path) == []


def test_an_absent_accelerator_is_not_built(machine: Machine) -> None:
    with pytest.raises(AcceleratorError, match="no device for cuda was found") as error:
        accelerators.check_possible(accelerators.find("cuda"), named=True)
    assert "--accelerator cpu" in error.value.hint


def test_building_needs_a_compiler(machine: Machine) -> None:
    (machine.bin / "c++").unlink()
    with pytest.raises(AcceleratorError, match=r"needs a C\+\+ compiler") as error:
        accelerators.check_possible(accelerators.find("cpu"), named=True)
    assert "build-essential" in error.value.hint


def test_the_command_can_be_given_to_a_shell(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CMAKE_ARGS", "-DGGML_NATIVE=off -DX='a b'")
    cpu = accelerators.find("cpu")._replace(flags=("-DGGML_A=on",))
    left_out, flags, *words = shlex.split(building.command(cpu))
    assert Path(left_out.removeprefix("SKBUILD_CMAKE_DEFINE=CMAKE_PROJECT_INCLUDE=")).is_file()
    assert flags == "CMAKE_ARGS=-DGGML_A=on -DGGML_NATIVE=off -DX='a b'"
    assert words[:3] == [sys.executable, "-m", "pip"]
    assert words[-1].startswith("llama-cpp-python==")


@pytest.mark.parametrize(
    ("names", "name", "sees"),
    [
        (["CPU"], "cuda", False),
        (["CUDA0", "CPU"], "cuda", True),
        (["CUDA0", "CPU"], "vulkan", False),
        (["CUDA0", "CPU"], "cpu", False),
        (["CPU"], "cpu", True),
    ],
)
def test_a_build_is_known_by_its_devices(
    machine: Machine, names: list[str], name: str, sees: bool
) -> None:
    devices = [{"name": n, "is_gpu": n != "CPU"} for n in names]
    assert Description(devices, "").sees(accelerators.find(name)) is sees
    assert not Description([], "it cannot be loaded").sees(accelerators.find(name))


def test_the_installed_llama_cpp_describes_itself() -> None:
    found = building.describe(None)
    assert found.problem == ""
    assert "CPU" in [device["name"] for device in found.devices]
    assert found.build
    assert found.physical_cores > 0


@pytest.mark.parametrize(
    ("code", "message", "remedy"),
    [
        ("sys.exit(1)", "the engine died while looking for devices (exit code 1)", "builds"),
        ("sys.exit('a\\nlast words\\n')", ": last words", "builds"),
        ("sys.exit('RuntimeError: /a/libstdc++.so.6: file too short')",
         "llama.cpp cannot be loaded: /a/libstdc++.so.6: file too short", "unset LD_LIBRARY_PATH"),
    ],
)  # fmt: skip
def test_doctor_reports_a_broken_llama_cpp(
    code: str, message: str, remedy: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(service, "detect", lambda: (None, ""))
    monkeypatch.setenv("LD_LIBRARY_PATH", "/a")
    command = (sys.executable, "-c", f"import sys; {code}")
    monkeypatch.setattr("llmsuggestd.engine.host.COMMAND", command)
    (found,) = doctor._llama_cpp(Paths(*[tmp_path] * 5), building.describe(None))
    assert found.level == "failed"
    assert found.message.endswith(message)
    assert remedy in found.remedy


@pytest.mark.parametrize("has_service", [True, False])
def test_llama_cpp_is_described_in_the_daemons_environment(
    has_service: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a daemon that the shell starts gets the shell's libraries."""
    code = "import os, sys; sys.exit(os.environ.get('LD_LIBRARY_PATH', 'none'))"
    monkeypatch.setattr("llmsuggestd.engine.host.COMMAND", (sys.executable, "-c", code))
    monkeypatch.setenv("LD_LIBRARY_PATH", "/of/the/shell")
    manager = launchd.LaunchdService() if has_service else None
    monkeypatch.setattr(service, "detect", lambda: (manager, ""))
    assert building.describe(None).problem.endswith("none" if has_service else "/of/the/shell")
