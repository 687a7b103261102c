"""Recovering the state, the prefix and the file from the prompts of LLMLean and LeanCopilot."""

from __future__ import annotations

import time

import pytest

from llmsuggestd.daemon.compat import Question, recover
from llmsuggestd.errors import UsageError

STATE = "case inl\np q : Prop\nhp : p\n⊢ p ∨ q\n\ncase inr\n⊢ q"
# a Lean file that contains every mark, as a file about LLMLean may
CONTEXT = (
    "-- [STATE]\n⊢ no\n[/STATE]\n[TAC]\nno\n[GOAL]no[PROOFSTEP]no\ntheorem t : p ∨ q := by\n  "
)

INSTRUCTION = "/- ... inside [STATE]...[/STATE] ... [TAC]...[/TAC].\n-/\n[CTX]\n{c}\n[/CTX]\n"


@pytest.mark.parametrize("prefix", ["", "exact ", "simp [foo"])
@pytest.mark.parametrize("context", ["", CONTEXT])
@pytest.mark.parametrize(
    "prompt",
    [
        INSTRUCTION + "[STATE]\n{s}\n[/STATE]\n[TAC]\n{p}",
        INSTRUCTION + "[THOUGHTS]\n...\n[/THOUGHTS]\n[STATE]\n{s}\n[/STATE]\n[THOUGHTS]\n{p}",
        "Examples:\n\nTactic state:\n---\n⊢ 1 = 1\n---\nNext tactic:\n---\nrfl\n---\n\n"
        "Tactic state:\n---\n{s}\n---\nNext tactic:\n---\n{p}",
        "{c}[GOAL]{s}[PROOFSTEP]{p}",
    ],
)
def test_prompts_that_end_with_the_prefix(prompt: str, context: str, prefix: str) -> None:
    text = prompt.format(c=context, s=STATE, p=prefix)
    question = recover(text)
    assert question is not None
    assert question[:3] == (STATE, prefix, False)


@pytest.mark.parametrize("context", ["import Mathlib\ntheorem t : p := by\n  ", CONTEXT, ""])
def test_the_file_in_a_prompt_becomes_the_context(context: str) -> None:
    instruction = INSTRUCTION + "[STATE]\n{s}\n[/STATE]\n[TAC]\nsimp"
    markdown = (
        "The file contents up to the current tactic are as follows:\n\n```lean4\n{c}\n```\n\n"
        "The current proof state is as follows:\n{s}\n\nYour task is to generate the next tactic in"
    )
    for prompt in (instruction, markdown):
        question = recover(prompt.format(c=context, s=STATE))
        assert question is not None
        assert question.context == context


@pytest.mark.parametrize("prefix", ["", "exact "])
@pytest.mark.parametrize("state", [STATE, "f : a ::: b\n⊢ p"])
def test_a_tacticstate_prompt(state: str, prefix: str) -> None:
    """LLMLean's `tacticstate` prompt has BFS-Prover's format."""
    assert recover(f"{state}:::{prefix}") == Question(state, prefix)


@pytest.mark.parametrize("text", ["x ::: y", "no goal:::"])
def test_text_without_a_goal_is_no_tacticstate_prompt(text: str) -> None:
    assert recover(text) is None


def test_three_colons_inside_a_goal_do_not_end_the_state() -> None:
    state = "⊢ p ::: q\n  r"
    assert recover(state) == Question(state, "")


@pytest.mark.parametrize(
    "prompt",
    [
        "My LEAN 4 state is:\n```lean\n{s}```\nPlease predict a possible tactic to help me prove"
        " the theorem.",
        "<|im_start|>user\nMy LEAN 4 state is:\n```lean\n{s}```\nPlease predict a possible tactic"
        " to help me prove the theorem.<|im_end|>\n<|im_start|>assistant\n",
        "Here is a theorom you need to prove in Lean:\n{s}\nNow you should suggest one line tactic"
        " in lean code:",
    ],
)
def test_leancopilots_chat_prompts(prompt: str) -> None:
    assert recover(prompt.format(s=STATE)) == Question(STATE, "", markdown=True)


@pytest.mark.parametrize("prefix", ["", "exact "])
def test_the_markdown_prompt(prefix: str) -> None:
    prompt = (
        f"```lean4\n{CONTEXT}\n```\n\nThe current proof state is as follows:\n{STATE}\n\n"
        "Your task is to generate the next tactic in the proof.\nGenerate this by ...\n\n"
    )
    if prefix:
        prompt += f"The tactic you generate should start with {prefix}"
    question = recover(prompt)
    assert question is not None
    assert question[:3] == (STATE, prefix, True)


def test_the_second_prompt_of_few_shot_has_no_state() -> None:
    assert recover("theorem t : p := by\n  simp at h ⊢\n  ") is None


def test_a_bare_goal_is_a_prompt() -> None:
    assert recover("p : Prop\n⊢ p") == Question("p : Prop\n⊢ p", "")


@pytest.mark.parametrize(
    "prompt",
    ["[CTX]\ntheorem t\n[/CTX]\n[PROOF]",
     "[CTX]\nx\n[/CTX]\n[STATE]\n⊢ p\n[/STATE]\n... inside [PROOF]...[/PROOF].",
     "The current proof state is as follows:\n⊢ p\nYour task is to generate the proof.\n"],
)  # fmt: skip
def test_prompts_for_whole_proofs_are_refused(prompt: str) -> None:
    with pytest.raises(UsageError, match="whole proof"):
        recover(prompt)


def test_long_prompts_are_fast() -> None:
    began = time.process_time()
    assert recover("[STATE]\n" * 100_000) is None
    assert recover("\n[/STATE]\n[TAC]\n" * 50_000) is None
    assert time.process_time() - began < 5
