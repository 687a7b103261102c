"""Measures the loss by quantisation on sample goals, for `--check`.

The converted file's tokens are compared with Hugging Face's `tokenizers`, and its next-token
distributions with the same checkpoint's F16 file. The F16 file is written beside it, and removed
afterwards.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from llmsuggestd.convert.architectures import read_model
from llmsuggestd.convert.conversion import Progress, convert, default_threads
from llmsuggestd.convert.evaluate import Comparison, compare, tokenize_all
from llmsuggestd.convert.samples import Sample
from llmsuggestd.convert.tokenizer import read_tokenizer
from llmsuggestd.engine.tokenizer import nfc
from llmsuggestd.errors import InputError, ModelError
from llmsuggestd.files import beside
from llmsuggestd.formats import LLMSTEP, Format

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Distance:
    """The difference between the file and F16, over `positions` positions.

    `top1_agreement` is the share of positions where both have the same most likely token.
    `mean_kl` and `max_kl` are Kullback-Leibler divergences from F16, in nats.
    """

    positions: int
    top1_agreement: float
    mean_kl: float
    max_kl: float


@dataclass(frozen=True, slots=True)
class Tokenisation:
    """The number of texts, the number tokenised as by `tokenizers`, and the other texts."""

    texts: int
    equal: int
    different: list[str]


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The result of `--check`.

    `tokenisation` is None if `tokenizers` or the tokenizer.json that it reads is missing.
    `everywhere` covers every position of the goals and tactics, and `tactics` the positions in
    tactics. Both are None for an F16 file, which is the reference itself. `tactics` is also None if
    goals fill the whole context.
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
    prompt_format: Format = LLMSTEP,
    threads: int | None = None,
    progress: Progress | None = None,
) -> CheckReport:
    """Compare a converted file with its checkpoint, on prompts in a format.

    Needs disk space for the F16 file beside `model`, unless `model` is one (`is_f16`), and memory
    for one model. `progress` reports the F16 conversion.

    Raises `ModelError` if llama.cpp cannot load or run a file, and the errors of `convert`.
    """
    normalise = _normaliser(checkpoint)
    raw = [prompt_format.text(sample.goal, sample.tactic) for sample in samples]
    texts = [normalise(text) for text in raw]
    threads = threads or default_threads()
    if is_f16:
        tokens = _in_child_process(tokenize_all, model, texts)
        return CheckReport(len(samples), _tokenisation(checkpoint, raw, tokens), None, None)
    reference = beside(model, "f16")
    try:
        convert(checkpoint, reference, "F16", threads=threads, progress=progress)
        found = _in_child_process(compare, reference, model, texts, threads)
    finally:
        reference.unlink(missing_ok=True)
    goals = [normalise(prompt_format.text(sample.goal)) for sample in samples]
    everywhere, tactics = _distances(found, _in_child_process(tokenize_all, model, goals))
    tokenisation = _tokenisation(checkpoint, raw, found.tokens)
    return CheckReport(len(samples), tokenisation, everywhere, tactics)


def _normaliser(checkpoint: Path) -> Callable[[str], str]:
    """The normalisation of a text before llama.cpp tokenises it, as in the engine."""
    model, config = read_model(checkpoint)
    needs_nfc = read_tokenizer(checkpoint, config.raw, model.vocab).normalizer == "NFC"
    return nfc if needs_nfc else str


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
        # Rounding can make a divergence of zero slightly negative.
        mean_kl=max(0.0, float(divergence.mean())),
        max_kl=max(0.0, float(divergence.max())),
    )


def _tokenisation(
    checkpoint: Path, texts: Sequence[str], tokens: Sequence[Sequence[int]]
) -> Tokenisation | None:
    """Compare tokens with those of texts that are not in NFC, since normalisation counts, too."""
    path = checkpoint / "tokenizer.json"
    try:
        from tokenizers import Tokenizer
    except ImportError:
        return None
    if not path.exists():
        return None
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises plain Exceptions
        raise InputError(f"{path}: tokenizers cannot read it: {error}") from None
    # As in a prompt, a user's text is never a special token.
    tokenizer.encode_special_tokens = True
    different = []
    for text, found in zip(texts, tokens, strict=True):
        if tokenizer.encode(text, add_special_tokens=False).ids != list(found):
            different.append(text)
    return Tokenisation(len(texts), len(texts) - len(different), different)


def _in_child_process(work: Callable[..., Result], *arguments: Any) -> Result:
    """Call a function of `evaluate` in a separate process, since llama.cpp may crash it."""
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child_main, args=(theirs, work, arguments), daemon=True)
    # Only the waiting process handles Ctrl-C, from the start of the other process on.
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
            "the file is kept; `llmsuggestd doctor` says whether llama.cpp works here",
        ) from None
    finally:
        process.kill()  # it has answered, or its answer is not wanted
        process.join()
    if failure is not None:
        raise ModelError(failure)
    answer: Result = result
    return answer


def _child_main(pipe: Any, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Run in the other process: do the work, and send its result or its error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # not every system inherits this
    try:
        pipe.send((work(*arguments), None))
    except (RuntimeError, OSError, ImportError) as error:  # the latter two: llama.cpp is broken
        pipe.send((None, str(error)))
