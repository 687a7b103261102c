"""Finding a checkpoint in a folder or a repository, and the errors of both."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from llmsuggestd.convert.metadata import Source
from llmsuggestd.errors import InputError, LlmsuggestdError, UsageError
from llmsuggestd.models.checkpoints import find_checkpoint
from llmsuggestd.models.hub import DownloadError, Interrupted, RemoteFile, Repository
from tests.unit.convert.checkpoints import config, make_checkpoint

SMALL = ["config.json", "tokenizer.json"]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_a_folder_is_a_checkpoint_with_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "my-model"
    folder.mkdir()
    assert find_checkpoint(str(folder)) == (folder, Source(), "my-model")
    with pytest.raises(UsageError, match="only a repository has revisions"):
        find_checkpoint(str(folder), "main")


def test_a_cached_folder_names_its_repository(tmp_path: Path) -> None:
    folder = tmp_path / "models--wellecks--llmstep-mathlib4-pythia2.8b" / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    repo = "wellecks/llmstep-mathlib4-pythia2.8b"
    assert find_checkpoint(str(folder)) == (folder, Source(repo, COMMIT), repo.split("/")[1])


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A hub with one repository, downloaded into a cache below `tmp_path`."""
    folder = tmp_path / "models--EleutherAI--pythia-70m" / "snapshots" / COMMIT
    seen = SimpleNamespace(folder=folder, files=[*SMALL, "model.safetensors", "x.py"])
    seen.downloaded, seen.config = [], config()

    def look_up(repo: str, revision: str | None) -> Repository:
        seen.asked = (repo, revision)
        files = tuple(RemoteFile(name, 1, "") for name in seen.files)
        return Repository(repo, COMMIT, None, files)

    def download(
        repo: str,
        revision: str | None,
        allow_patterns: list[str] | None = None,
        local_files_only: bool = False,
    ) -> str:
        if local_files_only and not folder.exists():
            raise LocalEntryNotFoundError("not in the cache")
        if not local_files_only:
            seen.downloaded.append((repo, revision, allow_patterns))
            make_checkpoint(folder, seen.config)
        return str(folder)

    monkeypatch.setattr("llmsuggestd.models.checkpoints.look_up", look_up)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.chdir(tmp_path)
    return seen


def test_a_repository_is_downloaded_at_its_commit(hub: SimpleNamespace) -> None:
    folder, source, name = find_checkpoint("EleutherAI/pythia-70m", "step3000")
    assert (folder, name) == (hub.folder, "pythia-70m")
    assert source == Source("EleutherAI/pythia-70m", COMMIT)
    assert hub.asked == ("EleutherAI/pythia-70m", "step3000")
    assert hub.downloaded == [
        ("EleutherAI/pythia-70m", "step3000", SMALL),
        ("EleutherAI/pythia-70m", "step3000", [*SMALL, "model.safetensors"]),
    ]


def test_an_unsupported_checkpoint_is_refused_before_its_weights_are_downloaded(
    hub: SimpleNamespace,
) -> None:
    hub.config = config(quantization_config={"quant_method": "awq", "bits": 4})
    with pytest.raises(InputError, match=r"quantised already \(awq, 4 bits\)"):
        find_checkpoint("EleutherAI/pythia-70m")
    assert [files for _, _, files in hub.downloaded] == [SMALL]


@pytest.mark.parametrize(
    "name", ["nothing-here", "a/b/c", "../x", "/tmp/nothing/here", "a/../b", "", "a" * 300, "a\0b"]
)
def test_a_name_that_is_neither_never_reaches_the_network(hub: SimpleNamespace, name: str) -> None:
    with pytest.raises(InputError, match="no such folder"):
        find_checkpoint(name)
    assert not hasattr(hub, "asked")


@pytest.fixture
def offline(hub: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The same hub, unreachable."""

    def fail(*_: Any, **__: Any) -> Any:
        raise Interrupted("https://huggingface.co: Name or service not known", "is it there?")

    monkeypatch.setattr("llmsuggestd.models.checkpoints.look_up", fail)
    return hub


@pytest.mark.usefixtures("offline")
def test_no_network_is_one_line() -> None:
    with pytest.raises(DownloadError, match=r"no such folder; .* Name or service"):
        find_checkpoint("EleutherAI/pythia-70m")


def test_without_a_network_the_cache_is_used(offline: SimpleNamespace) -> None:
    offline.folder.mkdir(parents=True)
    (offline.folder / "pytorch_model.bin").touch()
    folder, source, _ = find_checkpoint("EleutherAI/pythia-70m")
    assert folder == offline.folder
    assert source == Source("EleutherAI/pythia-70m", COMMIT)


def test_a_cache_without_weights_is_not_used(offline: SimpleNamespace) -> None:
    offline.folder.mkdir(parents=True)
    (offline.folder / "config.json").touch()
    with pytest.raises(DownloadError):
        find_checkpoint("EleutherAI/pythia-70m")


def test_a_repository_without_a_checkpoint_is_not_downloaded(hub: SimpleNamespace) -> None:
    hub.files = ["README.md", "config.json", "some.gguf"]
    with pytest.raises(InputError, match="has no checkpoint") as caught:
        find_checkpoint("EleutherAI/pythia-70m")
    assert "models pull" in caught.value.hint
    assert hub.downloaded == []


def test_a_full_disk_is_not_reported_as_a_network_error(
    hub: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(LlmsuggestdError, match="cannot be written: No space left") as caught:
        find_checkpoint("EleutherAI/pythia-70m")
    assert "HF_HOME" in caught.value.hint
    assert hub.asked
