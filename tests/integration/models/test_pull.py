"""`models pull` from a hub on this machine, with the real huggingface_hub."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from llmsuggestd.convert import Source, convert
from llmsuggestd.errors import ExitCode
from tests.support.hub import COMMIT

from .conftest import REPO, SHARDS, Puller, write_checkpoint


def listed(puller: Puller) -> dict[str, Any]:
    """The output of `models list --json`, by id."""
    rows = json.loads(puller.run("list", "--json").stdout)["models"]
    return {row["id"]: row for row in rows}


def test_one_command_makes_a_model_that_can_be_used_and_removed(puller: Puller) -> None:
    home = puller.home
    home.install_starter()
    home.serve()
    result = puller.run("pull", REPO)
    assert result.returncode == 0, result.stderr
    assert "to download  2.4 MB" in result.stderr
    assert "disk needed" in result.stderr
    assert "tuned-model is installed" in result.stdout
    assert not home.paths.downloads.exists()
    row = listed(puller)["tuned-model"]
    model = home.paths.models / "tuned-model.gguf"
    assert row == {
        "id": "tuned-model", "bytes": model.stat().st_size, "total_bytes": model.stat().st_size,
        "quantisation": "Q4_K_M", "source": f"{REPO}@{COMMIT}", "licence": "apache-2.0",
        "state": "available", "path": str(model), "served": False, "chosen": False,
        "format": "llmstep", "remote": None,
    }  # fmt: skip
    assert home.run("models", "use", "tuned-model").returncode == 0
    assert listed(puller)["tuned-model"]["state"] == "loaded"
    _, answer = home.curl("/v1/models")
    states = {m["id"]: (m["state"], m["current"], m["source"]) for m in answer["models"]}
    assert states["tuned-model"] == ("loaded", True, f"{REPO}@{COMMIT}")
    assert states["starter"][:2] == ("available", False)
    answer = json.loads(home.run("suggest", "⊢ p", "--json").stdout)
    assert answer["model"] == "tuned-model"
    assert answer["suggestions"]
    result = puller.run("remove", "tuned-model")
    assert "the starter is served in its place" in result.stdout
    assert list(listed(puller)) == ["starter"]
    assert listed(puller)["starter"]["state"] == "loaded"
    assert sorted(file.name for file in home.paths.models.iterdir()) == ["starter.gguf"]


def test_a_pull_that_is_killed_five_times_makes_the_right_file(
    tmp_path: Path, pulling: Callable[[Path], AbstractContextManager[Puller]]
) -> None:
    folder = write_checkpoint(
        tmp_path / "served", hidden_size=512, intermediate_size=2048, num_hidden_layers=4
    )
    total = sum(file.stat().st_size for file in folder.iterdir())
    assert total > 20_000_000
    seed = random.randrange(2**32)
    points = sorted(random.Random(seed).uniform(0.02, 0.98) * total for _ in range(5))
    with pulling(folder) as puller:
        puller.hub.rate = 10e6
        for point in points:
            process = puller.start("pull", REPO)
            while puller.hub.sent.total() < point:
                assert process.poll() is None, (seed, process.communicate())
                time.sleep(0.01)
            process.kill()
            process.wait()
        result = puller.run("pull", REPO)
        assert result.returncode == 0, (seed, result.stderr)
        assert puller.hub.sent.total() <= 1.15 * total, seed
        expected = tmp_path / "expected.gguf"
        convert(folder, expected, name="tuned-model", source=Source(REPO, COMMIT))
        model = puller.home.paths.models / "tuned-model.gguf"
        assert model.read_bytes() == expected.read_bytes()


def test_an_installed_model_is_not_downloaded_again(puller: Puller) -> None:
    assert puller.run("pull", REPO).returncode == 0
    asked = len(puller.hub.asked)
    result = puller.run("pull", REPO)
    assert (result.returncode, len(puller.hub.asked)) == (0, asked)
    assert "is installed already" in result.stdout
    result = puller.run("pull", REPO, "--quant", "Q8_0", "--json")
    answer = json.loads(result.stdout)
    assert answer["model"] == "tuned-model-Q8_0"
    assert answer["new"]
    assert answer["trial"]["suggestion"]
    assert listed(puller)["tuned-model-Q8_0"]["quantisation"] == "Q8_0"


def test_only_files_for_the_conversion_are_downloaded(puller: Puller) -> None:
    assert puller.run("pull", REPO).returncode == 0
    assert sorted(puller.hub.asked) == sorted(
        ["README.md", "config.json", "tokenizer.json", "model.safetensors.index.json", *SHARDS]
    )


def test_a_dry_run_leaves_nothing(puller: Puller) -> None:
    result = puller.run("pull", REPO, "--dry-run", "--json")
    plan = json.loads(result.stdout)
    weights = sum((puller.hub.repos[REPO] / name).stat().st_size for name in SHARDS)
    assert plan["download_bytes"] > weights
    assert plan["needed_bytes"] >= weights + plan["model_bytes"]
    assert not set(SHARDS) & set(puller.hub.asked)
    assert not puller.home.paths.downloads.exists()


def test_a_dry_run_changes_nothing_of_an_interrupted_pull(puller: Puller, tmp_path: Path) -> None:
    puller.hub.faults.statuses[SHARDS[2]] = (404, {"X-Error-Code": "EntryNotFound"})
    assert puller.run("pull", REPO).returncode == ExitCode.INPUT
    (puller.folder / "some.partial").write_bytes(b"the beginning of a file of that commit")
    before = everything(puller.folder)
    newer = write_checkpoint(tmp_path / "newer", seed=1)
    puller.hub.repos[REPO], puller.hub.commit = newer, COMMIT[::-1]
    assert puller.run("pull", REPO, "--dry-run", "--name", "other").returncode == 0
    assert everything(puller.folder) == before
    assert listed(puller)["tuned-model"]["state"] == "partial"


def test_a_dry_run_of_a_cached_repository_leaves_nothing(puller: Puller) -> None:
    puller.fill_cache()
    result = puller.run("pull", REPO, "--dry-run")
    assert "2.4 MB of it already here" in result.stderr
    assert not puller.home.paths.downloads.exists()


def test_a_dry_run_of_the_starter(puller: Puller) -> None:
    plan = json.loads(puller.run("pull", "starter", "--dry-run", "--json").stdout)
    assert (plan["id"], plan["download_bytes"]) == ("starter", 0)
    assert not puller.home.paths.data.exists()
    result = puller.run("pull", "starter", "--quiet")
    assert (result.stdout, result.stderr) == ("", "")
    assert list(listed(puller)) == ["starter"]


def test_a_model_of_another_commit_replaces_the_old_one(puller: Puller, tmp_path: Path) -> None:
    home = puller.home
    assert puller.run("pull", REPO).returncode == 0
    home.serve("--model", "tuned-model")
    first = (home.paths.models / "tuned-model.gguf").stat().st_ino
    newer = write_checkpoint(tmp_path / "newer", seed=1)
    puller.hub.repos[REPO], puller.hub.commit = newer, COMMIT[::-1]
    before = home.client.request("GET", "/v1/status")["engine_pid"]
    assert puller.run("pull", REPO).returncode == 0
    assert listed(puller)["tuned-model"]["source"] == f"{REPO}@{COMMIT[::-1]}"
    assert (home.paths.models / "tuned-model.gguf").stat().st_ino != first
    assert home.client.request("GET", "/v1/status")["engine_pid"] != before


def test_a_file_that_has_changed_is_downloaded_again(puller: Puller, tmp_path: Path) -> None:
    puller.hub.faults.statuses[SHARDS[2]] = (404, {"X-Error-Code": "EntryNotFound"})
    assert puller.run("pull", REPO).returncode == ExitCode.INPUT
    puller.hub.faults.statuses.clear()
    newer = write_checkpoint(tmp_path / "newer", seed=1)
    puller.hub.repos[REPO], puller.hub.commit = newer, COMMIT[::-1]
    puller.hub.asked.clear()
    assert puller.run("pull", REPO).returncode == 0
    assert set(SHARDS) <= set(puller.hub.asked)
    assert "config.json" not in puller.hub.asked  # it has not changed


def test_files_without_a_manifest_are_downloaded_again(puller: Puller) -> None:
    puller.hub.faults.statuses[SHARDS[2]] = (404, {"X-Error-Code": "EntryNotFound"})
    assert puller.run("pull", REPO).returncode == ExitCode.INPUT
    puller.hub.faults.statuses.clear()
    (puller.folder / "manifest.json").unlink()
    (puller.folder / SHARDS[0]).write_bytes(b"something else")
    assert puller.run("pull", REPO).returncode == 0
    assert puller.hub.asked.count(SHARDS[0]) == 2


def test_two_pulls_of_one_model(puller: Puller) -> None:
    puller.hub.rate = 20e3  # slow enough for the others to run meanwhile
    first = puller.start("pull", REPO)
    while not puller.hub.sent[SHARDS[0]]:
        time.sleep(0.02)
    second = puller.run("pull", REPO)
    assert second.returncode == ExitCode.ALREADY_RUNNING
    assert f"another process (pid {first.pid})" in second.stderr
    assert listed(puller)["tuned-model"]["state"] == "downloading"
    assert puller.run("remove", "tuned-model").returncode == ExitCode.ALREADY_RUNNING
    puller.hub.rate = 0
    assert first.wait(60) == 0
    assert listed(puller)["tuned-model"]["state"] == "available"


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        (signal.SIGINT, ExitCode.INTERRUPTED, "interrupted; the same command continues"),
        (signal.SIGTERM, 143, "stopped by SIGTERM"),
    ],
)
def test_a_stopped_pull_prints_one_line(
    puller: Puller, number: signal.Signals, code: int, words: str
) -> None:
    puller.hub.rate = 100e3
    process = puller.start("pull", REPO)
    while puller.hub.sent[SHARDS[0]] < 60_000:
        time.sleep(0.02)
    process.send_signal(number)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == code
    last = errors.splitlines()[-1]
    assert last.startswith(f"llmsuggestd: {words}")
    assert "Traceback" not in errors
    row = listed(puller)["tuned-model"]
    assert row["state"] == "partial"
    assert row["bytes"] > 30_000
    assert "partial, " in puller.run("list").stdout
    assert puller.run("remove", "tuned-model").returncode == 0
    assert listed(puller) == {}
    assert not puller.home.paths.downloads.exists()


def everything(folder: Path) -> dict[str, int]:
    """The files of a folder with their times, except for the lock."""
    return {
        str(file): file.lstat().st_mtime_ns
        for file in folder.rglob("*")
        if not file.is_dir() and file.name != "lock"
    }


def test_cached_files_are_not_downloaded_and_stay(puller: Puller) -> None:
    cache = puller.fill_cache()
    before, asked = everything(cache), len(puller.hub.asked)
    assert puller.run("pull", REPO).returncode == 0
    assert len(puller.hub.asked) == asked
    assert puller.run("remove", "tuned-model").returncode == 0
    result = puller.run("pull", REPO, HF_HUB_OFFLINE="1")
    assert result.returncode == 0, result.stderr
    assert "read from the Hugging Face cache" in result.stderr
    assert listed(puller)["tuned-model"]["source"] == f"{REPO}@{COMMIT}"
    assert {k: v for k, v in everything(cache).items() if k in before} == before


def test_offline_cached_files_are_enough(puller: Puller) -> None:
    result = puller.run("pull", REPO, HF_HUB_OFFLINE="1")
    assert result.returncode == ExitCode.NETWORK
    assert "HF_HUB_OFFLINE is set" in result.stderr
    assert puller.run("pull", REPO, "--keep-checkpoint").returncode == 0
    assert puller.bytes_here() > 2_000_000
    result = puller.run("pull", REPO, "--again", HF_HUB_OFFLINE="1")
    assert result.returncode == 0, result.stderr
    assert "using the complete copy on this machine" in result.stderr
    assert not puller.folder.exists()


def test_through_a_proxy(puller: Puller) -> None:
    result = puller.run(
        "pull", REPO, HF_ENDPOINT="http://hub.example", HTTP_PROXY=puller.hub.url, NO_PROXY="127.*"
    )
    assert result.returncode == 0, result.stderr


def test_a_gated_repository(puller: Puller) -> None:
    puller.hub.gated = True
    result = puller.run("pull", REPO)
    assert result.returncode == ExitCode.INPUT
    assert f"accept the conditions on {puller.hub.url}/{REPO}" in result.stderr
    assert "set HF_TOKEN" in result.stderr
    result = puller.run("pull", REPO, HF_TOKEN=puller.hub.token)
    assert result.returncode == 0, result.stderr
    sent = {path: token for path, token in puller.hub.tokens.items() if path.startswith("/cdn/")}
    assert len(sent) == 3
    assert set(sent.values()) == {None}  # the hub gets the token, its storage does not
