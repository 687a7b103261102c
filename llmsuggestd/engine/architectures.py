"""The architectures that cannot be served.

The candidates of a search share the beginning of their text. A KV cache has cells per token, which
candidates can share. A recurrent layer has one state for the whole text, which they cannot.
"""

from __future__ import annotations

from typing import Final

RECURRENT: Final = frozenset(
    {"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7",
     "jamba", "falcon-h1", "plamo2", "granitehybrid", "lfm2", "lfm2moe", "nemotron_h",
     "nemotron_h_moe", "qwen3next", "kimi-linear", "qwen35", "qwen35moe"}
)  # fmt: skip
"""llama.cpp's names of architectures with recurrent layers, alone or beside attention."""

_OTHERS: Final = "use a model with attention only, such as GPT-NeoX, Llama or Qwen2"


def recurrent(name: str) -> tuple[str, str]:
    """Message and hint for a recurrent architecture."""
    return (
        f"its architecture, {name}, keeps one state for a whole text, which the candidates of a"
        " search cannot share",
        _OTHERS,
    )


def no_decoder(name: str) -> tuple[str, str]:
    """Message and hint for an architecture that does not continue a text."""
    return f"its architecture, {name}, does not write text from left to right", _OTHERS
