"""Worlds about an indexed family: vectors of a length, in several forms."""

from __future__ import annotations

import random

from .names import Names

SHARE = 0.05


def draw(rng: random.Random, names: Names) -> tuple[str, str, list[tuple[str, str]]]:
    """A key that does not depend on names, the definitions, and statements with their families."""
    type_, nil, cons = names.type(), names.word(), names.word()
    to_list, mapped = names.word(), names.word()
    step = rng.choice([1, 1, 2])
    snoc = rng.random() < 0.4
    pair = rng.random() < 0.4
    base = rng.choice([0, 0, 1])
    elements = ["x", "y"] if pair else ["x"]
    fields = " → ".join(["α"] * len(elements))
    inner = f"{type_} α n → {fields}" if snoc else f"{fields} → {type_} α n"
    use = f"v {' '.join(elements)}" if snoc else f"{' '.join(elements)} v"

    def cons_of(rest: str, values: list[str]) -> str:
        parts = [rest, *values] if snoc else [*values, rest]
        return f".{cons} {' '.join(parts)}"

    of_list = (
        f"{to_list} v ++ [{', '.join(elements)}]"
        if snoc
        else " :: ".join([*elements, f"{to_list} v"])
    )
    defs = [
        f"inductive {type_} (α : Type) : Nat → Type where\n"
        f"  | {nil} : {type_} α {base}\n"
        f"  | {cons} {{n : Nat}} : {inner} → {type_} α (n + {step})",
        f"def {to_list} {{α : Type}} {{n : Nat}} : {type_} α n → List α\n"
        f"  | .{nil} => []\n  | .{cons} {use} => {of_list}",
        f"def {mapped} {{α β : Type}} {{n : Nat}} (f : α → β) : {type_} α n → {type_} β n\n"
        f"  | .{nil} => .{nil}\n"
        f"  | .{cons} {use} => {cons_of(f'({mapped} f v)', [f'(f {e})' for e in elements])}",
    ]
    implicit, v = "{α β γ : Type} {n : Nat}", f"(v : {type_} α n)"
    per = len(elements)
    statements = [
        (
            "homomorphism",
            f"{implicit} (f : α → β) {v} : {to_list} ({mapped} f v) = ({to_list} v).map f",
        ),
        ("map", f"{{α : Type}} {{n : Nat}} {v} : {mapped} id v = v"),
        ("map", f"{{α : Type}} {{n : Nat}} {v} : {mapped} (fun x => x) v = v"),
        (
            "map",
            f"{implicit} (f : α → β) (g : β → γ) {v} : "
            f"{mapped} g ({mapped} f v) = {mapped} (fun x => g (f x)) v",
        ),
        (
            "map",
            f"{implicit} (f g : α → β) (h : ∀ x, f x = g x) {v} : {mapped} f v = {mapped} g v",
        ),
        ("value", f"{{α : Type}} (v : {type_} α {base}) : {to_list} v = []"),
        ("value", f"{{α β : Type}} (f : α → β) (v : {type_} α {base}) : {mapped} f v = .{nil}"),
    ]
    if (per, step) in ((1, 1), (2, 2)):
        plus = "" if base == 0 else f" + {base}"
        statements += [
            ("size", f"{{α : Type}} {{n : Nat}} {v} : ({to_list} v).length{plus} = n"),
            ("size", f"{implicit} (f : α → β) {v} : ({to_list} ({mapped} f v)).length{plus} = n"),
        ]
    if rng.random() < 0.6:
        flag = names.word()
        order = " && ".join([f"p {e}" for e in elements] + [f"{flag} p v"])
        defs.append(
            f"def {flag} {{α : Type}} {{n : Nat}} (p : α → Bool) : {type_} α n → Bool\n"
            f"  | .{nil} => true\n  | .{cons} {use} => {order}"
        )
        statements += [
            (
                "homomorphism",
                f"{{α : Type}} {{n : Nat}} (p : α → Bool) {v} : {flag} p v = ({to_list} v).all p",
            ),
            ("value", f"{{α : Type}} {{n : Nat}} {v} : {flag} (fun _ => true) v = true"),
            (
                "homomorphism",
                f"{{α β : Type}} {{n : Nat}} (f : α → β) (p : β → Bool) {v} : "
                f"{flag} p ({mapped} f v) = {flag} (fun x => p (f x)) v",
            ),
        ]
    # A world without the last function is on the same side as one with it.
    key = f"{step} {snoc} {pair} {base}"
    return key, "\n\n".join(defs) + "\n", statements
