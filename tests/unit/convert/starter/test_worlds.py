"""Worlds: their definitions are computed rightly, and no definition is on two sides."""

from __future__ import annotations

import json
import random
import re

import pytest

from convert.starter import worlds
from convert.starter.evaluate import HELD_OUT_WORLDS, held_out, oracle
from convert.starter.examples import Example, Pair, read_pairs, renamed
from convert.starter.generate import draw_worlds, is_visible, pairs, world_jobs
from convert.starter.worlds.definitions import FunctionDraft, draw_data, draw_predicate
from convert.starter.worlds.language import (
    LIST_DATA,
    NAT,
    NAT_DATA,
    Case,
    Constructor,
    Data,
    Expr,
    Function,
    Machine,
    Predicate,
    Rule,
    Type,
    new,
    number,
    op,
    var,
)
from convert.starter.worlds.names import Names
from convert.starter.worlds.statements import Conjectures

LEARNED = [HELD_OUT_WORLDS.with_name(f"{name}.jsonl.xz") for name in ("worlds", "proofs")]
A = Type("α")
TREE = Data(
    "Tree",
    ("α",),
    (
        Constructor("leaf", ()),
        Constructor("node", (Type("Tree", (A,)), A, Type("Tree", (A,)))),
    ),
)
LEAF, NODE = TREE.constructors
L, X, R = var("l", TREE.type), var("x", A), var("r", TREE.type)


def call(name: str, argument: Expr, type_: Type) -> Expr:
    return Expr("call", name, type_, (argument,))


MIRROR = Function(
    "mirror",
    TREE,
    TREE.type,
    (),
    (),
    TREE.type,
    (
        Case(LEAF, (), new(TREE, LEAF, TREE.type)),
        Case(
            NODE,
            ("l", "x", "r"),
            new(
                TREE,
                NODE,
                TREE.type,
                call("mirror", R, TREE.type),
                X,
                call("mirror", L, TREE.type),
            ),
        ),
    ),
)
SIZE = Function(
    "size",
    TREE,
    TREE.type,
    (),
    (),
    NAT,
    (
        Case(LEAF, (), number(0)),
        Case(
            NODE,
            ("l", "x", "r"),
            op("+", NAT, op("+", NAT, call("size", L, NAT), number(1)), call("size", R, NAT)),
        ),
    ),
)
FULL = Predicate(
    "Full",
    (),
    (TREE.type,),
    (
        Rule("one", (), (), (new(TREE, LEAF, TREE.type),)),
        Rule(
            "two",
            (("l", TREE.type), ("x", A), ("r", TREE.type)),
            (("Full", (L,)), ("Full", (R,))),
            (new(TREE, NODE, TREE.type, L, X, R),),
        ),
    ),
)


def test_definitions_are_printed_as_lean_reads_them() -> None:
    assert str(TREE) == (
        "inductive Tree (α : Type) where\n"
        "  | leaf : Tree α\n"
        "  | node : Tree α → α → Tree α → Tree α"
    )
    assert str(MIRROR) == (
        "def mirror {α : Type} : Tree α → Tree α\n"
        "  | .leaf => Tree.leaf\n"
        "  | .node l x r => Tree.node (mirror r) x (mirror l)"
    )
    assert str(SIZE).endswith("  | .node l _ r => (size l + 1) + size r")
    assert str(FULL).endswith(
        "  | two (l : Tree α) (x : α) (r : Tree α) : Full l → Full r → Full (Tree.node l x r)"
    )


def test_functions_and_predicates_are_computed() -> None:
    machine = Machine({"mirror": MIRROR, "size": SIZE}, {"Full": FULL})
    leaf = ("leaf",)
    tree = ("node", ("node", leaf, 1, leaf), 2, leaf)
    t = var("t", TREE.type)
    assert machine.value(call("size", t, NAT), {"t": tree}) == 2
    mirrored = machine.value(call("mirror", t, TREE.type), {"t": tree})
    assert mirrored == ("node", leaf, 2, ("node", leaf, 1, leaf))
    assert machine.holds("Full", [tree])


def test_a_predicate_holds_only_by_its_rules() -> None:
    n = var("n", NAT)
    step = Rule("step", (("n", NAT),), (("Ev", (n,)),), (op("+", NAT, n, number(2)),))
    even = Predicate("Ev", (), (NAT,), (Rule("zero", (), (), (number(0),)), step))
    machine = Machine({}, {"Ev": even})
    assert [machine.holds("Ev", [k]) for k in range(5)] == [True, False, True, False, True]


