"""Which goals of a request are decoded together: as many as the context has room for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from llmsuggestd.engine.protocol import MAX_CANDIDATES


class Need(NamedTuple):
    """What a goal takes of the context while it is decoded."""

    candidates: int
    prompt: int
    """Cells of its prompt, none of which it may share with another."""
    continuations: int
    """Cells of its candidates at most."""


def batches(needs: Sequence[Need], context: int) -> list[range]:
    """The goals that are decoded together, batch by batch, in their order.

    As with one goal, all continuations take at most half of the context. A goal that does not fit
    beside others is a batch by itself.
    """
    found: list[range] = []
    begin = 0
    for end in range(1, len(needs) + 1):
        if end == len(needs) or not _fit(needs[begin : end + 1], context):
            found.append(range(begin, end))
            begin = end
    return found


def _fit(needs: Sequence[Need], context: int) -> bool:
    prompts = sum(need.prompt for need in needs)
    continuations = sum(need.continuations for need in needs)
    return (
        sum(need.candidates for need in needs) <= MAX_CANDIDATES
        and continuations <= context // 2
        and prompts + continuations <= context
    )
