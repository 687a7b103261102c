"""Tests of convert.starter.curve."""

from __future__ import annotations

from typing import Any

from convert.starter.curve import points_of


def run(tokens: int, *points: int, start: Any = None) -> dict[str, Any]:
    return {"tokens": tokens, "curve": [{"tokens": read} for read in points], "start": start}


def test_a_curve_goes_on_where_the_run_before_it_ended() -> None:
    first = run(100, 40, 90)
    second = run(50, 20, start=first)
    third = run(30, 30, start=second)
    found = [(point["run"], point["tokens"]) for point in points_of(third)]
    assert found == [(0, 40), (0, 90), (1, 120), (2, 180)]
    del first["start"]
    assert [point["tokens"] for point in points_of(first)] == [40, 90]
