"""Trains the model, on rows that have a goal with several correct steps.

A row is `[GOAL]{goal}[PROOFSTEP]` followed by steps, each of which ends with the end token. The
steps do not attend to each other, and all have the positions after the prompt. So a row has the
same effect as separate texts `[GOAL]…[PROOFSTEP]{step}<|endoftext|>`, but computes the goal once.

The learning rate is constant, and falls to zero over the last steps. On a CPU, each thread computes
the gradients of separate rows on one core, on a replica that shares the weights. So the threads
need not wait for the slowest after every matrix product. On a GPU, one replica computes them, and
other processes prepare the rows.
"""

from __future__ import annotations

import copy
import json
import os
import queue
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from transformers import GenerationConfig, GPTNeoXConfig, GPTNeoXForCausalLM

from llmsuggestd.formats import LLMSTEP

from .data import mathlib_spelling
from .examples import Example
from .tokenizer import CONTEXT, END

SHARES = 8
"""Number of optimizers among which the layers' matrices are divided, to run them in parallel."""

SAVE_SECONDS = 300

Examples = Callable[[int], Iterator[Example]]
"""Makes an endless stream of examples from a seed."""


@dataclass(frozen=True)
class Settings:
    """The sizes of the model, and the parameters of its training."""

    layers: int = 7
    hidden: int = 512
    intermediate: int = 1024
    heads: int = 8
    dropout: float = 0.1  # of the hidden states
    steps: int = 1417
    final_steps: int = 850  # at the end, over which the learning rate falls to zero
    rows_tokens: int = 512  # approximate number of tokens per portion, which a replica computes
    parts: int = 8  # portions per step
    steps_per_goal: int = 8
    longest: int = 400  # maximum number of tokens of a row; longer ones are left out
    muon_rate: float = 3e-3  # learning rate for the layers' matrices
    adam_rate: float = 3e-3  # learning rate for the embeddings and all other weights
    weight_decay: float = 0.05
    goal_weight: float = 0.05  # weight of a goal's token, relative to those of its steps
    warmup: int = 100
    mathlib_share: float = 0.1  # share of goals that are spelled with ℕ and ℤ
    device: str = "cpu"  # as torch names it
    bfloat16: bool = False  # for products of matrices; faster on GPUs and with AVX-512 BF16
    threads: int = 4  # replicas, each with one core; one on a GPU
    workers: int = 0  # number of processes that prepare rows; 0: none besides the training's own
    seed: int = 20

    def rate(self, step: int) -> float:
        """The factor of the learning rate at a step, counted from 0."""
        return min(1.0, (step + 1) / self.warmup, max(0.0, (self.steps - step) / self.final_steps))


@dataclass(frozen=True)
class Row:
    """The token numbers of a prompt and of its steps, and the steps' weights."""

    prompt: list[int]
    steps: list[list[int]]
    weights: list[float]
    goal: tuple[int, int] = (0, 0)
    """The start and end of the goal in the prompt. The marks around it are not learned."""

    def __len__(self) -> int:
        return len(self.prompt) + sum(map(len, self.steps))

    @property
    def weight(self) -> float:
        """The row's weight in a mean over tokens."""
        return sum(w * len(step) for w, step in zip(self.weights, self.steps, strict=True))


def encode(examples: Sequence[Example], tokenizer: Tokenizer, settings: Settings) -> list[Row]:
    """The rows of the examples, each with its best steps. Rows that are too long are left out."""
    (end,) = tokenizer.encode(END).ids
    marks = [len(tokenizer.encode(mark).ids) for mark in LLMSTEP.marks()]
    prompts = tokenizer.encode_batch([LLMSTEP.text(example.goal) for example in examples])
    rows = []
    for example, encoded in zip(examples, prompts, strict=True):
        chosen = example.steps[: settings.steps_per_goal]
        steps = [[*tokens.ids, end] for tokens in tokenizer.encode_batch(list(chosen))]
        goal = (marks[0], len(encoded.ids) - marks[1])
        row = Row(encoded.ids, steps, list(example.weights[: len(steps)]), goal)
        if len(row) <= settings.longest:
            rows.append(row)
    return rows


def portions(rows: Sequence[Row], size: int, rng: random.Random) -> list[list[Row]]:
    """Portions of rows of similar length, about `size` tokens with padding, in random order."""
    found: list[list[Row]] = [[]]
    for row in sorted(rows, key=lambda row: (len(row), rng.random())):
        if (len(found[-1]) + 1) * len(row) > size and found[-1]:
            found.append([])
        found[-1].append(row)
    rng.shuffle(found)
    return found


