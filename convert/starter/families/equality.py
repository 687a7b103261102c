"""Equality: rfl, symmetry, transitivity, congruence, rewriting, substitution, constructors."""

from __future__ import annotations

from ..scene import BOOL, Scene
from ..terms import FALSE, Term, app, dot, exists, fun, neg, op
from .registry import Draft, draft, template


def two_terms(s: Scene) -> tuple[Term, Term, Term]:
    """A type, and two terms of that type, neither of which contains the other."""
    type_ = s.some_type()
    functions = [s.function(type_, type_)] if s.rng.random() < 0.5 else []
    a, b = s.new(type_), s.new(type_)
    for _ in range(20):
        left, right = s.term(type_, 1, functions), s.term(type_, 1, functions)
        if left.text not in right.text and right.text not in left.text:
            return type_, left, right
    return type_, a, b


@template(1.5)
def refl(s: Scene) -> Draft:
    type_ = s.some_type()
    functions = [s.function(type_, type_)] if s.rng.random() < 0.5 else []
    t = s.term(type_, s.rng.choice([0, 1, 2]), functions)
    return draft(op(t, "=", t), "rfl", "simp", "exact rfl", "exact Eq.refl _")


@template(1.5)
def symm(s: Scene) -> Draft:
    _, a, b = two_terms(s)
    (h,) = s.know(op(a, "=", b))
    return draft(op(b, "=", a), f"exact {h}.symm", f"rw [{h}]", "symm", f"exact Eq.symm {h}")


@template(2)
def trans(s: Scene) -> Draft:
    type_ = s.some_type()
    a, b, c = (s.new(type_) for _ in range(3))
    if s.rng.random() < 0.4:
        f = s.function(type_, type_)
        a, b, c = s.rng.choice([(app(f, a), b, c), (a, app(f, b), c), (app(f, a), b, app(f, c))])
    kind = s.rng.randrange(3)
    if kind == 0:
        h, k = s.know(op(a, "=", b), op(b, "=", c))
        first, rest = (
            f"exact {h}.trans {k}",
            [f"rw [{h}, {k}]", f"rw [{h}]", f"exact Eq.trans {h} {k}"],
        )
    elif kind == 1:
        h, k = s.know(op(a, "=", b), op(c, "=", b))
        first, rest = f"exact {h}.trans {k}.symm", [f"rw [{h}, {k}]", f"rw [{h}]"]
    else:
        h, k = s.know(op(b, "=", a), op(b, "=", c))
        first, rest = f"exact {h}.symm.trans {k}", [f"rw [← {h}, {k}]", f"rw [← {h}]"]
    return draft(op(a, "=", c), first, *rest)


@template(2)
def congruence(s: Scene) -> Draft:
    type_ = s.some_type()
    a, b = s.new(type_), s.new(type_)
    (h,) = s.know(op(a, "=", b))
    if s.rng.random() < 0.5:
        f = s.function(type_, s.rng.choice([type_, s.some_type()]))
        return draft(
            op(app(f, a), "=", app(f, b)),
            f"rw [{h}]",
            f"exact congrArg {f} {h}",
            f"simp [{h}]",
            f"subst {h}",
        )
    g = s.function(type_, type_, type_)
    c = s.new(type_)
    left, right = (
        (app(g, a, c), app(g, b, c)) if s.rng.random() < 0.5 else (app(g, c, a), app(g, c, b))
    )
    return draft(op(left, "=", right), f"rw [{h}]", f"simp [{h}]", f"subst {h}")


@template()
def congruence_two(s: Scene) -> Draft:
    type_ = s.some_type()
    a, b, c, d = (s.new(type_) for _ in range(4))
    g = s.function(type_, type_, type_)
    h, k = s.know(op(a, "=", b), op(c, "=", d))
    return draft(
        op(app(g, a, c), "=", app(g, b, d)), f"rw [{h}, {k}]", f"rw [{h}]", f"simp [{h}, {k}]"
    )


@template()
def function_equality(s: Scene) -> Draft:
    type_ = s.some_type()
    f, g = s.function(type_, type_), s.function(type_, type_)
    a = s.new(type_)
    (h,) = s.know(op(Term(f), "=", Term(g)))
    return draft(
        op(app(f, a), "=", app(g, a)),
        f"rw [{h}]",
        f"exact congrFun {h} {a}",
        f"subst {h}",
        f"simp [{h}]",
    )


@template()
def extensionality(s: Scene) -> Draft:
    type_ = s.some_type()
    f, g = s.function(type_, type_), s.function(type_, type_)
    x = s.pooled("bound")
    (h,) = s.know(Term(f"∀ ({x} : {type_}), {f} {x} = {g} {x}", 0, True))
    return draft(
        op(Term(f), "=", Term(g)), f"funext {x}", f"exact funext {h}", f"ext {x}", "apply funext"
    )


