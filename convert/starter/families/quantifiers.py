"""∀ and ∃ over types, functions, predicates and relations."""

from __future__ import annotations

from ..scene import NAT, Scene
from ..terms import Term, app, chain, exists, forall, neg, op
from .registry import Draft, draft, template


class World:
    """A type, predicates on it, a bound name and an element."""

    def __init__(self, s: Scene) -> None:
        self.type = s.some_type()
        self.p = s.predicate(self.type)
        self.q = s.predicate(self.type)
        self.x = s.pooled("bound")
        self.var = Term(self.x)
        self.element = s.new(self.type)
        if s.rng.random() < 0.35:
            self.element = app(s.function(self.type, self.type), self.element)
        # the property of the bound variable, and of any term
        self.shapes = s.rng.choice(["plain", "plain", "plain", "compound"])
        self.other = s.predicate(self.type) if self.shapes == "compound" else ""
        self.symbol = s.rng.choice("∧∨→")

    def says(self, t: Term) -> Term:
        return op(app(self.p, t), self.symbol, app(self.other, t)) if self.other else app(self.p, t)

    def also(self, t: Term) -> Term:
        return app(self.q, t)

    def all(self, body: Term) -> Term:
        return forall(self.x, self.type, body)

    def some(self, body: Term) -> Term:
        return exists(self.x, body)


@template(2)
def forall_apply(s: Scene) -> Draft:
    w = World(s)
    (h,) = s.know(w.all(w.says(w.var)))
    a = w.element
    return draft(w.says(a), f"exact {h} {a.arg}", f"apply {h}", f"exact {h} _")


@template(2)
def forall_implies(s: Scene) -> Draft:
    w = World(s)
    a = w.element
    f, h = s.know(w.all(op(w.says(w.var), "→", w.also(w.var))), w.says(a))
    return draft(w.also(a), f"exact {f} {a.arg} {h}", f"apply {f}", f"exact {f} _ {h}")


@template()
def forall_and(s: Scene) -> Draft:
    w = World(s)
    a = w.element
    (h,) = s.know(w.all(op(w.says(w.var), "∧", w.also(w.var))))
    if s.rng.random() < 0.5:
        target, side = s.rng.choice([(w.says(a), "1"), (w.also(a), "2")])
        return draft(
            target, f"exact ({h} {a.arg}).{side}", f"exact ({h} _).{side}", f"have := {h} {a.arg}"
        )
    body, side = s.rng.choice([(w.says(w.var), "1"), (w.also(w.var), "2")])
    return draft(w.all(body), f"intro {w.x}", f"exact fun {w.x} => ({h} {w.x}).{side}")


@template(1.5)
def forall_intro(s: Scene) -> Draft:
    w = World(s)
    h, k = s.know(w.all(op(w.says(w.var), "→", w.also(w.var))), w.all(w.says(w.var)))
    return draft(w.all(w.also(w.var)), f"intro {w.x}", f"exact fun {w.x} => {h} {w.x} ({k} {w.x})")


@template(1.5)
def forall_chain(s: Scene) -> Draft:
    w = World(s)
    r = Term(s.predicate(w.type)).text
    h, k = s.know(
        w.all(op(w.says(w.var), "→", w.also(w.var))), w.all(op(w.also(w.var), "→", app(r, w.var)))
    )
    proof = s.name_for(w.says(w.var))
    return draft(
        w.all(op(w.says(w.var), "→", app(r, w.var))),
        f"intro {w.x} {proof}",
        f"exact fun {w.x} {proof} => {k} {w.x} ({h} {w.x} {proof})",
        f"intro {w.x}",
    )


@template(1.5)
def relation(s: Scene) -> Draft:
    """Symmetric and transitive relations."""
    type_ = s.some_type()
    r = s.predicate(type_, type_)
    a, b, c = (s.new(type_) for _ in range(3))
    x, y, z = Term("x"), Term("y"), Term("z")
    if {"x", "y", "z"} & s.taken:
        x, y, z = Term("u"), Term("v"), Term("w")
    if {x.text, y.text, z.text} & s.taken:
        x, y, z = Term("a₁"), Term("a₂"), Term("a₃")
    names = f"{x} {y} {z}"
    if s.rng.random() < 0.4:
        law = Term(f"∀ ({x} {y} : {type_}), {op(app(r, x, y), '→', app(r, y, x))}", 0, True)
        h, k = s.know(law, app(r, a, b))
        return draft(app(r, b, a), f"exact {h} {a} {b} {k}", f"apply {h}", f"exact {h} _ _ {k}")
    law = Term(
        f"∀ ({names} : {type_}), {chain('→', app(r, x, y), app(r, y, z), app(r, x, z))}", 0, True
    )
    h, k, m = s.know(law, app(r, a, b), app(r, b, c))
    return draft(
        app(r, a, c),
        f"exact {h} {a} {b} {c} {k} {m}",
        f"exact {h} _ _ _ {k} {m}",
        f"apply {h} {a} {b} {c}",
        f"refine {h} {a} {b} {c} ?_ ?_",
    )


