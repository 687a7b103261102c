"""The model that ships is what our converter makes of the checkpoint in the checkout."""

from __future__ import annotations

from pathlib import Path

from llmsuggestd.convert import convert
from llmsuggestd.models import store

CHECKPOINT = Path(__file__).parents[2] / "convert" / "starter" / "checkpoint"


def test_the_shipped_file_comes_from_the_checkpoint(tmp_path: Path) -> None:
    """`make starter` renews it."""
    made = tmp_path / "starter.gguf"
    convert(CHECKPOINT, made, name="starter")
    assert made.read_bytes() == store.SHIPPED.read_bytes()
    assert made.stat().st_size < 8_000_000
