"""Beam search over a server's next-token log probabilities.

The search is the local engine's. Each step is one request with the tokens of all beams, for one
more token each. vLLM's own beam search is not used, since it prefers short tactics and always takes
`max_tokens` steps. This module imports numpy, so `model.py` imports it only for a search.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from llmsuggestd.engine.search import Floats, Hypothesis, beam_search
from llmsuggestd.remote.completions import Completion
from llmsuggestd.remote.server import Server, gather
from llmsuggestd.remote.tokens import NoTokens, detokenize, request

MOST_ALTERNATIVES: Final = 20
"""Limit of the likeliest tokens that a server is asked for: vLLM's default limit."""

_UNREADABLE: Final = "\ufffd "
"""A text that is no suggestion, for tokens that change the prompt's own text."""

Beam = tuple[int, ...]
"""The ids of a candidate's tokens, without the prompt's."""


class BeamSearch:
    """A search for the continuations of one prompt."""

    def __init__(
        self,
        server: Server,
        prompt: Sequence[int],
        *,
        width: int,
        max_tokens: int,
        end: int,
        stops: Sequence[str],
        text: Callable[[str, bool], str | None],
    ) -> None:
        """`text` makes a suggestion of a continuation, and is told whether it has ended."""
        self._server = server
        self._prompt = list(prompt)
        self._width = width
        self._max_tokens = max_tokens
        self._end = end
        self._stops = stops
        self._text = text
        self._columns = {end: 0}
        """The column of each token id in the search's table of log probabilities. All end tokens
        have the first one."""
        self._ids = [end]
        self._texts: dict[Beam, str] = {}
        self._beams: list[Beam] = [()]
        self._totals = [0.0]

    async def run(self) -> list[Hypothesis]:
        """Return the best continuations, best first. Raises RemoteError and NoTokens."""
        self._before = await detokenize(self._server, self._prompt)
        rows = await self._step(1)
        search = beam_search(
            rows[0],
            width=self._width,
            max_tokens=self._max_tokens,
            end=[0],
            text=self._suggestion,
            stopped=self._stopped,
        )
        try:
            extension = next(search)
            for count in range(2, self._max_tokens + 1):
                chosen = list(zip(extension.parents, extension.tokens, strict=True))
                self._totals = [self._totals[p] + float(rows[p, token]) for p, token in chosen]
                self._beams = [(*self._beams[p], self._ids[token]) for p, token in chosen]
                rows = await self._step(count)
                extension = search.send(rows)
        except StopIteration as end:
            found: list[Hypothesis] = end.value
            return found
        raise AssertionError

    def _column(self, token: int) -> int:
        if token not in self._columns:
            self._columns[token] = len(self._ids)
            self._ids.append(token)
        return self._columns[token]

    async def _step(self, count: int) -> Floats:
        """The log probabilities of each beam's next token, the `count`-th of its tokens.

        Tokens that are not among the likeliest have probability zero.
        """
        likeliest = await self._likeliest([[*self._prompt, *beam] for beam in self._beams])
        for row in likeliest:
            for token in row:
                self._column(token)
        rows = np.full((len(likeliest), len(self._ids)), -np.inf, dtype=np.float32)
        for i, row in enumerate(likeliest):
            for token, value in row.items():
                column = self._column(token)
                rows[i, column] = max(rows[i, column], value)
        await self._read_texts(rows, is_last=count == self._max_tokens)
        return rows

    async def _likeliest(self, prompts: list[list[int]]) -> list[Mapping[int, float]]:
        """The likeliest next tokens of prompts, with their log probabilities."""
        alternatives = min(MOST_ALTERNATIVES, 2 * self._width)
        answer = await self._server.complete(request(prompts, 1, alternatives))
        if len(answer.completions) != len(prompts):
            raise NoTokens
        found = [self._first(one) for one in answer.completions]
        if missing := [i for i, likeliest in enumerate(found) if not likeliest]:
            # llama.cpp's server leaves them out if it generates a part of a character. Here, it has
            # to generate the end token; the log probabilities are those of the model in any case.
            asked = request([prompts[i] for i in missing], 1, alternatives)
            answer = await self._server.complete({**asked, "logit_bias": {str(self._end): 100}})
            for i, one in zip(missing, answer.completions, strict=False):
                found[i] = self._first(one)
        if not all(found):
            raise NoTokens
        return found

    def _first(self, completion: Completion) -> Mapping[int, float]:
        """The likeliest tokens at the first position; empty if the server does not name them.

        Also learns other end tokens.
        """
        if not completion.tokens:
            return {}
        (first, *_) = completion.tokens
        if completion.finished and first.id is not None:
            self._columns[first.id] = 0  # another end token, perhaps listed before
        return first.likeliest

    async def _read_texts(self, rows: Floats, *, is_last: bool) -> None:
        """Ask for the texts of the beams that this step may end."""
        totals = np.array(self._totals)[:, np.newaxis] + rows
        # by their values instead of their ranks: the search may order equal ones differently
        best = np.sort(totals, axis=None)[::-1]
        least_end, least = (best[:count][-1] for count in (self._width, 2 * self._width))
        wanted = []
        for parent, column in np.argwhere(np.isfinite(totals) & (totals >= least)).tolist():
            if column == 0:
                if totals[parent, 0] >= least_end:
                    wanted.append(self._beams[parent])
            elif is_last or self._stops:
                wanted.append((*self._beams[parent], self._ids[column]))
        missing = [beam for beam in dict.fromkeys(wanted) if beam not in self._texts]
        # with the prompt, since some tokenizers leave out a space at the beginning
        texts = await gather(
            *(detokenize(self._server, [*self._prompt, *beam]) for beam in missing)
        )
        for beam, text in zip(missing, texts, strict=True):
            begins = text.startswith(self._before)
            self._texts[beam] = text[len(self._before) :] if begins else _UNREADABLE

    def _continuation(self, columns: Sequence[int]) -> str:
        return self._texts[tuple(self._ids[column] for column in columns)]

    def _stopped(self, columns: Sequence[int]) -> bool:
        return any(stop in self._continuation(columns) for stop in self._stops)

    def _suggestion(self, columns: Sequence[int]) -> str | None:
        finished = len(columns) < self._max_tokens
        return self._text(self._continuation(columns), finished)
