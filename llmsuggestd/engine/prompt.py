"""The text that goes into the model, `[GOAL]{goal}[PROOFSTEP]{prefix}`, and what comes out of it.

Format: Welleck & Saha, "LLMSTEP: LLM proofstep suggestions in Lean" (2023). `[GOAL]` and
`[PROOFSTEP]` are ordinary text to the tokenizer, and so is whatever the goal contains.
"""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Callable
from itertools import accumulate

from llmsuggestd.goals import split_target

GOAL_MARK = "[GOAL]"


def build_prompt(goal: str, prefix: str) -> str:
    """The prompt for a goal and the beginning of its tactic.

    In NFC: GPT-NeoX tokenizers normalise their input, and llama.cpp does not.
    """
    return nfc(f"{GOAL_MARK}{goal}[PROOFSTEP]{prefix}")


def nfc(text: str) -> str:
    """A text in Unicode's normal form NFC."""
    return unicodedata.normalize("NFC", text)


def fit_prompt(
    goal: str, prefix: str, tokenize: Callable[[str], list[int]], limit: int
) -> tuple[list[int], bool]:
    """The prompt's tokens, at most `limit` of them, and whether the goal had to be shortened.

    A goal that is too long loses the hypotheses furthest from its target, which stand first in
    Lean's order; a target that is too long by itself loses its beginning.
    """
    tokens = tokenize(build_prompt(goal, prefix))
    if len(tokens) <= limit:
        return tokens, False
    hypotheses, target = split_target(goal)
    counts = [len(tokenize(hypothesis)) for hypothesis in hypotheses]
    kept = sum(1 for total in accumulate(reversed(counts)) if total <= limit)
    # counted apart, hypotheses can come out a token or two longer or shorter than together
    while True:
        shorter = "\n".join([*hypotheses[len(hypotheses) - kept :], target])
        tokens = tokenize(build_prompt(shorter, prefix))
        if len(tokens) <= limit:
            return tokens, True
        if kept == 0:
            head = tokenize(GOAL_MARK)
            return head + tokens[len(tokens) - limit + len(head) :], True
        kept -= 1


def suggestion_text(prefix: str, continuation: bytes) -> str | None:
    """The tactic that a continuation makes of a prefix; None if it is empty or not text."""
    try:
        # not final: a candidate cut off inside a character loses that character's beginning
        text = codecs.getincrementaldecoder("utf-8")().decode(continuation, final=False).rstrip()
    except UnicodeDecodeError:
        return None
    if "\0" in text:
        return None
    text = prefix + text if prefix.strip() else prefix + text.lstrip()
    return text if text.strip() else None
