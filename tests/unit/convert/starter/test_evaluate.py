"""The evaluation: its scores, its cache of verdicts, and its tables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convert.starter.__main__ import RESULTS, RESULTS_WORLDS
from convert.starter.evaluate import (
    HELD_OUT,
    HELD_OUT_WORLDS,
    Score,
    Verdicts,
    baselines,
    choose,
    evaluate,
    group_table,
    held_out,
    report,
    table,
    update,
    write,
)
from convert.starter.examples import Pair
from convert.starter.lean_runner import Judgement, Verdict
from llmsuggestd.errors import InputError

ROOT = Path(__file__).parents[4]


def goal(text: str, family: str = "lists", split: str = "test") -> Pair:
    return Pair(
        text, (("simp", True),), split, family, "stated", text, {"stated": text}, ("intro x",)
    )


class Lean:
    """A stand-in that judges a candidate by its text, and records the calls."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def __call__(self, jobs: Iterable[dict[str, Any]]) -> Iterator[Judgement]:
        listed = list(jobs)
        for index in reversed(range(len(listed))):
            job = listed[index]
            assert job["path"] == ["intro x"]
            self.asked += [(job["start"]["stated"], text) for text in job["candidates"]]
            kinds: dict[str, Any] = {"simp": "closes", "intro y": "valid", "((": "unparsed"}
            yield Judgement(index, "", [Verdict(kinds.get(t, "fails")) for t in job["candidates"]])


def test_a_goal_counts_for_the_first_step_that_closes_it() -> None:
    score = Score()
    score.add(["fails", "closes"], ["fails", "closes", "unparsed"])
    score.add(["closes"], ["closes"])
    score.add(["fails"], ["fails", "valid"])
    score.add(["fails"], ["fails", "closes"])
    score.add([], [])
    assert (score.goals, score.top_1, score.top_5, score.top_10, score.valid) == (5, 1, 2, 3, 4)
    assert score.shares()["parsed"] == pytest.approx(7 / 8)


def test_five_and_ten_are_asked_for_and_judged() -> None:
    asked = []

    def suggest(goal: str, count: int) -> list[str]:
        asked.append((goal, count))
        return ["rfl", "((", "intro y"] if count == 5 or goal == "⊢ b" else ["rfl"] * 9 + ["simp"]

    lean = Lean()
    found = evaluate(
        [goal("⊢ a", "lists"), goal("⊢ b", "logic")], suggest, Verdicts(lean), lambda number: None
    )["groups"]
    assert asked == [("⊢ a", 5), ("⊢ a", 10), ("⊢ b", 5), ("⊢ b", 10)]
    assert (found["all"]["top_5"], found["all"]["top_10"], found["all"]["valid"]) == (0, 0.5, 1)
    assert found["lists"]["top_10"] == 1
    assert found["logic"]["parsed"] == pytest.approx(2 / 3)
    theorem = replace(goal("⊢ b", "Nat"), source="Init")
    assert "theorems of Init" in baselines([theorem], Verdicts(lean), ["simp"])["simp"]["groups"]


def test_nothing_is_judged_twice(tmp_path: Path) -> None:
    first, path = Lean(), tmp_path / "cache" / "verdicts.jsonl"
    goals = [goal("⊢ a"), goal("⊢ b")]
    expected = [["closes", "fails", "closes"], ["valid"]]
    assert Verdicts(first, path).of(goals, [["simp", "rfl", "simp"], ["intro y"]]) == expected
    assert sorted(first.asked) == [("⊢ a", "rfl"), ("⊢ a", "simp"), ("⊢ b", "intro y")]
    second = Lean()
    assert Verdicts(second, path).of(goals, [["simp", "rfl", "simp"], ["intro y"]]) == expected
    assert second.asked == []
    assert Verdicts(second, path).of(goals, [["simp"], ["simp"]]) == [["closes"], ["closes"]]
    assert second.asked == [("⊢ b", "simp")]


