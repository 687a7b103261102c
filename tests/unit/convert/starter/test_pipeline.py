"""The whole pipeline at a small size: train, save, suggest, evaluate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from convert.starter.__main__ import main
from convert.starter.evaluate import evaluate, read_questions

pytest.importorskip("torch")
pytest.importorskip("transformers")


@pytest.mark.timeout(300)
def test_from_nothing_to_suggestions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from convert.starter.checkpoint import checkpoint

    held_out = tmp_path / "heldout.jsonl"
    assert main(["data", "--output", str(held_out), "--each", "2"]) == 0
    folder = tmp_path / "checkpoint"
    assert main(["train", "--small", "--output", str(folder), "--threads", "2"]) == 0
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["GPTNeoXForCausalLM"]
    assert config["hidden_size"] % 256 == 0
    assert (folder / "model.safetensors").stat().st_size < 14_000_000
    suggest = checkpoint(folder, longest=8)
    assert len(suggest(read_questions(held_out)[0].goal, 5)) == 5
    assert evaluate(read_questions(held_out), suggest)["all"].questions == 10
    capsys.readouterr()


def test_rows_teach_what_separate_texts_would() -> None:
    """Packed steps get the logits they would get alone."""
    import torch

    from convert.starter import train

    settings = train.Settings(layers=2, threads=1)
    model = train.build(300, settings).eval()
    row = train.Row([5, 6, 7, 8], [[9, 10, 0], [11, 12, 13, 0]])
    other = train.Row([21, 22], [[23, 0]])
    packed = train.losses(model, train.collate([row, other]), [row, other])[0]
    alone = []
    for prompt, step in [(r.prompt, step) for r in (row, other) for step in r.steps]:
        ids = torch.tensor([prompt + step])
        logits = model(ids[:, :-1]).logits[0, len(prompt) - 1 :]
        alone.append(
            torch.nn.functional.cross_entropy(logits, torch.tensor(step), reduction="none")
        )
    assert torch.allclose(packed, torch.cat(alone).mean(), atol=1e-5)
