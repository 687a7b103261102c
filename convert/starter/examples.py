"""Training examples: goals with steps that Lean accepted, from a file or from templates.

A file of pairs has one goal per line, in JSON: `goal`; its `steps`, best first, each
`[tactic, "closes" or "leads", goals left]`; `split` ("train", "validation" or "test"); `family`;
`source`; `statement` (a hash of the statement); and `start` and `path`, with which Lean reproduces
the goal.
"""

from __future__ import annotations

import gzip
import json
import lzma
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .goals import Sample
from .split import canonical
from .worlds import own_names
from .worlds.names import Names

SHARES = {"word": 0.7, "closes": 0.25, "leads": 0.05}
"""Each kind of step's share of a goal's weight.

Suggestions are ranked by their mean log probability per token, which favours long ones. A tactic of
one word, such as `grind`, needs a high probability to rank beside terms of ten tokens."""
HARD_SHARES = {"word": 0.9, "closes": 0.07, "leads": 0.03}
"""The shares if a word closes the goal, and no other step of at most `SHORT` characters does. A
long term is a guess there, and five variants of it would leave no place for the word."""
SHORT = 24
RATIOS = {"word": 0.35, "closes": 0.5, "leads": 0.5}
"""The ratio of the weights from one step of a kind to the next."""
MOST = {"word": 3, "closes": 3, "leads": 2}
"""Maximum number of steps of each kind."""
STRONGEST = "grind"
"""The word that closes most goals. If it closes a goal, it is first among the words."""


@dataclass(frozen=True)
class Example:
    """A goal with correct steps, best first, and their weights, which sum to 1."""

    goal: str
    steps: tuple[str, ...]
    weights: tuple[float, ...]
    own: frozenset[str] = frozenset()
    """The parts of names of definitions that the goal's world has, of which none is Lean's."""


@dataclass(frozen=True)
class Pair:
    """A line of a file of pairs."""

    goal: str
    steps: tuple[tuple[str, bool], ...]
    """Tactics, best first, and whether each closes the goal."""
    split: str
    family: str
    source: str
    statement: str
    start: dict[str, str] = field(hash=False)
    path: tuple[str, ...] = ()

    @property
    def example(self) -> Example:
        """The training example: the best steps of every kind.

        Steps of several lines, such as `induction` with its cases, are similar to each other and
        would fill all places. They are used only if no step of one line closes the goal.
        """
        kinds: dict[str, list[str]] = {"closes": [], "word": [], "leads": []}
        short = any(closes and "\n" not in text for text, closes in self.steps)
        for text, closes in self.steps:
            if short and "\n" in text:
                continue
            kinds[("closes" if set(text) & set(" .") else "word") if closes else "leads"].append(
                text
            )
        kinds["word"].sort(key=lambda text: text != STRONGEST)
        hard = kinds["word"] and not any(len(text) <= SHORT for text in kinds["closes"])
        shares = HARD_SHARES if hard else SHARES
        chosen = [
            (text, shares[kind] * RATIOS[kind] ** rank)
            for kind, texts in kinds.items()
            for rank, text in enumerate(texts[: MOST[kind]])
        ]
        total = sum(weight for _, weight in chosen)
        texts, weights = zip(*chosen, strict=True)
        own = own_names(self.start["world"]) if "world" in self.start else ()
        return Example(
            self.goal, texts, tuple(weight / total for weight in weights), frozenset(own)
        )

    def row(self) -> dict[str, Any]:
        """The pair as a row of the file, the inverse of reading it."""
        steps = [[tactic, "closes" if closes else "leads"] for tactic, closes in self.steps]
        return {**vars(self), "steps": steps, "path": list(self.path)}


def read_pairs(path: Path) -> list[Pair]:
    """Read a file of pairs, compressed or not."""
    opened: Any = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix, open)
    with opened(path, "rt", encoding="utf-8") as lines:
        return [_pair(json.loads(line)) for line in lines]


def _pair(row: dict[str, Any]) -> Pair:
    return Pair(
        row["goal"],
        tuple((tactic, kind == "closes") for tactic, kind, *_ in row["steps"]),
        row["split"],
        row["family"],
        row["source"],
        row["statement"],
        row["start"],
        tuple(row["path"]),
    )