def batches(
    examples: Iterator[Example], tokenizer: Tokenizer, settings: Settings, rng: random.Random
) -> Iterator[list[list[Row]]]:
    """An endless stream of the portions for each training step."""
    waiting: list[list[Row]] = []
    while True:
        drawn = [
            Example(mathlib_spelling(e.goal), e.steps, e.weights)
            if rng.random() < settings.mathlib_share
            else e
            for e in islice(examples, 3000)
        ]
        waiting += portions(encode(drawn, tokenizer, settings), settings.rows_tokens, rng)
        while len(waiting) >= settings.parts:
            yield [waiting.pop() for _ in range(settings.parts)]


@dataclass(frozen=True)
class Batch:
    """The tensors of some rows: inputs, attention mask, targets, and the targets' weights."""

    ids: torch.Tensor
    positions: torch.Tensor
    sees: torch.Tensor  # the attention mask
    said: torch.Tensor  # indices of the places that predict a target, in the flattened rows
    tokens: torch.Tensor  # the targets
    weights: torch.Tensor
    steps: list[int]  # number of targets of each step, row by row; the goals' targets come last
    size: int  # number of tokens, without padding
    weight: float  # the steps' weights added up

    def to(self, device: torch.device) -> Batch:
        """The batch with its tensors on a device."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        moved = {
            name: value.to(device, non_blocking=True)
            for name, value in values.items()
            if isinstance(value, torch.Tensor)
        }
        return replace(self, **moved)


def collate(rows: Sequence[Row], goal_weight: float = 0.0) -> Batch:
    length = max(map(len, rows))
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    positions = torch.zeros(len(rows), length, dtype=torch.long)
    owner = torch.full((len(rows), length), -1)  # 0: the prompt, 1 …: a step, -1: padding
    said: list[int] = []
    tokens: list[int] = []
    weights: list[float] = []
    for i, row in enumerate(rows):
        start = len(row.prompt)
        ids[i, :start] = torch.tensor(row.prompt)
        positions[i, :start] = torch.arange(start)
        owner[i, :start] = 0
        place = start
        for j, (step, weight) in enumerate(zip(row.steps, row.weights, strict=True), 1):
            stop = place + len(step)
            ids[i, place:stop] = torch.tensor(step)
            positions[i, place:stop] = torch.arange(start, start + len(step))
            owner[i, place:stop] = j
            # the prompt's last place predicts the first token of every step
            said += [i * length + at for at in (start - 1, *range(place, stop - 1))]
            tokens += step
            weights += [weight] * len(step)
            place = stop
    if goal_weight:
        for i, row in enumerate(rows):
            begin, stop = row.goal
            said += range(i * length + begin - 1, i * length + stop - 1)
            tokens += row.prompt[begin:stop]
            weights += [goal_weight] * (stop - begin)
    same = owner[:, :, None] == owner[:, None, :]
    sees = (same | (owner[:, None, :] == 0)).tril()
    lengths = [len(step) for row in rows for step in row.steps]
    return Batch(
        ids,
        positions,
        sees[:, None],
        torch.tensor(said),
        torch.tensor(tokens),
        torch.tensor(weights),
        lengths,
        sum(map(len, rows)),
        sum(row.weight for row in rows),
    )


class Batches(IterableDataset[list[Batch]]):  # type: ignore[misc]
    """An endless stream of the batches for each training step. Each process has one of its own."""

    def __init__(
        self, examples: Examples, tokenizer: Tokenizer, settings: Settings, seed: int
    ) -> None:
        self._examples = examples
        self._tokenizer = tokenizer
        self._settings = settings
        self._seed = seed

    def __iter__(self) -> Iterator[list[Batch]]:
        process = get_worker_info()
        seed = self._seed + (process.id if process else 0)
        rng = random.Random(seed)
        for step in batches(self._examples(seed), self._tokenizer, self._settings, rng):
            yield [collate(portion, self._settings.goal_weight) for portion in step]

    def load(self) -> Iterator[list[Batch]]:
        """Start the processes that prepare the batches, if there are any."""
        workers = self._settings.workers
        if not workers:
            return iter(self)
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        # The default needs an open file for each tensor.
        torch.multiprocessing.set_sharing_strategy("file_system")
        # A new process is a copy of this one, as the examples' functions cannot be pickled.
        loader = DataLoader(
            self,
            batch_size=None,
            num_workers=workers,
            collate_fn=list,
            multiprocessing_context="fork",
        )
        return iter(loader)


def logits(model: GPTNeoXForCausalLM, batch: Batch) -> torch.Tensor:
    """The model's logits for the targets, of shape (tokens, vocabulary)."""
    hidden = model.gpt_neox(
        input_ids=batch.ids,
        position_ids=batch.positions,
        attention_mask=batch.sees,
        use_cache=False,
    ).last_hidden_state
    states: torch.Tensor = model.get_output_embeddings()(hidden.flatten(0, 1)[batch.said])
    return states


