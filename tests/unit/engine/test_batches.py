"""Goals are decoded together as far as the context has room for them."""

from __future__ import annotations

import random

from llmsuggestd.engine.batches import Need, batches
from llmsuggestd.engine.protocol import MAX_CANDIDATES


def sizes(needs: list[Need], context: int = 2048) -> list[int]:
    return [len(batch) for batch in batches(needs, context)]


def test_four_goals_with_four_candidates_each_are_one_batch() -> None:
    assert sizes([Need(4, 120, 4 * 64)] * 4) == [4]


def test_candidates_prompts_and_continuations_bound_a_batch() -> None:
    assert sizes([Need(8, 10, 8)] * 6) == [4, 2]  # 32 candidates
    assert sizes([Need(1, 10, 512)] * 3) == [2, 1]  # half of the context for continuations
    assert sizes([Need(1, 900, 64)] * 4) == [2, 2]  # prompts and continuations together
    assert sizes([Need(32, 1500, 512), Need(1, 10, 5), Need(1, 10, 5)]) == [1, 2]


def test_a_goal_that_takes_all_there_is_gets_a_batch_by_itself() -> None:
    assert sizes([Need(1, 2000, 48), Need(5, 1024, 1024), Need(1, 5, 5)]) == [1, 1, 1]
    assert sizes([Need(32, 9000, 9000)]) == [1]


def test_every_goal_has_its_turn_in_order() -> None:
    chance = random.Random(1)
    assert batches([], 2048) == []
    for _ in range(200):
        needs = [
            Need(chance.randint(1, 32), chance.randint(1, 1024), chance.randint(1, 1024))
            for _ in range(chance.randint(1, 16))
        ]
        found = batches(needs, 2048)
        assert [i for batch in found for i in batch] == list(range(len(needs)))
        for batch in found:
            together = [needs[i] for i in batch]
            if len(together) > 1:
                assert sum(need.candidates for need in together) <= MAX_CANDIDATES
                assert sum(need.prompt + need.continuations for need in together) <= 2048