def learned(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs to learn: those of the training side, without goals held out in another file."""
    held_out = {canonical(pair.goal) for pair in pairs if pair.split != "train"}
    train = [pair for pair in pairs if pair.split == "train" and pair.steps]
    return [p for p in train if "world" in p.start or canonical(p.goal) not in held_out]


def of_sample(sample: Sample) -> Example:
    """The example for a template's sample. Its steps have equal weights."""
    count = len(sample.steps)
    return Example(str(sample.goal), sample.steps, (1 / count,) * count)


LEAN_WORDS = """\
all any append back cases clear collect count drop empty erase exact filter flatten fold get go
head insert join left length map max merge mk next or partition push replace rest rev reverse
right rotate set show size sort split start step sum tail take unfold zip zero succ nil cons true
false some none if then else fun simp grind rfl induction constructor with generalizing intro
simp_all rw at using omega decide apply obtain refine only by
"""
"""Words that occur in steps and in the names of Lean's functions, and keep their meaning."""

# Renaming a hypothesis in the goal and in all steps keeps the steps correct, and teaches the model
# to copy names instead of remembering them. Their order does not matter to most steps.

_KINDS = """\
h h' h₁ h₂ h₃ h₀ h1 h2 hp hq hr ha hb hx hy hn hab hbc H hyp key
xs ys zs l l' l₁ l₂ as bs ls ws
f g k F G f' g'
α β γ δ A B C
P Q R S p q r
a b c d e i j k l m n u v w x y z x' y' n' a' b'
"""
_WORD = re.compile(r"(?<![\w.✝'])([^\W\d][\w']*)(?![\w✝'])")


def renamed(example: Example, rng: random.Random) -> Example:
    """The example with some hypotheses and all definitions of its world renamed, and hypotheses in
    another order; unchanged where that may be unsafe."""
    example = _renamed_world(example, rng)
    if not re.search(r"case |next|rename_i", "\n".join(example.steps)):
        example = replace(example, goal=_reordered(example.goal, rng))
    text = "\n".join([example.goal, *example.steps])
    if re.search(r"\(\w+ :=|\?\w|case |next|rename_i|open |fun_cases", text.replace("?_", "")):
        return example
    words = set(re.split(r"[^\w'✝]+", text))
    mapping: dict[str, str] = {}
    for line in example.goal.splitlines():
        if line.startswith(("⊢", " ")) or " : " not in line:
            continue
        for name in line.split(" : ", 1)[0].split():
            kinds = [kind for line in _KINDS.splitlines() if name in (kind := line.split())]
            if not kinds or rng.random() < 0.3:
                continue
            free = [n for n in rng.choice(kinds) if n not in words]
            if free:
                words.add(new := rng.choice(free))
                mapping[name] = new
    if not mapping:
        return example

    def change(text: str) -> str:
        return _WORD.sub(lambda match: mapping.get(match[1], match[1]), text)

    return replace(example, goal=change(example.goal), steps=tuple(map(change, example.steps)))


def _reordered(goal: str, rng: random.Random) -> str:
    """The goal with some hypotheses in another order, each still below the names that it uses."""
    lines: list[str] = []
    for line in goal.splitlines():
        if line.startswith(" ") and lines:
            lines[-1] += "\n" + line
        else:
            lines.append(line)

    def free(line: str) -> bool:
        """Whether the line is a hypothesis, as far as its name tells."""
        return line[0] in "hH" and " : " in line

    for _ in range(2):
        for i in range(len(lines) - 1):
            one, other = lines[i : i + 2]
            names = one.split(" : ")[0].split()
            apart = not set(names) & set(re.split(r"[^\w'✝]+", other))
            if free(one) and free(other) and apart and rng.random() < 0.5:
                lines[i : i + 2] = other, one
    return "\n".join(lines)


def _renamed_world(example: Example, rng: random.Random) -> Example:
    """The example with the definitions of its world renamed, where no other word is the same."""
    text = "\n".join([example.goal, *example.steps])
    names = Names(rng)
    names.taken.update(re.split(r"[^\w'✝]+", text))
    mapping: dict[str, str] = {}
    for name in sorted(example.own & names.taken):
        # `reverse` may be `List.reverse` too, and `induction` a tactic.
        if not name.islower() or (name not in LEAN_WORDS.split() and len(name) > 1):
            upper = name[0].isupper()
            mapping[name] = names.type() if upper else names.word()

    def change(text: str) -> str:
        return re.sub(r"[^\W\d][\w']*(?![\w'✝])", lambda m: mapping.get(m[0], m[0]), text)

    return replace(example, goal=change(example.goal), steps=tuple(map(change, example.steps)))


def shuffled(examples: Iterable[Example], rng: random.Random) -> Iterator[Example]:
    """An endless stream of the examples in random order, renamed: half of them, and
    all that are about a world."""
    known = list(examples)
    while known:
        rng.shuffle(known)
        for example in known:
            yield renamed(example, rng) if example.own or rng.random() < 0.5 else example
