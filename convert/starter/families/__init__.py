"""The families of goals: templates whose correct steps are known by construction."""

from . import arithmetic, equality, lists, propositional, quantifiers
from .registry import TEMPLATES, make

__all__ = [
    "TEMPLATES",
    "arithmetic",
    "equality",
    "lists",
    "make",
    "propositional",
    "quantifiers",
]
