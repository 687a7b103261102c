"""Token healing: prefixes that end inside a token.

A tokenizer splits `exact h` into `exact` and ` h`. A model that knows the token ` hp` then never
proposes it, since it has never seen `p` after ` h`. So the last word of the prefix is taken back.
Decoding starts before it, restricted to tokens that spell it out. The idea is guidance's "token
healing" (Lundberg, "The Art of Prompt Design: Prompt Boundaries and Token Healing", 2023), applied
to a whole word, since byte-pair merges can span one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from llmsuggestd.engine.search import Extending, Extension, Floats, log_softmax

MAX_TAKEN_BACK = 8
"""Tokens taken back at most. The rest of a longer word stays as the tokenizer has split it."""


class Vocabulary:
    """All tokens sorted by their bytes, to find those that a text can begin with."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        """`pieces[token]` are a token's bytes; tokens without any are never found."""
        self.pieces = pieces
        self._sorted = sorted((piece, token) for token, piece in enumerate(pieces) if piece)
        self._longest = max((len(piece) for piece, _ in self._sorted), default=0)

    def agreeing(self, text: bytes) -> npt.NDArray[np.intp]:
        """Tokens that are a beginning of `text`, or begin with all of it."""
        found = self._between(text, text + b"\xff" * self._longest)
        for length in range(1, min(len(text), self._longest + 1)):
            found += self._between(text[:length], text[:length] + b"\0")
        return np.array(found, dtype=np.intp)

    def _between(self, low: bytes, high: bytes) -> list[int]:
        begin = bisect_left(self._sorted, (low, -1))
        end = bisect_left(self._sorted, (high, -1))
        return [token for _, token in self._sorted[begin:end]]


def take_back(
    tokens: Sequence[int], prefix: bytes, piece: Callable[[int], bytes]
) -> tuple[list[int], bytes]:
    """Take the last word of a prompt's prefix back: the tokens left, and the bytes taken.

    A word is what follows the last white space, that space included. Without a prefix nothing is
    taken.
    """
    taken = b""
    left = list(tokens)
    while left and len(tokens) - len(left) < MAX_TAKEN_BACK:
        if len(taken) >= len(prefix) or taken[:1].isspace():
            break
        taken = piece(left.pop()) + taken
    return left, taken


class Healing:
    """An `Extend` whose candidates first spell out the bytes that were taken back.

    While a candidate still owes bytes, only tokens that agree with them are possible. Their
    probabilities are normalised, since the search is for a continuation *given* the prefix.
    """

    def __init__(self, taken: bytes, vocabulary: Vocabulary) -> None:
        self._taken = taken
        self._vocabulary = vocabulary
        self._owed = [taken]

    def first(self, row: Floats) -> Floats:
        """The first token's log probabilities, given the owed bytes; shape (vocabulary,)."""
        return self._restricted(row, self._owed[0]) if self._owed[0] else row

    def __call__(self, parents: Sequence[int], tokens: Sequence[int]) -> Extending:
        """As `Extend`."""
        self._owed = [
            self._owed[parent][len(self._vocabulary.pieces[token]) :] if self._owed[parent] else b""
            for parent, token in zip(parents, tokens, strict=True)
        ]
        rows = yield Extension(parents, tokens)
        for row, owed in zip(rows, self._owed, strict=True):
            if owed:
                row[:] = self._restricted(row, owed)
        return rows

    def continuation(self, tokens: Sequence[int]) -> bytes | None:
        """The bytes that a candidate adds to the prefix; None while it still owes some."""
        spelt = b"".join(self._vocabulary.pieces[token] for token in tokens)
        return spelt[len(self._taken) :] if len(spelt) >= len(self._taken) else None

    def length(self, tokens: Sequence[int]) -> int:
        """The number of a candidate's tokens that reach past the prefix: a `Length`."""
        spelt = 0
        for index, token in enumerate(tokens):
            spelt += len(self._vocabulary.pieces[token])
            if spelt > len(self._taken):
                return len(tokens) - index
        return 0

    def _restricted(self, row: Floats, owed: bytes) -> Floats:
        held = np.full_like(row, -np.inf)
        agreeing = self._vocabulary.agreeing(owed)
        held[agreeing] = log_softmax(row[agreeing])
        return held
