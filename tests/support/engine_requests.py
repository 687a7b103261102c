"""Requests to an engine, with defaults for the fields that a test does not set."""

from __future__ import annotations

from typing import Any

from llmsuggestd.engine import protocol


def request(*goals: str, **fields: Any) -> protocol.Suggest:
    """Ask for three suggestions of 16 tokens per goal, by beam search, unless `fields` differ."""
    defaults: dict[str, Any] = {
        "id": 1, "prefix": "", "n": 3, "max_tokens": 16, "mode": "beam", "temperature": 0.5,
        "seed": None,
    }  # fmt: skip
    return protocol.Suggest(goals=list(goals), **(defaults | fields))
