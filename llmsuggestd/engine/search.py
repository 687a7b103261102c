"""Choosing tactics by a model's next-token probabilities: beam search and sampling.

A `Search` is for one goal and independent of llama.cpp. It yields the extensions of its candidates,
and is sent log probabilities. `run` runs the searches of several goals side by side, and decodes
the candidates of all of them in one `Step`. A candidate ends with an end token, or with the token
that completes a stop string. Both searches rank candidates by the mean log probability of their
tokens, including the tokens that end them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from math import inf
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


class Hypothesis(NamedTuple):
    """A candidate that has ended."""

    text: str
    score: float
    """Mean log probability per token, including the tokens that end it."""
    finished: bool
    """Whether the model ended it, rather than the length limit."""


class Step(Protocol):
    """Extends candidates by one token each, in one decode."""

    def __call__(self, parents: Sequence[int], tokens: Sequence[int]) -> Floats:
        """Extend candidate `parents[i]` of the last call by `tokens[i]`.

        The new candidates replace those of the last call, and are numbered by i. Before the first
        call there is one candidate per prompt, the bare prompt. Returns the log probabilities of
        the next token, shape (len(tokens), vocabulary).
        """


class Extension(NamedTuple):
    """A search's next step: candidate `parents[i]` of its last step is extended by `tokens[i]`.

    Before its first step, a search has one candidate, the bare prompt.
    """

    parents: Sequence[int]
    tokens: Sequence[int]


Extending = Generator[Extension, Floats, Floats]
"""Yields an extension and is sent the log probabilities after it, shape (len(tokens), vocabulary).
It returns log probabilities of the same shape for the search, which it may have restricted."""

Extend = Callable[[Sequence[int], Sequence[int]], Extending]
"""Extends candidates `parents` by `tokens`."""

GROUPED = 64
"""Maximum number of tokens per group, when the best tokens of a vocabulary are looked for."""

Search = Generator[Extension, Floats, list[Hypothesis]]
"""A search for one goal. It returns the hypotheses found, best first."""


Text = Callable[[Sequence[int]], str | None]
"""The text of a candidate, or None if it is no suggestion (empty, or not text)."""

Stopped = Callable[[Sequence[int]], bool]
"""Whether the last token of a candidate completes a stop string."""

Length = Callable[[Sequence[int]], int]
"""The number of a candidate's tokens that count for its mean: all, or those after the prefix."""


class _Results:
    """The best hypotheses so far, one per text. Texts that differ only in white space are equal."""

    def __init__(self, size: int, text: Text, length: Length) -> None:
        self._size = size
        self._text = text
        self._length = length
        self._best: dict[str, Hypothesis] = {}

    def add(
        self, tokens: Sequence[int], total: float, finished: bool, *, end_token: bool = False
    ) -> None:
        """Offer a candidate with the sum of its log probabilities.

        `end_token` says that an end token has ended it. `tokens` does not include that token.
        """
        text = self._text(tokens)
        if text is None:
            return
        hypothesis = Hypothesis(text, self.mean(tokens, total, end_token), finished)
        key = " ".join(text.split())
        if key not in self._best or hypothesis.score > self._best[key].score:
            self._best[key] = hypothesis

    def mean(self, tokens: Sequence[int], total: float, end_token: bool = False) -> float:
        """The mean log probability of a candidate."""
        return total / max(1, self._length(tokens) + end_token)

    def ranked(self) -> list[Hypothesis]:
        """The best hypotheses, best first."""
        return sorted(self._best.values(), key=lambda h: -h.score)[: self._size]

    def closed_to(self, score: float) -> bool:
        """Whether a hypothesis with at most this score would not be among the results."""
        ranked = self.ranked()
        return score == -inf or (len(ranked) == self._size and score <= ranked[-1].score)


def extend(parents: Sequence[int], tokens: Sequence[int]) -> Extending:
    """Extend candidates, with unrestricted log probabilities."""
    return (yield Extension(parents, tokens))


def run(searches: Sequence[Search], step: Step) -> list[list[Hypothesis]]:
    """Run searches side by side and return each one's hypotheses.

    The candidates of all open searches are one batch. Before the first step, the i-th candidate of
    `step` is the bare prompt of the i-th search.
    """
    found: list[list[Hypothesis]] = [[] for _ in searches]
    first = list(range(len(searches)))  # the number of each search's first candidate
    wanted: dict[int, Extension] = {}
    """The next extension of each open search."""

    def advance(i: int, rows: Floats | None) -> None:
        try:
            wanted[i] = next(searches[i]) if rows is None else searches[i].send(rows)
        except StopIteration as end:
            found[i] = end.value
            wanted.pop(i, None)

    for i in range(len(searches)):
        advance(i, None)
    while wanted:
        parents = [first[i] + parent for i, one in wanted.items() for parent in one.parents]
        tokens = [token for one in wanted.values() for token in one.tokens]
        rows = step(parents, tokens)
        begin = 0
        for i, one in list(wanted.items()):
            first[i], begin = begin, begin + len(one.tokens)
            advance(i, rows[first[i] : begin])
    return found


