"""The interface of an architecture for the converter. Each architecture has its own subclass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

from llmsuggestd.convert.config import Config
from llmsuggestd.convert.layout import Slot
from llmsuggestd.convert.recipe import Traits
from llmsuggestd.formats import Format


class Names(NamedTuple):
    """transformers' names for the tensors of an architecture."""

    root: str
    """The beginning of all names except the output matrix's."""
    embedding: str
    """The embedding's name below the root, by which a model in a checkpoint is found."""
    parts: tuple[str, ...]
    """The beginnings of all names below the root."""
    output: str
    """The output matrix's name, which is not below the root."""


@dataclass(frozen=True)
class Model(ABC):
    """A model, as described by its `config.json`."""

    title: ClassVar[str]
    """The architecture's name in messages."""
    classes: ClassVar[tuple[str, ...]]
    """transformers' classes of this architecture that generate text."""
    model_type: ClassVar[str]
    """The `model_type` in its configuration."""
    gguf: ClassVar[str]
    """llama.cpp's name for it."""
    names: ClassVar[Names]
    prompt_format: ClassVar[Format | None] = None
    """The format of its models for Lean, if they all have the same one."""

    layers: int
    vocab: int
    """The number of rows of the embedding."""

    @classmethod
    @abstractmethod
    def read(cls, config: Config) -> Self:
        """Read a configuration. Raises `InputError` if llama.cpp does not support it."""

    @abstractmethod
    def metadata(self) -> dict[str, Any]:
        """The GGUF file's metadata: the arguments of `GGUFWriter.add_NAME`, by NAME."""

    @abstractmethod
    def slots(self) -> list[Slot]:
        """The tensors of the GGUF file, in their order."""

    @property
    @abstractmethod
    def traits(self) -> Traits:
        """The properties that determine the types of its tensors."""
