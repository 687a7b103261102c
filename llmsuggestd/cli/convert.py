"""`llmsuggestd convert`: a GPT-NeoX checkpoint to a quantised GGUF file."""

from __future__ import annotations

from llmsuggestd.convert.command import command

__all__ = ["command"]
