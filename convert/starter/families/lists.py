"""Lists: append, length, reverse, map, filter, membership, take and drop, induction."""

from __future__ import annotations

from ..scene import NAT, Scene
from ..terms import FALSE, Term, app, dot, exists, forall, neg, op
from .registry import Draft, draft, template

NIL = Term("[]")


def cons(head: Term, tail: Term) -> Term:
    return op(head, "::", tail)


class Lists:
    """An element type and random lists over it."""

    def __init__(self, s: Scene) -> None:
        self.s = s
        self.type = s.some_type()
        self.list = app("List", self.type)

    def var(self) -> Term:
        return self.s.new(self.list)

    def element(self) -> Term:
        return self.s.new(self.type)

    def some(self) -> Term:
        """A list variable, or sometimes a compound list."""
        kind = self.s.rng.choices(["var", "append", "cons", "reverse", "map"], [60, 12, 12, 8, 8])[
            0
        ]
        first = self.var()
        if kind == "append":
            return op(first, "++", self.var())
        if kind == "cons":
            return cons(self.element(), first)
        if kind == "reverse":
            return dot(first, "reverse")
        if kind == "map":
            return app("List.map", Term(self.s.function(self.type, self.type)), first)
        return first

    def function(self) -> Term:
        return Term(self.s.function(self.type, self.type))


def head_and_tail(s: Scene) -> tuple[Term, Term]:
    """Names for the parts of a list that the context does not use."""
    for head, tail in [("y", "ys"), ("b", "bs")]:
        if not {head, tail} & s.taken:
            return Term(head), Term(tail)
    return Term("head"), Term("tail")


@template(1.5)
def append_unit(s: Scene) -> Draft:
    xs = Lists(s).some()
    if s.rng.random() < 0.5:
        return draft(
            op(op(xs, "++", NIL), "=", xs),
            "simp",
            f"exact List.append_nil {xs.arg}",
            "rw [List.append_nil]",
            "exact List.append_nil _",
        )
    return draft(
        op(op(NIL, "++", xs), "=", xs),
        "rfl",
        "simp",
        f"exact List.nil_append {xs.arg}",
        "rw [List.nil_append]",
    )


@template(1.5)
def append_assoc(s: Scene) -> Draft:
    lists = Lists(s)
    xs, ys, zs = lists.some(), lists.some(), lists.var()
    left, right = op(op(xs, "++", ys), "++", zs), op(xs, "++", op(ys, "++", zs))
    if s.rng.random() < 0.3:
        return draft(
            op(right, "=", left),
            "simp",
            "rw [List.append_assoc]",
            f"exact (List.append_assoc {xs.arg} {ys.arg} {zs}).symm",
        )
    return draft(
        op(left, "=", right),
        "simp",
        f"exact List.append_assoc {xs.arg} {ys.arg} {zs}",
        "rw [List.append_assoc]",
        "exact List.append_assoc _ _ _",
    )


@template(2)
def lengths(s: Scene) -> Draft:
    lists = Lists(s)
    xs, ys = lists.some(), lists.some()
    left, right, law = s.rng.choice(
        [
            (op(xs, "++", ys), op(dot(xs, "length"), "+", dot(ys, "length")), "length_append"),
            (dot(xs, "reverse"), dot(xs, "length"), "length_reverse"),
            (app("List.map", lists.function(), xs), dot(xs, "length"), "length_map"),
            (cons(lists.element(), xs), op(dot(xs, "length"), "+", Term("1")), "length_cons"),
        ]
    )
    steps = ["simp", f"rw [List.{law}]"]
    if law == "length_cons":
        steps += ["rfl", "exact List.length_cons"]
    elif law == "length_map":
        steps += ["exact List.length_map _"]
    else:
        steps += [f"exact List.{law}"]
    return draft(op(dot(left, "length"), "=", right), *steps)


@template()
def length_commutes(s: Scene) -> Draft:
    lists = Lists(s)
    xs, ys = lists.some(), lists.var()
    left, right = dot(op(xs, "++", ys), "length"), dot(op(ys, "++", xs), "length")
    return draft(
        op(left, "=", right),
        "simp [Nat.add_comm]",
        "rw [List.length_append, List.length_append, Nat.add_comm]",
    )


