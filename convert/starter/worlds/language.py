"""The small language that worlds are written in: types, expressions, functions and predicates.

Each can be printed as Lean reads it, and computed on small values. So a statement about a world is
tried on values before Lean is asked to prove it. Values are integers for `Nat`, tuples for `List`,
`bool` for `Bool`, and `(constructor, field, ...)` for a world's own types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Value = Any
LARGEST = 10**6
"""Computing stops at larger numbers."""


DEEPEST = 60
"""The largest number that is computed with by recursion."""


class TooLarge(Exception):
    """A number or a computation is larger than a trial on values is worth."""


class Type(NamedTuple):
    """A type: its head (`→` for functions) and its arguments."""

    name: str
    args: tuple[Type, ...] = ()

    def __str__(self) -> str:
        if self.name == "→":
            return " → ".join(arg.side for arg in self.args)
        return " ".join([self.name, *(arg.arg for arg in self.args)])

    @property
    def arg(self) -> str:
        """The text as an argument of another type."""
        return f"({self})" if self.args else str(self)

    @property
    def side(self) -> str:
        """The text beside an arrow."""
        return f"({self})" if self.name == "→" else str(self)

    def replaced(self, mapping: dict[str, Type]) -> Type:
        """The type with variables replaced."""
        if not self.args:
            return mapping.get(self.name, self)
        return Type(self.name, tuple(arg.replaced(mapping) for arg in self.args))

    def variables(self) -> set[str]:
        """The type variables, which are Greek letters."""
        own = {self.name} if self.name in GREEK else set()
        return own.union(*(arg.variables() for arg in self.args))


GREEK = "αβγδ"
NAT, BOOL = Type("Nat"), Type("Bool")


def list_of(element: Type) -> Type:
    return Type("List", (element,))


def function_type(*types: Type) -> Type:
    return Type("→", types)


class Constructor(NamedTuple):
    """A constructor and the types of its fields."""

    name: str
    fields: tuple[Type, ...]


@dataclass(frozen=True)
class Data:
    """An inductive type: its parameters and constructors. `projections` makes it a structure."""

    name: str
    params: tuple[str, ...]
    constructors: tuple[Constructor, ...]
    projections: tuple[str, ...] = ()

    @property
    def type(self) -> Type:
        return Type(self.name, tuple(Type(param) for param in self.params))

    @property
    def recursive(self) -> bool:
        return any(self.type in c.fields for c in self.constructors)

    def __str__(self) -> str:
        params = f" ({' '.join(self.params)} : Type)" if self.params else ""
        if self.projections:
            lines = [
                f"  {name} : {type_}"
                for name, type_ in zip(self.projections, self.constructors[0].fields, strict=True)
            ]
            return "\n".join([f"structure {self.name}{params} where", *lines])
        lines = [
            f"  | {c.name} : {' → '.join([*(f.side for f in c.fields), str(self.type)])}"
            for c in self.constructors
        ]
        return "\n".join([f"inductive {self.name}{params} where", *lines])


NAT_DATA = Data("Nat", (), (Constructor("zero", ()), Constructor("succ", (NAT,))))
LIST_DATA = Data(
    "List",
    ("α",),
    (Constructor("nil", ()), Constructor("cons", (Type("α"), list_of(Type("α"))))),
)
BOOL_DATA = Data("Bool", (), (Constructor("true", ()), Constructor("false", ())))


def taken_apart(data: Data, value: Value) -> tuple[str, tuple[Value, ...]]:
    """The constructor that a value is made with, and its fields."""
    if data is NAT_DATA:
        return ("succ", (value - 1,)) if value else ("zero", ())
    if data is LIST_DATA:
        return ("cons", (value[0], value[1:])) if value else ("nil", ())
    if data is BOOL_DATA:
        return ("true" if value else "false", ())
    return value[0], value[1:]


def made(data: Data, constructor: str, fields: Sequence[Value]) -> Value:
    """The value that a constructor makes, the inverse of `taken_apart`."""
    if data is NAT_DATA:
        return fields[0] + 1 if fields else 0
    if data is LIST_DATA:
        return (fields[0], *fields[1]) if fields else ()
    if data is BOOL_DATA:
        return constructor == "true"
    return (constructor, *fields)


OPERATORS: dict[str, Callable[..., Value]] = {
    "+": lambda a, b: a + b,
    "++": lambda a, b: a + b,
    "&&": lambda a, b: a and b,
    "||": lambda a, b: a or b,
    "::": lambda a, b: (a, *b),
    "max": max,
    "!": lambda a: not a,
    "List.length": len,
    "List.reverse": lambda a: a[::-1],
    "List.map": lambda f, a: tuple(f(x) for x in a),
}


@dataclass(frozen=True)
class Expr:
    """An expression. Its kind is one of `var`, `number`, `op` (see `OPERATORS`), `call` of a
    world's function, `new` for a constructor, `apply` for a function variable, and `if`."""

    kind: str
    name: str
    type: Type
    args: tuple[Expr, ...] = ()

    def __str__(self) -> str:
        args = [arg.arg for arg in self.args]
        if self.kind == "op" and len(args) == 2 and not self.name[0].isalpha():
            if self.name == "::" and self.args[1].name == "[]":
                return f"[{self.args[0]}]"
            return f"{self.args[0].operand} {self.name} {self.args[1].operand}"
        if self.kind == "if":
            return f"if {self.args[0]} then {self.args[1]} else {args[2]}"
        if self.name == "!":
            return f"!{args[0]}"
        return " ".join([self.name, *args])

    @property
    def arg(self) -> str:
        """The text as an argument."""
        single = self.name == "::" and self.args[1].name == "[]"
        return f"({self})" if self.args and not single else str(self)

    @property
    def operand(self) -> str:
        """The text beside an operator."""
        single = self.name == "::" and self.args[1].name == "[]"
        return f"({self})" if self.kind in ("op", "if") and not single else str(self)

    def parts(self) -> Iterator[Expr]:
        """The expression and all its parts."""
        yield self
        for arg in self.args:
            yield from arg.parts()

    @property
    def size(self) -> int:
        return sum(1 for _ in self.parts())

    def variables(self) -> set[str]:
        """The names of the variables, those of functions among them."""
        found = {part.name for part in self.parts() if part.kind in ("var", "apply")}
        return found - {"[]", "true", "false"}


