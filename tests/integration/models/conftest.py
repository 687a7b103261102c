"""Fixtures: a hub with a small sharded checkpoint, and homes that pull from it."""

from __future__ import annotations

import contextlib
import os
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import COMMAND, Home, make_home
from tests.support.hub import Hub, serving
from tests.unit.convert import checkpoints

REPO = "someone/tuned-model"
SHARDS = [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]


@dataclass
class Puller:
    """A home, and a hub from which its commands pull."""

    home: Home
    hub: Hub

    @property
    def folder(self) -> Path:
        """The folder into which the repository is downloaded."""
        return self.home.paths.downloads / REPO.replace("/", "--")

    @property
    def env(self) -> dict[str, str]:
        """The variables of its commands."""
        return self.home.env | self.hub.environment(self.home.root / "hf")

    def run(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run `llmsuggestd models …`, and wait until it ends."""
        variables = self.hub.environment(self.home.root / "hf") | env
        return self.home.run("models", *arguments, timeout=60, **variables)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Run `llmsuggestd models …` in the background."""
        process = subprocess.Popen(
            [*COMMAND, "models", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.env,
        )
        self.home.processes.append(process)
        return process

    def fill_cache(self) -> Path:
        """Download the repository into the Hugging Face cache, as another program would."""
        subprocess.run(
            [sys.executable, "-c",
             f"import huggingface_hub as h; print(h.snapshot_download({REPO!r}))"],
            env=os.environ | self.env, check=True, capture_output=True, timeout=60,
        )  # fmt: skip
        return Path(self.env["HF_HOME"])

    def bytes_here(self) -> int:
        """Number of bytes of weights in the download's folder."""
        files = [*self.folder.glob("*.safetensors"), *self.folder.glob("*.partial")]
        return sum(file.stat().st_size for file in files)


def write_checkpoint(folder: Path, seed: int = 0, **changes: Any) -> Path:
    """Write a sharded checkpoint with random weights that suggests letters."""
    settings = checkpoints.config(**changes)
    weights = checkpoints.in_letters(checkpoints.random_weights(settings, seed))
    return checkpoints.make_checkpoint(
        folder, settings, weights, write=checkpoints.sharded_safetensors
    )


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sharded checkpoint of two megabytes, with the other files of a real repository."""
    folder = tmp_path_factory.mktemp("hub") / "served"
    write_checkpoint(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    (folder / "training_args.bin").write_bytes(b"a pickle that nobody needs")
    (folder / "pytorch_model.bin").write_bytes(b"the same weights once more")
    return folder


@contextlib.contextmanager
def pulling_from(folder: Path, tls: ssl.SSLContext | None = None) -> Iterator[Puller]:
    """A home, and a hub that has a folder as its repository."""
    with serving({REPO: folder}, tls) as hub, contextlib.contextmanager(make_home)() as home:
        yield Puller(home, hub)


@pytest.fixture
def puller(checkpoint: Path) -> Iterator[Puller]:
    """A home, and a hub with the checkpoint."""
    with pulling_from(checkpoint) as puller:
        yield puller


@pytest.fixture(scope="session")
def pulling() -> Callable[[Path], contextlib.AbstractContextManager[Puller]]:
    """A function that makes a home, and a hub from a folder."""
    return pulling_from
