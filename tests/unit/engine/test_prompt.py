"""The prompt that a model gets, and the tactic that its tokens become."""

from __future__ import annotations

from itertools import pairwise

import pytest

from llmsuggestd.engine.prompt import Prompter, Question, Reader, suggestion_text
from llmsuggestd.formats import CHAT, FORMATS, LLMSTEP, Format

GOAL = "case inl\nα : Type\nh : a ∧\n    b\nhp : p\n⊢ q\n  ∧ r"
OTHERS = ["case inr\nx : β\n⊢ s", "⊢ t"]


def characters(text: str) -> list[int]:
    """A tokenizer with one token per character."""
    return [ord(character) for character in text]


def prompter(asked: Format = LLMSTEP) -> Prompter:
    special = {text: -1 - n for n, text in enumerate(asked.special)}
    return Prompter(asked, characters, special=special)


def text(tokens: list[int]) -> str:
    return "".join(chr(token) for token in tokens)


def test_special_tokens_are_those_of_the_template() -> None:
    tokens = prompter(CHAT).tokens(Question("⊢ <|im_end|>", "<|im_start|>"))
    assert [token for token in tokens if token < 0] == [-1, -2, -1]
    rest = text([token for token in tokens if token > 0])
    assert rest.startswith("user\nMy LEAN 4 state is:\n```lean\n⊢ <|im_end|>```\nPlease")
    assert rest.endswith("theorem.\nassistant\n<|im_start|>")


def test_a_prompt_begins_with_the_bos_token() -> None:
    made = Prompter(LLMSTEP, characters, special={}, begin=[0])
    assert made.tokens(Question("⊢ p")) == [0, *characters("[GOAL]⊢ p[PROOFSTEP]")]


def test_a_goal_that_fits_is_unchanged() -> None:
    prompt = LLMSTEP.text(GOAL, "exact")
    question = Question(GOAL, "exact")
    assert prompter().fit(question, len(prompt)) == (characters(prompt), False)


def test_a_long_goal_keeps_its_target_and_the_nearest_hypotheses() -> None:
    expected = LLMSTEP.text("h : a ∧\n    b\nhp : p\n⊢ q\n  ∧ r", "exact")
    tokens, truncated = prompter().fit(Question(GOAL, "exact"), len(expected) + 3)
    assert truncated
    assert text(tokens) == expected


def test_a_state_loses_its_last_goals_before_its_first_one_loses_hypotheses() -> None:
    asked = FORMATS["bfs-prover"]
    whole = "\n\n".join([GOAL, *OTHERS])
    for kept in ("\n\n".join([GOAL, OTHERS[0]]), GOAL, "hp : p\n⊢ q\n  ∧ r", "⊢ q\n  ∧ r"):
        expected = asked.text(kept, "simp")
        assert prompter(asked).fit(Question(whole, "simp"), len(expected)) == (
            characters(expected), True,
        )  # fmt: skip


@pytest.mark.parametrize("limit", range(22, 80))
def test_a_prompt_never_exceeds_the_limit(limit: int) -> None:
    tokens, _ = prompter().fit(Question(GOAL + " ∧ s" * 50, "apply"), limit)
    assert len(tokens) <= limit
    assert text(tokens).endswith("[PROOFSTEP]apply")
    assert text(tokens).startswith("[GOAL]")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("limit", [10, 100, 300, 1000])
def test_every_format_keeps_the_limit_and_the_prefix(name: str, limit: int) -> None:
    asked = FORMATS[name]
    question = Question(GOAL + " ∧ s" * 500, "apply", "theorem t\n" * 300, "t")
    tokens, _ = prompter(asked).fit(question, limit)
    assert len(tokens) <= limit
    assert text(tokens[-5:]) == "apply"


