"""Evaluates a running daemon: Lean judges its suggestions for held-out goals.

Lean runs each suggestion on its goal. The verdict is that it closes the goal, is valid (it runs and
leaves goals), fails, or does not parse. For comparison, Lean also judges tactics that need no model
on the same goals. A file caches the verdicts, so that nothing is judged twice.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

from llmsuggestd.errors import InputError
from llmsuggestd.files import write_atomically

from . import appended
from .examples import Pair, read_pairs
from .lean_runner import Job, Judgement

HELD_OUT = Path(__file__).parent / "heldout.jsonl"
HELD_OUT_WORLDS = Path(__file__).parent / "heldout-worlds.jsonl"

BASELINES = ("simp", "omega", "rfl", "decide", "simp_all", "grind", "exact?")
BASELINES_WORLDS = BASELINES[:-1]
"""Without `exact?`: the library has no theorem about a world."""
ORACLE = "induction … <;> simp_all […]"
"""An oracle of one line: the better of induction on each variable, and on none, with the names of
all the world's functions that the goal shows. It needs no model, but tries more than one step."""

Suggest = Callable[[str, int], list[str]]
"""Returns a number of suggestions for a goal, best first."""

Judge = Callable[[list[Job]], Iterable[Judgement]]
"""The type of `lean_runner.judge`."""


@dataclass
class Score:
    """Counts of verdicts for a group of goals."""

    goals: int = 0
    top_1: int = 0
    top_5: int = 0
    top_10: int = 0
    valid: int = 0
    """Number of goals for which one of ten suggestions closes the goal or is valid."""
    suggestions: int = 0
    parsed: int = 0

    def add(self, five: Sequence[str], ten: Sequence[str]) -> None:
        """Count a goal, given the verdicts on its answers of five and of ten suggestions."""
        self.goals += 1
        self.top_1 += "closes" in five[:1]
        self.top_5 += "closes" in five
        self.top_10 += "closes" in ten
        self.valid += "closes" in ten or "valid" in ten
        self.suggestions += len(ten)
        self.parsed += sum(verdict != "unparsed" for verdict in ten)

    def shares(self) -> dict[str, float]:
        """The counts as shares of the goals; `parsed` as a share of the suggestions."""
        goals = max(1, self.goals)
        return {
            "goals": self.goals,
            "top_1": self.top_1 / goals,
            "top_5": self.top_5 / goals,
            "top_10": self.top_10 / goals,
            "valid": self.valid / goals,
            "parsed": self.parsed / max(1, self.suggestions),
        }


