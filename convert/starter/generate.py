"""Data from Lean: goals with steps that Lean accepts, from statements of ours and of the library.

The templates in `families/` state goals, with varied names, shapes and hypotheses that nothing
needs; the library's theorems are the other half. Which steps work is found by Lean alone
(`lean/Starter/Run.lean`): it tries a portfolio on each goal and follows the steps that leave goals.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from .data import samples
from .goals import Goal, Sample
from .lean_runner import Job, search, theorems
from .split import Pair, canonical, digest, side, split

SEED = 2026
ELEMENTARY = 45  # shapes of fewer characters are told apart by what else stands in the goal
LONGEST = 800  # characters of a goal
_NARROW = {"budget": 4, "depth": 2, "heartbeats": 4000, "library": True}
_LOGIC = {"budget": 5, "depth": 3, "heartbeats": 4000, "library": False}
_SETTINGS = {
    "propositional": _LOGIC,
    "quantifiers": _LOGIC,
    "equality": _LOGIC,
    "arithmetic": _NARROW,
    "lists": _NARROW,
}
# Propositional logic is what a small model finds hardest: which hypothesis says what.
_SHARES = {
    "propositional": 0.42,
    "quantifiers": 0.16,
    "equality": 0.16,
    "arithmetic": 0.16,
    "lists": 0.10,
}
_OF_INIT = 0.8  # of the theorems; much of Std is about maps, one lemma for each kind of map


def source(goal: Goal) -> str:
    """What stands behind `example`: binders and type."""
    binders = "".join(f"({h.name} : {h.type}) " for h in goal.hypotheses)
    return f"{binders}: {goal.target}"


def stated_jobs(seed: int, shares: dict[str, int]) -> Iterator[Job]:
    """Statements made from the templates, no two the same up to names; so many of each family."""
    left = dict(shares)
    seen: set[str] = set()
    for number, sample in enumerate(samples(seed)):
        family = sample.family.split("/")[0]
        if left.get(family, 0) > 0:
            goal = Goal(sample.goal.hypotheses, sample.goal.target)
            statement = digest(canonical(str(goal)))
            if statement not in seen:
                seen.add(statement)
                left[family] -= 1
                yield _stated_job(sample, goal, statement)
        if not any(left.values()) or number > 60 * sum(shares.values()):
            return


def _stated_job(sample: Sample, goal: Goal, statement: str) -> Job:
    long = len(sample.shape) >= ELEMENTARY
    return {
        **_SETTINGS[sample.family.split("/")[0]],
        "start": {"stated": source(goal)},
        "family": sample.family.split("/")[0],
        "source": "stated",
        "statement": statement,
        "key": sample.shape if long else statement,
    }


def theorem_jobs(seed: int, count: int) -> Iterator[Job]:
    """Theorems of Init and Std, drawn at random."""
    rng = random.Random(seed)
    found = theorems()
    rng.shuffle(found)
    roots = {name: module.split(".")[0] for name, module in found}
    init = [name for name, root in roots.items() if root == "Init"][: round(count * _OF_INIT)]
    std = [name for name, root in roots.items() if root == "Std"][: count - len(init)]
    for name in init + std:
        yield {
            **_NARROW,
            "start": {"theorem": name},
            "family": name.split(".")[0] if "." in name else "core",
            "source": roots[name],
        }


def mixed(seed: int, *groups: Iterable[Job]) -> list[Job]:
    """All jobs in a random order, so that any part of the run is a sample of the whole."""
    jobs = [job for group in groups for job in group]
    random.Random(seed).shuffle(jobs)
    return jobs


def rows(jobs: Iterable[Job], processes: int) -> Iterator[dict[str, Any]]:
    """What the search says about each job: a statement with all its goals, or the failure."""
    for job, answer in search(jobs, processes):
        kept: Pair = {
            k: job[k] for k in ("start", "family", "source", "statement", "key") if k in job
        }
        if answer is None:
            yield {**kept, "found": [], "attempts": 0, "milliseconds": 0, "failed": True}
            continue
        statement = digest(canonical(answer["root"]))
        yield {
            "statement": statement,
            "key": statement,
            **kept,
            **{k: answer[k] for k in ("root", "found", "attempts", "milliseconds")},
        }


def pairs(found: Iterable[dict[str, Any]]) -> Iterator[Pair]:
    """The goals of the rows, one by one, as the pairs file has them, with their split.

    Held-out statements that nothing was found for are there too, without steps, so that the test is
    not only about what the portfolio can do.
    """

    def goals() -> Iterator[Pair]:
        for row in found:
            goals = row["found"]
            unsolved = all(goal["path"] for goal in goals)
            if unsolved and "root" in row and side(row["key"]) != "train":
                goals = [{"goal": row["root"], "steps": [], "path": []}, *goals]
            for goal in goals:
                if len(goal["goal"]) > LONGEST:
                    continue
                kept = {k: row[k] for k in ("start", "family", "source", "statement", "key")}
                yield {**goal, **kept}

    return split(goals())


def write(found: list[dict[str, Any]], target: Path) -> dict[str, int]:
    """Write the pairs of the rows, all at once; returns their numbers."""
    count = {"goals": 0, "pairs": 0, "train": 0, "validation": 0, "test": 0}
    statements: set[str] = set()
    part = target.with_name(target.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        for pair in pairs(found):
            file.write(json.dumps(pair, ensure_ascii=False) + "\n")
            count["goals"] += 1
            count["pairs"] += len(pair["steps"])
            count[pair["split"]] += 1
            statements.add(pair["statement"])
    part.replace(target)
    return {**count, "statements": len(statements)}


def generate(
    target: Path,
    *,
    stated: int,
    theorems: int,
    seed: int = SEED,
    processes: int = 2,
    every: int = 500,
) -> dict[str, int]:
    """Generate pairs into `target`, which is renewed after every so many statements.

    `stated` says how many statements of ours, `theorems` how many of the library's. The rows that
    the search gives are kept beside the target (`.rows`), and what is there is not searched again.
    Returns the numbers of goals, pairs and statements. Raises NoLeanError.
    """
    shares = {family: round(share * stated) for family, share in _SHARES.items()}
    ours = stated_jobs(seed, shares)
    jobs = mixed(seed, ours, theorem_jobs(seed, theorems) if theorems else [])
    store = target.with_name(target.name + ".rows")
    known: list[dict[str, Any]] = []
    if store.exists():
        with store.open(encoding="utf-8") as file:
            known = [json.loads(line) for line in file if line.endswith("\n")]
    done = {json.dumps(row["start"]) for row in known}
    with store.open("a", encoding="utf-8") as file:
        for row in rows((j for j in jobs if json.dumps(j["start"]) not in done), processes):
            known.append(row)
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            if len(known) % every == 0:
                file.flush()
                write(known, target)
    return write(known, target)
