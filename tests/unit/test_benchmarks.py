"""The comparison of `make bench`: its contenders, its goals, its ratios, and its page."""

from __future__ import annotations

import gzip
import subprocess
import venv
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from llmsuggestd.formats import LLMSTEP
from tests.benchmarks import engine, environments, report
from tests.benchmarks.contenders import TABLE
from tests.unit.convert.checkpoints import NEOX_TOKENIZER


def contender(one: float, five: float, **more: Any) -> dict[str, Any]:
    """Figures of a contender."""
    return {
        "seconds": {"1": one, "5": five},
        "prompt": {"55": one / 2},
        "peak": 2**30,
        "versions": {},
        "bits": 4.5,
    } | more


def comparison(**contenders: dict[str, Any]) -> dict[str, Any]:
    """Figures of a comparison."""
    return {
        "contenders": {name.replace("_", "-"): one for name, one in contenders.items()},
        "load": [0.1, 1.9],
        "weights_bytes": 1.5e9,
        "multiply_adds": {"layers": 2.5e9, "head": 0.1e9},
        "when": "2026-11-27 12:00",
    }


MACHINE = {
    "processor": "a processor",
    "cores": 2,
    "memory": 2**34,
    "python": "3.11.7",
    "bytes_per_second": 30e9,
    "multiply_adds_per_second": 400e9,
    "when": "2026-11-27 11:00",
}


@pytest.mark.parametrize("name", TABLE)
def test_each_contender_says_how_it_is_run(name: str) -> None:
    kind = TABLE[name]
    assert kind.__doc__
    assert kind.packages
    assert all(limit.count("=") == 1 for limit in kind.without_avx512 or ())


def test_some_contenders_cannot_do_without_avx512() -> None:
    chosen = ["completions", "openvino", "ours"]
    assert engine.competitors("2.8B", chosen, False) == ["ours", "openvino", "completions"]
    assert engine.competitors("2.8B", chosen, True) == ["ours", "openvino"]


def test_some_contenders_have_shapes_of_their_own() -> None:
    assert engine.competitors("410M", ["vllm"], False) == ["vllm"]
    assert engine.competitors("2.8B", ["vllm"], False) == []


def test_options() -> None:
    options = engine.parse(["--shapes", "70M", "--contenders", "ours", "server"])
    assert options.contenders == ["ours", "server"]
    assert "ik-native" not in engine.parse([]).contenders


def test_the_comparison_comes_before_the_long_measurements() -> None:
    names = list(engine.sections(["2.8B"]))
    assert names[:3] == ["hardware", "2.8B/versus", "2.8B/versus-avx2"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """The tokenizer of the shapes."""
    return Tokenizer.from_buffer(gzip.decompress(NEOX_TOKENIZER.read_bytes()))


@pytest.mark.parametrize("length", [64, 512])
def test_long_goals_have_their_length(tokenizer: Tokenizer, length: int) -> None:
    prompts = [LLMSTEP.text(engine.long_goal(length, variant)) for variant in (0, 1)]
    assert [len(tokenizer.encode(prompt).ids) for prompt in prompts] == [length, length]
    assert prompts[0][:8] != prompts[1][:8]


def test_goals_have_the_usual_length(tokenizer: Tokenizer) -> None:
    prompts = map(LLMSTEP.text, engine.fresh_goals(5, seed=1))
    assert {len(tokenizer.encode(prompt).ids) for prompt in prompts} == {report.PROMPT}


def test_the_limit_is_the_slower_of_reading_and_multiplying() -> None:
    limits = report.limits(comparison(), MACHINE)
    prompt = (report.PROMPT * 2.5e9 + 0.1e9) / 400e9
    assert limits["55"] == pytest.approx(prompt)
    assert limits["1"] == pytest.approx(prompt + 15 * 1.5e9 / 30e9)  # bound by memory
    assert limits["16"] == pytest.approx(prompt + 15 * 16 * 2.6e9 / 400e9)  # by arithmetic


def test_a_ratio_takes_the_fastest_of_several() -> None:
    found = comparison(ours=contender(1, 2), ik=contender(1, 4), ik_native=contender(1, 3))
    wanted = report.Ratio("", ("ik", "ik-native"), "seconds", "5", {})
    assert report.ratio(wanted, found, None) == pytest.approx(2 / 3)


def test_a_ratio_without_figures_is_left_out() -> None:
    found = comparison(ours=contender(1, 2))
    for wanted in (*report.RATIOS, *report.RATIOS_AVX2):
        if wanted.others:
            assert report.ratio(wanted, found, None) is None
    assert "OpenVINO" not in report.tables({"2.8B/versus": found}, ["2.8B"])


def test_the_page_names_faster_contenders() -> None:
    found = comparison(ours=contender(2, 2), openvino=contender(1, 4), server=contender(3, 5))
    text = report.tables({"hardware": MACHINE, "2.8B/versus": found}, ["2.8B"])
    assert "| OpenVINO, five | 0.50 (≤ 0.80) |" in text
    assert "- OpenVINO GenAI, beam search: one suggestion (0.50 of our time)" in text
    assert f"- {TABLE['server'].title}: " not in text
    assert "0.10 before and 1.90 after" in text


def test_without_avx512_five_are_compared_with_one() -> None:
    figures = {"2.8B/versus-avx2": comparison(ours=contender(1, 1.5), ik=contender(1, 3))}
    text = report.tables(figures, ["2.8B"])
    assert "| ours for one, five | 1.50 (≤ 1.60) |" in text
    assert "| ik_llama.cpp, five | 0.50 (≤ 0.85) |" in text


def test_writing_keeps_the_sections_without_figures(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text(f"# Old\n\n## Growth\n\nkept\n\n{report.WRITTEN_BY_HAND}\nby hand\n")
    report.write({"2.8B/versus": comparison(ours=contender(1, 2))}, ["2.8B"], tmp_path)
    headings = [line for line in page.read_text().splitlines() if line.startswith("#")]
    assert headings == ["# Benchmarks", "## Beside other engines", "## Growth", "## What limits it"]
    assert "kept\n" in page.read_text()
    assert page.read_text().endswith("by hand\n")


def test_writing_replaces_a_section(tmp_path: Path) -> None:
    for seconds in (1.11, 1.22):
        found = comparison(ours=contender(seconds, 3))
        report.write({"2.8B/versus": found}, ["2.8B"], tmp_path)
    text = (tmp_path / "benchmarks.md").read_text()
    assert "1.22" in text
    assert "1.11" not in text


def test_an_environment_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(environments, "cache", lambda: tmp_path)
    monkeypatch.setattr(venv, "create", lambda root, **_: root.mkdir(exist_ok=True))
    monkeypatch.setattr(subprocess, "run", lambda command, **_: commands.append(command))
    one = environments.Environment("one", ("a==1",), unneeded=("b",))
    assert one.python() == one.python() == tmp_path / "one" / "bin" / "python"
    assert [command[5] for command in commands] == ["install", "uninstall"]
    one._replace(requirements=("a==2",)).python()
    assert len(commands) == 4