@template(1.5)
def reverse(s: Scene) -> Draft:
    lists = Lists(s)
    xs, ys = lists.some(), lists.some()
    a = lists.element()
    left, right, steps = s.rng.choice(
        [
            (
                dot(dot(xs, "reverse"), "reverse"),
                xs,
                ["simp", "exact List.reverse_reverse _", "rw [List.reverse_reverse]"],
            ),
            (
                dot(op(xs, "++", ys), "reverse"),
                op(dot(ys, "reverse"), "++", dot(xs, "reverse")),
                ["simp", "exact List.reverse_append", "rw [List.reverse_append]"],
            ),
            (
                dot(cons(a, xs), "reverse"),
                op(dot(xs, "reverse"), "++", Term(f"[{a}]")),
                ["simp", "exact List.reverse_cons", "rw [List.reverse_cons]"],
            ),
        ]
    )
    return draft(op(left, "=", right), *steps)


@template(1.5)
def maps(s: Scene) -> Draft:
    lists = Lists(s)
    f, g, xs, ys = lists.function(), lists.function(), lists.some(), lists.var()
    x, a = Term(s.pooled("bound")), lists.element()
    mapped = app("List.map", f, xs)
    left, right, steps = s.rng.choice(
        [
            (
                app("List.map", f, op(xs, "++", ys)),
                op(mapped, "++", app("List.map", f, ys)),
                ["simp", "exact List.map_append", "rw [List.map_append]"],
            ),
            (
                app("List.map", f, app("List.map", g, xs)),
                app("List.map", op(f, "∘", g), xs),
                ["simp", "exact List.map_map", "rw [List.map_map]"],
            ),
            (app("List.map", Term(f"fun {x} => {x}", 0), xs), xs, ["simp", "exact List.map_id' _"]),
            (app("List.map", Term("id"), xs), xs, ["simp", "exact List.map_id _"]),
            (
                app("List.map", f, cons(a, xs)),
                cons(app(f.text, a), mapped),
                ["rfl", "simp", "exact List.map_cons", "rw [List.map_cons]"],
            ),
            (app("List.map", f, NIL), NIL, ["rfl", "simp", "exact List.map_nil"]),
            (
                app("List.map", f, dot(xs, "reverse")),
                dot(mapped, "reverse"),
                ["simp", "exact List.map_reverse"],
            ),
        ]
    )
    return draft(op(left, "=", right), *steps)


@template()
def filters(s: Scene) -> Draft:
    lists = Lists(s)
    p = Term(s.new(op(lists.type, "→", Term("Bool")), "predicate").text)
    xs, ys, a = lists.var(), lists.var(), lists.element()
    kept = app("List.filter", p, xs)
    kind = s.rng.randrange(3)
    if kind == 0:
        return draft(
            op(dot(kept, "length"), "≤", dot(xs, "length")),
            f"exact List.length_filter_le {p} {xs}",
            "apply List.length_filter_le",
            "exact List.length_filter_le _ _",
        )
    if kind == 1:
        return draft(
            op(
                app("List.filter", p, op(xs, "++", ys)),
                "=",
                op(kept, "++", app("List.filter", p, ys)),
            ),
            "simp",
            f"exact List.filter_append {xs} {ys}",
            "rw [List.filter_append]",
        )
    h, k = s.know(op(a, "∈", xs), op(app(p.text, a), "=", Term("true")))
    return draft(
        op(a, "∈", kept),
        f"exact List.mem_filter.mpr ⟨{h}, {k}⟩",
        f"simp [{h}, {k}]",
        "rw [List.mem_filter]",
    )


