"""The starter's whole pipeline at a small size: Lean finds steps, a model learns them and is
converted and served, and Lean judges its suggestions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from convert.starter.__main__ import main
from convert.starter.examples import read_pairs
from llmsuggestd.convert import convert
from tests.conftest import Home
from tests.support.leanwasm import NoLeanError, find_lean

pytestmark = [pytest.mark.lean, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs that Lean has verified during this test."""
    try:
        find_lean()
    except NoLeanError as error:
        pytest.skip(str(error))
    path = tmp_path_factory.mktemp("starter") / "pairs.jsonl"
    assert (
        main(
            [
                *("generate", str(path), "--stated", "12", "--theorems", "0", "0"),
                *("--worlds", "0", "1", "--processes", "1"),
            ]
        )
        == 0
    )
    return path


def evaluation(
    home: Home, folder: Path, monkeypatch: pytest.MonkeyPatch, *options: str
) -> dict[str, Any]:
    """The results of two committed goals through this home's daemon."""
    monkeypatch.setenv("LLMSUGGESTD_SOCKET", str(home.paths.socket))
    output = folder / "results.json"
    arguments = ["--goals", "2", "--processes", "1", "--verdicts", str(folder / "verdicts.jsonl")]
    assert main(["evaluate", *arguments, "--output", str(output), *options]) == 0
    results: dict[str, Any] = json.loads(output.read_text("utf-8"))
    return results


def test_lean_finds_steps_and_judges_the_shipped_model(
    pairs: Path, served: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = read_pairs(pairs)
    assert len(found) >= 5
    assert len({pair.family for pair in found}) >= 3
    assert all("⊢" in pair.goal and pair.start["stated"] for pair in found)
    assert sum(len(pair.steps) for pair in found) >= 10
    results = evaluation(served, tmp_path, monkeypatch, "--baselines")
    shares = results["models"]["starter"]["groups"]["all"]
    assert shares["goals"] == 2
    assert shares["parsed"] > 0.5
    assert 0 <= shares["top_1"] <= shares["top_5"] <= shares["top_10"] <= shares["valid"] <= 1
    assert set(results["baselines"]) >= {"simp", "grind", "exact?", "any of these"}
    assert len((tmp_path / "verdicts.jsonl").read_text().splitlines()) > 14


def test_a_model_is_made_from_nothing(
    pairs: Path, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    folder, work = tmp_path / "checkpoint", tmp_path / "work"
    assert main(["tokenizer", "--output", str(folder), "--templates", "300"]) == 0
    small = {"layers": 2, "steps": 8, "final-steps": 4, "threads": 2}
    size = [f"--{name}={value}" for name, value in small.items()]
    places = ["--output", str(folder), "--work", str(work)]
    assert main(["train", str(pairs), *places, *size]) == 0
    assert main(["train", str(pairs), *places, *size, "--resume"]) == 0
    made = json.loads((folder / "training.json").read_text())
    assert made["settings"]["layers"] == 2
    assert made["pairs"] >= 5
    more = tmp_path / "more"
    more.mkdir()
    shutil.copy(folder / "tokenizer.json", more)
    again = ["--output", str(more), "--work", str(tmp_path / "again"), "--start", str(folder)]
    assert main(["train", str(pairs), str(pairs), *again, *size]) == 0
    assert json.loads((more / "training.json").read_text())["start"] == made
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["GPTNeoXForCausalLM"]
    home.paths.models.mkdir(parents=True)
    convert(folder, home.paths.models / "starter.gguf", name="tiny")
    home.serve()
    assert home.client.request("POST", "/v1/suggest", {"goal": "⊢ 2 = 2"})["suggestions"]
    results = evaluation(home, tmp_path, monkeypatch)
    assert results["models"]["starter"]["groups"]["all"]["goals"] == 2
