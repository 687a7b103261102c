"""The models that `models pull` knows by a short name.

The sizes are those of the published checkpoints, and of the converted files at Q4_K_M. `pull` asks
the hub, and prints exact sizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True)
class Entry:
    """A model of the catalogue."""

    id: str
    repo: str | None
    """Its repository on the Hugging Face hub; None for the model that ships."""
    download_bytes: int
    """Approximate size of the checkpoint."""
    bytes: int
    """Approximate size of the converted file; exact for the starter."""
    licence: str
    suggests_tactics: bool
    good_for: str
    """In a few words: `models catalogue` gives each model one line of 80 columns."""


_PLAIN: Final = "no tactics: a base for training"


def _pythia(size: str, download: float, converted: float) -> Entry:
    return Entry(
        f"pythia-{size}",
        f"EleutherAI/pythia-{size}-deduped",
        int(download * 1e6),
        int(converted * 1e6),
        "apache-2.0",
        False,
        _PLAIN,
    )


CATALOGUE: Final = {
    entry.id: entry
    for entry in (
        Entry(
            "llmstep-2.8b",
            "wellecks/llmstep-mathlib4-pythia2.8b",
            5_690_000_000,
            1_790_000_000,
            "mit",
            True,
            "Mathlib; needs 3 GB of memory",
        ),
        Entry(
            "starter",
            None,
            0,
            Path(__file__).with_name("starter.gguf").stat().st_size,
            "apache-2.0",
            True,
            "core Lean; ships, answers at once",
        ),
        _pythia("70m", 168, 51),
        _pythia("160m", 377, 111),
        _pythia("410m", 914, 269),
        _pythia("1b", 2_093, 661),
        _pythia("1.4b", 2_932, 919),
        _pythia("2.8b", 5_687, 1_791),
    )
}
"""By id, the most useful first."""