def test_the_usual_laws_are_found() -> None:
    found = Conjectures(random.Random(3), [TREE], [MIRROR, SIZE], [FULL])
    statements = [*found.equations(), *found.implications(60)]
    names = "|".join(name for name, type_ in found.variables if type_ == TREE.type)
    texts = {re.sub(rf"\b({names})\b", "t", s.conclusion) for s in statements}
    assert "mirror (mirror t) = t" in texts
    assert {"size (mirror t) = size t", "size t = size (mirror t)"} & texts
    assert "Full (mirror t)" in texts or "Full t" in texts
    # Trees of one size are not all equal.
    assert not any(s.hypotheses and s.conclusion == "t = t" for s in statements)


def test_a_world_depends_on_its_seed_and_number_only() -> None:
    first = list(draw_worlds(1, range(3), 4))
    assert first[2] == next(draw_worlds(1, [2], 4)) != next(draw_worlds(2, [2], 4))
    for world in first:
        assert 1 <= len(world.statements) <= 4
        assert {job["side"] for job in world_jobs(world)} == {world.side}


def test_a_type_is_on_one_side_under_any_names() -> None:
    def named(*names: str, turned: bool = False) -> Data:
        type_, leaf, node = names
        self_ = Type(type_, (A,))
        found = (Constructor(leaf, ()), Constructor(node, (self_, A, self_)))
        return Data(type_, ("α",), found[::-1] if turned else found)

    keys = {
        worlds.type_key(named("Tree", "leaf", "node")),
        worlds.type_key(named("Bush", "end", "fork")),
        worlds.type_key(named("Bush", "end", "fork", turned=True)),
    }
    assert len(keys) == 1
    assert worlds.type_key(LIST_DATA) not in keys


def test_types_and_functions_are_drawn_for_all_shapes() -> None:
    rng = random.Random(5)
    shapes, results = set(), set()
    for _ in range(150):
        names = Names(rng)
        data = draw_data(rng, names)
        shapes.add((bool(data.projections), data.recursive, len(data.params)))
        assert not data.recursive or any(data.type not in c.fields for c in data.constructors)
        for base in (data, NAT_DATA, LIST_DATA):
            if function := FunctionDraft(rng, names, base, []).draw():
                results.add(function.result.name if function.result != base.type else "itself")
                assert function.name not in function.calls
            draw_predicate(rng, names, base)
        assert len(names.taken) > 2
    assert len(shapes) >= 7
    assert {"Nat", "Bool", "List", "itself"} <= results


WORLD = (
    "inductive Tree where\n  | leaf : Tree\n  | node : Tree → Tree → Tree\n\n"
    "def Tree.size : Tree → Nat\n  | .leaf => 0\n  | .node l r => Tree.size l + Tree.size r\n\n"
    "inductive Full : Tree → Prop where\n  | two (l : Tree) : Full l\n"
)


def test_a_step_names_only_what_the_goal_shows() -> None:
    assert worlds.own_names(WORLD) == {"Tree", "leaf", "node", "size", "Full", "two"}
    row = {"start": {"world": WORLD}}
    goal = "t : Tree\n⊢ t.size = 0"
    assert is_visible("induction t <;> simp_all [Tree.size]", goal, row)
    assert not is_visible("apply Full.two", goal, row)
    assert not is_visible("cases t with\n| leaf => ?_\n| node l r => ?_", goal, row)
    assert is_visible("apply Full.two", goal, {"start": {"stated": ""}})


def test_goals_that_look_the_same_in_two_worlds_are_two() -> None:
    def row(side: str, world: str) -> dict[str, object]:
        goal = {"goal": "t : T\n⊢ f t = t", "steps": [["rfl", "closes", 0]], "path": []}
        kept = {"family": "value", "source": "world", "statement": world, "key": world}
        return {"start": {"world": world, "stated": ""}, "side": side, "found": [goal], **kept}

    found = list(pairs([row("train", "one"), row("test", "two"), row("train", "one")]))
    assert [pair["split"] for pair in found] == ["train", "test"]
    assert "side" not in found[0]


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        (
            "(t : Tree) : Tree.size t = 0",
            ["simp_all [Tree.size]", "induction t <;> simp_all [Tree.size]"],
        ),
        (
            ": ∀ (s t : Tree), Full s → s = t",
            [
                "intro s t; simp_all",
                "intro s t; induction s <;> simp_all",
                "intro s t; induction t <;> simp_all",
            ],
        ),
        (
            "{α : Type} (l : List α) (f : α → α) (h : Full l) : l = l",
            ["simp_all", "induction l <;> simp_all", "induction h <;> simp_all"],
        ),
    ],
)
def test_the_oracle_knows_the_functions_of_the_goal(stated: str, expected: list[str]) -> None:
    start = {"world": WORLD, "stated": stated}
    assert oracle(Pair("", (), "test", "value", "world", "", start)) == expected
    assert oracle(Pair("", (), "test", "value", "stated", "", {"stated": stated})) == []


