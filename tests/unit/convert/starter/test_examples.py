"""Training examples: the weights of steps, and renamed hypotheses."""

from __future__ import annotations

import gzip
import json
import lzma
import random
import re
from pathlib import Path
from typing import Any

import pytest

from convert.starter.examples import Example, Pair, read_pairs, renamed, shuffled

ROW: dict[str, Any] = {
    "goal": "p q : Prop\nhp : p\nhq : q\n⊢ p ∧ q",
    "steps": [
        ["exact ⟨hp, hq⟩", "closes", 0],
        ["constructor", "leads", 2],
        ["simp_all", "closes", 0],
    ],
    "start": {"stated": "(p q : Prop) (hp : p) (hq : q) : p ∧ q"},
    "path": [],
    "family": "propositional/and",
    "source": "stated",
    "statement": "1f",
    "split": "train",
}


def write(path: Path, *rows: object) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    compress: dict[str, Any] = {".gz": gzip.compress, ".xz": lzma.compress}
    path.write_bytes(compress.get(path.suffix, bytes)(text.encode()))
    return path


@pytest.mark.parametrize("name", ["pairs.jsonl", "pairs.jsonl.gz", "pairs.jsonl.xz"])
def test_pairs_are_read(tmp_path: Path, name: str) -> None:
    (pair,) = read_pairs(write(tmp_path / name, ROW))
    assert pair.steps == (("exact ⟨hp, hq⟩", True), ("constructor", False), ("simp_all", True))
    assert (pair.split, pair.source, pair.start) == ("train", "stated", ROW["start"])


def test_a_pair_is_written_as_it_is_read(tmp_path: Path) -> None:
    (pair,) = read_pairs(write(tmp_path / "one.jsonl", ROW))
    assert read_pairs(write(tmp_path / "two.jsonl", pair.row())) == [pair]


def test_every_kind_of_step_has_its_share(tmp_path: Path) -> None:
    steps = [*ROW["steps"], ["exact And.intro hp hq", "closes", 0], ["grind", "closes", 0]]
    (pair,) = read_pairs(write(tmp_path / "pairs.jsonl", {**ROW, "steps": steps}))
    weights = dict(zip(pair.example.steps, pair.example.weights, strict=True))
    assert sum(weights.values()) == pytest.approx(1)
    assert weights["grind"] > weights["simp_all"] > weights["constructor"]
    assert weights["exact ⟨hp, hq⟩"] > weights["exact And.intro hp hq"] > weights["constructor"]


def test_a_word_has_more_weight_where_other_steps_are_long(tmp_path: Path) -> None:
    def share(term: str) -> float:
        steps = [[term, "closes", 0], ["grind", "closes", 0], ["intro h", "leads", 1]]
        (pair,) = read_pairs(write(tmp_path / "pairs.jsonl", {**ROW, "steps": steps}))
        return dict(zip(pair.example.steps, pair.example.weights, strict=True))["grind"]

    assert share("exact ⟨hp, hq⟩") == pytest.approx(0.7)
    assert share("exact And.intro (And.left h) (And.right h)") == pytest.approx(0.9)


def test_hypotheses_change_places_but_stay_below_what_they_use() -> None:
    goal = "n : Nat\nh : n = 3\nh₁ : n < 4 ∨\n  n = 5\nhf : Fin n\nhg : hf = hf\n⊢ n = 3"
    example = Example(goal, ("grind",), (1.0,))
    orders = set()
    for seed in range(60):
        lines = renamed(example, random.Random(seed)).goal.replace("\n  ", " ").splitlines()
        types = [line.split(" : ")[1].split(" ")[-1] for line in lines[:-1]]
        assert (types[0], lines[-1][-4:]) == ("Nat", " = 3")
        fin = next(i for i, line in enumerate(lines) if "Fin" in line)
        uses = next(i for i, line in enumerate(lines) if re.search(r"(\S+) = \1$", line))
        assert fin < uses
        orders.add(tuple(types))
    assert len(orders) > 3


def test_names_change_in_the_goal_and_in_the_steps_alike() -> None:
    example = Example(
        "p q : Prop\nh : p ∧ q\nhp.x : p\n⊢ q ∧ p",
        ("exact ⟨h.2, h.1⟩", "exact And.symm h"),
        (0.5, 0.5),
    )
    seen = set()
    for seed in range(50):
        made = renamed(example, random.Random(seed))
        lines = made.goal.splitlines()
        names = lines[0].split()[:2]
        (h,) = [line.split()[0] for line in lines[1:3] if "∧" in line]
        assert made.goal.endswith(f"⊢ {names[1]} ∧ {names[0]}")
        assert made.steps == (f"exact ⟨{h}.2, {h}.1⟩", f"exact And.symm {h}")
        assert len({*names, h}) == 3
        seen.add((*names, h))
    assert len(seen) > 20


@pytest.mark.parametrize("step", ["exact f (n := 3)", "case zero => simp", "rename_i k\nsimp"])
def test_names_stay_where_a_change_might_be_wrong(step: str) -> None:
    example = Example("n : Nat\nh : n = 3\n⊢ n = 3", (step,), (1.0,))
    assert all(renamed(example, random.Random(seed)) == example for seed in range(20))


def test_a_new_name_is_never_one_in_use() -> None:
    names = "a b c d e i j k l m n u v w x y"
    example = Example(f"{names} : Nat\n⊢ z' = a", (f"exact foo {names}",), (1.0,))
    for seed in range(30):
        made = renamed(example, random.Random(seed)).goal.split(" : ")[0].split()
        assert len(set(made)) == len(names.split())
        assert "z'" not in made


def test_examples_repeat_endlessly() -> None:
    examples = [Example(f"⊢ {i} = {i}", ("rfl",), (1.0,)) for i in range(5)]
    stream = shuffled(examples, random.Random(0))
    assert {next(stream).goal for _ in range(5)} == {next(stream).goal for _ in range(5)}
    assert list(shuffled([], random.Random(0))) == []


def test_rows_are_read_as_pairs(tmp_path: Path) -> None:
    assert isinstance(read_pairs(write(tmp_path / "p.jsonl", ROW))[0], Pair)
