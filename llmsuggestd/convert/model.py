"""What the converter needs to know of a model. Each architecture has its own subclass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

from llmsuggestd.convert.config import Config
from llmsuggestd.convert.layout import Slot
from llmsuggestd.convert.recipe import Traits
from llmsuggestd.formats import Format


class Names(NamedTuple):
    """How transformers names the tensors of an architecture."""

    root: str
    """What all names begin with, except for the head's."""
    embedding: str
    """The tensor, below the root, that identifies a model among others."""
    parts: tuple[str, ...]
    """The beginnings of all names below the root."""
    output: str
    """The matrix of the head, which is not below the root."""


@dataclass(frozen=True)
class Model(ABC):
    """A model as its `config.json` describes it."""

    title: ClassVar[str]
    """The architecture's name in messages."""
    classes: ClassVar[tuple[str, ...]]
    """transformers' classes of it that write text."""
    model_type: ClassVar[str]
    """The `model_type` in its configuration."""
    gguf: ClassVar[str]
    """llama.cpp's name of it."""
    names: ClassVar[Names]
    asked: ClassVar[Format | None] = None
    """The format of its models for Lean, if all have the same."""

    layers: int
    vocab: int
    """Rows of the embedding."""

    @classmethod
    @abstractmethod
    def read(cls, config: Config) -> Self:
        """Read a configuration. Raises `InputError` for what llama.cpp does not compute."""

    @abstractmethod
    def metadata(self) -> dict[str, Any]:
        """What the GGUF file says of it: the values for `GGUFWriter.add_NAME`, by NAME."""

    @abstractmethod
    def slots(self) -> list[Slot]:
        """The tensors of the GGUF file, in their order."""

    @property
    @abstractmethod
    def traits(self) -> Traits:
        """What the types of its tensors depend on."""
