"""Arithmetic of Nat and Int: `omega`, `simp`, `decide`, the library's laws, induction."""

from __future__ import annotations

from ..scene import INT, NAT, Scene
from ..terms import FALSE, Term, app, chain, dot, exists, forall, neg, op
from .registry import Draft, draft, template


def num(value: int) -> Term:
    return Term(str(value))


def numbers(s: Scene, count: int) -> tuple[str, list[Term]]:
    """`Nat` or `Int`, and variables of that type."""
    type_ = s.rng.choices([NAT, INT], [70, 30])[0]
    return type_.text, [s.new(type_) for _ in range(count)]


def linear(s: Scene, variables: list[Term]) -> Term:
    """A random linear term in these variables."""
    parts = [op(num(s.rng.randint(2, 5)), "*", v) if s.rng.random() < 0.3 else v for v in variables]
    if s.rng.random() < 0.35:
        parts.append(num(s.rng.randint(1, 9)))
    s.rng.shuffle(parts)
    total = parts[0]
    for part in parts[1:]:
        total = op(total, "+", part)
    return total


def polynomial(s: Scene, variables: list[Term], depth: int = 1) -> Term:
    """A variable, or a sum, product or successor of variables."""
    if depth == 0 or s.rng.random() < 0.55:
        return s.rng.choice(variables)
    symbol = s.rng.choice("+*")
    right = (
        polynomial(s, variables, depth - 1) if s.rng.random() < 0.7 else num(s.rng.randint(1, 9))
    )
    return op(polynomial(s, variables, depth - 1), symbol, right)


@template(2)
def commutativity(s: Scene) -> Draft:
    type_, variables = numbers(s, 3)
    a, b = polynomial(s, variables), polynomial(s, variables)
    if a == b:
        a, b = variables[0], variables[1]
    symbol, law = s.rng.choice([("+", "add_comm"), ("*", "mul_comm")])
    steps = [
        f"exact {type_}.{law} {a.arg} {b.arg}",
        f"rw [{type_}.{law}]",
        f"exact {type_}.{law} _ _",
        f"apply {type_}.{law}",
        "ac_rfl",
    ]
    linear_ = symbol == "+" and "*" not in a.text + b.text
    return draft(
        op(op(a, symbol, b), "=", op(b, symbol, a)), *(["omega"] if linear_ else []), *steps
    )


@template(1.5)
def associativity(s: Scene) -> Draft:
    type_, variables = numbers(s, 3)
    a, b, c = (polynomial(s, variables) for _ in range(3))
    symbol, law = s.rng.choice([("+", "add_assoc"), ("*", "mul_assoc")])
    left, right = op(op(a, symbol, b), symbol, c), op(a, symbol, op(b, symbol, c))
    steps = [
        f"exact {type_}.{law} {a.arg} {b.arg} {c.arg}",
        f"exact {type_}.{law} _ _ _",
        f"rw [{type_}.{law}]",
        "ac_rfl",
    ]
    if symbol == "+" and "*" not in left.text:
        steps.insert(0, "omega")
    if s.rng.random() < 0.3:
        left, right = right, left
        steps = [
            t if not t.startswith("exact") else f"exact ({t.removeprefix('exact ')}).symm"
            for t in steps
        ]
    return draft(op(left, "=", right), *steps)


@template()
def rearrangement(s: Scene) -> Draft:
    """Sums and products of the same terms in another order."""
    type_, variables = numbers(s, 4)
    symbol, laws = s.rng.choice([("+", "add"), ("*", "mul")])
    parts = variables[: s.rng.choice([3, 3, 4])]

    def arranged() -> Term:
        pool = list(parts)
        s.rng.shuffle(pool)
        while len(pool) > 1:
            place = s.rng.randrange(len(pool) - 1)
            pool[place : place + 2] = [op(pool[place], symbol, pool[place + 1])]
        return pool[0]

    left, right = arranged(), arranged()
    if left == right:
        return draft(op(left, "=", right), "rfl", "simp")
    comm = f"simp [{type_}.{laws}_comm, {type_}.{laws}_left_comm, {type_}.{laws}_assoc]"
    return draft(op(left, "=", right), *(["omega"] if symbol == "+" else []), "ac_rfl", comm)


