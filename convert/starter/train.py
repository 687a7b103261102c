"""Training: one goal with several of its right steps in each row, the loss on the steps.

A row is `[GOAL]{goal}[PROOFSTEP]` followed by steps, each ending with the end token. The steps do
not see each other and all start at the position after the prompt, so a row teaches exactly what
separate `[GOAL]…[PROOFSTEP]{step}<|endoftext|>` texts would, and reads the goal once.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import GenerationConfig, GPTNeoXConfig, GPTNeoXForCausalLM

from .data import mathlib_spelling
from .goals import Sample
from .prompt import prompt
from .tokenizer import CONTEXT, END


@dataclass(frozen=True)
class Settings:
    """The size of the model and of its training."""

    layers: int = 6
    hidden: int = 256
    heads: int = 4
    batch_tokens: int = 2048
    steps_per_goal: int = 3
    learning_rate: float = 1.5e-3
    warmup: float = 0.05
    weight_decay: float = 0.05
    goal_weight: float = 0.2  # of the loss on the goal, beside that on the steps
    threads: int = 3
    mathlib_share: float = 0.2  # of the goals are spelled with ℕ and ℤ
    seed: int = 20


@dataclass(frozen=True)
class Row:
    """Token numbers of a prompt and of the steps after it."""

    prompt: list[int]
    steps: list[list[int]]

    def __len__(self) -> int:
        return len(self.prompt) + sum(map(len, self.steps))


def encode(samples: Sequence[Sample], tokenizer: Tokenizer, settings: Settings) -> list[Row]:
    """Rows with up to `steps_per_goal` steps of each sample, chosen at random."""
    rng = random.Random(settings.seed)
    (end,) = tokenizer.encode(END).ids
    goals = [str(sample.goal) for sample in samples]
    spelled = [mathlib_spelling(g) if rng.random() < settings.mathlib_share else g for g in goals]
    prompts = tokenizer.encode_batch(list(map(prompt, spelled)))
    rows = []
    for sample, encoded in zip(samples, prompts, strict=True):
        count = min(settings.steps_per_goal, len(sample.steps))
        chosen = rng.sample(sample.steps, count)
        steps = [[*tokenizer.encode(step).ids, end] for step in chosen]
        rows.append(Row(encoded.ids, steps))
    return rows


def batches(rows: Sequence[Row], settings: Settings) -> list[list[Row]]:
    """Rows of like length together, in random order."""
    rng = random.Random(settings.seed)
    found: list[list[Row]] = [[]]
    for row in sorted(rows, key=lambda row: (len(row), rng.random())):
        if (len(found[-1]) + 1) * len(row) > settings.batch_tokens and found[-1]:
            found.append([])
        found[-1].append(row)
    rng.shuffle(found)
    return found


@dataclass(frozen=True)
class Batch:
    """Tensors of some rows: what each place reads, sees, and should say."""

    ids: torch.Tensor
    positions: torch.Tensor
    sees: torch.Tensor
    steps: torch.Tensor  # what to say in the steps, and first in each; -100 where nothing is asked
    goal: torch.Tensor  # what to say in the goal


def collate(rows: Sequence[Row]) -> Batch:
    length = max(map(len, rows))
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    positions = torch.zeros(len(rows), length, dtype=torch.long)
    owner = torch.full((len(rows), length), -1)  # 0: the prompt, 1 …: a step, -1: padding
    said = torch.full((len(rows), length), -100)
    goal = torch.full((len(rows), length), -100)
    first = torch.full((len(rows), max(len(row.steps) for row in rows)), -100)
    for i, row in enumerate(rows):
        start = len(row.prompt)
        ids[i, :start] = torch.tensor(row.prompt)
        positions[i, :start] = torch.arange(start)
        owner[i, :start] = 0
        goal[i, : start - 1] = ids[i, 1:start]
        place = start
        for j, step in enumerate(row.steps):
            stop = place + len(step)
            ids[i, place:stop] = torch.tensor(step)
            positions[i, place:stop] = torch.arange(start, start + len(step))
            owner[i, place:stop] = j + 1
            said[i, place : stop - 1] = torch.tensor(step[1:])
            first[i, j] = step[0]
            place = stop
    same = owner[:, :, None] == owner[:, None, :]
    sees = (same | (owner[:, None, :] == 0)).tril()
    return Batch(ids, positions, sees[:, None], torch.cat([said, first], dim=1), goal)


def losses(
    model: GPTNeoXForCausalLM, batch: Batch, rows: Sequence[Row]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean cross-entropy of the steps' tokens, and of the goals'."""
    hidden = model.gpt_neox(
        input_ids=batch.ids,
        position_ids=batch.positions,
        attention_mask=batch.sees,
        use_cache=False,
    ).last_hidden_state
    # the prompt's last place says the first token of every step
    last = torch.tensor([len(row.prompt) - 1 for row in rows])
    ends = hidden[torch.arange(len(rows)), last]
    firsts = batch.steps.shape[1] - hidden.shape[1]
    states = torch.cat([hidden, ends[:, None].expand(-1, firsts, -1)], dim=1)

    def entropy(states: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        asked = targets != -100
        return functional.cross_entropy(
            model.get_output_embeddings()(states[asked]), targets[asked]
        )

    return entropy(states, batch.steps), entropy(hidden, batch.goal)


def build(vocab_size: int, settings: Settings) -> GPTNeoXForCausalLM:
    torch.manual_seed(settings.seed)
    return GPTNeoXForCausalLM(
        GPTNeoXConfig(
            vocab_size=vocab_size,
            hidden_size=settings.hidden,
            intermediate_size=4 * settings.hidden,
            num_hidden_layers=settings.layers,
            num_attention_heads=settings.heads,
            max_position_embeddings=CONTEXT,
            rope_parameters={
                "rope_type": "default",
                "rope_theta": 10000.0,
                "partial_rotary_factor": 0.25,
            },
            use_parallel_residual=True,
            tie_word_embeddings=False,
            bos_token_id=0,
            eos_token_id=0,
        )
    )


def train(
    samples: Sequence[Sample], tokenizer: Tokenizer, settings: Settings, report: float = 30
) -> GPTNeoXForCausalLM:
    """Train one pass over the samples; print the loss every `report` seconds."""
    torch.set_num_threads(settings.threads)
    model = build(tokenizer.get_vocab_size(), settings)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters", flush=True)
    work = batches(encode(samples, tokenizer, settings), settings)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=settings.learning_rate,
        betas=(0.9, 0.98),
        weight_decay=settings.weight_decay,
    )
    warmup = max(1, int(settings.warmup * len(work)))

    def rate(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.02 + 0.98 * (1 + math.cos(math.pi * (step - warmup) / (len(work) - warmup))) / 2

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    started = printed = time.monotonic()
    recent: list[float] = []
    model.train()
    for number, rows in enumerate(work, 1):
        steps, goal = losses(model, collate(rows), rows)
        (steps + settings.goal_weight * goal).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        recent.append(steps.item())
        now = time.monotonic()
        if now - printed > report or number == len(work):
            mean = sum(recent) / len(recent)
            print(f"{number}/{len(work)} {now - started:.0f}s loss {mean:.4f}", flush=True)
            printed, recent = now, []
    return model.eval()


def save(model: GPTNeoXForCausalLM, folder: Path) -> None:
    """Write the model in Hugging Face layout, in float16."""
    model.generation_config = GenerationConfig(bos_token_id=0, eos_token_id=0, pad_token_id=0)
    model.half().save_pretrained(folder, safe_serialization=True)


def texts(samples: Iterable[Sample]) -> Iterable[str]:
    """What the tokenizer is trained on."""
    for sample in samples:
        yield prompt(str(sample.goal))
        yield from sample.steps