@template(2)
def transport(s: Scene) -> Draft:
    type_ = s.some_type()
    p = s.predicate(type_)
    a, b = s.new(type_), s.new(type_)
    if s.rng.random() < 0.4:
        f = s.function(type_, type_)
        a, b = s.rng.choice([(app(f, a), b), (a, app(f, b))])
    forward = s.rng.random() < 0.5
    h, k = s.know(op(a, "=", b), app(p, a if forward else b))
    if forward:
        return draft(app(p, b), f"rw [← {h}]", f"exact {h} ▸ {k}", f"rwa [← {h}]")
    return draft(app(p, a), f"rw [{h}]", f"exact {h} ▸ {k}", f"rwa [{h}]", f"simpa [{h}] using {k}")


@template()
def rewrite_hypothesis(s: Scene) -> Draft:
    """Equations about a function, which are used in sequence."""
    type_ = s.some_type()
    f = s.function(type_, type_)
    a, b, c = (s.new(type_) for _ in range(3))
    h, k = s.know(op(app(f, a), "=", b), op(app(f, b), "=", c))
    return draft(op(app(f, app(f, a)), "=", c), f"rw [{h}, {k}]", f"rw [{h}]", f"simp [{h}, {k}]")


@template()
def rewrite_by_law(s: Scene) -> Draft:
    """A law that is stated for all arguments, and used for some."""
    type_ = s.some_type()
    f, a = s.function(type_, type_), s.new(type_)
    x = s.pooled("bound")
    (h,) = s.know(Term(f"∀ ({x} : {type_}), {f} ({f} {x}) = {x}", 0, True))
    t = app(f, app(f, s.rng.choice([a, app(f, a)])))
    inner = Term(t.text[len(f"{f} ({f} ") : -1]) if t.text.count("(") == 1 else app(f, a)
    return draft(
        op(t, "=", inner),
        f"exact {h} {inner.arg}",
        f"rw [{h}]",
        f"apply {h}",
        f"simp [{h}]",
        f"exact {h} _",
    )


@template()
def ne_symm(s: Scene) -> Draft:
    _, a, b = two_terms(s)
    (h,) = s.know(op(a, "≠", b))
    return draft(op(b, "≠", a), f"exact {h}.symm", f"exact Ne.symm {h}", "symm")


@template()
def ne_contradiction(s: Scene) -> Draft:
    _, a, b = two_terms(s)
    h, k = s.know(op(a, "≠", b), op(a, "=", b))
    target = FALSE if s.rng.random() < 0.6 else s.prop(0)
    if target == FALSE:
        return draft(FALSE, f"exact {h} {k}", "contradiction", f"apply {h}")
    return draft(target, f"exact absurd {k} {h}", "contradiction", f"exact ({h} {k}).elim")


@template()
def ne_from(s: Scene) -> Draft:
    type_ = s.some_type()
    p, a, b = s.predicate(type_), s.new(type_), s.new(type_)
    h, k = s.know(app(p, a), neg(app(p, b)))
    e = s.name_for(op(a, "=", b))
    return draft(op(a, "≠", b), f"intro {e}", f"exact fun {e} => {k} ({e} ▸ {h})", "rintro rfl")


@template(1.3)
def substitute(s: Scene) -> Draft:
    type_ = s.some_type()
    a, b = s.new(type_), s.new(type_)
    p = s.predicate(type_, type_)
    h, _ = s.know(op(a, "=", b), app(p, a, a))
    first, second = s.rng.choice([(a, b), (b, a), (b, b)])
    return draft(app(p, first, second), f"subst {h}", f"cases {h}")


@template()
def some_injective(s: Scene) -> Draft:
    _, a, b = two_terms(s)
    (h,) = s.know(op(app("some", a), "=", app("some", b)))
    return draft(op(a, "=", b), f"injection {h}", f"exact Option.some.inj {h}", f"simpa using {h}")


@template()
def pair_injective(s: Scene) -> Draft:
    type_ = s.some_type()
    a, b, c, d = (s.new(type_) for _ in range(4))
    (h,) = s.know(Term(f"({a}, {b}) = ({c}, {d})", 50))
    left, right, which = s.rng.choice([(a, c, 1), (b, d, 2)])
    return draft(
        op(left, "=", right),
        f"exact (Prod.mk.inj {h}).{which}",
        f"injection {h}",
        f"cases {h}",
        "simp_all",
    )


@template()
def pairs(s: Scene) -> Draft:
    _, a, b = two_terms(s)
    pair = Term(f"({a}, {b})")
    if s.rng.random() < 0.3:
        h, _ = s.know(op(a, "=", b), op(b, "=", a))
        return draft(op(pair, "=", Term(f"({b}, {a})")), f"rw [{h}]", f"simp [{h}]")
    field, out = s.rng.choice([("fst", a), ("snd", b)])
    return draft(op(dot(pair, field), "=", out), "rfl", "simp", "exact rfl")


@template()
def computes(s: Scene) -> Draft:
    type_ = s.some_type()
    f, g, a = s.function(type_, type_), s.function(type_, type_), s.new(type_)
    x = Term(s.pooled("bound"))
    left, right = s.rng.choice(
        [
            (Term(f"({op(Term(f), '∘', Term(g))}) {a}", 1023), app(f, app(g, a))),
            (app("id", a), a),
            (app(f, app("id", a)), app(f, a)),
            (Term(f"(fun {x} => {f} {x}) {a}", 1023), app(f, a)),
            (Term(f"(fun {x} => {x}) {a}", 1023), a),
        ]
    )
    return draft(op(left, "=", right), "rfl", "simp", "exact rfl")