@template(1.5)
def distributivity(s: Scene) -> Draft:
    type_, variables = numbers(s, 3)
    a, b, c = variables if s.rng.random() < 0.4 else [polynomial(s, variables) for _ in range(3)]
    left, right, law = s.rng.choice(
        [
            (op(a, "*", op(b, "+", c)), op(op(a, "*", b), "+", op(a, "*", c)), "mul_add"),
            (op(op(a, "+", b), "*", c), op(op(a, "*", c), "+", op(b, "*", c)), "add_mul"),
        ]
    )
    return draft(
        op(left, "=", right),
        f"exact {type_}.{law} {a.arg} {b.arg} {c.arg}",
        f"rw [{type_}.{law}]",
        f"exact {type_}.{law} _ _ _",
        f"simp [{type_}.{law}]",
    )


@template(1.5)
def identity(s: Scene) -> Draft:
    """Laws of 0, 1 and subtraction."""
    type_, variables = numbers(s, 2)
    a = polynomial(s, variables)
    zero, one = num(0), num(1)
    left, right, law = s.rng.choice(
        [
            (op(a, "+", zero), a, "add_zero"),
            (op(zero, "+", a), a, "zero_add"),
            (op(a, "*", zero), zero, "mul_zero"),
            (op(zero, "*", a), zero, "zero_mul"),
            (op(a, "*", one), a, "mul_one"),
            (op(one, "*", a), a, "one_mul"),
            (op(a, "-", a), zero, "sub_self"),
            (op(a, "-", zero), a, "sub_zero"),
        ]
    )
    steps = [
        "simp",
        f"exact {type_}.{law} {a.arg}",
        f"rw [{type_}.{law}]",
        f"exact {type_}.{law} _",
    ]
    if "*" not in a.text:
        steps.append("omega")
    return draft(op(left, "=", right), *steps)


@template()
def cancel(s: Scene) -> Draft:
    _, (a, b) = numbers(s, 2)
    k = num(s.rng.randint(1, 9))
    left, right = s.rng.choice(
        [
            (op(op(a, "+", b), "-", b), a),
            (op(op(a, "+", b), "-", a), b),
            (op(op(a, "+", k), "-", k), a),
        ]
    )
    return draft(op(left, "=", right), "omega")


@template()
def negative(s: Scene) -> Draft:
    a, b = s.new(INT), s.new(INT)
    minus = Term(f"-{a}", 75)
    left, right, steps = s.rng.choice(
        [
            (Term(f"- -{a}", 75), a, ["omega", "simp", f"exact Int.neg_neg {a}"]),
            (op(a, "+", minus), num(0), ["omega", f"exact Int.add_right_neg {a}"]),
            (op(minus, "+", a), num(0), ["omega", f"exact Int.add_left_neg {a}"]),
            (
                op(a, "-", b),
                op(a, "+", Term(f"-{b}", 75)),
                ["omega", "rfl", "exact Int.sub_eq_add_neg"],
            ),
            (
                Term(f"-({a} + {b})", 75),
                op(minus, "+", Term(f"-{b}", 75)),
                ["omega", "exact Int.neg_add"],
            ),
            (Term(f"-({a} - {b})", 75), op(b, "-", a), ["omega", f"exact Int.neg_sub {a} {b}"]),
        ]
    )
    return draft(op(left, "=", right), *steps)


@template(2)
def transitivity(s: Scene) -> Draft:
    type_, (a, b, c) = numbers(s, 3)
    if s.rng.random() < 0.3:
        b = op(b, "+", num(s.rng.randint(1, 9)))
    first, second, law = s.rng.choice(
        [
            ("≤", "≤", "le_trans"),
            ("<", "<", "lt_trans"),
            ("<", "≤", "lt_of_lt_of_le"),
            ("≤", "<", "lt_of_le_of_lt"),
        ]
    )
    h, k = s.know(op(a, first, b), op(b, second, c))
    target = op(a, "<" if "<" in first + second else "≤", c)
    return draft(target, "omega", f"exact {type_}.{law} {h} {k}", f"apply {type_}.{law} {h}")