def var(name: str, type_: Type) -> Expr:
    return Expr("var", name, type_)


def number(value: int) -> Expr:
    return Expr("number", str(value), NAT)


def op(name: str, type_: Type, *args: Expr) -> Expr:
    return Expr("op", name, type_, args)


def new(data: Data, constructor: Constructor, type_: Type, *args: Expr) -> Expr:
    """The expression that makes a value, in the notation that a type has."""
    if data is NAT_DATA:
        return op("+", NAT, args[0], number(1)) if args else number(0)
    if data is LIST_DATA:
        return op("::", type_, *args) if args else Expr("var", "[]", type_)
    if data is BOOL_DATA:
        return Expr("var", constructor.name, type_)
    return Expr("new", f"{data.name}.{constructor.name}", type_, args)


class Case(NamedTuple):
    """A case of a function: the constructor, names of its fields, and the value."""

    constructor: Constructor
    names: tuple[str, ...]
    body: Expr


Named = tuple[str, Type]


@dataclass(frozen=True)
class Function:
    """A function by cases on an argument. `fixed` arguments stand before it, `trailing` after."""

    name: str
    data: Data
    on: Type
    fixed: tuple[Named, ...]
    trailing: tuple[Named, ...]
    result: Type
    cases: tuple[Case, ...]
    hidden: bool = False
    """Whether it is a projection, which its structure defines."""

    @property
    def types(self) -> tuple[Type, ...]:
        """The types of all arguments."""
        return (*(t for _, t in self.fixed), self.on, *(t for _, t in self.trailing))

    @property
    def calls(self) -> set[str]:
        """The names of the other functions that it calls."""
        parts = (part for case in self.cases for part in case.body.parts())
        return {part.name for part in parts if part.kind == "call"} - {self.name}

    def variables(self) -> list[str]:
        """The type variables, in the order of the alphabet."""
        return sorted(set[str]().union(*(t.variables() for t in (*self.types, self.result))))

    def call(self, *args: Expr, type_: Type | None = None) -> Expr:
        return Expr("call", self.name, type_ or self.result, args)

    def __str__(self) -> str:
        variables = self.variables()
        implicit = f" {{{' '.join(variables)} : Type}}" if variables else ""
        fixed = "".join(f" ({name} : {type_})" for name, type_ in self.fixed)
        types = [self.on, *(t for _, t in self.trailing), self.result]
        lines = [f"def {self.name}{implicit}{fixed} : {' → '.join(t.side for t in types)}"]
        for case in self.cases:
            used = case.body.variables()
            names = [name if name in used else "_" for name in case.names]
            patterns = [pattern(self.data, case.constructor, names)]
            patterns += [name if name in used else "_" for name, _ in self.trailing]
            lines.append(f"  | {', '.join(patterns)} => {case.body}")
        return "\n".join(lines)


def pattern(data: Data, constructor: Constructor, names: Sequence[str]) -> str:
    """A constructor's pattern."""
    if data is NAT_DATA:
        return f"{names[0]} + 1" if names else "0"
    if data is LIST_DATA:
        return f"{names[0]} :: {names[1]}" if names else "[]"
    if data is BOOL_DATA:
        return constructor.name
    return " ".join([f".{constructor.name}", *names])


class Rule(NamedTuple):
    """A rule of a predicate: its variables, premises and conclusion (arguments of predicates)."""

    name: str
    variables: tuple[Named, ...]
    premises: tuple[tuple[str, tuple[Expr, ...]], ...]
    conclusion: tuple[Expr, ...]