@template()
def functions(s: Scene) -> Draft:
    type_ = s.some_type()
    f, g, h = (Term(s.function(type_, type_)) for _ in range(3))
    x = s.pooled("bound")
    left, right = s.rng.choice(
        [
            (op(op(f, "∘", g), "∘", h), op(f, "∘", op(g, "∘", h))),
            (op(Term("id"), "∘", f), f),
            (op(f, "∘", Term("id")), f),
            (fun(x, app(f.text, Term(x))), f),
            (fun(x, app(f.text, app(g.text, Term(x)))), op(f, "∘", g)),
        ]
    )
    return draft(op(left, "=", right), "rfl", f"funext {x}", "exact rfl")


@template()
def conditional(s: Scene) -> Draft:
    type_ = s.some_type()
    n, a, b = s.new(Term("Nat")), s.new(type_), s.new(type_)
    condition = op(n, s.rng.choice(["=", "<", "≤"]), Term(str(s.rng.randint(0, 9))))
    choice = Term(f"if {condition} then {a} else {b}", 0, True)
    if s.rng.random() < 0.5:
        (h,) = s.know(condition)
        return draft(op(choice, "=", a), f"simp [{h}]", f"exact if_pos {h}", f"rw [if_pos {h}]")
    (h,) = s.know(neg(condition))
    return draft(op(choice, "=", b), f"simp [{h}]", f"exact if_neg {h}", f"rw [if_neg {h}]")


@template()
def booleans(s: Scene) -> Draft:
    b, c = s.new(BOOL), s.new(BOOL)
    true, false = Term("true"), Term("false")
    left, right, both = s.rng.choice(
        [
            (op(b, "&&", true), b, False),
            (op(true, "&&", b), b, False),
            (op(b, "||", false), b, False),
            (op(b, "||", true), true, False),
            (op(b, "&&", false), false, False),
            (op(b, "&&", b), b, False),
            (op(b, "||", b), b, False),
            (op(b, "&&", c), op(c, "&&", b), True),
            (op(b, "||", c), op(c, "||", b), True),
        ]
    )
    if both:
        name = "Bool.and_comm" if "&&" in left.text else "Bool.or_comm"
        return draft(
            op(left, "=", right),
            f"exact {name} {b} {c}",
            f"cases {b} <;> cases {c} <;> rfl",
            f"cases {b} <;> simp",
        )
    return draft(op(left, "=", right), "simp", f"cases {b} <;> rfl", f"cases {b} <;> simp")


@template()
def bool_values(s: Scene) -> Draft:
    b = s.new(BOOL)
    t, f = op(b, "=", Term("true")), op(b, "=", Term("false"))
    if s.rng.random() < 0.4:
        return draft(
            op(t, "∨", f),
            f"cases {b} <;> simp",
            f"cases {b}",
            f"cases {b} with\n| false => simp\n| true => simp",
        )
    known, wanted = s.rng.choice([(neg(t), f), (neg(f), t)])
    (h,) = s.know(known)
    return draft(wanted, f"simpa using {h}", "simp_all", f"cases {b} <;> simp_all")


@template()
def some_value(s: Scene) -> Draft:
    type_ = s.some_type()
    a, x = s.new(type_), s.pooled("bound")
    subject = s.new(app("Option", type_))
    (h,) = s.know(op(subject, "=", app("some", a)))
    body = op(subject, "=", app("some", Term(x)))
    return draft(exists(x, body), f"exact ⟨{a}, {h}⟩", f"refine ⟨{a}, ?_⟩", f"simp [{h}]")


@template()
def swap_sides(s: Scene) -> Draft:
    type_ = s.some_type()
    a, b, c = (s.new(type_) for _ in range(3))
    h, k = s.know(op(a, "=", b), op(a, "=", c))
    return draft(
        op(b, "=", c),
        f"exact {h}.symm.trans {k}",
        f"rw [← {h}, {k}]",
        f"rw [← {h}]",
        f"rw [← {k}, {h}]",
    )


@template()
def eq_iff_symm(s: Scene) -> Draft:
    _, a, b = two_terms(s)
    return draft(
        op(op(a, "=", b), "↔", op(b, "=", a)),
        "exact eq_comm",
        "constructor",
        "exact ⟨Eq.symm, Eq.symm⟩",
    )


@template()
def all_equal(s: Scene) -> Draft:
    type_ = s.some_type()
    a, b, c, d = (s.new(type_) for _ in range(4))
    h, k, m = s.know(op(a, "=", b), op(b, "=", c), op(c, "=", d))
    return draft(
        op(a, "=", d), f"rw [{h}, {k}, {m}]", f"rw [{h}]", f"exact {h}.trans ({k}.trans {m})"
    )
