"""Draws a world's definitions: inductive types, structures, functions by recursion, predicates."""

from __future__ import annotations

import random
from collections.abc import Callable

from .language import (
    BOOL,
    LIST_DATA,
    NAT,
    NAT_DATA,
    Case,
    Constructor,
    Data,
    Expr,
    Function,
    Named,
    Predicate,
    Rule,
    Type,
    function_type,
    list_of,
    new,
    number,
    op,
    var,
)
from .names import Names

ALPHA, BETA = Type("α"), Type("β")


def draw_data(rng: random.Random, names: Names) -> Data:
    """An inductive type or a structure, of one of the usual shapes."""
    (kind,) = rng.choices(
        ["enumeration", "option", "list", "peano", "tree", "expression", "structure", "two"],
        [12, 9, 16, 7, 24, 16, 11, 5],
    )
    params: tuple[str, ...] = ("α",) if rng.random() < 0.7 else ()
    if kind == "two":
        params = ("α", "β")
    if kind in ("enumeration", "peano", "expression"):
        params = ()
    name = names.type()
    self_ = Type(name, tuple(map(Type, params)))
    element = rng.choice([Type(p) for p in params]) if params else NAT
    groups: list[list[Type]]
    if kind == "enumeration":
        groups = [[] for _ in range(rng.choice([2, 3, 3, 4, 4, 5, 6, 7]))]
    elif kind == "option":
        groups = [[element] * rng.choice([1, 1, 2, 3])]
        groups += [[] for _ in range(rng.choice([1, 1, 2, 3]))]
        groups += [[element]] * (rng.random() < 0.3) + [[NAT, element]] * (rng.random() < 0.2)
    elif kind == "list":
        groups = [[]] * rng.choice([1, 1, 1, 2]) + [[element]] * (rng.random() < 0.25)
        groups += [rng.choice([[element, self_], [self_, element], [element, element, self_]])]
        groups += [rng.choice([[self_], [NAT, self_], [self_, element]])] * (rng.random() < 0.3)
    elif kind == "peano":
        groups = [[]] * rng.choice([1, 1, 2]) + [[self_]] * rng.choice([1, 2, 3])
    elif kind == "tree":
        inner: list[Type] = [self_, self_, *([self_] * (rng.random() < 0.15))]
        inner += [element] * rng.choice([0, 1, 1, 1, 2]) + [NAT] * (rng.random() < 0.1)
        rng.shuffle(inner)
        leaf = [element] * (element not in inner or rng.random() < 0.35)
        groups = [leaf, inner]
        if rng.random() < 0.35:
            groups.append(rng.choice([[self_], [element], [], [element, self_], [self_, self_]]))
    elif kind == "expression":
        groups = [rng.choice([[NAT], [BOOL], []])]
        groups += rng.sample(
            [[self_, self_], [self_, self_], [self_], [NAT, self_], [self_] * 3, [NAT], []],
            rng.choice([2, 2, 3, 3, 4]),
        )
    elif kind == "structure":
        pool = [NAT, NAT, NAT, BOOL, *([element, element] if params else [])]
        groups = [[rng.choice(pool) for _ in range(rng.choice([2, 2, 3, 4]))]]
    else:
        groups = [[ALPHA], [BETA]] if rng.random() < 0.5 else [[], [ALPHA, self_], [BETA, self_]]
        groups += [[]] * (rng.random() < 0.3) + [[ALPHA, BETA]] * (rng.random() < 0.3)
    if kind != "structure":
        if not any(self_ not in group for group in groups):
            groups.insert(0, [])
        rng.shuffle(groups)
    used = {str(t) for group in groups for t in group}
    params = tuple(p for p in params if p in used)
    here = Type(name, tuple(map(Type, params)))
    fields = [tuple(here if t == self_ else t for t in group) for group in groups]
    if kind == "structure":
        projections = tuple(names.word() for _ in fields[0])
        return Data(name, params, (Constructor("mk", fields[0]),), projections)
    return Data(name, params, tuple(Constructor(names.word(), group) for group in fields))


