"""Goals are decoded together as far as the context has room for them."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

from llmsuggestd.engine.batches import Need, batches
from llmsuggestd.limits import MAX_CANDIDATES

fresh = itertools.count()


def goal(candidates: int, prompt: int, continuations: int, after: Sequence[int] = ()) -> Need:
    """A goal whose prompt begins with the tokens of `after`, and continues with new ones."""
    own = [next(fresh) for _ in range(prompt - len(after))]
    return Need(candidates, [*after, *own], continuations)


def sizes(needs: list[Need], context: int = 2048) -> list[int]:
    return [len(batch) for batch in batches(needs, context)]


def test_four_goals_with_four_candidates_each_are_one_batch() -> None:
    assert sizes([goal(4, 120, 4 * 64) for _ in range(4)]) == [4]


def test_candidates_prompts_and_continuations_bound_a_batch() -> None:
    # at most 32 candidates, half of the context for continuations, and the context for everything
    assert sizes([goal(8, 10, 8) for _ in range(6)]) == [4, 2]
    assert sizes([goal(1, 10, 512) for _ in range(3)]) == [2, 1]
    assert sizes([goal(1, 900, 64) for _ in range(4)]) == [2, 2]
    assert sizes([goal(32, 1500, 512), goal(1, 10, 5), goal(1, 10, 5)]) == [1, 2]


def test_a_beginning_that_prompts_share_counts_once() -> None:
    context = list(range(-900, 0))
    siblings = [goal(4, 930, 4 * 64, context) for _ in range(4)]
    assert sizes(siblings) == [4]  # 900 + 4 * 30 + 4 * 256
    assert sizes([goal(4, 930, 4 * 64) for _ in range(4)]) == [1, 1, 1, 1]
    assert sizes([goal(4, 940, 4 * 64, context) for _ in range(4)]) == [3, 1]
    cousins = [goal(1, 600, 10, context[:n]) for n in (0, 500, 500, 0, 500)]
    assert sizes(cousins) == [4, 1]
    same = goal(1, 1000, 10)
    assert sizes([same] * 10) == [10]  # of each further prompt, only the last token is decoded


def test_a_goal_that_fills_the_context_has_a_batch_of_its_own() -> None:
    assert sizes([goal(1, 2000, 48), goal(5, 1024, 1024), goal(1, 5, 5)]) == [1, 1, 1]
    assert sizes([goal(32, 9000, 9000)]) == [1]


def test_batches_keep_the_goals_order_and_the_limits() -> None:
    chance = random.Random(1)
    assert batches([], 2048) == []
    for _ in range(200):
        needs = [
            goal(chance.randint(1, 32), chance.randint(1, 1024), chance.randint(1, 1024))
            for _ in range(chance.randint(1, 16))
        ]
        found = batches(needs, 2048)
        assert [i for batch in found for i in batch] == list(range(len(needs)))
        for batch in found:
            together = [needs[i] for i in batch]
            if len(together) > 1:
                assert sum(need.candidates for need in together) <= MAX_CANDIDATES
                assert sum(len(need.prompt) + need.continuations for need in together) <= 2048