@template(2)
def member(s: Scene) -> Draft:
    lists = Lists(s)
    a, b, xs, ys = lists.element(), lists.element(), lists.var(), lists.some()
    kind = s.rng.randrange(7)
    if kind == 0:
        return draft(
            op(a, "∈", cons(a, ys)), "simp", "exact List.mem_cons_self", "apply List.mem_cons_self"
        )
    if kind == 1:
        (h,) = s.know(op(a, "∈", xs))
        return draft(
            op(a, "∈", cons(b, xs)),
            f"exact List.mem_cons_of_mem {b} {h}",
            f"simp [{h}]",
            f"exact List.mem_cons_of_mem _ {h}",
        )
    if kind == 2:
        (h,) = s.know(op(a, "∈", xs))
        return draft(
            op(a, "∈", op(xs, "++", ys)),
            f"simp [{h}]",
            f"exact List.mem_append_left {ys.arg} {h}",
            f"exact List.mem_append.mpr (Or.inl {h})",
            f"exact List.mem_append_left _ {h}",
        )
    if kind == 3:
        (h,) = s.know(op(a, "∈", xs))
        return draft(
            op(a, "∈", op(ys, "++", xs)),
            f"simp [{h}]",
            f"exact List.mem_append_right {ys.arg} {h}",
            f"exact List.mem_append.mpr (Or.inr {h})",
            f"exact List.mem_append_right _ {h}",
        )
    if kind == 4:
        (h,) = s.know(op(a, "∈", op(xs, "++", ys)))
        return draft(
            op(op(a, "∈", xs), "∨", op(a, "∈", ys)),
            f"exact List.mem_append.mp {h}",
            "rwa [← List.mem_append]",
        )
    if kind == 5:
        return draft(
            op(op(a, "∈", op(xs, "++", ys)), "↔", op(op(a, "∈", xs), "∨", op(a, "∈", ys))),
            "exact List.mem_append",
            "rw [List.mem_append]",
            "constructor",
        )
    return draft(
        op(op(a, "∈", cons(b, xs)), "↔", op(op(a, "=", b), "∨", op(a, "∈", xs))),
        "exact List.mem_cons",
        "simp",
        "rw [List.mem_cons]",
        "constructor",
    )


@template()
def empty(s: Scene) -> Draft:
    lists = Lists(s)
    a, xs = lists.element(), lists.var()
    kind = s.rng.randrange(6)
    if kind == 0:
        (h,) = s.know(op(a, "∈", NIL))
        return draft(
            FALSE if s.rng.random() < 0.4 else s.prop(0),
            f"cases {h}",
            f"simp at {h}",
            f"exact absurd {h} List.not_mem_nil",
        )
    if kind == 1:
        return draft(neg(op(a, "∈", NIL)), "simp", "exact List.not_mem_nil", "intro h")
    if kind == 2:
        return draft(
            op(cons(a, xs), "≠", NIL), "simp", f"exact List.cons_ne_nil {a} {xs}", "intro h"
        )
    if kind == 3:
        (h,) = s.know(op(cons(a, xs), "=", NIL))
        return draft(
            FALSE if s.rng.random() < 0.4 else s.prop(0),
            f"cases {h}",
            "contradiction",
            f"simp at {h}",
            f"injection {h}",
        )
    if kind == 4:
        (h,) = s.know(op(xs, "=", NIL))
        return draft(
            op(dot(xs, "length"), "=", Term("0")),
            f"simp [{h}]",
            f"subst {h}",
            f"exact List.length_eq_zero_iff.mpr {h}",
        )
    (h,) = s.know(op(dot(xs, "length"), "=", Term("0")))
    return draft(
        op(xs, "=", NIL),
        f"exact List.length_eq_zero_iff.mp {h}",
        f"simpa using {h}",
        f"exact List.eq_nil_of_length_eq_zero {h}",
    )


@template()
def nonempty(s: Scene) -> Draft:
    lists = Lists(s)
    xs, a = lists.var(), lists.element()
    length = dot(xs, "length")
    kind = s.rng.randrange(3)
    if kind == 0:
        (h,) = s.know(op(xs, "≠", NIL))
        return draft(
            op(Term("0"), "<", length),
            f"exact List.length_pos_iff.mpr {h}",
            f"cases {xs} <;> simp_all",
            f"cases {xs}",
        )
    if kind == 1:
        (h,) = s.know(op(a, "∈", xs))
        return draft(
            op(Term("0"), "<", length),
            f"exact List.length_pos_of_mem {h}",
            f"apply List.length_pos_of_mem {h}",
        )
    (h,) = s.know(op(a, "∈", xs))
    return draft(
        op(xs, "≠", NIL), f"exact List.ne_nil_of_mem {h}", "rintro rfl", f"cases {h} <;> simp"
    )


