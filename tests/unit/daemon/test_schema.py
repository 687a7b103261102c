"""Requests for suggestions are checked field by field, and an error names the field."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from llmsuggestd.daemon.calls import invalid
from llmsuggestd.daemon.schema import SuggestRequest
from llmsuggestd.limits import MAX_GOALS

GOAL = "⊢ 2 = 2"


def refusal(body: dict[str, Any]) -> tuple[str, str]:
    """The error for a body, and its hint."""
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(msgspec.json.encode(body), type=SuggestRequest)
    error = invalid(caught.value)
    return error.message.removeprefix("invalid request: "), error.hint


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "Object needs either `goal` or `goals`"),
        ({"goal": GOAL, "goals": [GOAL]}, "Object needs either `goal` or `goals`"),
        ({"goal": None}, "Expected `str`, got `null` - at `$.goal`"),
        ({"goals": None}, "Expected `array`, got `null` - at `$.goals`"),
        ({"goals": GOAL}, "Expected `array`, got `str` - at `$.goals`"),
        ({"goals": []}, "Expected a list that is not empty - at `$.goals`"),
        ({"goals": [GOAL] * 17}, "Expected a list of at most 16 - at `$.goals`"),
        ({"goals": [GOAL, 5]}, "Expected `str`, got `int` - at `$.goals[1]`"),
        (
            {"goals": [GOAL, GOAL, " \n"]},
            "Expected text, more than white space and without NUL characters - at `$.goals[2]`",
        ),
    ],
)
def test_a_request_has_a_goal_or_a_list_of_goals(body: dict[str, Any], message: str) -> None:
    text, hint = refusal(body)
    assert text == message
    assert hint


@pytest.mark.parametrize(
    ("body", "where"),
    [({"goal": "x" * 100_001}, "$.goal"), ({"goals": [GOAL, "x" * 100_001]}, "$.goals[1]")],
)
def test_an_overlong_goal_has_the_same_message_in_both_forms(
    body: dict[str, Any], where: str
) -> None:
    message = f"Expected text of at most 100000 characters - at `{where}`"
    assert refusal(body) == (message, "shorten it")


def test_the_largest_allowed_number_of_goals_is_accepted() -> None:
    body = msgspec.json.encode({"goals": [GOAL] * MAX_GOALS})
    assert msgspec.json.decode(body, type=SuggestRequest).goals == [GOAL] * MAX_GOALS