@dataclass(frozen=True)
class Predicate:
    """An inductive predicate. Variables of `fixed` are its parameters, the first arguments."""

    name: str
    fixed: tuple[Named, ...]
    types: tuple[Type, ...]
    rules: tuple[Rule, ...]

    def variables(self) -> list[str]:
        types = (*(t for _, t in self.fixed), *self.types)
        return sorted(set[str]().union(*(t.variables() for t in types)))

    def __str__(self) -> str:
        variables = self.variables()
        implicit = f" {{{' '.join(variables)} : Type}}" if variables else ""
        fixed = "".join(f" ({name} : {type_})" for name, type_ in self.fixed)
        own = [name for name, _ in self.fixed]
        arrows = " → ".join([*(t.side for t in self.types), "Prop"])
        lines = [f"inductive {self.name}{implicit}{fixed} : {arrows} where"]

        def applied(name: str, args: Sequence[Expr]) -> str:
            first = own if name == self.name else []
            return " ".join([name, *first, *(arg.arg for arg in args)])

        for rule in self.rules:
            binders = "".join(f" ({name} : {type_})" for name, type_ in rule.variables)
            parts = [applied(name, args) for name, args in rule.premises]
            whole = " → ".join([*parts, applied(self.name, rule.conclusion)])
            lines.append(f"  | {rule.name}{binders} : {whole}")
        return "\n".join(lines)


@dataclass
class Machine:
    """Computes expressions and decides predicates of a world, with a limit to the work."""

    functions: dict[str, Function] = field(default_factory=dict)
    predicates: dict[str, Predicate] = field(default_factory=dict)
    steps: int = 0
    known: dict[tuple[Any, ...], Value] = field(default_factory=dict)

    def start(self) -> None:
        """Begin to count the work."""
        self.steps = 0

    def value(self, expr: Expr, values: dict[str, Value]) -> Value:
        """The value of an expression. Raises TooLarge."""
        self.steps += 1
        if self.steps > 20_000:
            raise TooLarge
        if expr.kind == "var":
            constants = {"[]": (), "true": True, "false": False}
            return constants[expr.name] if expr.name in constants else values[expr.name]
        if expr.kind == "number":
            return int(expr.name)
        if expr.kind == "if":
            condition, yes, no = expr.args
            return self.value(yes if self.value(condition, values) else no, values)
        args = [self.value(arg, values) for arg in expr.args]
        if expr.kind == "new":
            return (expr.name.rsplit(".", 1)[1], *args)
        if expr.kind == "apply":
            return values[expr.name](*args)
        if expr.kind == "op":
            found = OPERATORS[expr.name](*args)
            if (isinstance(found, int) and found > LARGEST) or (
                isinstance(found, tuple) and len(found) > 200
            ):
                raise TooLarge
            return found
        key = (expr.name, *args)
        if key not in self.known:
            self.known[key] = self.called(self.functions[expr.name], args)
        return self.known[key]

    def called(self, function: Function, args: Sequence[Value]) -> Value:
        if isinstance(args[len(function.fixed)], int) and args[len(function.fixed)] > DEEPEST:
            raise TooLarge
        count = len(function.fixed)
        names = [name for name, _ in (*function.fixed, *function.trailing)]
        values = dict(zip(names, [*args[:count], *args[count + 1 :]], strict=True))
        constructor, fields = taken_apart(function.data, args[count])
        case = next(case for case in function.cases if case.constructor.name == constructor)
        return self.value(case.body, {**values, **dict(zip(case.names, fields, strict=True))})

    def holds(self, name: str, args: Sequence[Value]) -> bool:
        """Whether a predicate holds of values. Raises TooLarge."""
        key = (name, *args)
        if key not in self.known:
            self.known[key] = self._derivable(name, args)
        return bool(self.known[key])

    def _derivable(self, name: str, args: Sequence[Value]) -> bool:
        """Whether a rule's conclusion fits, and its premises hold."""
        self.steps += 1
        if self.steps > 20_000:
            raise TooLarge
        if any(isinstance(arg, int) and arg > DEEPEST for arg in args):
            raise TooLarge
        predicate = self.predicates[name]
        count = len(predicate.fixed)
        fixed = dict(zip((n for n, _ in predicate.fixed), args[:count], strict=True))
        for rule in predicate.rules:
            values = dict(fixed)
            fits = all(
                matches(pattern, value, values)
                for pattern, value in zip(rule.conclusion, args[count:], strict=True)
            )
            if fits and all(
                self.holds(
                    premise,
                    [
                        *(args[:count] if premise == name else ()),
                        *(self.value(arg, values) for arg in inputs),
                    ],
                )
                for premise, inputs in rule.premises
            ):
                return True
        return False


def matches(expr: Expr, value: Value, values: dict[str, Value]) -> bool:
    """Whether a value has an expression's form. Adds the values of its variables."""
    if expr.kind == "var":
        if expr.name == "[]":
            return bool(value == ())
        return bool(values.setdefault(expr.name, value) == value)
    if expr.kind == "number":
        return bool(value == int(expr.name))
    if expr.name == "+":
        more = int(expr.args[1].name)
        return bool(value >= more) and matches(expr.args[0], value - more, values)
    if expr.name == "::":
        return bool(value) and all(map(matches, expr.args, (value[0], value[1:]), [values] * 2))
    same = bool(value[0] == expr.name.rsplit(".", 1)[1])
    return same and all(map(matches, expr.args, value[1:], [values] * len(expr.args)))
