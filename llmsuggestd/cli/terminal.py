"""Output for terminals beyond plain text: colours, and lines that are redrawn."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Console


def colour() -> bool | None:
    """Whether to print in colour: False if the user or the terminal forbids it, else None, which
    means only on a terminal. See https://no-color.org."""
    is_plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") in ("dumb", "unknown")
    return False if is_plain else None


def console(*, stderr: bool = True) -> Console:
    """rich's console, for progress and tables."""
    from rich.console import Console

    system: Literal["auto"] | None = "auto" if colour() is None else None
    return Console(stderr=stderr, highlight=False, color_system=system)


def can_redraw(console: Console) -> bool:
    """Whether a line can be redrawn in place, to show progress."""
    return console.is_terminal and not console.is_dumb_terminal