@template(1.5)
def order_facts(s: Scene) -> Draft:
    a, b = s.new(NAT), s.new(NAT)
    t = polynomial(s, [a, b])
    k = num(s.rng.randint(1, 9))
    nonlinear = "*" in t.text
    target, steps = s.rng.choice(
        [
            (op(num(0), "≤", t), [f"exact Nat.zero_le {t.arg}", "simp", "exact Nat.zero_le _"]),
            (op(t, "≤", t), [f"exact Nat.le_refl {t.arg}", "simp", "exact Nat.le_refl _"]),
            (
                op(t, "<", op(t, "+", num(1))),
                [f"exact Nat.lt_succ_self {t.arg}", "simp", "exact Nat.lt_succ_self _"],
            ),
            (
                op(t, "≤", op(t, "+", k)),
                [f"exact Nat.le_add_right {t.arg} {k}", "simp", "exact Nat.le_add_right _ _"],
            ),
            (
                op(t, "≤", op(k, "+", t)),
                [f"exact Nat.le_add_left {t.arg} {k}", "simp", "exact Nat.le_add_left _ _"],
            ),
            (
                op(num(0), "<", op(t, "+", num(1))),
                ["simp", f"exact Nat.succ_pos {t.arg}", "exact Nat.succ_pos _"],
            ),
            (
                neg(op(t, "<", num(0))),
                [f"exact Nat.not_lt_zero {t.arg}", "simp", "exact Nat.not_lt_zero _"],
            ),
            (neg(op(t, "<", t)), [f"exact Nat.lt_irrefl {t.arg}", "simp", "exact Nat.lt_irrefl _"]),
            (
                op(op(t, "+", num(1)), "≠", num(0)),
                [f"exact Nat.succ_ne_zero {t.arg}", "simp", "exact Nat.succ_ne_zero _"],
            ),
            (
                op(op(t, "-", k), "≤", t),
                [f"exact Nat.sub_le {t.arg} {k}", "simp", "exact Nat.sub_le _ _"],
            ),
        ]
    )
    return draft(target, *([] if nonlinear else ["omega"]), *steps)


@template(1.5)
def order_from(s: Scene) -> Draft:
    """One known comparison, and one that follows from it."""
    type_, (a, b) = numbers(s, 2)
    k, m = num(s.rng.randint(1, 5)), num(s.rng.randint(6, 12))
    one = num(1)
    lt, le = op(a, "<", b), op(a, "≤", b)
    known, target, steps = s.rng.choice(
        [
            (lt, le, [f"exact {type_}.le_of_lt {{h}}"]),
            (lt, op(op(a, "+", one), "≤", b), []),
            (op(op(a, "+", one), "≤", b), lt, []),
            (lt, neg(op(b, "≤", a)), [f"exact {type_}.not_le.mpr {{h}}"]),
            (le, neg(op(b, "<", a)), [f"exact {type_}.not_lt.mpr {{h}}"]),
            (neg(le), op(b, "<", a), [f"exact {type_}.not_le.mp {{h}}"]),
            (neg(lt), op(b, "≤", a), [f"exact {type_}.not_lt.mp {{h}}"]),
            (lt, op(a, "≠", b), [f"exact {type_}.ne_of_lt {{h}}"]),
            (
                le,
                op(op(a, "+", k), "≤", op(b, "+", k)),
                [f"exact {type_}.add_le_add_right {{h}} {k}"],
            ),
            (
                le,
                op(op(k, "+", a), "≤", op(k, "+", b)),
                [f"exact {type_}.add_le_add_left {{h}} {k}"],
            ),
            (le, op(a, "≤", op(b, "+", k)), []),
            (op(a, "≤", k), op(a, "<", m), []),
            (op(m, "≤", a), op(k, "<", a), []),
            (
                op(op(a, "+", k), "=", op(b, "+", k)),
                op(a, "=", b),
                ["exact Nat.add_right_cancel {h}"] if type_ == "Nat" else [],
            ),
            (op(op(num(2), "*", a), "=", op(num(2), "*", b)), op(a, "=", b), []),
            (op(a, "=", b), le, [f"exact {type_}.le_of_eq {{h}}"]),
            (op(op(a, "+", k), "≤", b), op(a, "≤", op(b, "-", k)), []),
        ]
    )
    (h,) = s.know(known)
    return draft(target, "omega", *(t.format(h=h) for t in steps))


