"""The architectures that can be converted, with one module per kind."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from llmsuggestd.convert.architectures.gptneox import NeoX
from llmsuggestd.convert.architectures.llama import Llama, Qwen2
from llmsuggestd.convert.config import Config, read_config
from llmsuggestd.convert.model import Model
from llmsuggestd.engine.architectures import RECURRENT, recurrent

ARCHITECTURES: Final[tuple[type[Model], ...]] = (NeoX, Llama, Qwen2)

OTHER_HEADS = {
    "ForSequenceClassification": "it rates or sorts texts and writes none",
    "ForTokenClassification": "it labels words and writes none",
    "ForQuestionAnswering": "it marks a text's words and writes none",
    "RewardModel": "it rates texts and writes none",
    "Model": "it has no output matrix",
}
"""Suffixes of transformers' classes that do not generate text, and the reason."""


def read_model(folder: Path) -> tuple[Model, Config]:
    """Read `config.json` of a checkpoint. Returns the model and the configuration.

    Raises `InputError` if the file is missing or broken, if the weights are quantised, or if the
    architecture or its configuration is not supported.
    """
    config = read_config(folder)
    return parse_model(config), config


def parse_model(config: Config) -> Model:
    """The model of a configuration (see `read_model`)."""
    named = config.raw.get("architectures")
    names = [str(name) for name in named] if isinstance(named, list) else []
    kind = config.raw.get("model_type")
    for architecture in ARCHITECTURES:
        is_class = any(name in architecture.classes for name in names)
        if kind in (None, architecture.model_type) and (is_class or (kind and not names)):
            return architecture.read(config)
    what = ", ".join(names) or f"model_type {kind!r}"
    if any(name in architecture.classes for architecture in ARCHITECTURES for name in names):
        what = f"model_type {kind!r}"  # under a known class
    if (name := str(kind).replace("_", "-")) in RECURRENT:
        why, hint = recurrent(name)
        raise config.refusal(f"this is {what}; {why}", hint)
    reason = next((words for end, words in OTHER_HEADS.items() if what.endswith(end)), "")
    titles = ", ".join(architecture.title for architecture in ARCHITECTURES)
    raise config.refusal(
        f"this is {what}, which cannot be converted{reason and f': {reason}'}",
        f"convert a language model of one of these architectures: {titles}",
    )
