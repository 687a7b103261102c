"""Cache of answers, which evicts the least recently used."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from llmsuggestd.daemon.schema import GoalResult

MAX_ANSWERS: Final = 512

MAX_CHARACTERS: Final = 4 * 2**20
"""Limit of the suggestions' total length. 512 answers alone may have 8 million tokens."""


class AnswerCache:
    """Recent answers. The key of each is a digest of everything that determines it."""

    def __init__(self) -> None:
        self._answers: OrderedDict[object, GoalResult] = OrderedDict()
        self.characters = 0

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, key: object) -> GoalResult | None:
        """The answer under a key, which becomes the most recently used."""
        answer = self._answers.get(key)
        if answer is not None:
            self._answers.move_to_end(key)
        return answer

    def put(self, key: bytes, answer: GoalResult) -> None:
        """Store an answer, and evict the least recently used ones."""
        if (old := self._answers.pop(key, None)) is not None:
            self.characters -= _size(old)
        self._answers[key] = answer
        self.characters += _size(answer)
        while len(self._answers) > MAX_ANSWERS or self.characters > MAX_CHARACTERS:
            _, oldest = self._answers.popitem(last=False)
            self.characters -= _size(oldest)


def _size(answer: GoalResult) -> int:
    return sum(len(suggestion.text) for suggestion in answer.suggestions)