@template(1.3)
def cons_injective(s: Scene) -> Draft:
    lists = Lists(s)
    a, b, xs, ys = lists.element(), lists.element(), lists.var(), lists.var()
    if s.rng.random() < 0.6:
        (h,) = s.know(op(cons(a, xs), "=", cons(b, ys)))
        target, which = s.rng.choice([(op(a, "=", b), 1), (op(xs, "=", ys), 2)])
        return draft(
            target, f"injection {h}", f"cases {h}", f"exact (List.cons.inj {h}).{which}", "simp_all"
        )
    h, k = s.know(op(a, "=", b), op(xs, "=", ys))
    return draft(
        op(cons(a, xs), "=", cons(b, ys)),
        f"rw [{h}, {k}]",
        f"simp [{h}, {k}]",
        f"rw [{h}]",
        f"subst {h}",
    )


@template()
def length_given(s: Scene) -> Draft:
    lists = Lists(s)
    a, xs, ys, n = lists.element(), lists.var(), lists.var(), s.new(NAT)
    (h,) = s.know(op(dot(xs, "length"), "=", n))
    left, right = s.rng.choice(
        [
            (cons(a, xs), op(n, "+", Term("1"))),
            (dot(xs, "reverse"), n),
            (op(xs, "++", ys), op(n, "+", dot(ys, "length"))),
            (app("List.map", lists.function(), xs), n),
        ]
    )
    return draft(
        op(dot(left, "length"), "=", right),
        f"simp [{h}]",
        "simp" if right != n else f"simpa using {h}",
    )


@template()
def take_drop(s: Scene) -> Draft:
    lists = Lists(s)
    n, xs = s.new(NAT), lists.some()
    kind = s.rng.randrange(4)
    if kind == 0:
        return draft(
            op(op(app("List.take", n, xs), "++", app("List.drop", n, xs)), "=", xs),
            "simp",
            f"exact List.take_append_drop {n} {xs.arg}",
            "rw [List.take_append_drop]",
        )
    if kind == 1:
        return draft(
            op(app("List.take", Term("0"), xs), "=", NIL), "simp", "rfl", "exact List.take_zero"
        )
    if kind == 2:
        return draft(
            op(app("List.drop", Term("0"), xs), "=", xs), "simp", "rfl", "exact List.drop_zero"
        )
    return draft(
        op(dot(app("List.drop", n, xs), "length"), "=", op(dot(xs, "length"), "-", n)),
        "simp",
        "exact List.length_drop",
        "rw [List.length_drop]",
    )


@template()
def replicate(s: Scene) -> Draft:
    lists = Lists(s)
    n, a = s.new(NAT), lists.element()
    copies = app("List.replicate", n, a)
    left, right, steps = s.rng.choice(
        [
            (
                dot(copies, "length"),
                n,
                ["simp", "exact List.length_replicate", "rw [List.length_replicate]"],
            ),
            (app("List.replicate", Term("0"), a), NIL, ["rfl", "simp"]),
            (
                app("List.replicate", op(n, "+", Term("1")), a),
                cons(a, copies),
                ["rfl", "simp [List.replicate_succ]", "exact List.replicate_succ"],
            ),
            (dot(app("List.range", n), "length"), n, ["simp", "exact List.length_range"]),
        ]
    )
    return draft(op(left, "=", right), *steps)


@template(2)
def induction_on_list(s: Scene) -> Draft:
    """Laws of one list, by induction."""
    lists = Lists(s)
    xs, ys = lists.var(), lists.var()
    f = lists.function()
    x = Term("x" if "x" not in s.taken else "a" if "a" not in s.taken else "y'")
    target, steps = s.rng.choice(
        [
            (op(op(xs, "++", NIL), "=", xs), ["simp"]),
            (op(dot(app("List.map", f, xs), "length"), "=", dot(xs, "length")), ["simp"]),
            (
                op(
                    dot(op(xs, "++", ys), "length"),
                    "=",
                    op(dot(ys, "length"), "+", dot(xs, "length")),
                ),
                ["simp [Nat.add_comm]"],
            ),
            (op(dot(dot(xs, "reverse"), "length"), "=", dot(xs, "length")), ["simp"]),
            (op(app("List.map", Term("id"), xs), "=", xs), ["simp"]),
        ]
    )
    if steps == ["simp"]:
        steps.append(f"induction {xs} with\n| nil => rfl\n| cons {x} {xs} ih => simp")
    steps.append(f"induction {xs}")
    return draft(target, *steps)


