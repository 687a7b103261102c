"""`--check`: what the bits saved cost, measured on sample goals.

The converted file is held against the checkpoint twice: its tokens against Hugging Face's
`tokenizers`, and its next-token distributions against the same checkpoint's F16 file, which is
written beside it for the purpose and removed again.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from llmsuggestd.convert.conversion import Progress, convert, default_threads
from llmsuggestd.convert.evaluate import Comparison, compare, tokenize_all
from llmsuggestd.convert.samples import Sample
from llmsuggestd.engine.tokenizer import nfc
from llmsuggestd.errors import InputError, ModelError
from llmsuggestd.files import beside
from llmsuggestd.formats import LLMSTEP

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Distance:
    """How far the file is from F16 over `positions` positions.

    `top1_agreement` is the share of positions where both find the same token likeliest;
    `mean_kl` and `max_kl` are Kullback-Leibler divergences from F16, in nats.
    """

    positions: int
    top1_agreement: float
    mean_kl: float
    max_kl: float


@dataclass(frozen=True, slots=True)
class Tokenisation:
    """How many texts were tokenised as `tokenizers` does, and those that were not."""

    texts: int
    equal: int
    different: list[str]


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What `--check` found.

    `tokenisation` is None when `tokenizers` is not installed. `everywhere` covers every position
    of the goals and tactics, `tactics` those where a tactic is written; both are None for an F16
    file, which is the reference itself. `tactics` is None, too, where goals fill the whole context.
    """

    goals: int
    tokenisation: Tokenisation | None
    everywhere: Distance | None
    tactics: Distance | None

    def to_dict(self) -> dict[str, Any]:
        """The report as `--json` prints it."""
        return asdict(self)


def check(
    checkpoint: Path,
    model: Path,
    samples: Sequence[Sample],
    *,
    is_f16: bool,
    threads: int | None = None,
    progress: Progress | None = None,
) -> CheckReport:
    """Compare a converted file with its checkpoint.

    Takes room for the F16 file beside `model` while it runs, unless `is_f16` says that `model`
    is one, and memory for one model at a time. `progress` is told of the F16 conversion.

    Raises `ModelError` when llama.cpp cannot load or run a file, and what `convert` raises.
    """
    texts = [nfc(LLMSTEP.text(sample.goal, sample.tactic)) for sample in samples]
    threads = threads or default_threads()
    if is_f16:
        tokens = _apart(tokenize_all, model, texts)
        return CheckReport(len(samples), _tokenisation(checkpoint, samples, tokens), None, None)
    reference = beside(model, "f16")
    try:
        convert(checkpoint, reference, "F16", threads=threads, progress=progress)
        found = _apart(compare, reference, model, texts, threads)
    finally:
        reference.unlink(missing_ok=True)
    everywhere, tactics = _distances(found, _apart(tokenize_all, model, _goals_only(samples)))
    tokenisation = _tokenisation(checkpoint, samples, found.tokens)
    return CheckReport(len(samples), tokenisation, everywhere, tactics)


def _goals_only(samples: Sequence[Sample]) -> list[str]:
    return [nfc(LLMSTEP.text(sample.goal)) for sample in samples]


def _distances(
    found: Comparison, goals: Sequence[Sequence[int]]
) -> tuple[Distance | None, Distance | None]:
    """Summarise over all positions, and over those from the end of the goal on."""
    agree, divergence = np.concatenate(found.agree), np.concatenate(found.divergence)
    in_tactic = np.concatenate(
        [
            np.arange(len(same)) >= len(goal) - 1
            for goal, same in zip(goals, found.agree, strict=True)
        ]
    )
    return _distance(agree, divergence), _distance(agree[in_tactic], divergence[in_tactic])


def _distance(agree: Any, divergence: Any) -> Distance | None:
    if not len(agree):
        return None
    return Distance(
        positions=len(agree),
        top1_agreement=float(agree.mean()),
        # Rounding can take a divergence of nothing a hair below zero.
        mean_kl=max(0.0, float(divergence.mean())),
        max_kl=max(0.0, float(divergence.max())),
    )


def _tokenisation(
    checkpoint: Path, samples: Sequence[Sample], tokens: Sequence[Sequence[int]]
) -> Tokenisation | None:
    try:
        from tokenizers import Tokenizer
    except ImportError:
        return None
    path = checkpoint / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # it raises nothing more precise
        raise InputError(f"{path}: tokenizers cannot read it: {error}") from None
    # As in a prompt: what a user writes is never a special token.
    tokenizer.encode_special_tokens = True
    different = []
    for sample, found in zip(samples, tokens, strict=True):
        # Not in NFC: the normalisation is part of what is checked.
        text = LLMSTEP.text(sample.goal, sample.tactic)
        if tokenizer.encode(text, add_special_tokens=False).ids != list(found):
            different.append(text)
    return Tokenisation(len(samples), len(samples) - len(different), different)


def _apart(work: Callable[..., Result], *arguments: Any) -> Result:
    """Call a function of `evaluate` in a process of its own, which llama.cpp may take down."""
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, work, arguments), daemon=True)
    # From its first moment on: Ctrl-C is for the process that waits.
    heeded = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process.start()
    finally:
        signal.signal(signal.SIGINT, heeded)
    theirs.close()
    try:
        result, failure = ours.recv()
    except EOFError:
        process.join()
        raise ModelError(
            f"llama.cpp crashed while it ran the converted model (exit {process.exitcode})",
            "The file is kept; `llmsuggestd doctor` says whether llama.cpp works here.",
        ) from None
    finally:
        process.kill()  # it has answered, or is not to
        process.join()
    if failure is not None:
        raise ModelError(failure)
    answer: Result = result
    return answer


def _answer(pipe: Any, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """In the other process: do the work, send its result or what went wrong."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # which not every system inherits
    try:
        pipe.send((work(*arguments), None))
    except RuntimeError as error:
        pipe.send((None, str(error)))
