"""GGUF files from a repository, and from the user's disk."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmsuggestd.errors import ExitCode
from llmsuggestd.models.store import SHIPPED
from tests.support.hub import COMMIT

from .conftest import REPO, Puller, pulling_from


@pytest.fixture
def ready_made(tmp_path: Path) -> Iterator[Puller]:
    """A home, and a hub with one GGUF file."""
    folder = tmp_path / "served"
    folder.mkdir()
    shutil.copy(SHIPPED, folder / "tuned.gguf")
    with pulling_from(folder) as puller:
        yield puller


def of_another_kind(path: Path) -> Path:
    """The starter with an unknown architecture, without a format, and padded to twice its size."""
    data = SHIPPED.read_bytes().replace(b"gptneox", b"llamaXY", 1)
    data = data.replace(b"llmsuggestd.prompt_template", b"llmsuggestd.prompt_templatE", 1)
    path.write_bytes(data + bytes(4_000_000))
    return path


def test_a_gguf_file_in_the_cache_is_used_offline(ready_made: Puller) -> None:
    ready_made.fill_cache()
    result = ready_made.run("pull", REPO, HF_HUB_OFFLINE="1")
    assert result.returncode == 0, result.stderr
    assert "is read from the Hugging Face cache" in result.stderr
    assert (ready_made.home.paths.models / "tuned.gguf").read_bytes() == SHIPPED.read_bytes()


def test_a_repository_with_one_file(ready_made: Puller) -> None:
    result = ready_made.run("pull", REPO)
    assert result.returncode == 0, result.stderr
    home = ready_made.home
    assert (home.paths.models / "tuned.gguf").read_bytes() == SHIPPED.read_bytes()
    (row,) = json.loads(ready_made.run("list", "--json").stdout)["models"]
    assert (row["id"], row["source"]) == ("tuned", f"{REPO}/tuned.gguf@{COMMIT}")
    assert row["licence"] == "apache-2.0"
    assert not home.paths.downloads.exists()
    assert ready_made.run("remove", "tuned").returncode == 0
    assert list(home.paths.models.iterdir()) == []


def test_a_repository_with_several_files(ready_made: Puller) -> None:
    folder = ready_made.hub.repos[REPO]
    (folder / "sub").mkdir()
    shutil.copy(SHIPPED, folder / "sub" / "second.gguf")
    result = ready_made.run("pull", REPO)
    assert result.returncode == ExitCode.INPUT
    assert f"pull one of: {REPO}/sub/second.gguf (" in result.stderr
    result = ready_made.run("pull", f"{REPO}/sub/second.gguf", "--name", "mine")
    assert result.returncode == 0, result.stderr
    assert (ready_made.home.paths.models / "mine.gguf").read_bytes() == SHIPPED.read_bytes()
    assert ready_made.hub.asked == ["second.gguf"]


def test_a_kept_download_that_is_the_model_itself_is_not_listed_twice(ready_made: Puller) -> None:
    assert ready_made.run("pull", REPO, "--keep-checkpoint").returncode == 0
    (row,) = json.loads(ready_made.run("list", "--json").stdout)["models"]
    assert (row["id"], row["state"]) == ("tuned", "available")
    assert not ready_made.home.paths.downloads.exists()


def test_a_model_from_the_cache_outlives_the_cache(ready_made: Puller) -> None:
    cache = ready_made.fill_cache()
    asked = len(ready_made.hub.asked)
    plan = json.loads(ready_made.run("pull", REPO, "--dry-run", "--json").stdout)
    assert plan["here_bytes"] == plan["needed_bytes"] == SHIPPED.stat().st_size
    assert ready_made.run("pull", REPO).returncode == 0
    assert len(ready_made.hub.asked) == asked
    shutil.rmtree(cache)
    model = ready_made.home.paths.models / "tuned.gguf"
    assert not model.is_symlink()
    assert model.read_bytes() == SHIPPED.read_bytes()


def test_a_model_without_a_format_is_refused_before_its_download(ready_made: Puller) -> None:
    file = of_another_kind(ready_made.hub.repos[REPO] / "tuned.gguf")
    ready_made.hub.rate = 2e6
    result = ready_made.run("pull", REPO)
    assert result.returncode == ExitCode.INPUT
    assert "tuned.gguf does not name its prompt format" in result.stderr
    assert "--format: llmstep, bfs-prover, ntp-mathlib-st, " in result.stderr
    assert ready_made.hub.sent["tuned.gguf"] < file.stat().st_size / 4
    assert not ready_made.home.paths.downloads.exists()


def test_a_wrong_tokenizer_is_refused_before_the_download(ready_made: Puller) -> None:
    file = ready_made.hub.repos[REPO] / "tuned.gguf"
    data = SHIPPED.read_bytes().replace(b"olmo", b"dbrx", 1)
    file.write_bytes(data + bytes(4_000_000))
    ready_made.hub.rate = 2e6
    result = ready_made.run("pull", REPO)
    assert result.returncode == ExitCode.INPUT
    assert "llmsuggestd: tuned.gguf: its text is split as by dbrx" in result.stderr
    assert ready_made.hub.sent["tuned.gguf"] < file.stat().st_size / 4
    assert not ready_made.home.paths.downloads.exists()


def test_a_missing_pre_tokenizer_is_completed(ready_made: Puller, tmp_path: Path) -> None:
    home, old = ready_made.home, tmp_path / "old.gguf"
    data = SHIPPED.read_bytes()
    old.write_bytes(data.replace(b"tokenizer.ggml.pre", b"tokenizer.ggml.prE", 1))
    result = ready_made.run("import", str(old))
    assert result.returncode == 0, result.stderr
    assert "tokenizer.ggml.pre is missing or wrong there; olmo is used" in result.stderr
    home.install_starter()
    home.serve()
    goal = "a b c : Nat\nh₁ : a < b\nh₂ : b < c\n⊢ a < c"
    answers = []
    for model in ("starter", "old"):
        assert ready_made.run("use", model).returncode == 0
        answers.append(json.loads(home.run("suggest", goal, "--json").stdout)["suggestions"])
    assert answers[0] == answers[1]


def test_a_model_without_a_format_in_the_cache_is_refused(ready_made: Puller) -> None:
    of_another_kind(ready_made.hub.repos[REPO] / "tuned.gguf")
    ready_made.fill_cache()
    result = ready_made.run("pull", REPO)
    assert result.returncode == ExitCode.INPUT
    assert "--format" in result.stderr
    assert not ready_made.home.paths.downloads.exists()


def test_import_copies_the_file(ready_made: Puller, tmp_path: Path) -> None:
    mine = tmp_path / "mine.gguf"
    shutil.copy(SHIPPED, mine)
    result = ready_made.run("import", str(mine), "--json")
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["model"] == "mine"
    assert answer["trial"]["suggestion"]
    (row,) = json.loads(ready_made.run("list", "--json").stdout)["models"]
    assert row["source"] == str(mine)
    again = tmp_path / "other" / "mine.gguf"
    again.parent.mkdir()
    shutil.copy(SHIPPED, again)
    result = ready_made.run("import", str(again))
    assert result.returncode == ExitCode.MODEL
    assert f"a model 'mine' is installed already, from {mine}" in result.stderr
    assert ready_made.run("import", str(again), "--name", "second").returncode == 0
    for model in ("mine", "second"):
        assert ready_made.run("remove", model).returncode == 0
    assert mine.read_bytes() == again.read_bytes() == SHIPPED.read_bytes()
    assert list(ready_made.home.paths.models.iterdir()) == []


def test_a_file_that_is_imported_again_is_loaded_again(ready_made: Puller, tmp_path: Path) -> None:
    mine, home = tmp_path / "mine.gguf", ready_made.home
    shutil.copy(SHIPPED, mine)
    assert ready_made.run("import", str(mine)).returncode == 0
    home.serve("--model", "mine")
    before = home.client.request("GET", "/v1/status")["engine_pid"]
    assert ready_made.run("import", str(mine)).returncode == 0
    assert home.client.request("GET", "/v1/status")["engine_pid"] != before


def test_import_with_link_links_the_file(ready_made: Puller, tmp_path: Path) -> None:
    mine = tmp_path / "mine.gguf"
    shutil.copy(SHIPPED, mine)
    assert ready_made.run("import", str(mine), "--link").returncode == 0
    assert (ready_made.home.paths.models / "mine.gguf").readlink() == mine
    ready_made.home.serve("--model", "mine")
    assert ready_made.home.run("suggest", "⊢ True").returncode == 0
    assert "is removed, which frees 0.0 MB" in ready_made.run("remove", "mine").stdout
    assert mine.read_bytes() == SHIPPED.read_bytes()


def test_a_file_that_is_no_model_leaves_nothing(ready_made: Puller, tmp_path: Path) -> None:
    data = SHIPPED.read_bytes()
    files = {
        "text": b"not a model at all",
        "short": data[: len(data) // 2],
        "empty": b"",
        "other": of_another_kind(tmp_path / "kind").read_bytes(),
        "pointer": b"version https://git-lfs.github.com/spec/v1\nsize 3908864\n",
        "page": b"<!doctype html><title>Sign in</title>",
    }
    for name, content in files.items():
        file = tmp_path / f"{name}.gguf"
        file.write_bytes(content)
        result = ready_made.run("import", str(file))
        assert result.returncode == ExitCode.INPUT, name
        assert result.stderr.startswith("llmsuggestd: ")
        assert "Traceback" not in result.stderr
    result = ready_made.run("import", str(tmp_path / "pointer.gguf"))
    assert "`git lfs pull` in its clone fetches it" in result.stderr
    result = ready_made.run("import", str(tmp_path))
    assert result.returncode == ExitCode.INPUT
    assert "is a folder" in result.stderr
    result = ready_made.run("import", str(tmp_path / "other.gguf"), "--format", "llmstep")
    assert result.returncode == ExitCode.MODEL  # llama.cpp does not know the architecture
    assert "it does not work here" in result.stderr
    assert not list(ready_made.home.paths.models.glob("*"))


def test_models_added_manually_are_left_alone(ready_made: Puller) -> None:
    home = ready_made.home
    home.paths.models.mkdir(parents=True)
    shutil.copy(SHIPPED, home.paths.models / "tuned.gguf")
    for arguments in (["pull", REPO], ["remove", "tuned"]):
        result = ready_made.run(*arguments)
        assert result.returncode == ExitCode.MODEL
        assert "was added manually, and is not" in result.stderr
    result = ready_made.run("remove", "starter")
    assert "the starter belongs to the installation" in result.stderr
    result = ready_made.run("remove", "nothing")
    assert "is not installed" in result.stderr
    assert [file.name for file in home.paths.models.iterdir()] == ["tuned.gguf"]


def test_a_name_of_the_catalogue_says_how_to_get_it(ready_made: Puller) -> None:
    result = ready_made.run("use", "llmstep-2.8b")
    assert result.returncode == ExitCode.MODEL
    assert "`llmsuggestd models pull llmstep-2.8b` fetches it" in result.stderr
    catalogue = ready_made.run("catalogue").stdout
    assert "llmstep-2.8b" in catalogue
    known = json.loads(ready_made.run("catalogue", "--json").stdout)["models"]
    assert known[0]["repo"] == "wellecks/llmstep-mathlib4-pythia2.8b"