def projections(data: Data) -> list[Function]:
    """The functions that a structure's definition brings along."""
    if not data.projections:
        return []
    (constructor,) = data.constructors
    inner = tuple(f"v{i}" for i in range(len(constructor.fields)))
    return [
        Function(
            f"{data.name}.{name}",
            data,
            data.type,
            (),
            (),
            type_,
            (Case(constructor, inner, var(inner[i], type_)),),
            hidden=True,
        )
        for i, (name, type_) in enumerate(zip(data.projections, constructor.fields, strict=True))
    ]


class FunctionDraft:
    """Draws a function on a type. Each `as_...` method is one way to make one."""

    def __init__(self, rng: random.Random, names: Names, data: Data, known: list[Function]) -> None:
        self.rng = rng
        self.data = data
        self.known = known
        local = rng.random() < 0.35 and data not in (NAT_DATA, LIST_DATA)
        self.name = f"{data.name}.{names.word()}" if local else names.word()
        on = data.type
        if data is LIST_DATA and rng.random() < 0.5:
            on = list_of(NAT)
        self.on = on
        self.mapping = dict(zip(data.params, on.args, strict=True))

    def draw(self) -> Function | None:
        ways: list[tuple[Callable[[], Function | None], int]] = [
            (self.as_number, 8),
            (self.as_truth, 4),
            (self.as_rebuilt, 8),
            (self.as_list, 5),
            (self.as_mapped, 5),
            (self.as_grafted, 7),
            (self.as_accumulated, 3),
            (self.as_counted, 3),
            (self.as_composed, 4),
            (self.as_value, 3),
        ]
        ((way, _),) = self.rng.choices(ways, [weight for _, weight in ways])
        return way()

    # parts

    def fields(self, constructor: Constructor) -> list[Named]:
        """The fields of a constructor, under names for patterns."""
        count = {"n": 0, "x": 0, "t": 0}
        found = []
        for type_ in constructor.fields:
            own = type_.replaced(self.mapping)
            kind = "t" if type_ == self.data.type else "n" if own == NAT else "x"
            count[kind] += 1
            usual = {"t": "l r m", "n": "n m k", "x": "x y z"}[kind].split()
            if self.data is LIST_DATA:
                usual = ["xs"] if kind == "t" else ["x"]
            found.append((usual[count[kind] - 1] if count[kind] < 4 else f"y{count[kind]}", own))
        return found

    def build(
        self,
        result: Type,
        body: Callable[[Constructor, list[Named], Callable[[Expr], Expr]], Expr],
        fixed: tuple[Named, ...] = (),
        trailing: tuple[Named, ...] = (),
    ) -> Function:
        """The function whose cases have these bodies. A body is given its constructor, the fields
        and the recursive call."""

        def again(argument: Expr) -> Expr:
            first = [var(name, type_) for name, type_ in fixed]
            last = [var(name, type_) for name, type_ in trailing]
            return Expr("call", self.name, result, (*first, argument, *last))

        cases = []
        for constructor in self.data.constructors:
            fields = self.fields(constructor)
            names = tuple(name for name, _ in fields)
            cases.append(Case(constructor, names, body(constructor, fields, again)))
        return Function(self.name, self.data, self.on, fixed, trailing, result, tuple(cases))

    def joined(self, operator: str, type_: Type, parts: list[Expr], empty: Expr) -> Expr:
        """The parts joined from the left."""
        if not parts:
            return empty
        whole = parts[0]
        for part in parts[1:]:
            whole = op(operator, type_, whole, part)
        return whole

    def rebuilt(self, constructor: Constructor, args: list[Expr]) -> Expr:
        return new(self.data, constructor, self.on, *args)

    # ways

    def as_number(self) -> Function:
        rng = self.rng
        deep = rng.random() < 0.25
        sums = rng.random() < 0.5
        base = rng.choice([0, 0, 1, 1, 2])

        def body(_: Constructor, fields: list[Named], again: Callable[[Expr], Expr]) -> Expr:
            parts = [again(var(n, t)) for n, t in fields if t == self.on and self.data.recursive]
            step = number(rng.choice([1, 1, 1, 2])) if parts else number(base)
            if deep and len(parts) > 1:
                return op("+", NAT, self.joined("max", NAT, parts, number(0)), step)
            if sums and self.data is not NAT_DATA:
                parts += [var(n, t) for n, t in fields if t == NAT]
            elif self.data is NAT_DATA and sums and parts:
                parts = [*parts, op("+", NAT, var(fields[0][0], NAT), number(1))]
                step = number(0)
            if not self.data.recursive:
                step = number(rng.choice([0, 1, 2, 3, 5]))
            if parts and (step.name == "0" or (sums and rng.random() < 0.7)):
                rng.shuffle(parts)
            else:
                parts.insert(rng.randrange(len(parts) + 1), step)
            return self.joined("+", NAT, parts, number(base))

        return self.build(NAT, body)

    def as_truth(self) -> Function:
        rng = self.rng
        operator = rng.choice(["&&", "||"])
        flip = rng.random() < 0.3

        def body(_: Constructor, fields: list[Named], again: Callable[[Expr], Expr]) -> Expr:
            parts = [again(var(n, t)) for n, t in fields if t == self.on and self.data.recursive]
            parts += [var(n, t) for n, t in fields if t == BOOL]
            constant = var(rng.choice(["true", "false"]), BOOL)
            if not parts or rng.random() < 0.15:
                return constant
            whole = self.joined(operator, BOOL, parts, constant)
            return op("!", BOOL, whole) if flip else whole

        return self.build(BOOL, body)

    def as_rebuilt(self) -> Function | None:
        """Fields are permuted or changed, or constructors exchanged."""
        rng = self.rng
        style = rng.choice(["permute", "exchange", "change"])
        by_shape: dict[tuple[Type, ...], list[Constructor]] = {}
        for c in self.data.constructors:
            by_shape.setdefault(c.fields, []).append(c)
        to: dict[str, Constructor] = {}
        for group in by_shape.values():
            turned = group[1:] + group[:1] if rng.random() < 0.6 else rng.sample(group, len(group))
            if rng.random() < 0.3 and not group[0].fields:
                turned = [rng.choice(group)] * len(group)
            to |= {c.name: d for c, d in zip(group, turned, strict=True)}
        shift = rng.choice([1, 1, 2])
        double = rng.random() < 0.5

        def body(c: Constructor, fields: list[Named], again: Callable[[Expr], Expr]) -> Expr:
            args = [
                again(var(n, t)) if t == self.on and self.data.recursive else var(n, t)
                for n, t in fields
            ]
            if style == "permute":
                for type_ in dict.fromkeys(t for _, t in fields):
                    places = [i for i, (_, t) in enumerate(fields) if t == type_]
                    for place, value in zip(
                        places, [args[i] for i in reversed(places)], strict=True
                    ):
                        args[place] = value
            if style == "change":
                args = [
                    op("+", NAT, a, number(shift)) if t == NAT and a.kind == "var" else a
                    for a, (_, t) in zip(args, fields, strict=True)
                ]
                if self.data is NAT_DATA and args:
                    return op("+", NAT, args[0], number(shift + 1))
                if self.data is LIST_DATA and args and double:
                    return self.rebuilt(c, [args[0], self.rebuilt(c, args)])
            return self.rebuilt(to[c.name] if style == "exchange" else c, args)

        return self.build(self.on, body)

    def as_list(self) -> Function | None:
        """The elements, in an order."""
        rng = self.rng
        types = {t for c in self.data.constructors for _, t in self.fields(c)} - {self.on}
        if not types or self.data is NAT_DATA:
            return None
        element = rng.choice(sorted(types))
        order = rng.choice(["as they are", "shuffled", "reversed"])

        def body(_: Constructor, fields: list[Named], again: Callable[[Expr], Expr]) -> Expr:
            result, empty = list_of(element), Expr("var", "[]", list_of(element))
            parts: list[Expr] = []
            for n, t in fields:
                if t == self.on and self.data.recursive:
                    parts.append(again(var(n, t)))
                elif t == element:
                    parts.append(op("::", result, var(n, t), empty))
            if order == "shuffled":
                rng.shuffle(parts)
            elif order == "reversed":
                parts.reverse()
            if len(parts) == 2 and parts[0].name == "::":
                return op("::", result, parts[0].args[0], parts[1])
            return self.joined("++", result, parts, empty)

        return self.build(list_of(element), body)

    def as_mapped(self) -> Function | None:
        if not self.on.args:
            return None
        source = self.on.args[0]
        target = BETA if source == ALPHA and len(self.on.args) == 1 else source
        result = Type(self.on.name, (target, *self.on.args[1:]))

        def body(c: Constructor, fields: list[Named], again: Callable[[Expr], Expr]) -> Expr:
            args = []
            for n, t in fields:
                if t == self.on and self.data.recursive:
                    args.append(again(var(n, t)))
                else:
                    args.append(
                        Expr("apply", "f", target, (var(n, t),)) if t == source else var(n, t)
                    )
            return new(self.data, c, result, *args)

        return self.build(result, body, fixed=(("f", function_type(source, target)),))

    def as_grafted(self) -> Function | None:
        """Another value is put in place of the ends, as in `append` and `add`."""
        if not self.data.recursive:
            return None
        rng = self.rng
        ends = [c for c in self.data.constructors if self.data.type not in c.fields]
        chosen = {rng.choice(ends).name} if rng.random() < 0.4 else {c.name for c in ends}
        first = rng.random() < 0.3
        other: Named = ("other", self.on)
        inner = self.data is NAT_DATA and rng.random() < 0.4

        def body(c: Constructor, fields: list[Named], again: Callable[[Expr], Expr]) -> Expr:
            if c.name in chosen:
                return number(0) if inner else var(*other)
            args = [again(var(n, t)) if t == self.on else var(n, t) for n, t in fields]
            if inner:
                return op("+", NAT, args[0], var(*other))
            return self.rebuilt(c, args)

        if first:
            return self.build(self.on, body, fixed=(other,))
        return self.build(self.on, body, trailing=(other,))

    def as_accumulated(self) -> Function | None:
        """The result is collected in an argument."""
        if not self.data.recursive or any(
            c.fields.count(self.data.type) > 1 for c in self.data.constructors
        ):
            return None
        rng = self.rng
        types = {t for c in self.data.constructors for _, t in self.fields(c)} - {self.on}
        elements = rng.random() < 0.5 and bool(types) and self.data is not NAT_DATA
        result = list_of(sorted(types)[0]) if elements else NAT
        sums = rng.random() < 0.5
        acc: Named = ("acc", result)

        def body(_: Constructor, fields: list[Named], _again: Callable[[Expr], Expr]) -> Expr:
            value = var(*acc)
            rest = None
            for n, t in fields:
                if t == self.on:
                    rest = var(n, t)
                elif elements and t == result.args[0]:
                    value = op("::", result, var(n, t), value)
                elif not elements and t == NAT and sums:
                    value = op("+", NAT, value, var(n, t))
            if rest is None:
                return value
            if not elements and value.kind == "var":
                value = op("+", NAT, value, number(1))
            return Expr("call", self.name, result, (rest, value))

        return self.build(result, body, trailing=(acc,))

    def as_counted(self) -> Function | None:
        """The elements that pass a test are counted, kept or looked for."""
        if not self.on.args or not self.data.recursive:
            return None
        element = self.on.args[0]
        kind = self.rng.choice(["count", "all", "any", "keep"])
        result = {"count": NAT, "all": BOOL, "any": BOOL, "keep": list_of(element)}[kind]

        def body(_: Constructor, fields: list[Named], again: Callable[[Expr], Expr]) -> Expr:
            inner = [again(var(n, t)) for n, t in fields if t == self.on]
            tests = [
                (Expr("apply", "p", BOOL, (var(n, t),)), var(n, t))
                for n, t in fields
                if t == element
            ]
            if kind in ("all", "any"):
                empty = var("true" if kind == "all" else "false", BOOL)
                operator = "&&" if kind == "all" else "||"
                return self.joined(operator, BOOL, [*(t for t, _ in tests), *inner], empty)
            empty = number(0) if kind == "count" else Expr("var", "[]", result)
            whole = self.joined("+" if kind == "count" else "++", result, inner, empty)
            for test, value in tests:
                more = (
                    op("+", NAT, whole, number(1))
                    if kind == "count"
                    else op("::", result, value, whole)
                )
                whole = Expr("if", "", result, (test, more, whole))
            return whole

        return self.build(result, body, fixed=(("p", function_type(element, BOOL)),))

    def as_composed(self) -> Function | None:
        """A known function after another one, stated for each constructor."""
        inner = [f for f in self.known if f.types == (self.on,) and f.result == self.on]
        outer = [f for f in self.known if f.types == (self.on,) and not f.hidden]
        if not inner or not outer:
            return None
        f, g = self.rng.choice(outer), self.rng.choice(inner)

        def body(c: Constructor, fields: list[Named], _again: Callable[[Expr], Expr]) -> Expr:
            value = self.rebuilt(c, [var(n, t) for n, t in fields])
            return f.call(g.call(value))

        return self.build(f.result, body)

    def as_value(self) -> Function | None:
        """An element, or a value that is given for where there is none."""
        if self.data.recursive or not self.on.args:
            return None
        element = self.on.args[0]
        default: Named = ("d", element)

        def body(_: Constructor, fields: list[Named], _again: Callable[[Expr], Expr]) -> Expr:
            values = [var(n, t) for n, t in fields if t == element]
            return self.rng.choice(values) if values else var(*default)

        return self.build(element, body, fixed=(default,))


