"""The table of templates, each of which makes a sample at random, or none."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..goals import Sample
from ..scene import Scene
from ..terms import Term


class Draft(NamedTuple):
    """A template's result: the target, and correct steps for it."""

    target: Term
    steps: tuple[str, ...]


Template = Callable[[Scene], Draft]
TEMPLATES: dict[str, tuple[Template, float]] = {}


def draft(target: Term, *steps: str) -> Draft:
    return Draft(target, steps)


def template(weight: float = 1.0) -> Callable[[Template], Template]:
    """Register a template under `family/name`, drawn in proportion to its weight."""

    def register(function: Template) -> Template:
        family = function.__module__.rsplit(".", 1)[-1]
        TEMPLATES[f"{family}/{function.__name__}"] = (function, weight)
        return function

    return register


def make(name: str, scene: Scene) -> Sample | None:
    target, steps = TEMPLATES[name][0](scene)
    return scene.sample(name, target, *steps)
