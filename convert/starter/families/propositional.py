"""Propositional logic: ∧ ∨ → ¬ ↔ True False over compound propositions."""

from __future__ import annotations

from ..scene import Scene
from ..terms import FALSE, TRUE, Term, chain, neg, op
from .registry import Draft, draft, template


@template(1.5)
def assumption(s: Scene) -> Draft:
    (x,) = s.props(1)
    (h,) = s.know(x)
    return draft(x, f"exact {h}", "assumption", f"apply {h}")


@template(2)
def and_intro(s: Scene) -> Draft:
    x, y = s.props(2)
    hx, hy = s.know(x, y)
    return draft(
        op(x, "∧", y),
        f"exact ⟨{hx}, {hy}⟩",
        "constructor",
        f"exact And.intro {hx} {hy}",
        f"refine ⟨{hx}, ?_⟩",
    )


@template()
def and_intro_three(s: Scene) -> Draft:
    x, y, z = s.props(3)
    hx, hy, hz = s.know(x, y, z)
    return draft(
        chain("∧", x, y, z),
        f"exact ⟨{hx}, {hy}, {hz}⟩",
        "constructor",
        f"refine ⟨{hx}, ?_, ?_⟩",
        f"refine ⟨{hx}, ?_⟩",
    )


@template(1.5)
def and_left(s: Scene) -> Draft:
    x, y = s.props(2)
    (h,) = s.know(op(x, "∧", y))
    a, b = s.name_for(x), s.name_for(y)
    return draft(
        x,
        f"exact {h}.1",
        f"exact {h}.left",
        f"obtain ⟨{a}, {b}⟩ := {h}",
        f"cases {h} with\n| intro {a} {b} => exact {a}",
        f"exact And.left {h}",
    )


@template(1.5)
def and_right(s: Scene) -> Draft:
    x, y = s.props(2)
    (h,) = s.know(op(x, "∧", y))
    a, b = s.name_for(x), s.name_for(y)
    return draft(
        y,
        f"exact {h}.2",
        f"exact {h}.right",
        f"obtain ⟨{a}, {b}⟩ := {h}",
        f"cases {h} with\n| intro {a} {b} => exact {b}",
        f"exact And.right {h}",
    )


@template()
def and_middle(s: Scene) -> Draft:
    x, y, z = s.props(3)
    (h,) = s.know(chain("∧", x, y, z))
    a, b, c = (s.name_for(p) for p in (x, y, z))
    target, term = s.rng.choice([(y, f"{h}.2.1"), (z, f"{h}.2.2")])
    return draft(
        target,
        f"exact {term}",
        f"obtain ⟨{a}, {b}, {c}⟩ := {h}",
        f"rcases {h} with ⟨{a}, {b}, {c}⟩",
    )


@template(1.5)
def and_comm(s: Scene) -> Draft:
    x, y = s.props(2)
    (h,) = s.know(op(x, "∧", y))
    a, b = s.name_for(x), s.name_for(y)
    return draft(
        op(y, "∧", x),
        f"exact ⟨{h}.2, {h}.1⟩",
        f"exact {h}.symm",
        "constructor",
        f"obtain ⟨{a}, {b}⟩ := {h}",
        f"exact And.comm.mp {h}",
    )


@template()
def and_assoc(s: Scene) -> Draft:
    x, y, z = s.props(3)
    (h,) = s.know(op(op(x, "∧", y), "∧", z))
    a, b, c = (s.name_for(p) for p in (x, y, z))
    return draft(
        chain("∧", x, y, z),
        f"exact ⟨{h}.1.1, {h}.1.2, {h}.2⟩",
        f"obtain ⟨⟨{a}, {b}⟩, {c}⟩ := {h}",
        f"exact and_assoc.mp {h}",
        "constructor",
    )


@template(1.3)
def or_left(s: Scene) -> Draft:
    x, y = s.props(2)
    (h,) = s.know(x)
    return draft(op(x, "∨", y), f"exact Or.inl {h}", "left", "apply Or.inl", f"exact .inl {h}")


@template(1.3)
def or_right(s: Scene) -> Draft:
    x, y = s.props(2)
    (h,) = s.know(y)
    return draft(op(x, "∨", y), f"exact Or.inr {h}", "right", "apply Or.inr", f"exact .inr {h}")


@template()
def or_middle(s: Scene) -> Draft:
    x, y, z = s.props(3)
    target = chain("∨", x, y, z)
    if s.rng.random() < 0.5:
        (h,) = s.know(y)
        return draft(target, f"exact Or.inr (Or.inl {h})", "right", f"exact .inr (.inl {h})")
    (h,) = s.know(z)
    return draft(target, f"exact Or.inr (Or.inr {h})", "right", f"exact .inr (.inr {h})")