def draw_predicate(rng: random.Random, names: Names, data: Data) -> Predicate | None:
    """A predicate on a type's values, or a relation of a value with an element or another value."""
    if data.projections:
        return None
    (kind,) = rng.choices(["property", "element", "within"], [6, 2, 2])
    name = names.predicate()
    self_ = data.type
    rules: list[Rule] = []

    def fields_of(c: Constructor) -> list[Named]:
        draft = {"t": 0, "x": 0}
        found = []
        for type_ in c.fields:
            key = "t" if type_ == self_ else "x"
            draft[key] += 1
            usual = "l r m" if key == "t" else "x y z"
            found.append(
                ((usual.split()[draft[key] - 1]) if draft[key] < 4 else f"w{draft[key]}", type_)
            )
        return found

    def built(c: Constructor, fields: list[Named]) -> Expr:
        return new(data, c, self_, *(var(n, t) for n, t in fields))

    if kind == "property":
        if data is NAT_DATA:
            step = rng.choice([2, 2, 3])
            n = var("n", NAT)
            rules.append(Rule(names.word(), (), (), (number(rng.choice([0, 0, 1])),)))
            after = op("+", NAT, n, number(step))
            rules.append(Rule(names.word(), (("n", NAT),), ((name, (n,)),), (after,)))
            return Predicate(name, (), (NAT,), tuple(rules))
        for c in data.constructors:
            if rng.random() < 0.3:
                continue
            fields = fields_of(c)
            inner = [var(n, t) for n, t in fields if t == self_]
            if len(inner) > 1 and rng.random() < 0.25:
                inner = [rng.choice(inner)]
            value = built(c, fields)
            numbers = [i for i, (_, t) in enumerate(fields) if t == NAT]
            if numbers and rng.random() < 0.3 and data is not LIST_DATA:
                place = rng.choice(numbers)
                fixed = number(rng.choice([0, 1]))
                value = Expr(
                    value.kind,
                    value.name,
                    value.type,
                    tuple(fixed if i == place else a for i, a in enumerate(value.args)),
                )
                fields = [f for i, f in enumerate(fields) if i != place]
            rules.append(
                Rule(names.word(), tuple(fields), tuple((name, (v,)) for v in inner), (value,))
            )
        if not rules or len(rules) == len(data.constructors) == 1:
            return None
        return Predicate(name, (), (self_,), tuple(rules))
    if not data.recursive or data is NAT_DATA:
        return None
    other: Named
    if kind == "element":
        if not data.params:
            return None
        other = ("a", Type(data.params[0]))
        for c in data.constructors:
            fields = fields_of(c)
            for i, (field, t) in enumerate(fields):
                rest = [f for j, f in enumerate(fields) if j != i]
                if t == other[1]:
                    args = [var("a", t) if j == i else var(*f) for j, f in enumerate(fields)]
                    value = new(data, c, self_, *args)
                    rules.append(Rule(names.word(), tuple(rest), (), (value,)))
                elif t == self_:
                    premise = ((name, (var(field, t),)),)
                    rules.append(Rule(names.word(), tuple(fields), premise, (built(c, fields),)))
        if len(rules) < 2:
            return None
        return Predicate(name, (other,), (self_,), tuple(rules))
    other = ("s", self_)
    rules.append(Rule(names.word(), (), (), (var("s", self_),)))
    for c in data.constructors:
        fields = fields_of(c)
        for field, t in fields:
            if t == self_:
                premise = ((name, (var(field, t),)),)
                rules.append(Rule(names.word(), tuple(fields), premise, (built(c, fields),)))
    return Predicate(name, (other,), (self_,), tuple(rules))