def loss(model: GPTNeoXForCausalLM, batch: Batch, bfloat16: bool = False) -> torch.Tensor:
    """The weighted sum of the targets' cross-entropies."""
    with torch.autocast(model.device.type, torch.bfloat16, bfloat16):
        scores = logits(model, batch)
    entropies = functional.cross_entropy(scores.float(), batch.tokens, reduction="none")
    return (entropies * batch.weights).sum()


def validate(model: GPTNeoXForCausalLM, rows: Sequence[Row]) -> tuple[float, float]:
    """The mean cross-entropy of the steps' tokens, and the share of goals answered greedily.

    A goal is answered if the most likely token at every place spells one of its known steps.
    """
    model.eval()
    total = weight = 0.0
    right = 0
    for portion in portions(rows, 4096, random.Random(0)):
        batch = collate(portion).to(model.device)
        with torch.inference_mode():
            scores = logits(model, batch)
            entropies = functional.cross_entropy(scores, batch.tokens, reduction="none")
        total += float((entropies * batch.weights).sum())
        weight += float(batch.weights.sum())
        spelled = (scores.argmax(-1) == batch.tokens).split(batch.steps)
        answers = iter([bool(step.all()) for step in spelled])
        right += sum(any(list(islice(answers, len(row.steps)))) for row in portion)
    return total / weight, right / len(rows)


