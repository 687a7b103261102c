"""The tokens that go into the model, in its format, and the text that comes out of it."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from llmsuggestd.formats import Format
from llmsuggestd.goals import split_goals, split_target

Tokenize = Callable[[str], list[int]]
"""The tokens of a text, in which nothing is a special token."""


class Question(NamedTuple):
    """What a prompt is made of."""

    state: str
    prefix: str = ""
    context: str = ""
    """The file above the tactic."""
    name: str = ""
    """The theorem's name."""


class Prompter:
    """Makes prompts in one format, as tokens of one model."""

    def __init__(
        self,
        asked: Format,
        tokenize: Tokenize,
        *,
        special: Mapping[str, int],
        begin: Sequence[int] = (),
    ) -> None:
        """`special` has the number of each of the format's special tokens; `begin` comes first."""
        self._format = asked
        self._tokenize = tokenize
        self._special = special
        self._begin = list(begin)

    def tokens(self, question: Question) -> list[int]:
        """The whole prompt."""
        tokens = list(self._begin)
        state, prefix, context, name = question
        for part in self._format.parts(state, prefix, context=context, name=name):
            tokens += [self._special[part.text]] if part.special else self._tokenize(part.text)
        return tokens

    def fit(self, question: Question, limit: int) -> tuple[list[int], bool]:
        """The prompt in at most `limit` tokens, and whether the state had to be shortened.

        The context is shortened first. A state that is too long alone loses its other goals, then
        the hypotheses furthest from its target, which stand first in Lean's order. A target that is
        too long by itself loses its beginning.
        """
        tokens = self._fit_context(question, limit)
        if len(tokens) <= limit:
            return tokens, False
        question = question._replace(context="")
        for state in self._shorter_states(question.state, limit):
            tokens = self.tokens(question._replace(state=state))
            if len(tokens) <= limit:
                return tokens, True
        return tokens[-limit:], True  # the format and the prefix alone are too long

    def _fit_context(self, question: Question, limit: int) -> list[int]:
        """The prompt with as much of its context as fits, without one if need be."""
        if not (question.context and self._format.uses("context")):
            return self.tokens(question)
        room = limit - len(self.tokens(question._replace(context="")))
        for context in self._shorter_contexts(question.context, limit, room):
            tokens = self.tokens(question._replace(context=context))
            if len(tokens) <= limit:
                return tokens
        return self.tokens(question._replace(context=""))

    def _shorter_contexts(self, context: str, limit: int, room: int) -> Iterator[str]:
        """A context of at most `room` tokens, and ever shorter ones.

        It is cut at lines that depend on the context alone, and takes at most three quarters of the
        prompt. So the next context of the same file, which is longer, begins like this one, and
        reuses its cells.
        """
        starts = _starts(context, 1 << (limit.bit_length() - 1))
        ends = [*starts[1:], len(context)]
        lengths = (
            len(self._tokenize(context[start:end]))
            for start, end in zip(reversed(starts), reversed(ends), strict=True)
        )
        most = min(room, limit * 3 // 4)
        kept = 0
        for total in accumulate(lengths):
            if total > most:
                break
            kept += 1
        for start in starts[len(starts) - kept :]:
            yield context[start:]

    def _shorter_states(self, state: str, limit: int) -> Iterator[str]:
        """Ever shorter forms of a state, from one of about `limit` tokens on."""
        first, *others = split_goals(state) or [state]
        hypotheses, target = split_target(first)
        counts = [len(self._tokenize(text)) for text in [*reversed(hypotheses), *others]]
        most = sum(1 for total in accumulate(counts) if total <= limit)
        # counted apart, pieces can come out a token or two longer or shorter than together
        for kept in range(most, -1, -1):
            near = hypotheses[max(0, len(hypotheses) - kept) :]
            goal = "\n".join([*near, target])
            yield "\n\n".join([goal, *others[: max(0, kept - len(hypotheses))]])
        length = len(target)
        while length:
            length = length * 7 // 8
            yield target[len(target) - length :]


def _starts(context: str, block: int) -> list[int]:
    """Where a context may begin: at its beginning, and at the first line of each further block."""
    starts = [0]
    for position in range(block, len(context), block):
        start = context.find("\n", position) + 1
        if start > starts[-1]:
            starts.append(start)
    return starts


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


class Reader:
    """Reads the tactics that candidates are, for a search."""

    def __init__(
        self,
        prefix: str,
        stops: Sequence[bytes],
        continuation: Callable[[Sequence[int]], bytes | None],
    ) -> None:
        """`continuation` gives a candidate's bytes past the prefix; None if it is not there yet."""
        self._prefix = prefix
        self._stops = stops
        self._continuation = continuation

    def text(self, tokens: Sequence[int]) -> str | None:
        """A candidate's tactic up to its first stop string: a `search.Text`."""
        continuation = self._continuation(tokens)
        if continuation is None:
            return None
        stop = self._first_stop(continuation)
        return suggestion_text(self._prefix, continuation if stop is None else continuation[:stop])

    def stopped(self, tokens: Sequence[int]) -> bool:
        """Whether a candidate has a stop string: a `search.Stopped`."""
        if not self._stops:
            return False
        continuation = self._continuation(tokens)
        return continuation is not None and self._first_stop(continuation) is not None

    def _first_stop(self, continuation: bytes) -> int | None:
        found = [at for stop in self._stops if (at := continuation.find(stop)) >= 0]
        return min(found, default=None)