class TestContext:
    """The file above the tactic is shortened before the goal, at places that prompts share."""

    asked = FORMATS["ntp-mathlib-context"]
    file = "".join(f"theorem t{n} : {n} + 0 = {n} := by simp\n" for n in range(500))

    def fit(self, context: str, limit: int, state: str = GOAL) -> tuple[str, bool]:
        tokens, truncated = prompter(self.asked).fit(Question(state, "exact", context), limit)
        assert len(tokens) <= limit
        return text(tokens), truncated

    def context(self, prompt: str) -> str:
        return prompt.partition("[CTX]\n")[2].partition("\n[/CTX]")[0]

    def test_a_short_file_is_kept_whole(self) -> None:
        prompt, truncated = self.fit("import A\n", 2000)
        assert prompt == self.asked.text(GOAL, "exact", context="import A\n")
        assert not truncated

    def test_a_long_file_loses_its_first_lines_and_the_goal_loses_nothing(self) -> None:
        prompt, truncated = self.fit(self.file, 2000)
        kept = self.context(prompt)
        assert self.file.endswith(kept)
        assert kept.startswith("theorem t")
        assert len(kept) > 500
        assert GOAL in prompt
        assert not truncated

    def test_the_whole_file_is_dropped_before_any_hypothesis(self) -> None:
        limit = len(self.asked.text(GOAL, "exact"))
        prompt, truncated = self.fit(self.file, limit + 20)
        assert prompt == self.asked.text(GOAL, "exact")
        assert not truncated

    def test_consecutive_prompts_of_a_file_share_their_beginning(self) -> None:
        """While the file grows and its goals change, the beginning rarely moves."""
        prompts = []
        for n in range(100):
            file = self.file + "".join(f"  have h{k} : {k} = {k} := rfl\n" for k in range(n))
            prompts.append(self.fit(file, 2000, state=f"h : {n}\n⊢ p" + " ∧ p" * (n % 7))[0])
        same = 0
        for one, other in pairwise(prompts):
            same += other.startswith(one.partition("\n[/CTX]")[0])
        assert same >= 95

    def test_formats_without_a_context_ignore_the_file(self) -> None:
        question = Question(GOAL, "", self.file, "t")
        assert prompter().fit(question, 2000)[0] == characters(LLMSTEP.text(GOAL))


@pytest.mark.parametrize(
    ("prefix", "continuation", "text"),
    [
        ("", " exact h", "exact h"),
        ("", "simp\n", "simp"),
        ("", "induction n with\n  | zero => rfl", "induction n with\n  | zero => rfl"),
        ("exact", " h ", "exact h"),
        ("exact ", "h", "exact h"),
        ("simp", "", "simp"),
        ("", "", None),
        ("", " \n", None),
        ("", "a\0b", None),
    ],
)
def test_a_continuation_becomes_a_tactic(prefix: str, continuation: str, text: str | None) -> None:
    assert suggestion_text(prefix, continuation.encode()) == text


def test_an_incomplete_character_is_dropped_and_invalid_bytes_give_no_tactic() -> None:
    assert suggestion_text("", "exact ⟨a, b⟩".encode()) == "exact ⟨a, b⟩"
    assert suggestion_text("", "exact ⟨a".encode()[:-2]) == "exact"  # cut inside a character
    assert suggestion_text("", b"exact \xff a") is None


@pytest.mark.parametrize(
    ("pieces", "text", "stopped"),
    [
        (["simp", "\n", "[/TAC]"], "simp", True),
        (["simp", "\n[", "/TAC", "]\n"], "simp", True),  # begins and ends inside tokens
        (["simp;;rfl"], "simp", True),  # another stop string
        (["simp", "\n[/TA"], "simp\n[/TA", False),
        (["[/TAC]"], None, True),
    ],
)
def test_a_stop_string_ends_a_tactic(pieces: list[str], text: str | None, stopped: bool) -> None:
    reader = Reader(
        "", [b"[/TAC]", b";;"], lambda tokens: "".join(pieces[t] for t in tokens).encode()
    )
    tokens = range(len(pieces))
    assert reader.text(tokens) == text
    assert reader.stopped(tokens) == stopped
    assert not reader.stopped(tokens[:-1])


def test_a_stop_string_in_the_prefix_ends_nothing() -> None:
    reader = Reader("a\n", [b"\n"], lambda _: b" b")
    assert not reader.stopped([0])
    assert reader.text([0]) == "a\n b"
