"""The effect of a row with several steps, and saving and resuming a training run."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from convert.starter.examples import Example
from convert.starter.tokenizer import texts, train_tokenizer

if TYPE_CHECKING:
    from convert.starter.train import Training

EXAMPLES = [
    Example(f"n : Nat\n⊢ n + {i} = {i} + n", ("omega", f"exact Nat.add_comm n {i}"), (0.7, 0.3))
    for i in range(40)
]


@pytest.fixture
def train() -> Any:
    """The module. Skips the test if the extra `train` is not installed."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from convert.starter import train

    return train


def test_rows_teach_what_separate_texts_would(train: Any) -> None:
    """Packed steps get the same logits as separate texts."""
    import torch

    model = train.build(300, train.Settings(layers=2)).eval()
    row = train.Row([5, 6, 7, 8], [[9, 10, 0], [11, 12, 13, 0]], [0.25, 0.75], (1, 3))
    other = train.Row([21, 22], [[23, 0]], [1.0], (1, 1))
    alone = 0.0
    for r in (row, other):
        for step, weight in zip(r.steps, r.weights, strict=True):
            ids = torch.tensor([r.prompt + step])
            logits = model(ids[:, :-1]).logits[0, len(r.prompt) - 1 :]
            entropies = torch.nn.functional.cross_entropy(
                logits, torch.tensor(step), reduction="none"
            )
            alone += weight * entropies.sum().item()
    packed = train.loss(model, train.collate([row, other])).item()
    assert packed == pytest.approx(alone, rel=1e-5)
    logits = model(torch.tensor([row.prompt])).logits[0]
    goal = torch.nn.functional.cross_entropy(logits[0:2], torch.tensor([6, 7]), reduction="sum")
    both = train.loss(model, train.collate([row, other], 0.5)).item()
    assert both - packed == pytest.approx(0.5 * goal.item(), rel=1e-4)


def test_greedy_answers_are_counted_by_goal(train: Any) -> None:
    model = train.build(300, train.Settings(layers=1)).eval()
    import torch

    ids = torch.tensor([[5, 6, 7]])
    first = int(model(ids).logits[0, -1].argmax())
    after = int(model(torch.tensor([[5, 6, 7, first]])).logits[0, -1].argmax())
    right = train.Row([5, 6, 7], [[8, 0], [first, after]], [0.5, 0.5])
    wrong = train.Row([5, 6, 7], [[first, (after + 1) % 300]], [1.0])
    assert train.validate(model, [right, wrong, right])[1] == pytest.approx(2 / 3)


def test_the_replicas_gradients_are_those_of_one_model(train: Any) -> None:
    import torch

    rows = [train.Row([5, 6, 7], [[k, 9, 0]], [1.0], (1, 2)) for k in range(10, 18)]
    model = train.build(300, train.Settings(layers=2, dropout=0.0))
    replicas = train.Replicas(model, 2)
    portions = [rows[:3], rows[3:5], rows[5:]]
    mean = float(replicas.gradients([train.collate(portion, 0.1) for portion in portions]))
    shared = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    loss = train.loss(model, train.collate(rows, 0.1)) / sum(row.weight for row in rows)
    loss.backward()
    assert mean == pytest.approx(float(loss.detach()), rel=1e-5)
    for one, other in zip(shared, model.parameters(), strict=True):
        torch.testing.assert_close(one, other.grad, atol=1e-6, rtol=1e-4)
    mean = float(train.Replicas(model, 2, bfloat16=True).gradients([train.collate(rows, 0.1)]))
    assert mean == pytest.approx(float(loss.detach()), rel=1e-2)
    assert mean != pytest.approx(float(loss.detach()), rel=1e-6)


@pytest.mark.parametrize("workers", [0, 2])
def test_training_learns_and_can_be_resumed(train: Any, tmp_path: Path, workers: int) -> None:
    tokenizer = train_tokenizer(texts(EXAMPLES), 400)

    def run(steps: int, resume: bool = False) -> Training:
        settings = train.Settings(
            layers=1, steps=steps, final_steps=4, warmup=2, threads=2,
            rows_tokens=200, parts=2, adam_rate=1e-2, workers=workers,
        )  # fmt: skip
        training: Training = train.Training(tokenizer, settings)
        if resume:
            assert training.resume(tmp_path)
            assert training.step == 12
        training.run(lambda _: itertools.cycle(EXAMPLES), EXAMPLES[:5], tmp_path, validate_every=4)
        return training

    assert not train.Training(tokenizer, train.Settings(layers=1)).resume(tmp_path)
    first = run(12)
    assert [point["step"] for point in first.curve] == [4, 8, 12]
    assert first.curve[-1]["validation_loss"] < first.curve[0]["validation_loss"]
    again = run(20, resume=True)
    assert [point["step"] for point in again.curve] == [4, 8, 12, 16, 20]
    assert again.tokens > first.tokens
    train.save(again.model, tmp_path / "saved")
    assert (tmp_path / "saved/model.safetensors").exists()
    assert train.record(again)["settings"]["layers"] == 1


def test_training_begins_with_the_weights_of_a_checkpoint(train: Any, tmp_path: Path) -> None:
    import torch

    tokenizer = train_tokenizer(texts(EXAMPLES), 400)
    first, second = (
        train.Training(tokenizer, train.Settings(layers=1, seed=seed)) for seed in (1, 2)
    )
    train.save(first.model, tmp_path)
    second.start_from(tmp_path)
    for one, other in zip(first.model.parameters(), second.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-2)
        assert other.dtype == torch.float32
