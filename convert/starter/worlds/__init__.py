"""Worlds: small sets of definitions of their own, with statements about them.

`draw` makes a world at random. A world is on one side (training, validation or test) with all its
types and functions: no definition of a test's world stands in a world of training, under any names.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from ..split import digest, side
from . import indexed
from .definitions import FunctionDraft, draw_data, draw_predicate, projections
from .language import LIST_DATA, NAT_DATA, Data, Function, Predicate
from .names import Names
from .statements import Conjectures, Statement

MOST_PER_FAMILY = 3
TEST_DEFINITIONS, VALIDATION_DEFINITIONS = 0.15, 0.03
"""The shares of definitions that are held out. There are fewer kinds of them than of statements."""


@dataclass(frozen=True)
class World:
    """A world: its definitions as Lean reads them, and statements about them."""

    side: str
    text: str
    statements: tuple[tuple[str, str], ...]
    """Families, and statements as they follow `example`."""


def side_of(key: str) -> str:
    """The side of a definition, from its key."""
    return side(digest(key), TEST_DEFINITIONS, VALIDATION_DEFINITIONS)


def type_key(data: Data) -> str:
    """A text that is the same for types that differ in names and the constructors' order only."""

    def shape(constructor: tuple[object, ...]) -> str:
        return ",".join("self" if t == data.type else str(t) for t in constructor)

    shapes = sorted(shape(c.fields) for c in data.constructors)
    return f"{bool(data.projections)} {len(data.params)} " + " | ".join(shapes)


def function_key(function: Function) -> str:
    """A text that is the same for functions on Lean's types that differ only in their names."""
    return _renamed(str(function), function.name, "f")


def _renamed(text: str, name: str, new: str) -> str:
    """The text with another name where this one is a whole word."""
    return re.sub(rf"(?<![\w.']){re.escape(name)}(?![\w'])", new, text)


def predicate_key(predicate: Predicate) -> str:
    """A text that is the same for predicates on Lean's types that differ only in their names."""
    text = _renamed(str(predicate), predicate.name, "P")
    for i, rule in enumerate(predicate.rules):
        text = text.replace(f"| {rule.name} ", f"| r{i} ")
    return text


def draw(rng: random.Random, wanted: str, count: int) -> World | None:
    """A world on the wanted side with at most `count` statements. None if the draw is no use."""
    if rng.random() < indexed.SHARE:
        return _indexed(rng, wanted, count)
    names = Names(rng)
    builtin = rng.random() < 0.22
    own: list[Data] = []
    if not builtin:
        for _ in range(60):
            data = draw_data(rng, names)
            if side_of(type_key(data)) == wanted:
                own.append(data)
                break
        if not own:
            return None
    base = [rng.choice([NAT_DATA, LIST_DATA])] if builtin else list(own)
    if not builtin and rng.random() < 0.15:
        base.append(rng.choice([NAT_DATA, LIST_DATA]))
    functions = [f for data in own for f in projections(data)]
    wanted_functions = rng.choice([2, 3, 3, 4])
    for _ in range(40):
        if sum(not f.hidden for f in functions) >= wanted_functions:
            break
        data = rng.choice(base)
        function = FunctionDraft(rng, names, data, functions).draw()
        if function is None or (data not in own and side_of(function_key(function)) != wanted):
            continue
        if function_key(function) not in map(function_key, functions):
            functions.append(function)
    predicates: list[Predicate] = []
    for _ in range(6):
        if len(predicates) >= rng.choice([0, 1, 1, 1, 2]):
            break
        data = rng.choice(base)
        predicate = draw_predicate(rng, names, data)
        if predicate and (data in own or side_of(predicate_key(predicate)) == wanted):
            predicates.append(predicate)
    found = Conjectures(rng, own, functions, predicates, 1 if wanted == "train" else 3)
    if dull := found.dull():
        used = {name for f in functions for name in f.calls}
        functions = [f for f in functions if f.name not in dull or f.hidden or f.name in used]
        predicates = [p for p in predicates if p.name not in dull]
        found = Conjectures(rng, own, functions, predicates, found.trials)
    statements = [*found.equations(), *found.implications(60)]
    chosen = _chosen(rng, statements, count)
    text = "\n\n".join(map(str, [*own, *(f for f in functions if not f.hidden), *predicates]))
    return World(wanted, text + "\n", tuple((s.family, source(rng, s)) for s in chosen))


def _indexed(rng: random.Random, wanted: str, count: int) -> World | None:
    for _ in range(60):
        key, text, statements = indexed.draw(rng, Names(rng))
        if side_of(key) == wanted:
            rng.shuffle(statements)
            return World(wanted, text, tuple(statements[:count]))
    return None


def _chosen(rng: random.Random, statements: list[Statement], count: int) -> list[Statement]:
    """Some of the statements, not many of a family."""
    by_family: dict[str, dict[tuple[tuple[str, ...], str], Statement]] = {}
    for statement in statements:
        key = (statement.hypotheses, statement.conclusion)
        by_family.setdefault(statement.family, {})[key] = statement
    rounds: list[list[Statement]] = []
    for group in by_family.values():
        # Small ones, mostly: nobody states the large ones.
        by_size = sorted(group.values(), key=lambda s: len(s.conclusion) + 25 * rng.random())
        listed = by_size[: max(MOST_PER_FAMILY, len(by_size) // 4)]
        rounds.append(rng.sample(listed, min(len(listed), MOST_PER_FAMILY)))
    found: list[Statement] = []
    for turn in range(MOST_PER_FAMILY):
        these = [group[turn] for group in rounds if len(group) > turn]
        rng.shuffle(these)
        found += these
    return found[:count]


def own_names(world: str) -> set[str]:
    """The parts of the names that a world's definitions introduce."""
    heads = re.findall(r"^(?:inductive|structure|def) (\S+)|^  \| (\w+)[ {(:](?!.*=>)", world, re.M)
    fields = re.findall(r"^  (\w+) : ", world, re.M)
    return {part for name in [*map("".join, heads), *fields] for part in name.split(".")}


def source(rng: random.Random, statement: Statement) -> str:
    """A statement with its binders, as it follows `example`."""
    greek = sorted(set[str]().union(*(type_.variables() for _, type_ in statement.variables)))
    implicit = f"{{{' '.join(greek)} : Type}} " if greek else ""
    bound = rng.random() < 0.22
    groups: list[tuple[list[str], str]] = []
    for name, type_ in statement.variables:
        if groups and groups[-1][1] == str(type_):
            groups[-1][0].append(name)
        else:
            groups.append(([name], str(type_)))
    binders = [f"({' '.join(names)} : {type_})" for names, type_ in groups]
    taken = {name for name, _ in statement.variables}
    base = next(n for n in rng.sample(["h", "h", "h", "hx", "H", "hyp"], 6) if n not in taken)
    named = [f"({base} : {text})" for text in statement.hypotheses]
    conclusion = statement.conclusion
    if bound:
        arrows = " → ".join([*statement.hypotheses, conclusion])
        whole = f"∀ {' '.join(binders)}, {arrows}" if binders else arrows
        return f"{implicit}: {whole}"
    if statement.hypotheses and rng.random() < 0.25:
        return f"{implicit}{' '.join(binders)} : " + " → ".join([*statement.hypotheses, conclusion])
    return f"{implicit}{' '.join([*binders, *named])} : {conclusion}".replace("  ", " ")
