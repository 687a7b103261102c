"""Training: one goal with several of its right steps in each row, the loss on the steps.

A row is `[GOAL]{goal}[PROOFSTEP]` followed by steps, each ending with the end token. The steps do
not see each other and all start at the position after the prompt, so a row teaches exactly what
separate `[GOAL]…[PROOFSTEP]{step}<|endoftext|>` texts would, and reads the goal once.

Two stages: goals made by the templates first, then the pairs that Lean verified, both at a constant
learning rate, which falls to nothing over the last steps. Each thread trains a replica that shares
the weights, on rows of its own, on one core: nobody waits at every multiplication for the slowest.
"""

from __future__ import annotations

import copy
import json
import queue
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import GenerationConfig, GPTNeoXConfig, GPTNeoXForCausalLM

from .data import mathlib_spelling
from .examples import Example
from .prompt import prompt
from .tokenizer import CONTEXT, END

SHARES = 8
"""Into how many optimizers the layers' matrices are divided, so that threads can share them."""

SAVE_SECONDS = 300


@dataclass(frozen=True)
class Settings:
    """The size of the model and of its training."""

    layers: int = 6
    hidden: int = 256
    heads: int = 4
    template_steps: int = 700
    pair_steps: int = 2550
    final_steps: int = 1200  # of the last stage: the learning rate falls to nothing
    rows_tokens: int = 512  # about how many tokens a replica reads at a time
    parts: int = 8  # such portions make a step
    steps_per_goal: int = 8
    longest: int = 400  # tokens of a row; longer ones are left out
    muon_rate: float = 3e-3  # for the matrices of the layers
    adam_rate: float = 3e-3  # for the embeddings and all the rest
    weight_decay: float = 0.05
    goal_weight: float = 0.05  # of a token of the goal, beside those of a goal's steps
    warmup: int = 100
    mathlib_share: float = 0.1  # of the goals are spelled with ℕ and ℤ
    threads: int = 4
    seed: int = 20

    @property
    def steps(self) -> int:
        return self.template_steps + self.pair_steps

    def rate(self, step: int) -> float:
        """The learning rate's factor at a step, counted from 0."""
        return min(1.0, (step + 1) / self.warmup, max(0.0, (self.steps - step) / self.final_steps))


@dataclass(frozen=True)
class Row:
    """Token numbers of a prompt and of the steps after it, and the steps' weights."""

    prompt: list[int]
    steps: list[list[int]]
    weights: list[float]
    goal: tuple[int, int] = (0, 0)
    """Where in the prompt the goal's own text stands: the marks around it are not learned."""

    def __len__(self) -> int:
        return len(self.prompt) + sum(map(len, self.steps))

    @property
    def weight(self) -> float:
        """What the row counts in a mean over tokens."""
        return sum(w * len(step) for w, step in zip(self.weights, self.steps, strict=True))


def encode(examples: Sequence[Example], tokenizer: Tokenizer, settings: Settings) -> list[Row]:
    """Rows of the examples, each with its best steps; without the rows that are too long."""
    (end,) = tokenizer.encode(END).ids
    marks = [len(tokenizer.encode(mark).ids) for mark in prompt("\n").split("\n")]
    prompts = tokenizer.encode_batch([prompt(example.goal) for example in examples])
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
    """Rows of like length together, about `size` tokens with the padding, in random order."""
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
    """Portions for one training step after another, without end."""
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
    """Tensors of some rows: what each place reads, sees, and should say, and what that counts."""

    ids: torch.Tensor
    positions: torch.Tensor
    sees: torch.Tensor
    said: torch.Tensor  # numbers of the places that say something, in the flattened rows
    tokens: torch.Tensor  # what they should say
    weights: torch.Tensor
    steps: list[int]  # how many of these tokens each step has, row after row; the goals' come after


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
            # the prompt's last place says the first token of every step
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
    )


def logits(model: GPTNeoXForCausalLM, batch: Batch) -> torch.Tensor:
    """What the model says where a step's tokens are due: shape (tokens, vocabulary)."""
    hidden = model.gpt_neox(
        input_ids=batch.ids,
        position_ids=batch.positions,
        attention_mask=batch.sees,
        use_cache=False,
    ).last_hidden_state
    states: torch.Tensor = model.get_output_embeddings()(hidden.flatten(0, 1)[batch.said])
    return states


def loss(model: GPTNeoXForCausalLM, batch: Batch) -> torch.Tensor:
    """The weighted sum of the cross-entropies of what the places should say."""
    entropies = functional.cross_entropy(logits(model, batch), batch.tokens, reduction="none")
    return (entropies * batch.weights).sum()


def validate(model: GPTNeoXForCausalLM, rows: Sequence[Row]) -> tuple[float, float]:
    """Mean cross-entropy of the steps' tokens, and the share of goals answered greedily.

    Answered: the model's likeliest token at every place spells one of the goal's known steps.
    """
    total = weight = 0.0
    right = 0
    for portion in portions(rows, 4096, random.Random(0)):
        batch = collate(portion)
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