def test_tactics_without_a_model_are_scored_one_by_one_and_together() -> None:
    found = baselines([goal("⊢ a"), goal("⊢ b")], Verdicts(Lean()), ["simp", "omega"])
    shares = {name: entry["groups"]["all"]["top_1"] for name, entry in found.items()}
    assert shares == {"simp": 1, "omega": 0, "any of these": 1}


def test_the_tables_show_everything(tmp_path: Path) -> None:
    goals = [goal("⊢ a")]
    verdicts = Verdicts(Lean())
    model = evaluate(goals, lambda goal, count: ["simp"], verdicts, lambda number: None)
    path = tmp_path / "results.json"
    update(path, goals, models={"starter": model})
    results = update(path, goals, baselines=baselines(goals, verdicts, ["omega", "rfl"]))
    text = report(results)
    assert "| starter | 100.0 % | 100.0 % | 100.0 % | 100.0 % | 100.0 % |" in text
    assert "| always `omega` | 0.0 % |  |  |  |  |" in text
    assert "| lists | 1 | 100.0 %" in text
    assert json.loads(path.read_text()) == results


def test_results_for_other_goals_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    update(path, [goal("⊢ a")], models={"one": {"groups": {}}})
    before = path.read_text()
    with pytest.raises(InputError, match="other goals"):
        update(path, [goal("⊢ b")], models={"two": {"groups": {}}})
    assert path.read_text() == before
    assert list(update(path, [goal("⊢ a")], models={"two": {"groups": {}}})["models"]) == [
        "one", "two",
    ]  # fmt: skip


def test_half_a_line_of_verdicts_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    goals = [goal("⊢ a"), goal("⊢ b")]
    judged = Verdicts(Lean(), path).of(goals, [["simp"], ["omega"]])
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 5)
    again = Verdicts(Lean(), path)
    assert len(again.known) == 1
    assert again.of(goals, [["simp"], ["omega"]]) == judged
    assert Verdicts(Lean(), path).known == again.known


def test_goals_are_drawn_with_the_seed(tmp_path: Path) -> None:
    pairs = [goal(f"⊢ {i}", split=("test", "train")[i % 2]) for i in range(20)]
    path = tmp_path / "heldout.jsonl"
    write(pairs, path)
    assert held_out(path) == pairs[::2]
    drawn = held_out(path, 4, seed=3)
    assert len(drawn) == 4
    assert drawn == held_out(path, 4, seed=3) != held_out(path, 4, seed=4)


def test_one_goal_per_statement_is_chosen_evenly_from_the_families() -> None:
    own = replace(goal("⊢ a"), statement="s", path=())
    way = [replace(goal(f"⊢ b{i}"), statement="s") for i in range(5)]
    logic = [goal(f"⊢ l{i}", "logic") for i in range(9)]
    library = [replace(goal(f"⊢ t{i}", "Nat"), source="Init") for i in range(5)]
    trained = [replace(goal("⊢ c", split="train"), statement="u")]
    kept = choose([*way[:2], own, *way[2:], *logic, *library, *trained], stated=4, library=2)
    assert own in kept
    assert sorted(pair.family for pair in kept) == [
        "Nat",
        "Nat",
        "lists",
        "logic",
        "logic",
        "logic",
    ]
    assert choose(way, 4, 2)[0] in way


def test_the_committed_goals_are_held_out() -> None:
    goals = held_out(HELD_OUT)
    assert len(goals) >= 300
    assert {goal.source for goal in goals} == {"stated", "Init", "Std"}


@pytest.mark.parametrize(
    ("file", "goals"), [(RESULTS, HELD_OUT), (RESULTS_WORLDS, HELD_OUT_WORLDS)]
)
def test_the_documents_show_the_committed_results(file: Path, goals: Path) -> None:
    results = json.loads(file.read_text("utf-8"))
    page = (ROOT / "docs/starter.md").read_text("utf-8")
    assert table(results) in page
    assert group_table(results, next(iter(results["models"]))) in page
    assert table(results) in (HELD_OUT.parent / "README.md").read_text("utf-8")
    assert results["goals"] == len(held_out(goals))


def test_evaluation_needs_no_torch() -> None:
    code = "import convert.starter.__main__, sys; assert 'torch' not in sys.modules"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, env=environment)
