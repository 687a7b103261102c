"""Formats: prompts equal to those of the models' training, and formats that the user defines."""

from __future__ import annotations

from typing import Any

import pytest

from llmsuggestd import formats
from llmsuggestd.formats import FORMATS, LLMSTEP, Format, Part, WrongFormat

STATE = "case inl\np q : Prop\nhp : p\n⊢ p ∨ q\n\ncase inr\n⊢ q"

PROMPTS = {
    "llmstep": f"[GOAL]{STATE}[PROOFSTEP]exact",
    "bfs-prover": f"{STATE}:::exact",
    "ntp-mathlib-st": (
        "/- You are proving a theorem in Lean 4.\nYou are given the following information:\n"
        "- The current proof state, inside [STATE]...[/STATE]\n\nYour task is to generate the next"
        " tactic in the proof.\nPut the next tactic inside [TAC]...[/TAC]\n-/\n"
        f"[STATE]\n{STATE}\n[/STATE]\n[TAC]\nexact"
    ),
    "ntp-mathlib-context": (
        "/- You are proving a theorem in Lean 4.\nYou are given the following information:\n"
        "- The file contents up to the current tactic, inside [CTX]...[/CTX]\n"
        "- The current proof state, inside [STATE]...[/STATE]\n\nYour task is to generate the next"
        " tactic in the proof.\nPut the next tactic inside [TAC]...[/TAC]\n-/\n"
        "[CTX]\nimport Mathlib\ntheorem t : p ∨ q := by\n  \n[/CTX]\n"
        f"[STATE]\n{STATE}\n[/STATE]\n[TAC]\nexact"
    ),
    "internlm2.5": (
        f"---\nNAME: Nat.t\n\n---\nPROOF_BEFORE: \n\n---\nSTATE_BEFORE: {STATE}\n\n---\n"
        "TACTIC: exact"
    ),
    "internlm2": f"DECL Nat.t\nGOAL {STATE}\nPROOFSTEP exact",
    "real-prover": (
        "User: Please generate a tactic in lean4 to solve the state.\nHere're some theorems that"
        f" may be helpful:\n\nSTATE:\n{STATE}\nTACTIC:\n\n\nAssistant:exact"
    ),
    "chat": (
        f"<|im_start|>user\nMy LEAN 4 state is:\n```lean\n{STATE}```\nPlease predict a possible"
        " tactic to help me prove the theorem.<|im_end|>\n<|im_start|>assistant\nexact"
    ),
}


@pytest.mark.parametrize("name", FORMATS)
def test_prompts_are_what_the_models_were_trained_on(name: str) -> None:
    context = "import Mathlib\ntheorem t : p ∨ q := by\n  "
    assert FORMATS[name].text(STATE, "exact", context=context, name="Nat.t") == PROMPTS[name]


@pytest.mark.parametrize("name", FORMATS)
def test_every_known_format_is_valid(name: str) -> None:
    assert FORMATS[name].name == name
    formats.check(FORMATS[name])
    assert formats.find(name) is FORMATS[name]


def test_special_tokens_in_a_goal_or_prefix_are_plain_text() -> None:
    parts = FORMATS["chat"].parts("⊢ a = <|im_end|>", "<|im_start|>")
    assert [part.text for part in parts if part.special] == [
        "<|im_start|>", "<|im_end|>", "<|im_start|>",
    ]  # fmt: skip
    assert parts[-1] == Part("assistant\n<|im_start|>")


def test_fields_and_the_text_around_them_are_one_part() -> None:
    assert LLMSTEP.parts("⊢ {p}", "{x}") == [Part("[GOAL]⊢ {p}[PROOFSTEP]{x}")]


def test_only_some_formats_show_the_file_and_the_name() -> None:
    shows = {name: [f for f in ("context", "name") if FORMATS[name].uses(f)] for name in FORMATS}
    assert shows.pop("ntp-mathlib-context") == ["context"]
    assert shows.pop("internlm2.5") == shows.pop("internlm2") == ["name"]
    assert not any(shows.values())


def test_a_format_is_found_by_the_template_in_a_file() -> None:
    assert formats.template_text(LLMSTEP) == "[GOAL]{goal}[PROOFSTEP]{prefix}"
    own = {"mine": Format(name="mine", template="{state}\n-- ")}
    for known in (*FORMATS.values(), *own.values()):
        assert formats.of_template(formats.template_text(known), own) is known
    assert formats.of_template("{goal}?") is None


def test_a_format_that_the_user_defines() -> None:
    template = "<s>{{{state}}}\n{context}"
    table = {"template": template, "special": ["<s>"], "stop": ["\n"]}
    mine = formats.parse("mine", table)
    assert mine == Format(name="mine", template=template, special=("<s>",), stop=("\n",))
    assert mine.text("⊢ p", "simp", context="import A") == "<s>{⊢ p}\nimport Asimp"
    assert formats.find("mine", {"mine": mine}) is mine


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"template": "prove it"}, "its template has no {state}"),
        ({}, "it has no template"),
        ({"template": "{goal}:"}, "its template has a field {goal}"),
        ({"template": "{state}{}"}, "its template has a field {}"),
        ({"template": "{state}{state}"}, "its template has {state} twice"),
        ({"template": "{prefix}{state}"}, "text follows {prefix} in its template"),
        ({"template": "{state} { "}, "its template cannot be read"),
        ({"template": "{state!r}"}, "its template cannot be read"),
        ({"template": "{state:>9}"}, "its template cannot be read"),
        ({"template": 3}, "its `template` must be text"),
        ({"template": "{state}", "stop": [""]}, "one of its stop strings is empty"),
        ({"template": "{state}", "stop": ["x" * 101]}, "one of its stop strings has more than 100"),
        ({"template": "{state}", "stop": "[/TAC]"}, "its `stop` must be a list of texts"),
        ({"template": "{state}", "stop": [1]}, "its `stop` must be a list of texts"),
        ({"template": "{state}", "special": ["<s>"]}, "does not contain the special token '<s>'"),
        ({"template": "{state}", "special": [""]}, "does not contain the special token ''"),
        ({"template": "{state}", "goals": "last"}, '"first" or "all"'),
        ({"template": "{state}", "bos": "no"}, "its `bos` must be true or false"),
        ({"template": "{state}", "stops": ["a"]}, "a format has no `stops`"),
        ({"template": "{state}", "name": "other"}, "a format is a table with template"),
        ("{state}", "a format is a table with template"),
    ],
)
def test_the_error_about_a_format_is_one_line(table: Any, words: str) -> None:
    with pytest.raises(WrongFormat) as caught:
        formats.parse("mine", table)
    assert words in caught.value.message
    assert "\n" not in caught.value.message


def test_names_that_are_taken_or_invalid_or_unknown_are_refused() -> None:
    with pytest.raises(WrongFormat, match="exists already"):
        formats.parse("llmstep", {"template": "{state}"})
    with pytest.raises(WrongFormat, match="letters, digits"):
        formats.parse("a b", {"template": "{state}"})
    with pytest.raises(WrongFormat) as caught:
        formats.find("bsf-prover")
    assert caught.value.message == "there is no format 'bsf-prover'"
    assert "bfs-prover" in caught.value.hint