@template(1.5)
def list_induction_principle(s: Scene) -> Draft:
    lists = Lists(s)
    p, xs = s.predicate(lists.list), lists.var()
    a, rest = head_and_tail(s)
    law = forall(
        a.text,
        lists.type,
        forall(rest.text, lists.list, op(app(p, rest), "→", app(p, cons(a, rest)))),
    )
    nil, step = s.know(app(p, NIL), law)
    if s.rng.random() < 0.3:
        (ih,) = s.know(app(p, xs))
        b = lists.element()
        return draft(
            app(p, cons(b, xs)),
            f"exact {step} {b} {xs} {ih}",
            f"apply {step}",
            f"exact {step} _ _ {ih}",
        )
    return draft(
        app(p, xs),
        f"induction {xs} with\n| nil => exact {nil}"
        f"\n| cons {a} {rest} ih => exact {step} {a} {rest} ih",
        f"induction {xs}",
    )


@template(1.5)
def list_recursion(s: Scene) -> Draft:
    """A function on lists given by its equations."""
    lists = Lists(s)
    f = s.function(lists.list, NAT)
    xs = lists.var()
    a, rest = head_and_tail(s)
    slope = s.rng.randint(1, 3)
    equation = op(app(f, cons(a, rest)), "=", op(app(f, rest), "+", Term(str(slope))))
    nil, step = s.know(
        op(app(f, NIL), "=", Term("0")),
        Term(f"∀ ({a} : {lists.type}) ({rest} : {lists.list}), {equation}", 0, True),
    )
    length = dot(xs, "length")
    total = length if slope == 1 else op(Term(str(slope)), "*", length)
    return draft(
        op(app(f, xs), "=", total),
        f"induction {xs} with\n| nil => simp [{nil}]\n| cons {a} {rest} ih => simp [{step}, ih]"
        + ("" if slope == 1 else "; omega"),
        f"induction {xs}",
    )


@template()
def list_cases(s: Scene) -> Draft:
    lists = Lists(s)
    xs = lists.var()
    a, rest = head_and_tail(s)
    target = op(
        op(xs, "=", NIL), "∨", exists(a.text, exists(rest.text, op(xs, "=", cons(a, rest))))
    )
    return draft(
        target,
        f"cases {xs} with\n| nil => simp\n| cons {a} {rest} => simp",
        f"cases {xs} <;> simp",
        f"cases {xs}",
    )


@template()
def concrete(s: Scene) -> Draft:
    """Lists of numerals, which evaluation decides."""
    values = [s.rng.randint(0, 9) for _ in range(s.rng.randint(1, 4))]

    def shown(items: list[int]) -> Term:
        return Term(f"[{', '.join(map(str, items))}]")

    k = s.rng.randint(0, len(values))
    whole = shown(values)
    left, right = s.rng.choice(
        [
            (dot(whole, "length"), Term(str(len(values)))),
            (dot(whole, "reverse"), shown(values[::-1])),
            (op(shown(values[:k]), "++", shown(values[k:])), whole),
            (app("List.take", Term(str(k)), whole), shown(values[:k])),
        ]
    )
    if s.rng.random() < 0.3:
        return draft(op(Term(str(s.rng.choice(values))), "∈", whole), "simp", "decide")
    return draft(op(left, "=", right), "rfl", "simp", "decide")


@template()
def all_members(s: Scene) -> Draft:
    lists = Lists(s)
    p, xs, a = s.predicate(lists.type), lists.var(), lists.element()
    x = Term(s.pooled("bound"))
    law = forall(x.text, lists.type, op(op(x, "∈", xs), "→", app(p, x)))
    h, k = s.know(law, op(a, "∈", xs))
    return draft(app(p, a), f"exact {h} {a} {k}", f"apply {h}", f"exact {h} _ {k}")


@template()
def append_cancel(s: Scene) -> Draft:
    lists = Lists(s)
    xs, ys, zs = lists.var(), lists.var(), lists.var()
    if s.rng.random() < 0.5:
        (h,) = s.know(op(op(xs, "++", ys), "=", op(xs, "++", zs)))
        return draft(op(ys, "=", zs), f"exact List.append_cancel_left {h}", f"simpa using {h}")
    (h,) = s.know(op(ys, "=", zs))
    left, right = s.rng.choice(
        [(op(xs, "++", ys), op(xs, "++", zs)), (op(ys, "++", xs), op(zs, "++", xs))]
    )
    return draft(op(left, "=", right), f"rw [{h}]", f"simp [{h}]", f"subst {h}")
