"""Generates training data: goals with steps that Lean accepts, from templates and library theorems.

The templates in `families/` state goals with varied names, shapes and unneeded hypotheses. Library
theorems are another source, and statements about worlds with definitions of their own (`worlds/`)
a third. Lean alone finds the steps that work (`lean/Starter/Run.lean`): it tries a portfolio of
tactics on each goal, and follows the steps that leave goals.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from . import appended
from .data import samples
from .goals import Goal, Sample
from .lean_runner import Job, judge, search, theorems
from .split import TEST, VALIDATION, Pair, canonical, digest, key_of, side_of, split
from .worlds import World, own_names
from .worlds import draw as draw_world

SEED = 2026
STATEMENTS_PER_WORLD = 8
PORTION = 40
"""Number of worlds that are drawn before their statements are searched."""
_KEPT = ("start", "family", "source", "statement", "key", "side", "number")
LONGEST = 800
"""Maximum number of characters of a goal."""
_NARROW = {"budget": 4, "depth": 2, "heartbeats": 4000, "library": True}
_LOGIC = {"budget": 5, "depth": 3, "heartbeats": 4000, "library": False}
_OWN = {"budget": 5, "depth": 2, "heartbeats": 1500, "library": False}
_SETTINGS = {
    "propositional": _LOGIC,
    "quantifiers": _LOGIC,
    "equality": _LOGIC,
    "arithmetic": _NARROW,
    "lists": _NARROW,
}
# Propositional logic is hardest for a small model, which must keep the hypotheses apart.
_SHARES = {
    "propositional": 0.42,
    "quantifiers": 0.16,
    "equality": 0.16,
    "arithmetic": 0.16,
    "lists": 0.10,
}
_OF_INIT = 0.8
"""Share of Init among the theorems. Much of Std repeats each lemma for every kind of map."""


def source(goal: Goal) -> str:
    """The binders and the type of the goal, as they follow `example`."""
    binders = "".join(f"({h.name} : {h.type}) " for h in goal.hypotheses)
    return f"{binders}: {goal.target}"


def stated_jobs(seed: int, shares: dict[str, int]) -> Iterator[Job]:
    """Jobs for the templates' statements, `shares` of each family, no two equal up to names."""
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
    return {
        **_SETTINGS[sample.family.split("/")[0]],
        "start": {"stated": source(goal)},
        "family": sample.family.split("/")[0],
        "source": "stated",
        "statement": statement,
        "key": key_of(sample),
    }


def theorem_jobs(seed: int, numbers: range) -> Iterator[Job]:
    """Jobs for theorems of Init and Std in a random order: those with these numbers."""
    if not numbers:
        return
    rng = random.Random(seed)
    found = theorems()
    rng.shuffle(found)
    roots = {name: module.split(".")[0] for name, module in found}
    init = [name for name, root in roots.items() if root == "Init"]
    std = [name for name, root in roots.items() if root == "Std"]
    first, stop = (round(number * _OF_INIT) for number in (numbers.start, numbers.stop))
    for name in init[first:stop] + std[numbers.start - first : numbers.stop - stop]:
        yield {
            **_NARROW,
            "start": {"theorem": name},
            "family": name.split(".")[0] if "." in name else "core",
            "source": roots[name],
        }


def draw_worlds(
    seed: int, numbers: Iterable[int], statements: int, only: str = ""
) -> Iterator[World]:
    """The worlds of these numbers with at most `statements` statements each, all on the side `only`
    if that is given. A world depends on the seed, its number and the side only."""
    sides = ["train", "validation", "test"]
    for number in numbers:
        rng = random.Random(f"world {seed} {number} {only}")
        wanted = only or rng.choices(sides, [1 - TEST - VALIDATION, VALIDATION, TEST])[0]
        world = None
        while world is None or not world.statements:
            world = draw_world(rng, wanted, statements)
        yield world


def world_jobs(world: World) -> list[Job]:
    """Jobs for the statements about a world."""
    return [
        {
            **_OWN,
            "start": {"world": world.text, "stated": statement},
            "family": family,
            "source": "world",
            "statement": digest(world.text + statement),
            "side": world.side,
        }
        for family, statement in world.statements
    ]


def held_out_worlds(seed: int, worlds: int, each: int, processes: int) -> Iterator[Pair]:
    """Rows of goals of the test's worlds, `each` of a world, without steps.

    Whether anything closes them is not looked at, so the search's reach does not limit the test.
    Raises NoLeanError.
    """
    drawn = draw_worlds(seed, range(worlds), each, only="test")
    jobs = [job for world in drawn for job in world_jobs(world)]
    asked = [{"start": job["start"], "path": [], "candidates": []} for job in jobs]
    goals = {found.index: found.goal for found in judge(asked, processes)}
    for index, job in enumerate(jobs):
        goal = goals.get(index)
        if goal is not None and len(goal) <= LONGEST:
            kept = {key: job[key] for key in ("family", "source", "statement", "start")}
            yield {"goal": goal, "steps": [], "split": "test", **kept, "path": []}


