"""Tests of convert.starter.curve."""

from __future__ import annotations

from typing import Any

from convert.starter.curve import points_of


def run(tokens: int, *points: tuple[int, int], start: Any = None) -> dict[str, Any]:
    curve = [{"stage": stage, "tokens": read} for stage, read in points]
    return {"tokens": tokens, "curve": curve, "start": start}


def test_a_curve_goes_on_where_the_run_before_it_ended() -> None:
    first = run(100, (0, 40), (1, 90))
    second = run(50, (0, 20), start=first)
    third = run(30, (1, 30), start=second)
    found = [(point["stage"], point["tokens"]) for point in points_of(third)]
    assert found == [(0, 40), (1, 90), (2, 120), (4, 180)]
    assert points_of(first) == first["curve"]
    del first["start"]
    assert points_of(first) == first["curve"]
