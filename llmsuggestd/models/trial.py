"""Asks a new model for a suggestion, to prove that it works on this machine."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from llmsuggestd.config import load_config
from llmsuggestd.engine import protocol
from llmsuggestd.engine.served_model import ServedModel
from llmsuggestd.errors import LlmsuggestdError, ModelError
from llmsuggestd.files import make_private
from llmsuggestd.formats import Format
from llmsuggestd.goals import TRIAL
from llmsuggestd.paths import Paths
from llmsuggestd.units import milliseconds

CONTEXT: Final = 512
"""Context in tokens. It is small, since the daemon's engine may be using memory too."""


QUESTION: Final = protocol.Suggest(
    id=1, goals=[TRIAL], prefix="", n=3, max_tokens=16, mode="beam", temperature=1.0, seed=0
)


@dataclass(frozen=True)
class Trial:
    """The result of a trial."""

    suggestion: str
    device: str
    load_ms: float
    answer_ms: float


def first_suggestion(paths: Paths, file: Path, prompt_format: Format) -> Trial:
    """Load a file as the daemon would, in a separate engine, and ask for a suggestion in a format.

    Raises ModelError if it cannot be loaded, or suggests nothing.
    """
    make_private(paths.state)  # the engine's crashes on this machine are recorded there
    # without a handler, logging would print warnings, which the error repeats
    logging.getLogger("llmsuggestd").addHandler(logging.NullHandler())
    try:
        return asyncio.run(_ask(paths, file, prompt_format))
    except LlmsuggestdError as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"it does not work here: {error.message}", error.hint) from None


async def _ask(paths: Paths, file: Path, prompt_format: Format) -> Trial:
    config = load_config(paths)
    load = protocol.Load(
        path=str(file),
        gpu=config.gpu,
        threads=config.threads,
        context=CONTEXT,
        format=prompt_format,
    )
    model = ServedModel(file.stem, load, paths)
    try:
        loaded = await model.load()
        began = time.monotonic()
        (found,) = (await model.ask(QUESTION)).result.found
        took = milliseconds(time.monotonic() - began)
    finally:
        await model.close()
    if not found.suggestions:
        raise ModelError(
            "the model loads, but suggests nothing for ⊢ p ∧ q",
            "use a model that was trained on Lean goals and tactics, or give another --format",
        )
    return Trial(found.suggestions[0].text, loaded.device, loaded.load_ms, took)