def test_the_held_out_worlds_are_enough_and_none_is_of_training() -> None:
    goals = held_out(HELD_OUT_WORLDS)
    assert len(goals) >= 300
    texts = {goal.start["world"] for goal in goals}
    assert len(texts) >= 60
    rows = HELD_OUT_WORLDS.read_text("utf-8").splitlines()
    assert all(json.loads(row)["split"] == "test" for row in rows)
    assert HELD_OUT_WORLDS.stat().st_size < 500_000
    pairs = [pair for path in LEARNED for pair in read_pairs(path)]
    starts = [pair.start for pair in pairs if pair.split != "test"]
    learned = {start["world"] for start in starts if "world" in start}
    assert len(learned) > 250
    for parts, fewest in ((_types, 30), (_alone, 10)):
        ours, theirs = (set[str]().union(*map(parts, each)) for each in (texts, learned))
        assert len(ours) >= fewest
        assert len(theirs) > 3 * fewest
        assert not ours & theirs


def test_the_side_of_a_definition_does_not_depend_on_its_name() -> None:
    """Not even if the name is a part of a word of Lean's."""
    rng = random.Random(3)
    drafts = [FunctionDraft(rng, Names(rng), NAT_DATA, []).draw() for _ in range(20)]
    for function in filter(None, drafts):
        text = worlds.function_key(function)
        for name in ("de", "he", "el", "foo", "Na"):
            again = Renamed(str(function), function.name, name)
            assert worlds.function_key(again) == text  # type: ignore[arg-type]


class Renamed:
    """A function as `function_key` sees it: a text and a name."""

    def __init__(self, text: str, old: str, name: str) -> None:
        self.name = name
        self._text = re.sub(rf"(?<![\w.]){old}(?!\w)", name, text)

    def __str__(self) -> str:
        return self._text


LEAN = (
    "def inductive structure where Type Prop Nat List Bool true false if then else fun max "
    "length reverse map succ"
)


def _alone(world: str) -> set[str]:
    """A world's functions, predicates and indexed types that mention no other own definition, with
    all names replaced by numbers."""
    defined = re.findall(r"^(?:def|inductive|structure) (\S+)", world, re.MULTILINE)
    found = set()
    for block in world.strip().split("\n\n"):
        (own,) = re.findall(r"^(?:def|inductive|structure) (\S+)", block)
        others = {name for name in defined if name != own}
        is_type = block.startswith(("inductive", "structure"))
        if others & set(re.findall(r"[\w']+", block)) or (is_type and _types(block)):
            continue
        numbers: dict[str, str] = {}

        def number_of(match: re.Match[str], numbers: dict[str, str] = numbers) -> str:
            word = match[0]
            return word if word in LEAN.split() else numbers.setdefault(word, f"v{len(numbers)}")

        found.add(re.sub(r"[^\W\d][\w']*", number_of, block))
    return found


def _types(world: str) -> set[str]:
    """The types that a world defines, with constructors in a fixed order and without names."""
    found = set()
    for block in world.strip().split("\n\n"):
        head, *rest = block.splitlines()
        if head.startswith(("inductive", "structure")) and not re.search("Prop|→ Type", head):
            own = head.split()[1]
            shapes = [line.split(" : ", 1)[1].replace(own, "T") for line in rest]
            if head.startswith("inductive"):
                shapes.sort()
            kind = f"{head.split()[0]} {head.count('α')} {head.count('β')} "
            found.add(kind + " | ".join(shapes))
    return found


def test_definitions_are_renamed_in_the_goal_and_in_the_steps_alike() -> None:
    goal = "t : Tree\nl : List Tree\n⊢ t.turn.turn = Tree.leafy ∨ l.reverse = l"
    steps = ("induction t <;> simp_all [Tree.turn]", "cases t <;> rfl")
    own = frozenset({"Tree", "turn", "leafy", "reverse"})
    found = renamed(Example(goal, steps, (0.5, 0.5), own), random.Random(4))
    assert not {"Tree", "turn", "leafy"} & set(re.findall(r"\w+", found.goal + found.steps[0]))
    type_, function = re.findall(r"simp_all \[(\w+)\.(\w+)\]", found.steps[0])[0]
    law = rf"⊢ \w+\.{function}\.{function} = {type_}\.\w+ ∨ [\w']+\.reverse = "
    assert re.search(law, found.goal)
    assert "List" in found.goal
    assert re.fullmatch(r"cases \w+ <;> rfl", found.steps[1])