@template(1.5)
def or_elim(s: Scene) -> Draft:
    x, y, z = s.props(3)
    h, f, g = s.know(op(x, "∨", y), op(x, "→", z), op(y, "→", z))
    a, b = s.name_for(x), s.name_for(y)
    return draft(
        z,
        f"exact {h}.elim {f} {g}",
        f"cases {h} with\n| inl {a} => exact {f} {a}\n| inr {b} => exact {g} {b}",
        f"rcases {h} with {a} | {b}",
        f"exact Or.elim {h} {f} {g}",
        f"cases {h}",
    )


@template(1.5)
def or_comm(s: Scene) -> Draft:
    x, y = s.props(2)
    (h,) = s.know(op(x, "∨", y))
    a, b = s.name_for(x), s.name_for(y)
    return draft(
        op(y, "∨", x),
        f"exact {h}.symm",
        f"exact Or.symm {h}",
        f"cases {h} with\n| inl {a} => exact Or.inr {a}\n| inr {b} => exact Or.inl {b}",
        f"rcases {h} with {a} | {b}",
        f"exact Or.comm.mp {h}",
    )


@template()
def or_resolve(s: Scene) -> Draft:
    x, y = s.props(2)
    h, hn = s.know(op(x, "∨", y), neg(x))
    a, b = s.name_for(x), s.name_for(y)
    return draft(
        y,
        f"exact {h}.resolve_left {hn}",
        f"cases {h} with\n| inl {a} => exact absurd {a} {hn}\n| inr {b} => exact {b}",
        f"rcases {h} with {a} | {b}",
    )


@template()
def distribute(s: Scene) -> Draft:
    x, y, z = s.props(3)
    (h,) = s.know(op(x, "∧", op(y, "∨", z)))
    a, b, c = (s.name_for(p) for p in (x, y, z))
    return draft(
        op(op(x, "∧", y), "∨", op(x, "∧", z)),
        f"obtain ⟨{a}, {b} | {c}⟩ := {h}",
        f"rcases {h} with ⟨{a}, {b} | {c}⟩",
        f"exact and_or_left.mp {h}",
        f"cases {h}.2 with\n| inl {b} => exact Or.inl ⟨{h}.1, {b}⟩"
        f"\n| inr {c} => exact Or.inr ⟨{h}.1, {c}⟩",
    )


@template(2)
def modus_ponens(s: Scene) -> Draft:
    x, y = s.props(2)
    facts = [op(x, "→", y), x]
    if s.rng.random() < 0.4:
        hx, f = s.know(*reversed(facts))
    else:
        f, hx = s.know(*facts)
    return draft(y, f"exact {f} {hx}", f"apply {f}", f"refine {f} ?_")


@template(1.5)
def two_implications(s: Scene) -> Draft:
    x, y, z = s.props(3)
    f, g, hx = s.know(op(x, "→", y), op(y, "→", z), x)
    return draft(z, f"exact {g} ({f} {hx})", f"apply {g}", f"refine {g} ?_")


@template(1.5)
def two_premises(s: Scene) -> Draft:
    x, y, z = s.props(3)
    f, hx, hy = s.know(chain("→", x, y, z), x, y)
    return draft(z, f"exact {f} {hx} {hy}", f"apply {f}", f"refine {f} {hx} ?_")


@template()
def premise_of_and(s: Scene) -> Draft:
    x, y, z = s.props(3)
    f, hx, hy = s.know(op(op(x, "∧", y), "→", z), x, y)
    return draft(z, f"exact {f} ⟨{hx}, {hy}⟩", f"apply {f}", f"refine {f} ⟨{hx}, ?_⟩")


@template()
def weaker(s: Scene) -> Draft:
    """A proposition that always holds, behind an implication."""
    x, y = s.props(2)
    (h,) = s.know(y)
    a = s.name_for(x)
    return draft(op(x, "→", y), f"intro {a}", f"exact fun _ => {h}")


