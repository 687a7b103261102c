"""Healing: a prefix that ends inside a token gets the suggestions that its user expects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from llmsuggestd.engine.healing import Healing, Vocabulary, take_back
from llmsuggestd.engine.search import Extension, Floats, beam_search, log_softmax, run

PIECES = [b"", b"exact", b" h", b" hp", b" ", b"h", b"p", b"q", b"e", b"ex", b"act", b"]"]
END, EXACT, H_, HP_, SPACE, H, P, Q, E, EX, ACT, BRACKET = range(len(PIECES))


def test_the_last_word_of_the_prefix_is_taken_back_from_the_prompt() -> None:
    def taken(prompt: list[int], prefix: bytes) -> tuple[list[int], bytes]:
        return take_back(prompt, prefix, PIECES.__getitem__)

    assert taken([BRACKET, EXACT, H_], b"exact h") == ([BRACKET, EXACT], b" h")
    assert taken([BRACKET, EXACT, H_, P], b"exact hp") == ([BRACKET, EXACT], b" hp")
    assert taken([BRACKET, EXACT, SPACE], b"exact ") == ([BRACKET, EXACT], b" ")
    assert taken([BRACKET, EX, ACT], b"exact") == ([BRACKET], b"exact")
    assert taken([BRACKET, EXACT], b"") == ([BRACKET, EXACT], b"")


def test_the_vocabulary_finds_every_token_that_agrees_with_a_text() -> None:
    vocabulary = Vocabulary(PIECES)
    for text in (b" h", b"exact", b"e", b"x", b" hpq", b"\xff"):
        expected = {
            token
            for token, piece in enumerate(PIECES)
            if piece and (piece.startswith(text) or text.startswith(piece))
        }
        found = vocabulary.agreeing(text).tolist()
        assert set(found) == expected, text
        assert len(found) == len(expected)


class Uniform:
    """A model with equally likely tokens, except that ` hp` and the end are a little likelier."""

    def row(self) -> Floats:
        logits = np.zeros(len(PIECES), np.float32)
        logits[[HP_, END]] = 1.0
        return log_softmax(logits)

    def step(self, parents: Sequence[int], tokens: Sequence[int]) -> Floats:
        return np.stack([self.row() for _ in tokens])


def test_a_token_can_span_the_end_of_the_prefix() -> None:
    model = Uniform()
    healing = Healing(b" h", Vocabulary(PIECES))
    first = healing.first(model.row())
    assert np.exp(first).sum() == pytest.approx(1)
    assert set(np.flatnonzero(np.isfinite(first))) == {H_, HP_, SPACE}
    search = beam_search(
        first, healing, width=8, max_tokens=3, end={END},
        text=lambda tokens: b"".join(PIECES[token] for token in tokens).decode(),
        length=healing.length,
    )  # fmt: skip
    (found,) = run([search], model.step)
    assert found[0].text == " hp"
    assert all(hypothesis.text.startswith(" h") for hypothesis in found)


def test_only_tokens_that_reach_past_the_prefix_count_towards_the_length() -> None:
    healing = Healing(b" hp", Vocabulary(PIECES))
    for tokens, length, continuation in [
        ([], 0, None),
        ([SPACE, H], 0, None),
        ([HP_], 0, b""),
        ([HP_, Q], 1, b"q"),
        ([SPACE, H, P, Q, P], 2, b"qp"),
    ]:
        assert healing.length(tokens) == length
        assert healing.continuation(tokens) == continuation
    merging = Healing(b" h", Vocabulary(PIECES))
    assert (merging.length([HP_]), merging.continuation([HP_])) == (1, b"p")


def test_healing_changes_nothing_if_no_text_was_taken_back() -> None:
    model = Uniform()
    healing = Healing(b"", Vocabulary(PIECES))
    row = model.row()
    assert (healing.first(row) == row).all()
    extending = healing([0, 0], [H_, P])
    assert next(extending) == Extension([0, 0], [H_, P])
    rows = model.step([0, 0], [H_, P])
    with pytest.raises(StopIteration) as end:
        extending.send(rows.copy())
    assert (end.value.value == rows).all()
