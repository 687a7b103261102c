"""The cache keeps the answers that were used last, within its limits."""

from __future__ import annotations

from llmsuggestd.daemon import cache
from llmsuggestd.daemon.cache import AnswerCache
from llmsuggestd.daemon.schema import GoalResult
from llmsuggestd.engine.protocol import Suggestion


def answer(characters: int = 1) -> GoalResult:
    return GoalResult([Suggestion("x" * characters, -1.0, True)], False, False)


def key(number: int) -> bytes:
    return number.to_bytes(4, "big")


def test_the_number_of_answers_is_bounded() -> None:
    answers = AnswerCache()
    for number in range(cache.MAX_ANSWERS + 10):
        answers.put(key(number), answer())
        answers.get(key(0))
    assert len(answers) == cache.MAX_ANSWERS == answers.characters
    assert answers.get(key(0)) is not None  # used again and again
    assert answers.get(key(1)) is None
    assert answers.get(key(cache.MAX_ANSWERS + 9)) is not None


def test_the_total_length_is_bounded() -> None:
    answers = AnswerCache()
    half = cache.MAX_CHARACTERS // 2
    for number in range(5):
        answers.put(key(number), answer(half))
    assert len(answers) == 2
    answers.put(key(9), answer(10 * half))  # longer than the limit for all
    assert (len(answers), answers.characters) == (0, 0)


def test_an_answer_takes_the_place_of_its_predecessor() -> None:
    answers = AnswerCache()
    answers.put(key(1), answer(10))
    answers.put(key(1), answer(3))
    assert (len(answers), answers.characters) == (1, 3)
