"""Divides the goals of a request into batches that fit the context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from llmsuggestd.limits import MAX_CANDIDATES


class Need(NamedTuple):
    """A goal's share of the context while it is decoded."""

    candidates: int
    prompt: Sequence[int]
    """The prompt's tokens. Each takes a cell, which prompts with the same beginning share."""
    continuations: int
    """Maximum number of cells of its candidates."""


def batches(needs: Sequence[Need], context: int) -> list[range]:
    """Return the ranges of goals that are decoded together, in order.

    All continuations of a batch take at most half of the context, as they do for one goal. A goal
    that does not fit beside the previous ones begins the next batch.
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
    """The length of the longest common beginning of two texts, in tokens."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def _new_cells(need: Need, batch: Sequence[Need]) -> int:
    """The number of cells that a prompt does not share. Its last token always needs its own."""
    return len(need.prompt) - max(
        (in_common(need.prompt[:-1], one.prompt) for one in batch), default=0
    )


def _fit(needs: Sequence[Need], prompts: int, context: int) -> bool:
    """Whether goals fit into one batch. `prompts` is the number of cells of their prompts."""
    continuations = sum(need.continuations for need in needs)
    return (
        sum(need.candidates for need in needs) <= MAX_CANDIDATES
        and continuations <= context // 2
        and prompts + continuations <= context
    )