def statements(
    seed: int,
    stated: int,
    theorems: range,
    worlds: range,
    known: Iterable[dict[str, Any]] = (),
) -> list[Job]:
    """Jobs for statements of the training side in random order, without those that `known` pairs
    prove. The arguments are those of `generate`."""
    proved = {json.dumps(pair["start"]) for pair in known if not pair["path"] and pair["steps"]}
    shares = {family: round(share * stated) for family, share in _SHARES.items()}
    drawn = draw_worlds(seed, worlds, STATEMENTS_PER_WORLD)
    jobs = mixed(
        seed,
        stated_jobs(seed, shares),
        theorem_jobs(seed, theorems),
        (job for world in drawn for job in world_jobs(world)),
    )
    return [
        job
        for job in jobs
        if job.get("side", "train") == "train" and json.dumps(job["start"]) not in proved
    ]


def mixed(seed: int, *groups: Iterable[Job]) -> list[Job]:
    """All jobs in a random order, so that any part of the run is a sample of the whole."""
    jobs = [job for group in groups for job in group]
    random.Random(seed).shuffle(jobs)
    return jobs


def rows(jobs: Iterable[Job], processes: int) -> Iterator[dict[str, Any]]:
    """The search's result for each job: a statement with all its goals, or the failure."""
    for job, answer in search(jobs, processes):
        kept: Pair = {k: job[k] for k in _KEPT if k in job}
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


_NAME = re.compile(r"[^\W\d][\w']*")


def is_visible(step: str, goal: str, row: dict[str, Any]) -> bool:
    """Whether a step names nothing of its world that the goal does not show. A model sees the goal
    only."""
    world = row["start"].get("world")
    if world is None:
        return True
    return not own_names(world) & set(_NAME.findall(step)) - set(_NAME.findall(goal))


def pairs(found: Iterable[dict[str, Any]]) -> Iterator[Pair]:
    """The goals in the rows as rows of the file of pairs, each with its split.

    They include held-out statements that the search has not closed, without steps. Otherwise the
    test would only have goals that the portfolio can close.
    """

    def goals() -> Iterator[Pair]:
        for row in found:
            goals = row["found"]
            unsolved = all(goal["path"] for goal in goals)
            if unsolved and "root" in row and side_of(row) != "train":
                goals = [{"goal": row["root"], "steps": [], "path": []}, *goals]
            for goal in goals:
                if len(goal["goal"]) > LONGEST:
                    continue
                kept = {k: row[k] for k in _KEPT if k in row and k != "number"}
                steps = [step for step in goal["steps"] if is_visible(step[0], goal["goal"], row)]
                if steps or not goal["steps"]:
                    yield {**goal, **kept, "steps": steps}

    return split(goals())


def write(found: list[dict[str, Any]], target: Path) -> dict[str, int]:
    """Write the pairs in the rows to a file, atomically. Returns their numbers by kind."""
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
    theorems: range = range(0),
    worlds: range = range(0),
    seed: int = SEED,
    processes: int = 2,
    every: int = 500,
) -> dict[str, int]:
    """Generate pairs into `target`, which is rewritten after each `every` statements.

    `stated` is how many statements of templates to search, `theorems` and `worlds` which theorems
    and worlds, so that a later call can search others. The search's rows are kept beside the
    target (`.rows`), and their statements are not searched again. Returns the numbers of goals,
    pairs and statements. Raises NoLeanError.
    """
    shares = {family: round(share * stated) for family, share in _SHARES.items()}
    ours = stated_jobs(seed, shares)
    store = target.with_name(target.name + ".rows")
    known: list[dict[str, Any]] = appended.read(store)
    done = {json.dumps(row["start"]) for row in known}
    numbers = (row["number"] for row in known if "number" in row)
    last = max((number for number in numbers if number in worlds), default=worlds.start)

    def portions() -> Iterator[list[Job]]:
        yield mixed(seed, ours, theorem_jobs(seed, theorems))
        # To draw a world takes about a second, so the search begins with the first ones. It goes on
        # with the last portion that it has begun.
        for start in range(last - (last - worlds.start) % PORTION, worlds.stop, PORTION):
            numbers = range(start, min(start + PORTION, worlds.stop))
            drawn = zip(numbers, draw_worlds(seed, numbers, STATEMENTS_PER_WORLD), strict=True)
            yield [{**job, "number": n} for n, world in drawn for job in world_jobs(world)]

    with store.open("a", encoding="utf-8") as file:
        for jobs in portions():
            left = [job for job in jobs if json.dumps(job["start"]) not in done]
            for row in rows(left, processes):
                known.append(row)
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                file.flush()
                if len(known) % every == 0:
                    write(known, target)
    return write(known, target)