def build(vocab_size: int, settings: Settings) -> GPTNeoXForCausalLM:
    torch.manual_seed(settings.seed)
    return GPTNeoXForCausalLM(
        GPTNeoXConfig(
            vocab_size=vocab_size,
            hidden_size=settings.hidden,
            intermediate_size=settings.intermediate,
            hidden_dropout=settings.dropout,
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


class Replicas:
    """Copies of a model, one per thread, that share its weights and have separate gradients."""

    def __init__(self, model: GPTNeoXForCausalLM, threads: int, bfloat16: bool = False) -> None:
        self.model = model
        self.bfloat16 = bfloat16
        self.threads = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
        self._free: queue.SimpleQueue[GPTNeoXForCausalLM] = queue.SimpleQueue()
        self._copies = [copy.deepcopy(model).train() for _ in range(threads)]
        for replica in self._copies:
            for own, shared in zip(replica.parameters(), model.parameters(), strict=True):
                own.data = shared.data
            self._free.put(replica)

    def gradients(self, portions: Sequence[Batch]) -> torch.Tensor:
        """Set the model's gradients for the mean loss over the portions. Returns that loss."""
        weight = sum(portion.weight for portion in portions)

        def part(portion: Batch) -> torch.Tensor:
            replica = self._free.get()
            try:
                found = loss(replica, portion.to(replica.device), self.bfloat16) / weight
                found.backward()
                return found.detach()
            finally:
                self._free.put(replica)

        total = torch.stack(list(self.threads.map(part, portions))).sum()
        for shared, *owns in zip(
            self.model.parameters(), *(c.parameters() for c in self._copies), strict=True
        ):
            found = [own.grad for own in owns if own.grad is not None]
            shared.grad = sum(found[1:], found[0]) if found else None
            for own in owns:
                own.grad = None
        return total


class Training:
    """A training run, which can be saved to a file and resumed."""

    def __init__(self, tokenizer: Tokenizer, settings: Settings) -> None:
        self.tokenizer = tokenizer
        self.settings = settings
        self.model = build(tokenizer.get_vocab_size(), settings).to(settings.device)
        self.step = self.tokens = 0
        self.seconds = 0.0
        self.curve: list[dict[str, Any]] = []
        named = list(self.model.named_parameters())
        matrices = [p for name, p in named if p.ndim == 2 and ".layers." in name]
        others = [p for name, p in named if p.ndim < 2 or ".layers." not in name]
        layers = [share for i in range(SHARES) if (share := matrices[i::SHARES])]
        self._optimizers: list[torch.optim.Optimizer] = [
            *(
                torch.optim.Muon(
                    layer,
                    lr=settings.muon_rate,
                    weight_decay=settings.weight_decay,
                    adjust_lr_fn="match_rms_adamw",
                )
                for layer in layers
            ),
            torch.optim.AdamW(others, lr=settings.adam_rate, betas=(0.9, 0.98), weight_decay=0),
        ]
        self._rates = [*[settings.muon_rate] * len(layers), settings.adam_rate]

    def start_from(self, checkpoint: Path) -> None:
        """Begin with the weights of a checkpoint of the same shape."""
        known = GPTNeoXForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
        self.model.load_state_dict(known.state_dict())

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            **{name: getattr(self, name) for name in ("step", "tokens", "seconds", "curve")},
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        for name in ("step", "tokens", "seconds", "curve"):
            setattr(self, name, state[name])

    def run(
        self,
        examples: Examples,
        validation: Sequence[Example],
        work: Path,
        report: float = 60,
        validate_every: int = 250,
    ) -> None:
        """Train on the examples.

        Writes `state.pt` in the folder `work` every five minutes, and after an interruption. A new
        `Training` can resume from it.
        """
        try:
            self._run(examples, validation, work, report, validate_every)
        finally:
            self.save_state(work)
        self.model.eval()

    def _run(
        self,
        examples: Examples,
        validation: Sequence[Example],
        work: Path,
        report: float,
        validate_every: int,
    ) -> None:
        torch.set_num_threads(1)
        replicas = Replicas(self.model, self.settings.threads, self.settings.bfloat16)
        held_out = encode(validation, self.tokenizer, self.settings)
        clock = reported = saved = time.monotonic()
        recent: list[torch.Tensor] = []
        # A run that goes on does not read the same examples again.
        seed = self.settings.seed + 1000 * self.step
        source = Batches(examples, self.tokenizer, self.settings, seed).load()
        while self.step < self.settings.steps:
            step = next(source)
            recent = [*recent[-99:], replicas.gradients(step)]
            self._update(replicas.threads)
            self.tokens += sum(batch.size for batch in step)
            now = time.monotonic()
            self.seconds, clock = self.seconds + now - clock, now
            last = self.step == self.settings.steps
            if held_out and (last or self.step % validate_every == 0):
                entropy, answered = validate(self.model, held_out)
                self.curve.append(
                    {
                        "step": self.step,
                        "tokens": self.tokens,
                        "seconds": round(self.seconds),
                        "train_loss": round(float(torch.stack(recent).mean()), 4),
                        "validation_loss": round(entropy, 4),
                        "validation_greedy": round(answered, 4),
                    }
                )
                print(json.dumps(self.curve[-1]), flush=True)
            if last or now - reported > report:
                print(
                    f"step {self.step}/{self.settings.steps} "
                    f"loss {float(torch.stack(recent).mean()):.4f} "
                    f"{self.tokens / self.seconds:.0f} tokens/s",
                    flush=True,
                )
                reported = now
            if now - saved > SAVE_SECONDS:
                self.save_state(work)
                saved = now

    def _update(self, threads: ThreadPoolExecutor) -> None:
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer, rate in zip(self._optimizers, self._rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * self.settings.rate(self.step)
        list(threads.map(lambda optimizer: optimizer.step(), self._optimizers))
        self.step += 1

    def save_state(self, work: Path) -> None:
        work.mkdir(parents=True, exist_ok=True)
        torch.save(self.state(), work / "state.tmp")
        (work / "state.tmp").replace(work / "state.pt")

    def resume(self, work: Path) -> bool:
        """Continue from the folder's `state.pt`. Returns whether there is one."""
        if not (work / "state.pt").exists():
            return False
        self.restore(torch.load(work / "state.pt", map_location=self.settings.device))
        return True


def save(model: GPTNeoXForCausalLM, folder: Path) -> None:
    """Write the model as a Hugging Face checkpoint, in float16."""
    model = copy.deepcopy(model).cpu()
    model.generation_config = GenerationConfig(bos_token_id=0, eos_token_id=0, pad_token_id=0)
    model.half().save_pretrained(folder, safe_serialization=True)


def record(training: Training, **more: Any) -> dict[str, Any]:
    """The record of a training run: settings, versions, and the learning curve.

    `more` has the facts about its data, and in `start` the record of the run that made the
    checkpoint with which it began, if there is one.
    """
    import platform

    import tokenizers
    import transformers

    return {
        "parameters": sum(p.numel() for p in training.model.parameters()),
        "settings": asdict(training.settings),
        "tokens": training.tokens,
        "seconds": round(training.seconds),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__,
        },
        **more,
        "curve": training.curve,
    }
