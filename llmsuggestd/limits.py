"""The limits of a request, for the engine, the API and the command line."""

from __future__ import annotations

from typing import Final

MAX_CANDIDATES: Final = 32
"""Limit of the candidates per step, and so of the suggestions per goal."""

MAX_GOALS: Final = 16
"""Limit of the goals per request."""

MAX_TOKENS: Final = 512
"""Limit of the tokens that a suggestion adds to the prefix."""