@template()
def reflexive(s: Scene) -> Draft:
    type_ = s.some_type()
    r, a = s.predicate(type_, type_), s.new(type_)
    x = s.pooled("bound")
    (h,) = s.know(Term(f"∀ ({x} : {type_}), {r} {x} {x}", 0, True))
    if s.rng.random() < 0.3:
        y = Term(s.pooled("bound"))
        return draft(
            exists(y.text, app(r, a, y)),
            f"exact ⟨{a}, {h} {a}⟩",
            f"refine ⟨{a}, ?_⟩",
            f"exact ⟨_, {h} _⟩",
        )
    if s.rng.random() < 0.5:
        a = app(s.function(type_, type_), a)
    return draft(app(r, a, a), f"exact {h} {a.arg}", f"apply {h}", f"exact {h} _")


@template(2)
def exists_intro(s: Scene) -> Draft:
    w = World(s)
    a = w.element
    (h,) = s.know(w.says(a))
    return draft(
        w.some(w.says(w.var)),
        f"exact ⟨{a}, {h}⟩",
        f"refine ⟨{a}, ?_⟩",
        f"exact Exists.intro {a.arg} {h}",
        f"exists {a}",
    )


@template(1.5)
def exists_both(s: Scene) -> Draft:
    w = World(s)
    a = w.element
    h, k = s.know(app(w.p, a), w.also(a))
    return draft(
        w.some(op(app(w.p, w.var), "∧", w.also(w.var))),
        f"exact ⟨{a}, {h}, {k}⟩",
        f"refine ⟨{a}, ?_, ?_⟩",
        f"refine ⟨{a}, ?_⟩",
        f"exact ⟨_, {h}, {k}⟩",
    )


@template(1.5)
def exists_elim(s: Scene) -> Draft:
    w = World(s)
    (y,) = s.props(1, 0)
    h, f = s.know(w.some(w.says(w.var)), w.all(op(w.says(w.var), "→", y)))
    x = w.x
    hx = s.fresh("h" + x)
    return draft(
        y,
        f"obtain ⟨{x}, {hx}⟩ := {h}",
        f"exact {h}.elim {f}",
        f"cases {h} with\n| intro {x} {hx} => exact {f} {x} {hx}",
        f"rcases {h} with ⟨{x}, {hx}⟩",
    )


@template(1.5)
def exists_map(s: Scene) -> Draft:
    w = World(s)
    h, f = s.know(w.some(w.says(w.var)), w.all(op(w.says(w.var), "→", w.also(w.var))))
    x = w.x
    hx = s.fresh("h" + x)
    return draft(
        w.some(w.also(w.var)),
        f"obtain ⟨{x}, {hx}⟩ := {h}",
        f"rcases {h} with ⟨{x}, {hx}⟩",
        f"cases {h} with\n| intro {x} {hx} => exact ⟨{x}, {f} {x} {hx}⟩",
        f"exact {h}.elim fun {x} {hx} => ⟨{x}, {f} {x} {hx}⟩",
    )


@template(1.5)
def exists_and(s: Scene) -> Draft:
    w = World(s)
    (h,) = s.know(w.some(op(app(w.p, w.var), "∧", w.also(w.var))))
    x = w.x
    hp, hq = s.name_for(app(w.p, Term(x))), s.name_for(w.also(Term(x)))
    body, proof = s.rng.choice(
        [
            (w.also(w.var), hq),
            (app(w.p, w.var), hp),
            (op(w.also(w.var), "∧", app(w.p, w.var)), f"{hq}, {hp}"),
        ]
    )
    return draft(
        w.some(body),
        f"obtain ⟨{x}, {hp}, {hq}⟩ := {h}",
        f"rcases {h} with ⟨{x}, {hp}, {hq}⟩",
        f"exact {h}.elim fun {x} ⟨{hp}, {hq}⟩ => ⟨{x}, {proof}⟩",
    )


@template()
def not_exists(s: Scene) -> Draft:
    w = World(s)
    proof = "h" + w.x
    if s.rng.random() < 0.5:
        (h,) = s.know(neg(w.some(w.says(w.var))))
        hx = s.fresh(proof)
        return draft(
            w.all(neg(w.says(w.var))),
            f"intro {w.x} {hx}",
            f"exact fun {w.x} {hx} => {h} ⟨{w.x}, {hx}⟩",
            f"exact not_exists.mp {h}",
        )
    (h,) = s.know(w.all(neg(w.says(w.var))))
    hx = s.fresh(proof)
    return draft(
        neg(w.some(w.says(w.var))),
        f"rintro ⟨{w.x}, {hx}⟩",
        f"intro ⟨{w.x}, {hx}⟩",
        f"exact not_exists.mpr {h}",
    )