@dataclass
class Verdicts:
    """Lean's verdicts on candidate steps, cached in a file."""

    judge: Judge
    path: Path | None = None
    known: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path is not None:
            self.known.update(appended.read(self.path))

    def of(self, goals: Sequence[Pair], candidates: Sequence[Sequence[str]]) -> list[list[str]]:
        """The verdicts on each goal's candidates, in their order."""
        jobs, keys = [], []
        for goal, texts in zip(goals, candidates, strict=True):
            new = [t for t in dict.fromkeys(texts) if self._key(goal, t) not in self.known]
            if new:
                job = {"start": goal.start, "path": list(goal.path), "candidates": new}
                jobs.append(job)
                keys.append([self._key(goal, text) for text in new])
        if jobs:
            for judgement in self.judge(jobs):
                kinds = [verdict.kind for verdict in judgement.verdicts]
                self._keep(dict(zip(keys[judgement.index], kinds, strict=True)))
        return [
            [self.known[self._key(goal, text)] for text in texts]
            for goal, texts in zip(goals, candidates, strict=True)
        ]

    def _keep(self, judged: dict[str, str]) -> None:
        self.known.update(judged)
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as out:
                out.writelines(json.dumps(pair) + "\n" for pair in judged.items())

    @staticmethod
    def _key(goal: Pair, candidate: str) -> str:
        text = json.dumps([goal.start, goal.path, candidate], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def held_out(path: Path = HELD_OUT, count: int | None = None, seed: int = 11) -> list[Pair]:
    """The test goals in a file of pairs: all, or `count` of them drawn with the seed."""
    goals = [pair for pair in read_pairs(path) if pair.split == "test"]
    if count is not None and count < len(goals):
        goals = random.Random(seed).sample(goals, count)
    return goals


def choose(pairs: Iterable[Pair], stated: int, library: int, seed: int = 11) -> list[Pair]:
    """Choose test goals, one per statement: at most `stated` of templates, `library` of theorems.

    A statement's own goal is preferred to one that a step leads to. The families of the templates
    contribute as evenly as possible.
    """
    rng = random.Random(seed)
    by_statement: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        if pair.split == "test" and pair.source != "world":
            by_statement[pair.statement].append(pair)
    families: dict[str, list[Pair]] = defaultdict(list)
    for goals in by_statement.values():
        own = [goal for goal in goals if not goal.path]
        goal = own[0] if own else rng.choice(goals)
        families[goal.family if goal.source == "stated" else ""].append(goal)
    for goals in families.values():
        rng.shuffle(goals)
    theirs = families.pop("", [])[:library]
    turns = zip_longest(*(families[family] for family in sorted(families)))
    ours = [goal for turn in turns for goal in turn if goal is not None][:stated]
    return ours + theirs


def groups(goal: Pair) -> tuple[str, ...]:
    """The names of the groups in which a goal counts."""
    own = goal.source in ("stated", "world")
    return "all", goal.family if own else f"theorems of {goal.source}"


def oracle(goal: Pair) -> list[str]:
    """The steps of the oracle for a goal about a world, none for other goals."""
    world = goal.start.get("world")
    if world is None:
        return []
    stated = goal.start["stated"]
    functions = [
        name
        for name in re.findall(r"^def (\S+)", world, re.MULTILINE)
        if re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.'])", stated)
    ]
    listed = f" [{', '.join(functions)}]" if functions else ""
    # Variables are named before the colon, or bound by the statement.
    binders = re.findall(r"[({]([^(){}:]+) : ([^(){}]+(?:\([^()]*\))?[^(){}]*)[)}]", stated)
    bound = re.match(r"[^:]*: ∀ ", re.sub(r"[({][^(){}]*[)}]", "", stated)) is not None
    variables = [
        name
        for names, type_ in binders
        for name in names.split()
        if type_ not in ("Type", "Prop") and not re.search(r"[=→<≤∀]", type_)
    ]
    introduced = ""
    if bound:
        explicit = [names for names, type_ in binders if type_ != "Type"]
        introduced = f"intro {' '.join(explicit)}; " if explicit else ""
    return [
        f"{introduced}simp_all{listed}",
        *(f"{introduced}induction {name} <;> simp_all{listed}" for name in variables),
    ]


def evaluate(
    goals: Sequence[Pair], suggest: Suggest, verdicts: Verdicts, progress: Callable[[int], None]
) -> dict[str, Any]:
    """The scores of `suggest` by group, and its median time for five suggestions in ms."""
    fives, tens, times = [], [], []
    for number, goal in enumerate(goals):
        before = time.monotonic()
        fives.append(suggest(goal.goal, 5)[:5])
        times.append(time.monotonic() - before)
        tens.append(suggest(goal.goal, 10)[:10])
        progress(number + 1)
    both = verdicts.of(goals, [[*five, *ten] for five, ten in zip(fives, tens, strict=True)])
    scores: dict[str, Score] = defaultdict(Score)
    for goal, five, judged in zip(goals, fives, both, strict=True):
        for group in groups(goal):
            scores[group].add(judged[: len(five)], judged[len(five) :])
    return {
        "milliseconds": round(1000 * statistics.median(times)),
        "groups": {group: scores[group].shares() for group in sorted(scores)},
    }


def baselines(
    goals: Sequence[Pair], verdicts: Verdicts, tactics: Sequence[str] = BASELINES
) -> dict[str, Any]:
    """The share of goals that each tactic closes, the oracle, and any of them, by group."""
    judged = verdicts.of(goals, [[*tactics, *oracle(goal)] for goal in goals])
    found: dict[str, dict[str, Score]] = defaultdict(lambda: defaultdict(Score))
    for goal, row in zip(goals, judged, strict=True):
        by_name = {name: [verdict] for name, verdict in zip(tactics, row, strict=False)}
        if "world" in goal.start:
            by_name[ORACLE] = row[len(tactics) :]
        for name, mine in [*by_name.items(), ("any of these", row)]:
            best = ["closes"] if "closes" in mine else []
            for group in groups(goal):
                found[name][group].add(best, best)
    return {
        name: {
            "groups": {
                group: {"goals": score.goals, "top_1": score.top_1 / score.goals}
                for group, score in sorted(by_group.items())
            }
        }
        for name, by_group in found.items()
    }


def percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


COLUMNS = ("top_1", "top_5", "top_10", "valid", "parsed")


def table(results: dict[str, Any], group: str = "all") -> str:
    """The results of all models and tactics for one group, as a Markdown table."""
    lines = [
        "| what suggests | closed by the first | by one of 5 | by one of 10 | a valid step in 10 "
        "| parses |",
        "|---|---|---|---|---|---|",
    ]
    for kind in ("models", "baselines"):
        for name, entry in results.get(kind, {}).items():
            shares = entry["groups"].get(group, {})
            cells = " | ".join(percent(shares.get(column)) for column in COLUMNS)
            shown = name if kind == "models" or name.startswith("any") else f"always `{name}`"
            lines.append(f"| {shown} | {cells} |")
    return "\n".join(lines)


def group_table(results: dict[str, Any], model: str) -> str:
    """A model's results by group, with the best tactic of each group, as a Markdown table."""
    entry = results["models"][model]["groups"]
    lines = [
        f"| {model} | goals | closed by the first | by one of 5 | by one of 10 "
        "| a valid step in 10 | best without a model |",
        "|---|---|---|---|---|---|---|",
    ]
    for group in sorted(entry, key=lambda name: (name == "all", name.startswith("theorems"), name)):
        shares = entry[group]
        cells = " | ".join(percent(shares[c]) for c in ("top_1", "top_5", "top_10", "valid"))
        others = {
            name: baseline["groups"].get(group, {}).get("top_1", 0.0)
            for name, baseline in results.get("baselines", {}).items()
            if not name.startswith("any")
        }
        best, share = max(others.items(), key=lambda one: one[1], default=("", 0.0))
        shown = f"`{best}` {percent(share)}" if share else "none" if others else ""
        lines.append(f"| {group} | {shares['goals']} | {cells} | {shown} |")
    return "\n".join(lines)


def report(results: dict[str, Any], model: str | None = None) -> str:
    """All tables of the results, or of one model's."""
    models = [model] if model else results.get("models", {})
    return "\n\n".join([table(results), *(group_table(results, name) for name in models)])


def results_of(path: Path, goals: Sequence[Pair]) -> dict[str, Any]:
    """The results for these goals in a file, which need not exist.

    Raises InputError if the file has the results for other goals.
    """
    same = hashlib.blake2b("\n".join(g.goal for g in goals).encode(), digest_size=8).hexdigest()
    if not path.exists():
        return {"goals": len(goals), "goals_hash": same, "models": {}, "baselines": {}}
    results: dict[str, Any] = json.loads(path.read_text("utf-8"))
    if results["goals_hash"] != same:
        raise InputError(
            f"{path} has the results for other goals",
            "remove it, or name another file with `--output`",
        )
    return results


def update(path: Path, goals: Sequence[Pair], **more: Any) -> dict[str, Any]:
    """Add results to a file. Returns all of them. Raises InputError like `results_of`."""
    results = results_of(path, goals)
    for kind, entries in more.items():
        results[kind] |= entries
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
    write_atomically(path, text.encode())
    return results


def rounded(value: Any) -> Any:
    """The value with its floats rounded to four places."""
    if isinstance(value, dict):
        return {key: rounded(v) for key, v in value.items()}
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return round(value, 4) if isinstance(value, float) else value


def write(goals: Iterable[Pair], path: Path) -> None:
    """Write goals as a file of pairs."""
    lines = [json.dumps(goal.row(), ensure_ascii=False) + "\n" for goal in goals]
    write_atomically(path, "".join(lines).encode())