@template(2.5)
def linear_consequence(s: Scene) -> Draft:
    """Inequalities that are added up, scaled and weakened."""
    _, variables = numbers(s, 4)
    a, b = variables[0], variables[1]
    left, right = linear(s, variables[2:]), linear(s, variables[3:])
    symbol = s.rng.choice(["≤", "<", "="])
    target_symbol = symbol if symbol != "<" else s.rng.choice(["<", "≤"])
    k = s.rng.randint(2, 6)
    kind = s.rng.randrange(4)
    if kind == 0:
        s.know(op(a, symbol, left), op(b, symbol, right))
        return draft(op(op(a, "+", b), target_symbol, op(left, "+", right)), "omega")
    if kind == 1:
        s.know(op(a, symbol, left))
        return draft(op(op(num(k), "*", a), target_symbol, op(num(k), "*", left)), "omega")
    if kind == 2:
        s.know(op(a, symbol, left), op(left, "≤", b))
        weaker = {"=": "≤"}.get(symbol, target_symbol)
        return draft(op(a, weaker, op(b, "+", num(k)) if weaker == "≤" else b), "omega")
    s.know(op(a, "=", left), op(left, symbol, right))
    return draft(op(a, target_symbol, right), "omega")


@template(1.5)
def linear_contradiction(s: Scene) -> Draft:
    _, variables = numbers(s, 3)
    a, b = variables[0], linear(s, variables[1:])
    k = num(s.rng.randint(1, 9))
    facts = s.rng.choice(
        [
            [op(a, "<", b), op(b, "≤", a)],
            [op(a, "<", b), op(b, "<", a)],
            [op(a, "=", b), op(b, "<", a)],
            [op(a, "≤", b), op(op(b, "+", k), "≤", a)],
            [op(a, "=", b), op(a, "=", op(b, "+", k))],
            [op(a, "≤", b), op(b, "<", a)],
        ]
    )
    s.know(*facts)
    target = FALSE if s.rng.random() < 0.6 else s.prop(0)
    if target == FALSE:
        return draft(FALSE, "omega")
    return (
        draft(target, "omega", "exfalso") if target.text[1:2] == " " else draft(target, "exfalso")
    )


@template(1.5)
def linear_cases(s: Scene) -> Draft:
    """Disjunctions, equivalences, conjunctions of comparisons."""
    type_, (a, b) = numbers(s, 2)
    t = linear(s, [b])
    lt, gt, le, eq = op(a, "<", t), op(t, "<", a), op(a, "≤", t), op(a, "=", t)
    target, steps = s.rng.choice(
        [
            (op(le, "∨", gt), ["omega"]),
            (op(lt, "∨", op(t, "≤", a)), ["omega"]),
            (chain("∨", lt, eq, gt), ["omega"]),
            (op(le, "↔", neg(gt)), ["omega", "constructor"]),
            (op(lt, "↔", neg(op(t, "≤", a))), ["omega", "constructor"]),
            (op(lt, "↔", op(op(a, "+", num(1)), "≤", t)), ["omega", "constructor"]),
            (op(eq, "↔", op(le, "∧", op(t, "≤", a))), ["omega", "constructor"]),
            (op(le, "∨", op(t, "≤", a)), ["omega", f"exact {type_}.le_total {a} {t.arg}"]),
        ]
    )
    return draft(target, *steps)