@template()
def tautology(s: Scene) -> Draft:
    x, y = s.props(2)
    a, b = s.name_for(x), s.name_for(y)
    return s.rng.choice(
        [
            draft(op(x, "→", x), f"intro {a}", "exact id", f"exact fun {a} => {a}"),
            draft(
                chain("→", x, y, x),
                f"intro {a} {b}",
                f"exact fun {a} _ => {a}",
                f"intro {a}",
                f"intro {a} _",
            ),
            draft(
                chain("→", x, y, y),
                f"intro {a} {b}",
                f"exact fun _ {b} => {b}",
                f"intro {a}",
                f"intro _ {b}",
            ),
            draft(
                chain("→", x, y, op(x, "∧", y)),
                f"intro {a} {b}",
                f"exact fun {a} {b} => ⟨{a}, {b}⟩",
                "exact And.intro",
            ),
            draft(
                chain("→", x, op(x, "→", y), y),
                f"intro {a} {s.name_for(op(x, '→', y))}",
                f"intro {a}",
                f"exact fun {a} f => f {a}",
            ),
            draft(
                op(op(x, "∧", y), "→", x),
                f"intro ⟨{a}, {b}⟩",
                f"rintro ⟨{a}, {b}⟩",
                "intro h",
                "exact And.left",
                "exact fun h => h.1",
            ),
            draft(
                op(op(x, "∧", y), "→", op(y, "∧", x)),
                f"intro ⟨{a}, {b}⟩",
                f"rintro ⟨{a}, {b}⟩",
                "intro h",
                "exact And.symm",
                "exact fun h => ⟨h.2, h.1⟩",
            ),
            draft(
                op(op(x, "∨", y), "→", op(y, "∨", x)),
                "intro h",
                "exact Or.symm",
                f"rintro ({a} | {b})",
                "exact fun h => h.symm",
            ),
            draft(
                op(x, "→", op(x, "∨", y)),
                f"intro {a}",
                "exact Or.inl",
                f"exact fun {a} => Or.inl {a}",
            ),
            draft(
                op(y, "→", op(x, "∨", y)),
                f"intro {b}",
                "exact Or.inr",
                f"exact fun {b} => Or.inr {b}",
            ),
        ]
    )


@template()
def false_elim(s: Scene) -> Draft:
    (x,) = s.props(1)
    (h,) = s.know(FALSE)
    return draft(x, f"exact {h}.elim", "contradiction", f"cases {h}", f"exact False.elim {h}")


@template(1.3)
def contradiction(s: Scene) -> Draft:
    x, y = s.props(2)
    hx, hn = s.know(*([x, neg(x)]))
    return draft(
        y, f"exact absurd {hx} {hn}", "contradiction", f"exact ({hn} {hx}).elim", "exfalso"
    )


@template(1.3)
def negation_applied(s: Scene) -> Draft:
    (x,) = s.props(1)
    if s.rng.random() < 0.5:
        hn, hx = s.know(neg(x), x)
    else:
        hx, hn = s.know(x, neg(x))
    return draft(
        FALSE, f"exact {hn} {hx}", "contradiction", f"apply {hn}", f"exact absurd {hx} {hn}"
    )


@template()
def contraposition(s: Scene) -> Draft:
    x, y = s.props(2)
    f, hn = s.know(op(x, "→", y), neg(y))
    a = s.name_for(x)
    return draft(
        neg(x),
        f"intro {a}",
        f"exact fun {a} => {hn} ({f} {a})",
        f"exact mt {f} {hn}",
    )


@template()
def not_not_intro(s: Scene) -> Draft:
    (x,) = s.props(1)
    (h,) = s.know(x)
    a = s.name_for(neg(x))
    return draft(neg(neg(x)), f"intro {a}", f"exact fun {a} => {a} {h}", f"exact not_not_intro {h}")


@template()
def not_and(s: Scene) -> Draft:
    x, y = s.props(2)
    (hn,) = s.know(neg(x))
    a, b = s.name_for(x), s.name_for(y)
    return draft(
        neg(op(x, "∧", y)),
        f"intro ⟨{a}, {b}⟩",
        f"rintro ⟨{a}, {b}⟩",
        f"exact fun ⟨{a}, _⟩ => {hn} {a}",
    )


@template()
def not_or(s: Scene) -> Draft:
    x, y = s.props(2)
    if s.rng.random() < 0.5:
        (h,) = s.know(neg(op(x, "∨", y)))
        a = s.name_for(x)
        return draft(
            neg(x),
            f"intro {a}",
            f"exact fun {a} => {h} (Or.inl {a})",
            f"exact (not_or.mp {h}).1",
        )
    hx, hy = s.know(neg(x), neg(y))
    a, b = s.name_for(x), s.name_for(y)
    return draft(
        neg(op(x, "∨", y)),
        f"exact not_or.mpr ⟨{hx}, {hy}⟩",
        f"rintro ({a} | {b})",
        f"exact fun k => k.elim {hx} {hy}",
    )


@template(1.3)
def iff_intro(s: Scene) -> Draft:
    x, y = s.props(2)
    f, g = s.know(op(x, "→", y), op(y, "→", x))
    return draft(op(x, "↔", y), f"exact ⟨{f}, {g}⟩", "constructor", f"exact Iff.intro {f} {g}")


