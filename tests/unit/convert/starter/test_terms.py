"""Terms print as Lean prints them: parentheses only where the parser needs them."""

from __future__ import annotations

from convert.starter.terms import Term, app, chain, exists, forall, neg, op

p, q, r, a = Term("p"), Term("q"), Term("r"), Term("a")


def test_arrows_and_conjunctions_associate_to_the_right() -> None:
    assert chain("→", p, q, r).text == "p → q → r"
    assert op(op(p, "→", q), "→", r).text == "(p → q) → r"
    assert op(op(p, "∧", q), "∧", r).text == "(p ∧ q) ∧ r"


def test_sums_associate_to_the_left() -> None:
    assert op(op(p, "+", q), "+", r).text == "p + q + r"
    assert op(p, "+", op(q, "+", r)).text == "p + (q + r)"
    assert op(op(p, "+", q), "*", r).text == "(p + q) * r"


def test_not_takes_comparisons_but_no_connectives() -> None:
    assert neg(op(p, "=", q)).text == "¬p = q"
    assert neg(op(p, "∧", q)).text == "¬(p ∧ q)"
    assert op(neg(p), "∧", q).text == "¬p ∧ q"


def test_a_binder_needs_parentheses_where_something_follows() -> None:
    some = exists("x", app("P", Term("x")))
    assert op(some, "∧", q).text == "(∃ x, P x) ∧ q"
    assert op(q, "∧", some).text == "q ∧ ∃ x, P x"
    assert op(op(q, "∧", some), "→", r).text == "(q ∧ ∃ x, P x) → r"
    assert neg(some).text == "¬∃ x, P x"


def test_binders_of_one_type_are_merged() -> None:
    body = app("R", Term("x"), Term("y"))
    assert exists("x", exists("y", body)).text == "∃ x y, R x y"
    assert forall("x", a, forall("y", a, body)).text == "∀ (x y : a), R x y"
    assert forall("x", a, forall("y", Term("b"), body)).text == "∀ (x : a) (y : b), R x y"


def test_an_unused_binder_is_an_arrow() -> None:
    assert forall("x", a, q).text == "a → q"


def test_arguments_are_parenthesised() -> None:
    assert app("f", app("g", a), op(a, "+", a)).text == "f (g a) (a + a)"
