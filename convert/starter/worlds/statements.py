"""Conjectures about a world: statements that hold on many small values.

Terms over the world's functions are computed on the same random values. Two terms of equal values
make an equation; others, a comparison, an equation under a condition, or a statement about a
predicate. Lean is asked for a proof later, and a conjecture may be wrong.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, pairwise, product
from typing import NamedTuple

from .language import (
    BOOL,
    BOOL_DATA,
    LIST_DATA,
    NAT,
    NAT_DATA,
    Constructor,
    Data,
    Expr,
    Function,
    Machine,
    Named,
    Predicate,
    TooLarge,
    Type,
    Value,
    list_of,
    made,
    new,
    number,
    op,
    var,
)
from .names import Names

TRIALS = 30
CONDITIONAL_TRIALS = 100
FEWEST = 5
"""Number of different values on which a condition has to hold."""
FUNCTIONS: tuple[Callable[[int], int], ...] = (
    lambda x: x + 1,
    lambda x: 2 * x,
    lambda x: 3 - x if x < 3 else x,
    lambda x: x // 9,
)
TESTS: tuple[Callable[[int], bool], ...] = (
    lambda x: x % 2 == 0,
    lambda x: x > 1,
    lambda x: x < 9,
    lambda x: x == 0,
)


class Statement(NamedTuple):
    """A statement about a world: variables, hypotheses and the conclusion as Lean reads them."""

    family: str
    variables: tuple[Named, ...]
    hypotheses: tuple[str, ...]
    conclusion: str


@dataclass
class Claim:
    """A proposition, and whether it holds for given values of its variables."""

    text: str
    variables: set[str]
    holds: Callable[[dict[str, Value]], bool]
    plain: bool = True
    """Whether it is of a kind that people assume."""


class Conjectures:
    """Finds statements about a world. The trials are a multiple of the usual number."""

    def __init__(
        self,
        rng: random.Random,
        data: Sequence[Data],
        functions: Sequence[Function],
        predicates: Sequence[Predicate],
        trials: int = 1,
    ) -> None:
        self.trials = trials
        self.rng = rng
        self.data = {d.name: d for d in (*data, NAT_DATA, LIST_DATA, BOOL_DATA)}
        self.own = data
        self.functions = functions
        self.predicates = predicates
        self.machine = Machine(
            {f.name: f for f in functions}, {predicate.name: predicate for predicate in predicates}
        )
        self._values: dict[Type, list[Value]] = {}
        self.variables = self._variables()
        self.types = dict(self.variables)

    # values

    def _variables(self) -> list[Named]:
        """Variables of the types that the functions and predicates are about."""
        names = Names(self.rng)
        wanted: dict[Type, int] = {}
        for types in [*(f.types for f in self.functions), *(p.types for p in self.predicates)]:
            for type_ in types:
                if type_.name in self.data and type_.name not in ("Nat", "List", "Bool"):
                    wanted[type_] = 2
                else:
                    wanted[type_] = max(wanted.get(type_, 0), 1 + (types.count(type_) > 1))
        for d in self.own:
            wanted.setdefault(d.type, 2)
            for constructor in d.constructors:
                for type_ in constructor.fields:
                    wanted.setdefault(type_, 1)
        found: list[Named] = []
        taken: set[str] = set()
        for type_, count in wanted.items():
            kind = {"Nat": "Nat", "List": "List", "→": "function"}.get(type_.name, "data")
            if type_.name in ("α", "β", "Bool"):
                kind = "element"
            if type_.name == "→" and type_.args[-1] == BOOL:
                kind = "test"
            for _ in range(20):
                chosen = [n for n in names.variables(kind) if n not in taken][:count]
                if len(chosen) == count:
                    break
            taken.update(chosen)
            found += [(name, type_) for name in chosen]
        return found

    def values(self, type_: Type) -> list[Value]:
        """Small values of a type."""
        if type_ in self._values:
            return self._values[type_]
        if type_.name == "→":
            found: list[Value] = list(TESTS if type_.args[-1] == BOOL else FUNCTIONS)
        elif type_ == NAT:
            found = list(range(7))
        elif type_.name not in self.data:
            found = [0, 1, 2, 3]
        else:
            found = self._built(type_)
        self._values[type_] = found
        return found

    def _built(self, type_: Type) -> list[Value]:
        data = self.data[type_.name]
        mapping = dict(zip(data.params, type_.args, strict=True))
        levels: list[Value] = []
        for _ in range(4):
            more: dict[Value, None] = dict.fromkeys(levels)
            for constructor in data.constructors:
                pools = []
                for field in constructor.fields:
                    own = field.replaced(mapping)
                    pool = levels if own == type_ else self.values(own)[:3]
                    pools.append(self.rng.sample(pool, min(len(pool), 12)))
                for fields in islice(product(*pools), 150):
                    more[made(data, constructor.name, fields)] = None
            levels = list(more)
            if len(levels) > 400:
                levels = levels[:20] + self.rng.sample(levels, 380)
        return levels

    def assignments(self, count: int) -> list[dict[str, Value]]:
        """Random values of the variables. Often, some are small and some are equal."""
        found: list[dict[str, Value]] = []
        for _ in range(count):
            values: dict[str, Value] = {}
            last: dict[Type, Value] = {}
            for name, type_ in self.variables:
                pool = self.values(type_)
                if type_ in last and self.rng.random() < 0.25:
                    values[name] = last[type_]
                else:
                    values[name] = self.rng.choice(pool[:6] if self.rng.random() < 0.4 else pool)
                last[type_] = values[name]
            found.append(values)
        return found

    # terms

    def _applications(self, pools: dict[Type, list[Expr]], most: int) -> Iterator[Expr]:
        """Functions, constructors and operators applied to terms."""
        rng = self.rng

        def draw(types: Sequence[Type]) -> Iterator[tuple[Expr, ...]]:
            lists = [pools.get(t, []) for t in types]
            if all(lists):
                for _ in range(most):
                    yield tuple(rng.choice(choices) for choices in lists)

        for f in self.functions:
            for args in draw(f.types):
                yield f.call(*args)
        for data in self.own:
            for constructor in data.constructors:
                if constructor.fields:
                    for args in islice(draw(constructor.fields), max(2, most // 3)):
                        yield new(data, constructor, data.type, *args)
        for args in islice(draw((NAT, NAT)), most):
            if number(0) not in args:
                yield op("+", NAT, *args)
        for type_ in [t for t in pools if t.name == "List"]:
            for args in islice(draw((type_, type_)), most):
                if not any(arg.name == "[]" for arg in args):
                    yield op("++", type_, *args)
            for args in islice(draw((type_,)), 2):
                yield op("List.length", NAT, *args)
                yield op("List.reverse", type_, *args)
            for maps in [t for t in pools if t.name == "→" and t.args[0] == type_.args[0]]:
                if maps.args[-1] != BOOL:
                    for args in islice(draw((maps, type_)), 2):
                        yield op("List.map", list_of(maps.args[-1]), *args)
        for args in islice(draw((BOOL, BOOL)), 3):
            if args[0] != args[1]:
                yield op("&&", BOOL, *args)
                yield op("||", BOOL, *args)
        for args in islice(draw((BOOL,)), 2):
            yield op("!", BOOL, *args)

    def terms(self) -> dict[Type, list[Expr]]:
        """Terms of a few sizes, by type."""
        seen: set[Expr] = set()
        pools: dict[Type, list[Expr]] = defaultdict(list)

        def add(terms: Sequence[Expr]) -> None:
            for term in terms:
                if term not in seen and term.size <= 9 and not self._closed(term):
                    seen.add(term)
                    pools[term.type].append(term)

        add([var(name, type_) for name, type_ in self.variables])
        constants = [number(0)]
        constants += [
            Expr("var", "[]", t)
            for t in dict.fromkeys(t for _, t in self.variables)
            if t.name == "List"
        ]
        for data in self.own:
            constants += [new(data, c, data.type) for c in data.constructors if not c.fields]
        first = list(self._applications(pools, 6))
        add(constants)
        add(self.rng.sample(first, min(len(first), 60)))
        second = list(self._applications(pools, 9))
        add(self.rng.sample(second, min(len(second), 140)))
        pools[BOOL] += [var("true", BOOL), var("false", BOOL)]
        return pools

    def _closed(self, term: Expr) -> bool:
        """Whether a part is a call without variables, which nobody leaves in a statement."""
        return any(part.kind == "call" and not part.variables() for part in term.parts())

    def dull(self) -> set[str]:
        """The functions and predicates that have one value on all that was tried."""
        found = {
            f.name
            for f in self.functions
            if self._constant(f.types, partial(self.machine.called, f))
        }
        for predicate in self.predicates:
            types = (*(t for _, t in predicate.fixed), *predicate.types)
            if self._constant(types, partial(self.machine.holds, predicate.name)):
                found.add(predicate.name)
        return found

    def _constant(self, types: Sequence[Type], compute: Callable[[list[Value]], Value]) -> bool:
        results = set()
        for _ in range(40):
            self.machine.start()
            try:
                results.add(compute([self.rng.choice(self.values(t)) for t in types]))
            except (TooLarge, RecursionError):
                continue
        return len(results) < 2

    def _row(self, term: Expr, rows: list[dict[str, Value]]) -> tuple[Value, ...] | None:
        found = []
        for values in rows:
            self.machine.start()
            try:
                found.append(self.machine.value(term, values))
            except (TooLarge, RecursionError):
                return None
        return tuple(found)

    # statements

    def mentions_own(self, *terms: Expr) -> bool:
        return any(part.kind == "call" for term in terms for part in term.parts())

    def equations(self) -> Iterator[Statement]:
        """Equations between terms of equal values, and comparisons."""
        pools = self.terms()
        rows = self.assignments(TRIALS * self.trials)
        numeric: list[tuple[Expr, tuple[Value, ...]]] = []
        for type_, terms in pools.items():
            if type_.name == "→" or type_ in (Type("α"), Type("β")):
                continue
            classes: dict[tuple[Value, ...], list[Expr]] = defaultdict(list)
            class_of: dict[Expr, tuple[Value, ...]] = {}
            for term in terms:
                row = self._row(term, rows)
                if row is not None:
                    classes[row].append(term)
                    class_of[term] = row
                    if type_ == NAT and self.mentions_own(term):
                        numeric.append((term, row))
            for group in classes.values():
                group.sort(key=lambda t: len(str(t)))
                least = group[0]
                for term in group[1:]:
                    if self.mentions_own(term, least) and not self._congruent(term, least, rows):
                        yield self._equation(term, least)
                if len(group) > 2 and self.mentions_own(group[-1], group[-2]):
                    yield self._equation(group[-1], group[-2])
        self.rng.shuffle(numeric)
        for (a, first), (b, second) in islice(pairwise(numeric), 200):
            pair = list(zip(first, second, strict=True))
            if all(x <= y for x, y in pair) and any(x < y for x, y in pair):
                symbol = "<" if all(x < y for x, y in pair) else "≤"
                yield self._statement("comparison", (a, b), f"{a} {symbol} {b}")

    def _congruent(self, a: Expr, b: Expr, rows: list[dict[str, Value]]) -> bool:
        """Whether an equation follows from smaller ones for the arguments."""
        if (a.kind, a.name, len(a.args)) != (b.kind, b.name, len(b.args)) or not a.args:
            return False
        if a.kind == "op" and sorted(map(str, a.args)) == sorted(map(str, b.args)):
            return True
        return all(
            x == y or (x.type.name != "→" and self._row(x, rows) == self._row(y, rows))
            for x, y in zip(a.args, b.args, strict=True)
        )

    def _equation(self, a: Expr, b: Expr) -> Statement:
        if b.size > a.size or (self.rng.random() < 0.12):
            a, b = b, a
        family = "equation"
        if a.kind == "call" and not b.args:
            family = "involution" if a.args[-1].name == a.name else "value"
        elif a.kind == "call" and any(arg.kind in ("call", "new", "op") for arg in a.args):
            family = "homomorphism" if b.kind in ("op", "call", "new") else "invariant"
        left, right = (f"({x})" if x.kind == "if" else str(x) for x in (a, b))
        if a.type == BOOL:
            left, right = a.arg, b.arg
        return self._statement(family, (a, b), f"{left} = {right}")

    def _statement(self, family: str, terms: Sequence[Expr], text: str) -> Statement:
        used = set[str]().union(*(term.variables() for term in terms))
        return Statement(family, self._of(used), (), text)

    def _claims(self) -> list[Claim]:
        """Propositions about the variables, and about simple terms of them."""
        simple = self.terms()
        found: list[Claim] = []

        def text_of(name: str, args: Sequence[Expr]) -> str:
            return " ".join([name, *(arg.arg for arg in args)])

        for predicate in self.predicates:
            types = (*(t for _, t in predicate.fixed), *predicate.types)
            for _ in range(25):
                pools = [simple.get(t, []) for t in types]
                if not all(pools):
                    continue
                args = [self.rng.choice([t for t in pool if t.size <= 4] or pool) for pool in pools]
                found.append(self._claim(text_of(predicate.name, args), args, predicate.name))
        for f in self.functions:
            if f.result != BOOL and f.result != NAT:
                continue
            for _ in range(12):
                pools = [simple.get(t, []) for t in f.types]
                if not all(pools):
                    continue
                args = [self.rng.choice([t for t in pool if t.size <= 3] or pool) for pool in pools]
                end = var("true", BOOL) if f.result == BOOL else number(0)
                plain = sum(arg.size > 1 for arg in args) < 2
                found.append(replace(self._equality(f.call(*args), end), plain=plain))
        for type_, terms in simple.items():
            if type_.name in ("→", "Bool") or type_.name not in self.data:
                continue
            calls = [t for t in terms if self.mentions_own(t) and t.size <= 5]
            for _ in range(25):
                if calls:
                    pair = self.rng.choice(calls), self.rng.choice(terms)
                    found.append(replace(self._equality(*pair), plain=False))
            news = [t for t in terms if t.kind in ("new", "var") and t.size <= 4]
            if type_.name not in ("Nat", "List") and news:
                for _ in range(12):
                    found.append(self._equality(self.rng.choice(news), self.rng.choice(news)))
        for a, b in self._twins():
            found += [self._equality(a, b)]
            found += [
                self._equality(f.call(a), f.call(b)) for f in self.functions if f.types == (a.type,)
            ]
            found += [self._equality(one, two) for one, two in self._built_of(a, b)]
        unique = {" = ".join(sorted(claim.text.split(" = "))): claim for claim in found}
        return list(unique.values())

    def _twins(self) -> list[tuple[Expr, Expr]]:
        """The first two variables of each type that has two."""
        by_type: dict[Type, list[Expr]] = defaultdict(list)
        for name, type_ in self.variables:
            by_type[type_].append(var(name, type_))
        return [(found[0], found[1]) for found in by_type.values() if len(found) > 1]

    def _built_of(self, a: Expr, b: Expr) -> Iterator[tuple[Expr, Expr]]:
        """Values with the same constructor that differ in having `a` or `b`."""
        by_type = {type_: var(name, type_) for name, type_ in self.variables}
        for data in self.own:
            for constructor in data.constructors:
                if data.type == a.type and a.type in constructor.fields:

                    def built(
                        x: Expr, data: Data = data, constructor: Constructor = constructor
                    ) -> Expr:
                        args = [x if t == x.type else by_type[t] for t in constructor.fields]
                        return new(data, constructor, x.type, *args)

                    yield built(a), built(b)

    def _claim(self, text: str, args: Sequence[Expr], name: str) -> Claim:
        def holds(values: dict[str, Value]) -> bool:
            return self.machine.holds(name, [self.machine.value(arg, values) for arg in args])

        return Claim(text, set[str]().union(*(arg.variables() for arg in args)), holds)

    def _equality(self, a: Expr, b: Expr) -> Claim:
        def holds(values: dict[str, Value]) -> bool:
            return bool(self.machine.value(a, values) == self.machine.value(b, values))

        return Claim(
            f"{a.arg if a.kind == 'if' else a} = {b}", a.variables() | b.variables(), holds
        )

    def implications(self, most: int) -> Iterator[Statement]:
        """A claim under another one, an equivalence of two, a negation, or a fact about a
        predicate."""
        rows = self.assignments(CONDITIONAL_TRIALS * self.trials)
        table: list[tuple[Claim, list[bool]]] = []
        for claim in self._claims():
            found = []
            try:
                for values in rows:
                    self.machine.start()
                    found.append(claim.holds(values))
            except (TooLarge, RecursionError):
                continue
            table.append((claim, found))
        self.rng.shuffle(table)
        names = {predicate.name for predicate in self.predicates}

        def about(claim: Claim) -> bool:
            return claim.text.split(" ", 1)[0] in names

        for claim, found in table:
            if all(found) and about(claim):
                yield Statement("fact", self._of(claim.variables), (), claim.text)
            if not any(found) and claim.variables and claim.plain:
                family = "negation" if about(claim) else "distinct"
                yield Statement(family, self._of(claim.variables), (), f"¬({claim.text})")
        live = [(c, f) for c, f in table if sum(f) >= FEWEST and not all(f)][:70]
        count = 0
        for (one, first), (other, second) in product(live, live):
            if one is other or count > most or not one.plain:
                continue
            if other.variables - one.variables and self.rng.random() < 0.5:
                continue
            if not any(a != b for a, b in zip(first, second, strict=True)):
                same = one.variables == other.variables and other.plain
                if one.text < other.text and same:
                    count += 1
                    yield Statement(
                        "equivalence", self._of(one.variables), (), f"{one.text} ↔ {other.text}"
                    )
                continue
            if all(b for a, b in zip(first, second, strict=True) if a):
                count += 1
                inverts = len(one.text) > len(other.text)
                family = "inversion" if inverts else "implication"
                if " = " in one.text and " = " in other.text and not about(one):
                    family = "injectivity" if inverts else "implication"
                yield Statement(
                    family, self._of(one.variables | other.variables), (one.text,), other.text
                )

    def _of(self, names: set[str]) -> tuple[Named, ...]:
        return tuple((name, type_) for name, type_ in self.variables if name in names)
