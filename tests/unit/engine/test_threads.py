"""How many threads a model gets."""

from __future__ import annotations

import pytest

from llmsuggestd.engine.threads import threads_to_use


@pytest.mark.parametrize(
    ("cores", "parameters", "threads"),
    [(4, 5_700_000, 2), (1, 5_700_000, 1), (4, 70_000_000, 4), (16, 2_800_000_000, 16)],
)
def test_small_models_get_few_threads(cores: int, parameters: int, threads: int) -> None:
    assert threads_to_use(cores, parameters) == threads