def beam_search(
    first: Floats,
    extend: Extend = extend,
    *,
    width: int,
    max_tokens: int,
    end: Collection[int],
    text: Text,
    stopped: Stopped = lambda _: False,
    length: Length = len,
) -> Search:
    """Search for the `width` best continuations, by beam search of that width.

    `first`, shape (vocabulary,), holds the log probabilities of the first token. The search follows
    transformers' `generate(num_beams=width, length_penalty=1, early_stopping=False)` with
    `stop_strings`. A candidate ends only if it is among the best `width` extensions of a step. The
    search stops when the best open beam's mean is no better than the worst of `width` results.
    Unlike there, texts that differ only in white space count as one. It returns fewer than `width`
    results only if no more are found within `max_tokens`.
    """
    results = _Results(width, text, length)
    ends = set(end)
    beams: list[tuple[int, ...]] = [()]
    totals = [0.0]
    log_probabilities = first[np.newaxis, :]
    for count in range(1, max_tokens + 1):
        chosen: list[tuple[int, int]] = []
        sums: list[float] = []
        for rank, (parent, token, total) in enumerate(
            _best_extensions(totals, log_probabilities, max(2, 1 + len(ends)) * width)
        ):
            if token in ends:
                if rank < width:
                    results.add(beams[parent], total, finished=True, end_token=True)
            elif stopped(extended := (*beams[parent], token)):
                if rank < width:
                    results.add(extended, total, finished=True)
            elif len(chosen) < width:
                chosen.append((parent, token))
                sums.append(total)
        totals = sums
        beams = [(*beams[parent], token) for parent, token in chosen]
        open_ = list(zip(beams, totals, strict=True))
        if count == max_tokens:
            for beam, total in open_:
                results.add(beam, total, finished=False)
        elif results.closed_to(max((results.mean(*beam) for beam in open_), default=-inf)):
            break
        else:
            log_probabilities = yield from extend([p for p, _ in chosen], [t for _, t in chosen])
    return results.ranked()


def sample(
    first: Floats,
    extend: Extend = extend,
    *,
    count: int,
    max_tokens: int,
    end: Collection[int],
    text: Text,
    temperature: float,
    seed: int | None,
    stopped: Stopped = lambda _: False,
    length: Length = len,
) -> Search:
    """Draw `count` continuations at a temperature. Equal ones are returned once.

    Scores are those of the model's own distribution, at temperature 1. The same seed gives the same
    draws on the same build and machine.
    """
    results = _Results(count, text, length)
    generator = np.random.default_rng(seed)
    ends = set(end)
    open_: list[tuple[tuple[int, ...], float]] = [((), 0.0)] * count
    log_probabilities = np.broadcast_to(first, (count, len(first)))
    for drawn in range(1, max_tokens + 1):
        parents: list[int] = []
        extended: list[tuple[tuple[int, ...], float]] = []
        for parent, (tokens, total) in enumerate(open_):
            row = log_probabilities[parent]
            # Gumbel-max trick: the index of the largest noisy score is a draw from the softmax. The
            # largest score is shifted to 0, so that a small temperature cannot overflow.
            scores = (row - row.max()).astype(np.float64) / temperature
            token = int(np.argmax(scores + generator.gumbel(size=row.shape)))
            total += float(row[token])
            if token in ends:
                results.add(tokens, total, finished=True, end_token=True)
                continue
            tokens = (*tokens, token)
            if (finished := stopped(tokens)) or drawn == max_tokens:
                results.add(tokens, total, finished)
            else:
                parents.append(parent)
                extended.append((tokens, total))
        if not extended:
            break
        # in the first step, all draws extend the same candidate, the bare prompt
        log_probabilities = yield from extend(
            parents if drawn > 1 else [0] * len(parents), [tokens[-1] for tokens, _ in extended]
        )
        open_ = extended
    return results.ranked()


def log_softmax(logits: Floats) -> Floats:
    """Log probabilities of logits along the last axis."""
    result: Floats = logits - logits.max(axis=-1, keepdims=True)
    result -= np.log(np.exp(result).sum(axis=-1, keepdims=True))
    return result


def _best_extensions(
    totals: Sequence[float], log_probabilities: Floats, count: int
) -> Iterator[tuple[int, int, float]]:
    """Yield parent, token and total of the `count` best extensions by one token, best first.

    `totals` has each parent's sum of log probabilities. `log_probabilities` has shape (parents,
    vocabulary). Extensions of probability zero are left out.
    """
    # the best extensions overall are among each parent's best
    found = [
        (parent, int(token), total + float(row[token]))
        for parent, (total, row) in enumerate(zip(totals, log_probabilities, strict=True))
        for token in _best_tokens(row, count)
    ]
    yield from sorted(found, key=lambda extension: -extension[2])[:count]


def _best_tokens(row: Floats, count: int) -> npt.NDArray[np.intp]:
    """The `count` tokens of the largest log probabilities, and a few more, in ascending order.

    Tokens of probability zero are left out. This takes a tenth of the time of `np.argpartition`, or
    a hundredth if many tokens have probability zero, as padding does.
    """
    # Each of the `count` best groups has a token at least as good as the worst of their maxima, so
    # the best tokens are at least that good too. More groups than `count` make the bound tight.
    size = max(1, min(GROUPED, len(row) // (4 * count)))
    groups = len(row) // size
    maxima = np.sort(row[: size * groups].reshape(size, groups).max(axis=0))
    bound = maxima[-count] if count <= groups else -inf
    return np.flatnonzero((row >= bound) & (row > -inf))