@template()
def antisymmetry(s: Scene) -> Draft:
    type_, (a, b) = numbers(s, 2)
    h, k = s.know(op(a, "≤", b), op(b, "≤", a))
    return draft(
        op(a, "=", b), "omega", f"exact {type_}.le_antisymm {h} {k}", f"apply {type_}.le_antisymm"
    )


@template()
def monotone_sum(s: Scene) -> Draft:
    type_, (a, b, c, d) = numbers(s, 4)
    symbol, law = s.rng.choice([("≤", "add_le_add"), ("<", "add_lt_add")])
    h, k = s.know(op(a, symbol, b), op(c, symbol, d))
    return draft(
        op(op(a, "+", c), symbol, op(b, "+", d)),
        "omega",
        f"exact {type_}.{law} {h} {k}",
        f"apply {type_}.{law}",
    )


@template()
def monotone_product(s: Scene) -> Draft:
    a, b, c = (s.new(NAT) for _ in range(3))
    (h,) = s.know(op(a, "≤", b))
    if s.rng.random() < 0.5:
        return draft(
            op(op(c, "*", a), "≤", op(c, "*", b)),
            f"exact Nat.mul_le_mul_left {c} {h}",
            "apply Nat.mul_le_mul_left",
        )
    return draft(
        op(op(a, "*", c), "≤", op(b, "*", c)),
        f"exact Nat.mul_le_mul_right {c} {h}",
        "apply Nat.mul_le_mul_right",
    )


@template()
def positivity(s: Scene) -> Draft:
    a = s.new(NAT)
    first, second, law = s.rng.choice(
        [
            (op(a, "≠", num(0)), op(num(0), "<", a), "Nat.pos_of_ne_zero"),
            (op(num(0), "<", a), op(a, "≠", num(0)), "Nat.ne_of_gt"),
            (op(a, "≤", num(0)), op(a, "=", num(0)), "Nat.le_zero.mp"),
        ]
    )
    (h,) = s.know(first)
    return draft(second, "omega", f"exact {law} {h}")


@template()
def parity(s: Scene) -> Draft:
    a, b = s.new(NAT), s.new(NAT)
    two, r = num(2), num(s.rng.choice([0, 1]))
    k = s.rng.randint(2, 9)
    kind = s.rng.randrange(5)
    if kind == 0:
        s.know(op(op(a, "%", two), "=", r), op(op(b, "%", two), "=", r))
        return draft(op(op(op(a, "+", b), "%", two), "=", num(0)), "omega")
    if kind == 1:
        return draft(
            op(op(a, "%", num(k)), "<", num(k)), "omega", f"exact Nat.mod_lt {a} (by decide)"
        )
    if kind == 2:
        return draft(op(op(a, "/", num(k)), "≤", a), "omega", f"exact Nat.div_le_self {a} {k}")
    if kind == 3:
        even, odd = (op(op(a, "%", two), "=", num(v)) for v in (0, 1))
        return draft(op(even, "∨", odd), "omega", f"exact Nat.mod_two_eq_zero_or_one {a}")
    return draft(op(op(op(op(two, "*", a), "+", num(1)), "%", two), "=", num(1)), "omega")


@template(1.5)
def divisibility(s: Scene) -> Draft:
    a, b, c = (s.new(NAT) for _ in range(3))
    kind = s.rng.randrange(5)
    if kind == 0:
        return draft(op(a, "∣", a), f"exact Nat.dvd_refl {a}", "simp", "exact Nat.dvd_refl _")
    if kind == 1:
        return draft(
            op(a, "∣", op(a, "*", b)),
            f"exact Nat.dvd_mul_right {a} {b}",
            f"exact ⟨{b}, rfl⟩",
            "exact Nat.dvd_mul_right _ _",
        )
    if kind == 2:
        return draft(
            op(a, "∣", op(b, "*", a)),
            f"exact Nat.dvd_mul_left {a} {b}",
            "exact Nat.dvd_mul_left _ _",
        )
    h, k = s.know(op(a, "∣", b), op(b if kind == 3 else a, "∣", c))
    if kind == 3:
        return draft(op(a, "∣", c), f"exact Nat.dvd_trans {h} {k}", f"apply Nat.dvd_trans {h}")
    return draft(op(a, "∣", op(b, "+", c)), f"exact Nat.dvd_add {h} {k}", "apply Nat.dvd_add")


