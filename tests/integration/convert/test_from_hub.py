"""Conversions of a repository, with the real hub client and a hub on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gguf import GGUFReader

from llmsuggestd.errors import ExitCode
from tests.support.hub import COMMIT, Hub, serving
from tests.unit.convert import checkpoints
from tests.unit.convert.checkpoints import make_checkpoint

REPO = "someone/tuned-model"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A hub with one repository."""
    folder = make_checkpoint(tmp_path / "served", write=checkpoints.sharded_safetensors)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    (folder / "training_args.bin").write_bytes(b"a pickle that nobody needs")
    (folder / "pytorch_model.bin").write_bytes(b"the same weights once more")
    with serving({REPO: folder}) as hub:
        yield hub


def convert(
    folder: Path, hub: Hub, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Convert a repository of the hub, with a separate cache."""
    variables = os.environ | hub.environment(folder / "hf") | environment
    del variables["HF_HUB_DISABLE_PROGRESS_BARS"]  # --quiet has that effect
    return subprocess.run(
        [sys.executable, "-m", "llmsuggestd", "convert", *(arguments or [REPO]), "--quiet"],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
        env=variables,
    )  # fmt: skip


def test_a_repository_is_downloaded_and_converted(tmp_path: Path, hub: Hub) -> None:
    asked = hub.asked
    result = convert(tmp_path, hub)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    fields = {
        name: field.contents()
        for name, field in GGUFReader(tmp_path / "tuned-model-Q4_K_M.gguf").fields.items()
    }
    assert fields["general.name"] == "tuned-model"
    assert fields["general.license"] == "apache-2.0"
    assert fields["general.source.repo_url"] == f"https://huggingface.co/{REPO}"
    assert fields["llmsuggestd.source_revision"] == COMMIT
    shards = [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
    assert sorted(asked) == sorted(
        ["README.md", "config.json", "tokenizer.json", "model.safetensors.index.json", *shards]
    )
    # Cached files need no network.
    (tmp_path / "tuned-model-Q4_K_M.gguf").unlink()
    for offline in ({"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}):
        result = convert(tmp_path, hub, **offline)
        assert result.returncode == 0, result.stderr
        (tmp_path / "tuned-model-Q4_K_M.gguf").unlink()
    assert len(asked) == 7


def down(_: Hub) -> str:
    return "http://127.0.0.1:9"


def failing(hub: Hub) -> str:
    hub.faults.statuses["/api/"] = (500, {})
    return hub.url


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [(down, "http://127.0.0.1:9: "), (failing, "answers 500")],
)
def test_a_hub_that_does_not_answer_is_one_line(
    tmp_path: Path, hub: Hub, endpoint: Callable[[Hub], str], words: str
) -> None:
    result = convert(tmp_path, hub, HF_ENDPOINT=endpoint(hub))
    assert result.returncode == ExitCode.NETWORK
    assert result.stderr.startswith(f"llmsuggestd: {REPO}: no such folder; ")
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["someone/else"], "someone/else: the hub knows no such repository"),
        ([REPO, "--revision", "v9"], "has no branch, tag or commit 'v9'"),
    ],
)
def test_a_missing_repository_is_one_line(
    tmp_path: Path, hub: Hub, arguments: list[str], words: str
) -> None:
    result = convert(tmp_path, hub, *arguments)
    assert result.returncode == ExitCode.INPUT
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 2
