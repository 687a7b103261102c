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
    """Approximate size of the model's file at Q4_K_M; exact for the starter."""
    memory_bytes: int
    """Approximate memory while it serves, with 2048 tokens of context."""
    cores: int
    """Physical cores that it needs without a GPU to answer within a few seconds."""
    format: str | None
    """The name of its prompt format; None if it was not trained on tactics."""
    licence: str
    good_for: str
    """Its purpose in a few words, since `models catalogue` has one line of 80 columns per model."""

    @property
    def suggests_tactics(self) -> bool:
        """Whether it was trained on tactics."""
        return self.format is not None


_PLAIN: Final = "for training"

_PROCESS: Final = 200_000_000
"""Memory of an engine's process without the model and the cache, in bytes."""


def _pythia(size: str, download: float, converted: float) -> Entry:
    return Entry(
        f"pythia-{size}",
        f"EleutherAI/pythia-{size}-deduped",
        int(download * 1e6),
        int(converted * 1e6),
        int(converted * 1.5e6) + _PROCESS,
        1,
        None,
        "apache-2.0",
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
            2_900_000_000,
            4,
            "llmstep",
            "mit",
            "Mathlib",
        ),
        Entry(
            "ntp-1.3b",
            "l3lab/ntp-mathlib-st-deepseek-coder-1.3b",
            2_700_000_000,
            873_000_000,
            1_500_000_000,
            2,
            "ntp-mathlib-st",
            "mit",
            "Mathlib",
        ),
        Entry(
            "starter",
            None,
            0,
            Path(__file__).with_name("starter.gguf").stat().st_size,
            150_000_000,
            1,
            "llmstep",
            "apache-2.0",
            "core Lean; ships",
        ),
        # the sizes of the 7Bs are those of other models of the same shape at Q4_K_M
        Entry(
            "bfs-prover-7b",
            "QuantFactory/BFS-Prover-GGUF",
            4_680_000_000,
            4_680_000_000,
            5_300_000_000,
            8,
            "bfs-prover",
            "apache-2.0",
            "contest problems",
        ),
        Entry(
            "internlm2.5-7b",
            "tensorblock/internlm2_5-step-prover-GGUF",
            4_710_000_000,
            4_710_000_000,
            5_500_000_000,
            8,
            "internlm2.5",
            "other",
            "contest problems",
        ),
        _pythia("70m", 168, 51),
        _pythia("160m", 377, 111),
        _pythia("410m", 914, 269),
        _pythia("1b", 2_093, 661),
        _pythia("1.4b", 2_932, 919),
        _pythia("2.8b", 5_687, 1_791),
    )
}
"""The models by id, most useful first."""


def recommended(memory: int, gpu_memory: int, cores: int) -> str:
    """The id of the model to try on a machine with this many bytes and physical cores.

    Larger models know more. A model is recommended if it takes at most half of the memory and
    answers within a few seconds, or if it fits into the GPU's free memory.
    """
    suggesting = [entry for entry in CATALOGUE.values() if entry.suggests_tactics]
    for entry in sorted(suggesting, key=lambda entry: -entry.bytes):
        if entry.licence == "other":  # users have to read its conditions first
            continue
        on_the_cpu = 2 * entry.memory_bytes <= memory and entry.cores <= cores
        if on_the_cpu or entry.memory_bytes <= gpu_memory:
            return entry.id
    return "starter"
