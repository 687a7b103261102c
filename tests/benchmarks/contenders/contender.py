"""What the contenders have in common."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from tests.benchmarks.environments import CONTENDERS, Environment

THREADS = len(os.sched_getaffinity(0))


class Question(NamedTuple):
    """A request for n suggestions of this many tokens for a goal."""

    goal: str
    prompt: str
    """The goal in the prompt format of the model."""
    n: int
    max_tokens: int


class Contender(ABC):
    """A way to get suggestions from a model. The class's docstring says how it is run.

    An instance has the model loaded. It lives in the worker's process (`__main__.py`), whose Python
    has the contender's packages. The class itself needs none of them.
    """

    title: ClassVar[str]
    weights: ClassVar[str]
    """The types of the weights."""
    packages: ClassVar[tuple[str, ...]]
    """The packages whose versions are reported."""
    environment: ClassVar[Environment | None] = CONTENDERS
    """The environment of its process; None for the project's own."""
    suffix: ClassVar[str] = ".gguf"
    """Follows the shape's name in the name of the model's file or folder."""
    bits: ClassVar[int | None] = None
    """Bits per weight, if they are not those of the file."""
    counts: ClassVar[tuple[int, ...]] = (1, 5, 16)
    """The numbers of suggestions that are measured."""
    turns: ClassVar[int] = 2
    """How often it has its turn; once if it takes long and its place is clear."""
    usual: ClassVar[bool] = True
    """Whether it is measured unless contenders are named."""
    shapes: ClassVar[tuple[str, ...] | None] = None
    """The only shapes that it is measured with; None for all."""
    without_avx512: ClassVar[tuple[str, ...] | None] = None
    """Environment variables that switch AVX-512 off, as `NAME=value`; None if nothing does."""

    @abstractmethod
    def __init__(self, model: Path) -> None:
        """Load the model."""

    @abstractmethod
    def answer(self, question: Question) -> dict[str, Any]:
        """Generate the suggestions.

        Returns `tokens`, the length of the shortest suggestion in tokens if it is known, and
        further figures.
        """

    def processes(self) -> list[int]:
        """The processes whose memory counts."""
        return [os.getpid()]

    @classmethod
    def convert(cls, checkpoint: Path, model: Path) -> None:
        """Write the model's file or folder, unless it is the checkpoint or our GGUF file."""
        raise NotImplementedError(cls.title)

    @classmethod
    def bits_per_weight(cls, model: Path, parameters: int) -> float:
        """The average, from the size of the model's largest file."""
        files = [model] if model.is_file() else [x for x in model.iterdir() if x.is_file()]
        return cls.bits or 8 * max(file.stat().st_size for file in files) / parameters
