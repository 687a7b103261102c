"""Makes the metadata of the GGUF file: llama.cpp's keys, the model's origin, and our own keys.

Our own keys begin with `llmsuggestd.`. The daemon and the engine read them.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gguf import (
    GGML_QUANT_VERSION,
    GGUFWriter,
    Metadata,
)

from llmsuggestd.convert.checkpoint import Checkpoint
from llmsuggestd.convert.recipe import Recipe
from llmsuggestd.convert.tokenizer import Tokenizer
from llmsuggestd.engine.tokenizer import NORMALIZER_KEY
from llmsuggestd.formats import TEMPLATE_KEY, Format, template_text
from llmsuggestd.version import __version__

KEY_CONVERTER_VERSION = "llmsuggestd.converter_version"
KEY_SOURCE_REVISION = "llmsuggestd.source_revision"


@dataclass(frozen=True, slots=True)
class Source:
    """The origin of a checkpoint: a Hugging Face repository and a commit, if known."""

    repo: str | None = None
    revision: str | None = None


def find_source(folder: Path) -> Source:
    """The repository and commit of a folder in the Hugging Face cache, from its path."""
    match = re.search(r"models--([^/\\]+)[/\\]snapshots[/\\]([0-9a-f]{40})$", str(folder.resolve()))
    return Source(match[1].replace("--", "/"), match[2]) if match else Source()


def make_writer(
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    recipe: Recipe,
    *,
    prompt_format: Format | None,
    name: str,
    source: Source,
    parameters: int,
) -> GGUFWriter:
    """Make a writer with the file's whole metadata, without a file yet.

    `prompt_format` is the format of the model's prompts, if it is known. `parameters` is the number
    of weights, for the size label ("2.8B").
    """
    logging.getLogger("gguf").setLevel(logging.WARNING)  # it logs every file that it opens
    writer = GGUFWriter(path=None, arch=checkpoint.model.gguf)
    writer.add_type("model")
    _add_origin(writer, checkpoint.folder, name, source, parameters)
    for fact, value in checkpoint.model.metadata().items():
        getattr(writer, f"add_{fact}")(value)
    writer.add_file_type(recipe.file_type)
    writer.add_quantization_version(GGML_QUANT_VERSION)
    _add_tokenizer(writer, tokenizer)
    if prompt_format is not None:
        writer.add_string(TEMPLATE_KEY, template_text(prompt_format))
    writer.add_string(NORMALIZER_KEY, tokenizer.normalizer)
    writer.add_string(KEY_CONVERTER_VERSION, __version__)
    return writer


def _add_origin(
    writer: GGUFWriter, folder: Path, name: str, source: Source, parameters: int
) -> None:
    """Add name, licence, authors, base models and data sets from the model card, as gguf does."""
    try:
        metadata = Metadata.load(None, folder, name, parameters)
    except Exception:  # a broken model card, written by strangers, must not prevent a conversion
        metadata = Metadata(name=name)
    for fact, value in vars(metadata).items():
        setattr(metadata, fact, _as_writer_needs(fact, value))
    if source.repo:
        metadata.source_repo_url = f"https://huggingface.co/{source.repo}"
    metadata.set_gguf_meta_model(writer)
    if source.revision:
        writer.add_string(KEY_SOURCE_REVISION, source.revision)


def _as_writer_needs(fact: str, value: Any) -> Any:
    """A value of a model card in the type that the writer accepts; None if it is unusable.

    YAML reads `version: 1.0` as a number and `license: 2020-01-01` as a date.
    """
    # The settings of sampling are those of generation_config.json. The daemon has its own.
    if value is None or fact.startswith("sampling_"):
        return None
    if fact in ("base_models", "datasets"):
        return [{k: _text(v) for k, v in entry.items() if _text(v)} for entry in value]
    if fact in ("tags", "languages", "license") and isinstance(value, list):
        return list(filter(None, map(_text, value))) or None
    return _text(value)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, list | dict):
        return None
    return str(value).encode(errors="replace").decode()


def _add_tokenizer(writer: GGUFWriter, tokenizer: Tokenizer) -> None:
    writer.add_tokenizer_model(tokenizer.model)
    writer.add_tokenizer_pre(tokenizer.pre)
    writer.add_token_list(tokenizer.tokens)
    writer.add_token_types([int(kind) for kind in tokenizer.types])
    if tokenizer.scores:
        writer.add_token_scores(tokenizer.scores)
    else:
        writer.add_token_merges(tokenizer.merges)
    for role, number in tokenizer.special.items():
        getattr(writer, f"add_{role}_token_id")(number)
    writer.add_add_bos_token(tokenizer.add_bos)
    writer.add_add_eos_token(False)
    if tokenizer.add_space is not None:
        writer.add_add_space_prefix(tokenizer.add_space)