class Replicas:
    """Copies of a model that share its weights and have gradients of their own, one a thread."""

    def __init__(self, model: GPTNeoXForCausalLM, threads: int, goal_weight: float) -> None:
        self.model = model
        self._goal_weight = goal_weight
        self.threads = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
        self._free: queue.SimpleQueue[GPTNeoXForCausalLM] = queue.SimpleQueue()
        self._copies = [copy.deepcopy(model) for _ in range(threads)]
        for replica in self._copies:
            for own, shared in zip(replica.parameters(), model.parameters(), strict=True):
                own.data = shared.data
            self._free.put(replica)

    def gradients(self, portions: Sequence[Sequence[Row]]) -> float:
        """Set the model's gradients to those of the mean loss over the portions; return it."""
        weight = sum(row.weight for portion in portions for row in portion)

        def part(rows: Sequence[Row]) -> Any:
            replica = self._free.get()
            try:
                found = loss(replica, collate(rows, self._goal_weight)) / weight
                found.backward()
                return found.detach().item()
            finally:
                self._free.put(replica)

        total: float = sum(self.threads.map(part, portions))
        for shared, *owns in zip(
            self.model.parameters(), *(c.parameters() for c in self._copies), strict=True
        ):
            found = [own.grad for own in owns if own.grad is not None]
            shared.grad = torch.stack(found).sum(0) if found else None
            for own in owns:
                own.grad = None
        return total


class Training:
    """A model on its way, which can be put down in a file and taken up again."""

    def __init__(self, tokenizer: Tokenizer, settings: Settings) -> None:
        self.tokenizer = tokenizer
        self.settings = settings
        self.model = build(tokenizer.get_vocab_size(), settings)
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
        stages: Sequence[tuple[Iterable[Example], int]],
        validation: Sequence[Example],
        work: Path,
        report: float = 60,
        validate_every: int = 250,
    ) -> None:
        """Train on each stage's examples for its number of steps.

        Writes `state.pt` in the folder `work` every five minutes and when it is interrupted, from
        which a new `Training` can go on; stages that it has behind it are passed over.
        """
        try:
            self._run(stages, validation, work, report, validate_every)
        finally:
            self.put_down(work)
        self.model.eval()

    def _run(
        self,
        stages: Sequence[tuple[Iterable[Example], int]],
        validation: Sequence[Example],
        work: Path,
        report: float,
        validate_every: int,
    ) -> None:
        torch.set_num_threads(1)
        replicas = Replicas(self.model, self.settings.threads, self.settings.goal_weight)
        held_out = encode(validation, self.tokenizer, self.settings)
        clock = reported = saved = time.monotonic()
        recent: list[float] = []
        behind = 0
        for number, (examples, count) in enumerate(stages):
            rng = random.Random(f"{self.settings.seed} {number} {self.step}")
            source = batches(iter(examples), self.tokenizer, self.settings, rng)
            behind += count
            while self.step < behind:
                step = next(source)
                recent.append(replicas.gradients(step))
                self._update(replicas.threads)
                self.tokens += sum(len(row) for portion in step for row in portion)
                now = time.monotonic()
                self.seconds, clock = self.seconds + now - clock, now
                last = self.step == self.settings.steps
                if held_out and (last or self.step % validate_every == 0):
                    entropy, answered = validate(self.model, held_out)
                    self.curve.append(
                        {
                            "step": self.step,
                            "stage": number,
                            "tokens": self.tokens,
                            "seconds": round(self.seconds),
                            "train_loss": round(sum(recent[-100:]) / len(recent[-100:]), 4),
                            "validation_loss": round(entropy, 4),
                            "validation_greedy": round(answered, 4),
                        }
                    )
                    print(json.dumps(self.curve[-1]), flush=True)
                if last or now - reported > report:
                    recent = recent[-100:]
                    mean = sum(recent) / len(recent)
                    print(
                        f"step {self.step}/{self.settings.steps} loss {mean:.4f} "
                        f"{self.tokens / self.seconds:.0f} tokens/s",
                        flush=True,
                    )
                    reported = now
                if now - saved > SAVE_SECONDS:
                    self.put_down(work)
                    saved = now

    def _update(self, threads: ThreadPoolExecutor) -> None:
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer, rate in zip(self._optimizers, self._rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * self.settings.rate(self.step)
        list(threads.map(lambda optimizer: optimizer.step(), self._optimizers))
        self.step += 1

    def put_down(self, work: Path) -> None:
        work.mkdir(parents=True, exist_ok=True)
        torch.save(self.state(), work / "state.tmp")
        (work / "state.tmp").replace(work / "state.pt")

    def take_up(self, work: Path) -> bool:
        """Go on from the folder's `state.pt`, if there is one."""
        if not (work / "state.pt").exists():
            return False
        self.restore(torch.load(work / "state.pt"))
        return True


def save(model: GPTNeoXForCausalLM, folder: Path) -> None:
    """Write the model in Hugging Face layout, in float16."""
    model = copy.deepcopy(model)
    model.generation_config = GenerationConfig(bos_token_id=0, eos_token_id=0, pad_token_id=0)
    model.half().save_pretrained(folder, safe_serialization=True)


def record(training: Training, **more: Any) -> dict[str, Any]:
    """How the model came to be: settings, versions, and the learning curve."""
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
