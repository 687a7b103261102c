"""Building llama.cpp beside the installed one, with real pip in a temporary environment, and a
stand-in for llama-cpp-python that builds fast and obeys its flags."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[2]

# An sdist whose "compiler" writes a module that lists the devices it was built for.
BACKEND = """
import os, zipfile

INFO = "llama_cpp_python-0.3.36.dist-info"

def build_wheel(directory, config_settings=None, metadata_directory=None):
    flags = os.environ.get("CMAKE_ARGS", "")
    if "BROKEN" in flags:
        print("CMake Error at CMakeLists.txt:7:")
        print("  no such compiler")
        raise SystemExit(1)
    devices = ["CPU"] + (["CUDA0"] if "GGML_CUDA=on" in flags and "BLIND" not in flags else [])
    module = f"DEVICES = {devices!r}\\n"
    if "UNLOADABLE" in flags:
        module += "raise ImportError('it cannot be loaded here')\\n"
    name = "llama_cpp_python-0.3.36-py3-none-any.whl"
    files = {
        "llama_cpp/__init__.py": module,
        "llama_cpp/lib/libllama.so": "built " + flags,
        f"{INFO}/METADATA": "Metadata-Version: 2.1\\nName: llama_cpp_python\\nVersion: 0.3.36\\n",
        f"{INFO}/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    record = "".join(f"{path},,\\n" for path in [*files, f"{INFO}/RECORD"])
    with zipfile.ZipFile(os.path.join(directory, name), "w") as archive:
        for path, text in (files | {f"{INFO}/RECORD": record}).items():
            archive.writestr(path, text)
    return name
"""

# The effect of `install --accelerator cuda` on a machine with such a GPU.
DRIVER = """
import json, os, subprocess, sys
sys.path.insert(0, sys.argv[1])
from llmsuggestd import accelerators, building
from llmsuggestd.engine import builds
from llmsuggestd.errors import LlmsuggestdError
from llmsuggestd.paths import get_paths

def describe(build):
    code = "import json, llama_cpp; print(json.dumps(llama_cpp.DEVICES))"
    env = os.environ | ({"PYTHONPATH": str(build)} if build else {})
    result = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    if result.returncode:
        return building.Description([], result.stderr.strip().splitlines()[-1])
    names = json.loads(result.stdout)
    devices = [{"name": name, "is_gpu": name != "CPU"} for name in names]
    return building.Description(devices, "")

building.describe = describe
cuda = accelerators.Accelerator(
    "cuda", "a GPU", "", "", ("-DGGML_CUDA=on",), {"CUDACXX": "nvcc"}, "CUDA", "a moment"
)
answer = {"ticks": []}
try:
    building.build(cuda, get_paths(), answer["ticks"].append)
except LlmsuggestdError as error:
    answer |= {"error": error.message, "hint": error.hint}
chosen = builds.chosen(get_paths())
answer["devices"] = [d["name"] for d in describe(chosen).devices]
answer["folders"] = sorted(path.name for path in get_paths().builds.iterdir())
print(json.dumps(answer))
"""


class Environment(NamedTuple):
    """A virtual environment with the llama-cpp-python above, built for the CPU."""

    python: Path
    root: Path

    def build(self, flags: str = "") -> dict[str, Any]:
        """Build llama-cpp-python for CUDA, with further flags from the user."""
        result = subprocess.run(
            [str(self.python), str(self.root / "driver.py"), str(ROOT)],
            env=self.variables | {"CMAKE_ARGS": flags},
            capture_output=True, text=True, timeout=100, check=True,
        )  # fmt: skip
        answer: dict[str, Any] = json.loads(result.stdout)
        return answer

    @property
    def variables(self) -> dict[str, str]:
        """Variables with which pip finds only the sdist."""
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.root),
            "LLMSUGGESTD_HOME": str(self.root / "home"),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.root),
            "PIP_CONFIG_FILE": "/dev/null",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    @property
    def library(self) -> str:
        """The content of the installed library, which says how it was built."""
        file = next(self.root.glob("venv/lib/*/site-packages/llama_cpp/lib/libllama.so"))
        return file.read_text()

    def pip(self, *arguments: str) -> None:
        """Run the environment's pip."""
        subprocess.run(
            [str(self.python), "-m", "pip", "--quiet", *arguments],
            env=self.variables, check=True, timeout=100,
        )  # fmt: skip


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    pytest.importorskip("ensurepip")
    if sys.platform == "win32":
        pytest.skip("paths of a POSIX environment")
    root = tmp_path_factory.mktemp("environment")
    sdist = root / "llama_cpp_python-0.3.36"
    sdist.mkdir()
    (sdist / "backend.py").write_text(BACKEND)
    (sdist / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (sdist / "PKG-INFO").write_text(
        "Metadata-Version: 2.1\nName: llama_cpp_python\nVersion: 0.3.36\n"
    )
    with tarfile.open(root / f"{sdist.name}.tar.gz", "w:gz") as archive:
        archive.add(sdist, sdist.name)
    (root / "driver.py").write_text(DRIVER)
    made = subprocess.run(
        [sys.executable, "-m", "venv", str(root / "venv")], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("python -m venv makes no pip here (python3-venv)")
    found = Environment(root / "venv" / "bin" / "python", root)
    found.pip("install", "llama-cpp-python")
    packages = next(root.glob("venv/lib/*/site-packages"))
    # llmsuggestd's other imports come from here, after the environment's own packages
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    return found


def test_a_build_that_shows_the_gpu_is_chosen_and_the_installed_one_stays(
    environment: Environment,
) -> None:
    answer = environment.build("-DOF_THE_USER=1")
    assert "error" not in answer
    assert answer["devices"] == ["CPU", "CUDA0"]
    assert answer["folders"] == ["cuda-0.3.36"]
    assert answer["ticks"]
    assert environment.library == "built "
    built = environment.root / "home/data/builds/cuda-0.3.36/llama_cpp/lib/libllama.so"
    assert built.read_text() == "built -DGGML_CUDA=on -DOF_THE_USER=1"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("BROKEN", "CMake Error at CMakeLists.txt:7: no such compiler"),
        ("BLIND", "does not work here: it sees only CPU"),
        ("UNLOADABLE", "does not work here: ImportError: it cannot be loaded here"),
    ],
    ids=["does not build", "does not see the GPU", "cannot be loaded"],
)
def test_a_build_that_fails_leaves_the_one_before(
    environment: Environment, flags: str, words: str
) -> None:
    environment.build()
    answer = environment.build(flags)
    assert words in answer["error"]
    assert "still used" in answer["hint"]
    assert answer["devices"] == ["CPU", "CUDA0"]
    assert answer["folders"] == ["cuda-0.3.36"]
    assert environment.library == "built "