@template(1.3)
def iff_use(s: Scene) -> Draft:
    x, y = s.props(2)
    if s.rng.random() < 0.5:
        h, hx = s.know(op(x, "↔", y), x)
        return draft(y, f"exact {h}.mp {hx}", f"exact {h}.1 {hx}", f"apply {h}.mp", f"rw [← {h}]")
    h, hy = s.know(op(x, "↔", y), y)
    return draft(x, f"exact {h}.mpr {hy}", f"exact {h}.2 {hy}", f"apply {h}.mpr", f"rw [{h}]")


@template()
def iff_symm(s: Scene) -> Draft:
    x, y = s.props(2)
    (h,) = s.know(op(x, "↔", y))
    return draft(op(y, "↔", x), f"exact {h}.symm", "constructor", f"exact Iff.symm {h}")


@template()
def iff_trans(s: Scene) -> Draft:
    x, y, z = s.props(3)
    h, k = s.know(op(x, "↔", y), op(y, "↔", z))
    return draft(op(x, "↔", z), f"exact {h}.trans {k}", f"exact Iff.trans {h} {k}", "constructor")


@template(2)
def iff_law(s: Scene) -> Draft:
    """The usual equivalences of logic, for any propositions."""
    x, y, z = s.props(3)
    laws: list[tuple[Term, Term, str]] = [
        (op(x, "∧", y), op(y, "∧", x), "and_comm"),
        (op(x, "∨", y), op(y, "∨", x), "or_comm"),
        (op(op(x, "∧", y), "∧", z), chain("∧", x, y, z), "and_assoc"),
        (op(op(x, "∨", y), "∨", z), chain("∨", x, y, z), "or_assoc"),
        (neg(op(x, "∨", y)), op(neg(x), "∧", neg(y)), "not_or"),
        (op(op(x, "∧", y), "→", z), chain("→", x, y, z), "and_imp"),
        (op(op(x, "∨", y), "→", z), op(op(x, "→", z), "∧", op(y, "→", z)), "or_imp"),
        (op(x, "∧", op(y, "∨", z)), op(op(x, "∧", y), "∨", op(x, "∧", z)), "and_or_left"),
        (op(x, "∧", x), x, "and_self_iff"),
        (op(x, "∨", x), x, "or_self_iff"),
    ]
    left, right, law = s.rng.choice(laws)
    return draft(op(left, "↔", right), f"exact {law}", "constructor", f"rw [{law}]")


@template()
def iff_refl(s: Scene) -> Draft:
    (x,) = s.props(1)
    return draft(op(x, "↔", x), "rfl", "exact Iff.rfl", "simp", "exact Iff.refl _", "constructor")


@template()
def units(s: Scene) -> Draft:
    """True and False as units, which `simp` removes."""
    (x,) = s.props(1, 0)
    left = s.rng.choice(
        [op(x, "∧", TRUE), op(TRUE, "∧", x), op(x, "∨", FALSE), op(FALSE, "∨", x), op(TRUE, "→", x)]
    )
    return draft(op(left, "↔", x), "simp", "constructor")


@template(0.6)
def trivial(s: Scene) -> Draft:
    s.props(1)
    return draft(TRUE, "trivial", "exact True.intro", "simp", "exact trivial", "constructor")


@template()
def excluded_middle(s: Scene) -> Draft:
    (x,) = s.props(1)
    a = s.name_for(x)
    return draft(
        op(x, "∨", neg(x)), "exact Classical.em _", f"by_cases {a} : {x}", "apply Classical.em"
    )


@template()
def double_negation(s: Scene) -> Draft:
    (x,) = s.props(1)
    (h,) = s.know(neg(neg(x)))
    a = s.name_for(x)
    return draft(
        x,
        f"exact Classical.byContradiction {h}",
        f"exact Classical.not_not.mp {h}",
        f"by_cases {a} : {x}",
        "apply Classical.byContradiction",
    )


@template()
def by_cases(s: Scene) -> Draft:
    x, y = s.props(2)
    f, g = s.know(op(x, "→", y), op(neg(x), "→", y))
    a = s.name_for(x)
    return draft(
        y,
        f"by_cases {a} : {x}",
        f"exact (Classical.em _).elim {f} {g}",
        f"exact Classical.byCases {f} {g}",
    )


@template()
def rewrite_iff(s: Scene) -> Draft:
    """An equivalence rewritten inside the target."""
    x, y = s.props(2, 0)
    (z,) = s.props(1, 0)
    h, k = s.know(op(x, "↔", y), op(y, "∧", z))
    return draft(
        op(x, "∧", z),
        f"rw [{h}]",
        f"exact ⟨{h}.mpr {k}.1, {k}.2⟩",
        "constructor",
        f"simpa [{h}] using {k}",
    )
