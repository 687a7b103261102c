"""Builds a random goal: names, variables, propositions, hypotheses, and unneeded hypotheses."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from .goals import LONGEST_LINE, Goal, Hypothesis, Sample, shape, unique
from .terms import FALSE, TRUE, Term, app, chain, forall, neg, op

PROP = Term("Prop")
NAT, INT, BOOL = Term("Nat"), Term("Int"), Term("Bool")

_NAMES = {
    "Prop": ["p q r s t", "P Q R S T", "A B C D E", "a b c d e", "φ ψ χ θ"],
    "Type": ["α β γ", "A B C", "X Y Z", "S T U"],
    "Nat": ["n m k l", "a b c d", "x y z w", "i j k l", "m n k p"],
    "Int": ["a b c d", "x y z w", "i j k l", "m n k p"],
    "Bool": ["b c d", "x y z", "p q r", "a b c"],
    "List": ["xs ys zs ws", "l₁ l₂ l₃ l₄", "l l' l'' ls", "as bs cs ds", "s t u v"],
    "elem": ["a b c d", "x y z w", "u v w t", "x₁ x₂ x₃ x₄"],
    "bound": ["x y z w", "a b c d", "n m k l", "u v w t", "i j k l"],
    "function": ["f g h k", "F G H K", "g f k h"],
    "predicate": ["P Q R S", "p q r s", "A B C D", "Good Bad Odd Big"],
    "relation": ["R S T Q", "r s t q", "Rel Rel' E E'"],
}
_CASES = "a h left right inl inr mp mpr zero succ nil cons intro refl pos neg h.left h.right"
_OTHER_NAMES = "H H1 H2 hyp key this main hyp1 hyp2 hab hac hbc hx hy hz hxy h' ih"
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


class Scene:
    """Collects a goal's context. `sample` makes it a goal with its correct steps."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.hypotheses: list[Hypothesis] = []
        self.variables = 0  # number of variables, which are the first of the hypotheses
        self.atoms: list[Term] = []
        self.taken: set[str] = set()
        self._pools: dict[str, list[str]] = {}
        # names of hypotheses: by their proposition (hp : p, else h), h₁ h₂, h1 h2, or arbitrary
        self.style = rng.choices(["telling", "subscript", "number", "other"], [65, 15, 12, 8])[0]

    # names

    def fresh(self, base: str) -> str:
        """The first unused name of base, base₁, base₂ …"""
        name, count = base, 0
        while name in self.taken:
            count += 1
            name = base + str(count).translate(_SUBSCRIPTS)
        self.taken.add(name)
        return name

    def pooled(self, kind: str) -> str:
        """The next unused name among those that are usual for this kind of object."""
        if kind not in self._pools:
            self._pools[kind] = self.rng.choice(_NAMES[kind]).split()
        for name in self._pools[kind]:
            if name not in self.taken:
                self.taken.add(name)
                return name
        return self.fresh(self._pools[kind][0])

    def name_for(self, prop: Term) -> str:
        """The name for a proof of this proposition, in the scene's style."""
        if self.style in ("subscript", "number"):
            for count in range(1, 30):
                digits = str(count)
                name = "h" + (digits if self.style == "number" else digits.translate(_SUBSCRIPTS))
                if name not in self.taken:
                    self.taken.add(name)
                    return name
        match = re.fullmatch(r"(¬?)([A-Za-z])( [\w']+)*", prop.text)
        if match:
            return self.fresh("h" + ("n" if match[1] else "") + match[2].lower())
        match = re.fullmatch(r"([A-Za-z]) [→∧∨↔] ([A-Za-z])", prop.text)
        return self.fresh("h" + (match[1] + match[2]).lower() if match else "h")

    # variables

    def declare(self, name: str, type_: Term) -> Term:
        self.taken.add(name)
        self.hypotheses.insert(self.variables, Hypothesis(name, type_))
        self.variables += 1
        return Term(name)

    def new(self, type_: Term, kind: str = "") -> Term:
        """A new variable of this type."""
        known = {"Prop", "Nat", "Int", "Bool"}
        kind = kind or (type_.text if type_.text in known else "elem")
        if type_.text.startswith("List"):
            kind = "List"
        return self.declare(self.pooled(kind), type_)

    def type(self) -> Term:
        """A new type variable."""
        sort = self.rng.choices(["Type", "Type u", "Type u_1", "Type v"], [70, 15, 12, 3])[0]
        return self.declare(self.pooled("Type"), Term(sort))

    def some_type(self) -> Term:
        """A type variable, or one of Lean's types."""
        return self.rng.choices([None, NAT, INT], [60, 30, 10])[0] or self.type()

    def function(self, *types: Term) -> str:
        return self.new(chain("→", *types), "function").text

    def predicate(self, *types: Term) -> str:
        kind = "predicate" if len(types) == 1 else "relation"
        return self.new(chain("→", *types, PROP), kind).text

    # random propositions and terms

    def populate(self) -> None:
        """Choose the atoms of this scene's propositions."""
        world = self.rng.choices(["props", "predicates", "numbers"], [65, 20, 15])[0]
        if world == "props":
            self.atoms = [self.new(PROP) for _ in range(self.rng.choice([2, 2, 3, 3, 4]))]
        elif world == "predicates":
            type_ = self.some_type()
            functions = [self.predicate(type_) for _ in range(self.rng.choice([1, 2, 2]))]
            elements = [self.new(type_) for _ in range(self.rng.choice([1, 2, 2]))]
            self.atoms = [app(f, e) for f in functions for e in elements]
            if len(elements) > 1:
                self.atoms.append(op(elements[0], "=", elements[1]))
        else:
            numbers = [self.new(self.rng.choice([NAT, NAT, INT])) for _ in range(2)]
            if self.hypotheses[0].type != self.hypotheses[1].type:
                numbers = numbers[:1]
            first, last = numbers[0], numbers[-1]
            zero, some = Term("0"), Term(str(self.rng.randint(2, 9)))
            self.atoms = [
                op(first, "=", zero),
                op(first, "<", some),
                op(last, "=", some),
                op(some, "≤", last),
            ]

    def prop(self, depth: int | None = None) -> Term:
        """A random proposition of this depth; without a depth, usually a simple one."""
        if not self.atoms:
            self.populate()
        if depth is None:
            depth = self.rng.choices([0, 1, 2], [50, 35, 15])[0]
        if depth == 0:
            return self.rng.choice(self.atoms)
        kind = self.rng.choices("∧∨→↔¬⊤", [28, 24, 24, 8, 15, 1])[0]
        if kind == "¬":
            return neg(self.prop(depth - 1))
        if kind == "⊤":
            return self.rng.choice([TRUE, FALSE])
        return op(self.prop(self.rng.randrange(depth)), kind, self.prop(depth - 1))

    def props(self, count: int, depth: int | None = None) -> list[Term]:
        """Different random propositions."""
        found: list[Term] = []
        for attempt in range(1000):
            prop = self.prop(depth if attempt < 50 else 2)
            if prop not in found:
                found.append(prop)
            if len(found) == count:
                return found
        raise RuntimeError("too few different propositions")

    def term(self, type_: Term, depth: int = 1, functions: Sequence[str] = ()) -> Term:
        """A random term of this type, from variables, functions and arithmetic."""
        rng = self.rng
        pool = [Term(h.name) for h in self.hypotheses[: self.variables] if h.type == type_]
        leaf = rng.choice(pool) if pool else self.new(type_)
        if depth == 0 or rng.random() < 0.3:
            return leaf
        inner = self.term(type_, depth - 1, functions)
        if type_ in (NAT, INT) and (not functions or rng.random() < 0.6):
            other = rng.choice([leaf, Term(str(rng.randint(1, 9)))])
            symbol = rng.choice("++*" + ("-" if type_ == INT else ""))
            return op(inner, symbol, other) if rng.random() < 0.6 else op(other, symbol, inner)
        return app(rng.choice(functions), inner) if functions else leaf

    # hypotheses

    def know(self, *props: Term) -> list[str]:
        """Add hypotheses, mixed with some that no step needs. Returns the names of the former."""
        names = []
        for prop in props:
            self.distract()
            names.append(self._add(prop))
        self.distract()
        return names

    def know_as(self, base: str, prop: Term) -> str:
        """Add a hypothesis with this name, or a similar one if it is taken. Returns the name."""
        name = self.fresh(base)
        self.hypotheses.append(Hypothesis(name, prop))
        return name

    def distract(self) -> None:
        """At random, add a hypothesis that no step needs."""
        if self.rng.random() < (0.3 if self.atoms else 0.08):
            prop = self.prop(self.rng.choice([0, 1, 1]))
            if prop not in (FALSE, TRUE):
                self._add(prop, extra=True)

    def _add(self, prop: Term, extra: bool = False) -> str:
        free = [n for n in _OTHER_NAMES.split() if n not in self.taken]
        name = self.rng.choice(free) if self.style == "other" and free else self.name_for(prop)
        self.taken.add(name)
        self.hypotheses.append(Hypothesis(name, prop, extra))
        return name

    def sample(self, family: str, target: Term, *steps: str) -> Sample | None:
        """The finished sample; None if its lines are too long or its names conflict."""
        if len(self.hypotheses) == self.variables:
            self.distract()
        goal = Goal(tuple(self.hypotheses), target)
        key = shape(str(self._core(goal)))
        known = list(steps)
        count = self.rng.choice([1, 1, 2, 2, 3, len(self.hypotheses)])
        if self.style == "telling" and self.hypotheses and self.rng.random() < 0.35:
            goal, known = self._revert(goal, known, min(count, len(self.hypotheses)))
        if self.rng.random() < 0.12:
            goal = Goal(goal.hypotheses, goal.target, self.rng.choice(_CASES.split()))
        if max(map(len, str(goal).splitlines())) > LONGEST_LINE:
            return None
        if "ih" in self.taken and any(" ih =>" in step for step in known):
            return None  # the step would shadow a hypothesis with that name
        return Sample(family, goal, unique(known), key)

    def _core(self, goal: Goal) -> Goal:
        """The part of the goal that its known steps need, which decides its shape."""
        needed: list[Hypothesis] = []
        for index, hypothesis in reversed(list(enumerate(goal.hypotheses))):
            types = [h.type for h in needed] + [goal.target]
            if index < self.variables and not any(t.mentions(hypothesis.name) for t in types):
                continue
            if not hypothesis.extra:
                needed.insert(0, hypothesis)
        return Goal(tuple(needed), goal.target)

    def _revert(self, goal: Goal, steps: list[str], count: int) -> tuple[Goal, list[str]]:
        """The goal with its last hypotheses moved into the target, so that `intro` is correct."""
        kept, moved = goal.hypotheses[:-count], goal.hypotheses[-count:]
        taken = {h.name for h in kept}
        target, names = goal.target, [h.name for h in moved]
        for index, hypothesis in reversed(list(enumerate(moved, len(kept)))):
            if index >= self.variables:
                target = op(hypothesis.type, "→", target)
            elif target.mentions(hypothesis.name):
                target = forall(hypothesis.name, hypothesis.type, target)
            else:
                return goal, steps
        if taken & set(names) or len(names) > 6:
            return goal, steps
        out = [f"intro {' '.join(names)}"]
        terms = [s.removeprefix("exact ") for s in steps if s.startswith("exact ")]
        if len(names) > 1 and self.rng.random() < 0.3:
            out.append(f"intro {names[0]}")
        if terms and len(names) <= 3:
            out.append(f"exact fun {' '.join(names)} => {terms[0]}")
        return Goal(kept, target), out
