"""Makes a prompt's tokens in a model's format, and reads tactics from a model's tokens."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from llmsuggestd.formats import Format
from llmsuggestd.goals import split_goals, split_target

Tokenize = Callable[[str], list[int]]
"""Returns the tokens of a text, without special tokens."""


class Question(NamedTuple):
    """The parts of a prompt."""

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
        prompt_format: Format,
        tokenize: Tokenize,
        *,
        special: Mapping[str, int],
        begin: Sequence[int] = (),
    ) -> None:
        """`special` has the id of each special token of the format. Prompts start with `begin`."""
        self._format = prompt_format
        self._tokenize = tokenize
        self._special = special
        self._begin = list(begin)

    def tokens(self, question: Question) -> list[int]:
        """The whole prompt, whatever its length."""
        tokens = list(self._begin)
        state, prefix, context, name = question
        for part in self._format.parts(state, prefix, context=context, name=name):
            tokens += [self._special[part.text]] if part.special else self._tokenize(part.text)
        return tokens

    def fit(self, question: Question, limit: int) -> tuple[list[int], bool]:
        """The prompt in at most `limit` tokens, and whether the state had to be shortened.

        The context is shortened first. If the state alone is too long, it loses its other goals,
        then the hypotheses furthest from its target, which are the first in Lean's order. If the
        target alone is too long, it loses its beginning.
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
        """The prompt with as much of its context as fits. It may still be longer than `limit`."""
        if not (question.context and self._format.uses("context")):
            return self.tokens(question)
        room = limit - len(self.tokens(question._replace(context="")))
        for context in self._shorter_contexts(question.context, limit, room):
            tokens = self.tokens(question._replace(context=context))
            if len(tokens) <= limit:
                return tokens
        return self.tokens(question._replace(context=""))

    def _shorter_contexts(self, context: str, limit: int, room: int) -> Iterator[str]:
        """Yield ends of a context, from one of about `room` tokens to shorter ones.

        They begin at lines that depend on the context alone, and take at most three quarters of
        the prompt. So the next context of the same file, which is longer, usually begins at the
        same line and reuses this one's cells.
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
        """Yield shorter and shorter forms of a state, beginning with about `limit` tokens."""
        first, *others = split_goals(state) or [state]
        hypotheses, target = split_target(first)
        counts = [len(self._tokenize(text)) for text in [*reversed(hypotheses), *others]]
        most = sum(1 for total in accumulate(counts) if total <= limit)
        # a text's number of tokens can differ from its pieces' total by one or two
        for kept in range(most, -1, -1):
            near = hypotheses[max(0, len(hypotheses) - kept) :]
            goal = "\n".join([*near, target])
            yield "\n\n".join([goal, *others[: max(0, kept - len(hypotheses))]])
        length = len(target)
        while length:
            length = length * 7 // 8
            yield target[len(target) - length :]


def _starts(context: str, block: int) -> list[int]:
    """The positions where a context may begin: its start, and each later block's first line."""
    starts = [0]
    for position in range(block, len(context), block):
        start = context.find("\n", position) + 1
        if start > starts[-1]:
            starts.append(start)
    return starts


def suggestion_text(prefix: str, continuation: bytes) -> str | None:
    """The tactic made of a prefix and its continuation; None if it is empty or not text."""
    try:
        # final=False: where a candidate was cut off inside a character, the rest of it is dropped
        text = codecs.getincrementaldecoder("utf-8")().decode(continuation, final=False).rstrip()
    except UnicodeDecodeError:
        return None
    if "\0" in text:
        return None
    text = prefix + text if prefix.strip() else prefix + text.lstrip()
    return text if text.strip() else None


class Reader:
    """Reads candidates' tactics for a search."""

    def __init__(
        self,
        prefix: str,
        stops: Sequence[bytes],
        continuation: Callable[[Sequence[int]], bytes | None],
    ) -> None:
        """`continuation` returns a candidate's bytes after the prefix; None until it gets there."""
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
