"""Which goals of a request are decoded together: as many as the context has room for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from llmsuggestd.engine.protocol import MAX_CANDIDATES


class Need(NamedTuple):
    """What a goal takes of the context while it is decoded."""

    candidates: int
    prompt: Sequence[int]
    """Its tokens. Each takes a cell, which it shares with prompts of the same beginning."""
    continuations: int
    """Cells of its candidates at most."""


def batches(needs: Sequence[Need], context: int) -> list[range]:
    """The goals that are decoded together, batch by batch, in their order.

    As with one goal, all continuations take at most half of the context. A goal that does not fit
    beside others is a batch by itself.
    """
    found: list[range] = []
    begin = prompts = 0
    for i, need in enumerate(needs):
        batch = needs[begin:i]
        cells = _new_cells(need, batch)
        if batch and not _fit([*batch, need], prompts + cells, context):
            found.append(range(begin, i))
            begin, prompts, cells = i, 0, len(need.prompt)
        prompts += cells
    if needs:
        found.append(range(begin, len(needs)))
    return found


def in_common(one: Sequence[int], other: Sequence[int]) -> int:
    """The number of tokens that two texts share at the beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def _new_cells(need: Need, batch: Sequence[Need]) -> int:
    """The cells of a prompt that it does not share. Its last token always takes one."""
    return len(need.prompt) - max(
        (in_common(need.prompt[:-1], one.prompt) for one in batch), default=0
    )


def _fit(needs: Sequence[Need], prompts: int, context: int) -> bool:
    """Whether goals fit together; their prompts take `prompts` cells."""
    continuations = sum(need.continuations for need in needs)
    return (
        sum(need.candidates for need in needs) <= MAX_CANDIDATES
        and continuations <= context // 2
        and prompts + continuations <= context
    )