@template(2)
def closed(s: Scene) -> Draft:
    """Statements about numerals, which evaluation decides."""
    a, b = s.rng.randint(0, 12), s.rng.randint(1, 12)
    x, y = num(a), num(b)
    target, steps = s.rng.choice(
        [
            (op(x, "=", x), ["rfl", "simp", "decide", "exact rfl"]),
            (op(op(x, "+", y), "=", num(a + b)), ["rfl", "simp", "decide", "omega"]),
            (op(op(x, "*", y), "=", num(a * b)), ["rfl", "simp", "decide", "omega"]),
            (op(x, "<", num(a + b)), ["decide", "simp", "omega"]),
            (op(x, "≤", num(a + b)), ["decide", "simp", "omega"]),
            (op(x, "≠", num(a + b)), ["decide", "simp", "omega"]),
            (neg(op(x, "=", num(a + b))), ["decide", "simp", "omega"]),
            (op(y, "∣", num(a * b)), ["decide", "omega", f"exact ⟨{a}, rfl⟩"]),
            (op(op(x, "%", y), "=", num(a % b)), ["rfl", "simp", "decide", "omega"]),
            (op(op(num(a + b), "-", x), "=", y), ["rfl", "simp", "decide", "omega"]),
            (op(op(num(2), "^", num(b % 6)), "=", num(2 ** (b % 6))), ["rfl", "simp", "decide"]),
        ]
    )
    return draft(target, *steps)


@template()
def closed_compound(s: Scene) -> Draft:
    a, b = s.rng.randint(0, 12), s.rng.randint(1, 12)
    true, more = op(num(a), "<", num(a + b)), op(op(num(a), "+", num(b)), "=", num(a + b))
    false = op(num(a + b), "=", num(a))
    target, steps = s.rng.choice(
        [
            (op(true, "∧", more), ["decide", "constructor", "simp", "omega"]),
            (op(false, "∨", more), ["decide", "right", "simp", "omega"]),
            (op(more, "∨", false), ["decide", "left", "simp", "omega"]),
            (op(false, "→", more), ["decide", "simp", "omega", "intro h"]),
        ]
    )
    return draft(target, *steps)


@template()
def value(s: Scene) -> Draft:
    """A variable whose value is known."""
    _, (a,) = numbers(s, 1)
    v, k = s.rng.randint(0, 9), s.rng.randint(1, 9)
    (h,) = s.know(op(a, "=", num(v)))
    target = s.rng.choice(
        [
            op(op(a, "+", num(k)), "=", num(v + k)),
            op(op(num(k), "*", a), "=", num(k * v)),
            op(a, "<", num(v + k)),
            op(num(v), "≤", op(a, "+", num(k))),
        ]
    )
    return draft(target, "omega", f"simp [{h}]", f"subst {h}")


@template()
def extremum(s: Scene) -> Draft:
    type_, (a, b) = numbers(s, 2)
    target, steps = s.rng.choice(
        [
            (op(a, "≤", app("max", a, b)), ["omega", f"exact {type_}.le_max_left {a} {b}"]),
            (op(b, "≤", app("max", a, b)), ["omega", f"exact {type_}.le_max_right {a} {b}"]),
            (op(app("min", a, b), "≤", a), ["omega", f"exact {type_}.min_le_left {a} {b}"]),
            (op(app("min", a, b), "≤", b), ["omega", f"exact {type_}.min_le_right {a} {b}"]),
            (
                op(app("max", a, b), "=", app("max", b, a)),
                ["omega", f"exact {type_}.max_comm {a} {b}"],
            ),
            (op(app("max", a, a), "=", a), ["omega", "simp"]),
            (op(app("min", a, b), "≤", app("max", a, b)), ["omega"]),
        ]
    )
    return draft(target, *steps)