@template()
def not_forall(s: Scene) -> Draft:
    w = World(s)
    a = w.element
    (k,) = s.know(neg(w.says(a)))
    h = s.name_for(w.all(w.says(w.var)))
    return draft(neg(w.all(w.says(w.var))), f"intro {h}", f"exact fun {h} => {k} ({h} {a.arg})")


@template()
def quantifier_law(s: Scene) -> Draft:
    w = World(s)
    p, q = app(w.p, w.var), w.also(w.var)
    (y,) = s.props(1, 0)
    left, right, law = s.rng.choice(
        [
            (w.all(op(p, "∧", q)), op(w.all(p), "∧", w.all(q)), "forall_and"),
            (w.some(op(p, "∨", q)), op(w.some(p), "∨", w.some(q)), "exists_or"),
            (neg(w.some(p)), w.all(neg(p)), "not_exists"),
            (op(w.some(p), "→", y), w.all(op(p, "→", y)), "exists_imp"),
            (neg(w.all(p)), w.some(neg(p)), "Classical.not_forall"),
        ]
    )
    return draft(op(left, "↔", right), f"exact {law}", "constructor", f"rw [{law}]")


@template()
def exists_equal(s: Scene) -> Draft:
    w = World(s)
    a = w.element
    left, right = s.rng.choice([(w.var, a), (a, w.var)])
    return draft(
        w.some(op(left, "=", right)),
        f"exact ⟨{a}, rfl⟩",
        f"refine ⟨{a}, ?_⟩",
        "exact ⟨_, rfl⟩",
        "simp",
    )


@template()
def exists_number(s: Scene) -> Draft:
    """A number with a given property, found by search."""
    x = Term(s.pooled("bound"))
    k, m = s.rng.randint(1, 20), s.rng.randint(1, 9)
    number = Term(str(k))
    body, witness = s.rng.choice(
        [
            (op(x, "=", number), k),
            (op(x, ">", number), k + 1),
            (op(number, "<", x), k + 1),
            (op(op(x, "+", Term(str(m))), "=", Term(str(k + m))), k),
            (op(op(Term(str(m)), "*", x), "=", Term(str(k * m))), k),
            (op(x, "≥", number), k),
        ]
    )
    return draft(
        exists(x.text, body),
        f"exact ⟨{witness}, by decide⟩",
        f"refine ⟨{witness}, ?_⟩",
        f"exact ⟨{witness}, by omega⟩",
        f"exists {witness}",
    )


@template()
def larger_number(s: Scene) -> Draft:
    n, x = s.new(NAT), Term(s.pooled("bound"))
    body = s.rng.choice([op(n, "<", x), op(x, ">", n)])
    if s.rng.random() < 0.5:
        return draft(
            exists(x.text, body),
            f"exact ⟨{n} + 1, by omega⟩",
            f"refine ⟨{n} + 1, ?_⟩",
            f"exact ⟨{n} + 1, Nat.lt_succ_self {n}⟩",
        )
    body = s.rng.choice([op(n, "≤", x), op(x, "≥", n)])
    return draft(
        exists(x.text, body),
        f"exact ⟨{n}, Nat.le_refl {n}⟩",
        f"exact ⟨{n}, by omega⟩",
        f"refine ⟨{n}, ?_⟩",
    )


@template()
def exists_swap(s: Scene) -> Draft:
    type_ = s.some_type()
    r = s.predicate(type_, type_)
    a, b = s.new(type_), s.new(type_)
    x, y = Term(s.pooled("bound")), Term(s.pooled("bound"))
    (h,) = s.know(app(r, a, b))
    if s.rng.random() < 0.5:
        return draft(
            exists(x.text, exists(y.text, app(r, x, y))),
            f"exact ⟨{a}, {b}, {h}⟩",
            f"refine ⟨{a}, {b}, ?_⟩",
            f"exact ⟨_, _, {h}⟩",
        )
    return draft(
        exists(y.text, app(r, a, y)), f"exact ⟨{b}, {h}⟩", f"refine ⟨{b}, ?_⟩", f"exact ⟨_, {h}⟩"
    )


@template()
def or_of_predicates(s: Scene) -> Draft:
    w = World(s)
    r = s.predicate(w.type)
    a = w.element
    h, f, g = s.know(
        op(app(w.p, a), "∨", w.also(a)),
        w.all(op(app(w.p, w.var), "→", app(r, w.var))),
        w.all(op(w.also(w.var), "→", app(r, w.var))),
    )
    x, y = s.name_for(app(w.p, a)), s.name_for(w.also(a))
    return draft(
        app(r, a),
        f"cases {h} with\n| inl {x} => exact {f} {a.arg} {x}\n| inr {y} => exact {g} {a.arg} {y}",
        f"rcases {h} with {x} | {y}",
        f"exact {h}.elim ({f} {a.arg}) ({g} {a.arg})",
    )