@template(1.5)
def induction_principle(s: Scene) -> Draft:
    p, n = s.predicate(NAT), s.new(NAT)
    k = Term("k" if n.text != "k" else "m")
    step = forall(k.text, NAT, op(app(p, k), "→", app(p, op(k, "+", num(1)))))
    zero, succ = s.know(app(p, num(0)), step)
    if s.rng.random() < 0.4:
        return case_of_induction(s, p, n, zero, succ)
    return draft(
        app(p, n),
        f"induction {n} with\n| zero => exact {zero}\n| succ {n} ih => exact {succ} {n} ih",
        f"exact Nat.rec {zero} {succ} {n}",
        f"induction {n}",
    )


def case_of_induction(s: Scene, p: str, n: Term, zero: str, succ: str) -> Draft:
    if s.rng.random() < 0.4:
        return draft(app(p, num(0)), f"exact {zero}", "assumption")
    if s.rng.random() < 0.2:
        return draft(app(p, num(1)), f"exact {succ} 0 {zero}", f"apply {succ}")
    ih = s.know_as("ih", app(p, n))
    return draft(
        app(p, op(n, "+", num(1))),
        f"exact {succ} {n} {ih}",
        f"apply {succ}",
        f"exact {succ} _ {ih}",
    )


@template(1.5)
def recursion(s: Scene) -> Draft:
    """A function given by its equations, and its closed form."""
    f, n = s.function(NAT, NAT), s.new(NAT)
    k = Term("k" if n.text != "k" else "m")
    slope, start = s.rng.randint(1, 5), s.rng.choice([0, 0, 1, 2, 5])
    later = op(app(f, k), "+", num(slope))
    zero, succ = s.know(
        op(app(f, num(0)), "=", num(start)),
        Term(f"∀ ({k} : Nat), {op(app(f, op(k, '+', num(1))), '=', later)}", 0, True),
    )
    product = n if slope == 1 else op(num(slope), "*", n)
    closed_form = product if start == 0 else op(product, "+", num(start))
    return draft(
        op(app(f, n), "=", closed_form),
        f"induction {n} with\n| zero => simp [{zero}]\n| succ {n} ih => rw [{succ}]; omega",
        f"induction {n}",
    )


@template()
def zero_or_successor(s: Scene) -> Draft:
    n = s.new(NAT)
    x = Term("k" if n.text != "k" else "m")
    target = op(op(n, "=", num(0)), "∨", exists(x.text, op(n, "=", op(x, "+", num(1)))))
    return draft(
        target,
        f"cases {n} with\n| zero => simp\n| succ {n} => simp",
        f"cases {n} <;> simp",
        f"cases {n}",
    )


@template()
def nonlinear_by_hypothesis(s: Scene) -> Draft:
    """Rewriting in products, where `omega` does not help."""
    _, (a, b, c) = numbers(s, 3)
    (h,) = s.know(op(a, "=", b))
    left, right = s.rng.choice(
        [
            (op(a, "*", c), op(b, "*", c)),
            (op(c, "*", a), op(c, "*", b)),
            (op(op(a, "*", a), "+", c), op(op(b, "*", b), "+", c)),
            (op(a, "^", num(2)), op(b, "^", num(2))),
            (op(op(a, "+", c), "*", c), op(op(b, "+", c), "*", c)),
        ]
    )
    return draft(op(left, "=", right), f"rw [{h}]", f"simp [{h}]", f"subst {h}")


@template()
def successor(s: Scene) -> Draft:
    n, m = s.new(NAT), s.new(NAT)
    one = num(1)
    if s.rng.random() < 0.5:
        (h,) = s.know(op(op(n, "+", one), "=", op(m, "+", one)))
        return draft(op(n, "=", m), "omega", f"exact Nat.succ.inj {h}", f"injection {h}")
    (h,) = s.know(op(n, "=", m))
    left, right = (
        (op(n, "+", one), op(m, "+", one))
        if s.rng.random() < 0.6
        else (dot(n, "succ"), dot(m, "succ"))
    )
    return draft(op(left, "=", right), f"rw [{h}]", "omega", f"simp [{h}]", f"subst {h}")
