"""The model store: one `ID.gguf` a model in the models directory, and the starter that ships."""

from __future__ import annotations

import filecmp
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from llmsuggestd.errors import ModelError
from llmsuggestd.paths import Paths, make_private, write_atomically

STARTER: Final = "starter"
SHIPPED: Final = Path(__file__).with_name("starter.gguf")
"""The starter model inside the installation."""

MODEL_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""What a model id may be: a file name that cannot leave its directory."""


@dataclass(frozen=True)
class Model:
    """An installed model."""

    id: str
    path: Path
    bytes: int


def find(paths: Paths, model_id: str) -> Model:
    """The installed model with that id.

    Raises ModelError, naming what is installed, if there is none.
    """
    if MODEL_ID.fullmatch(model_id):
        for model in installed(paths):
            if model.id == model_id:
                return model
    known = ", ".join(model.id for model in installed(paths))
    raise ModelError(
        f"the model {model_id!r} is not installed",
        f"installed: {known}; set `model` in {paths.config_file}"
        if known
        else "`llmsuggestd install` puts the starter model in place",
    )


def installed(paths: Paths) -> list[Model]:
    """All installed models, by id."""
    return [
        Model(file.stem, file, file.stat().st_size)
        for file in sorted(paths.models.glob("*.gguf"))
        if MODEL_ID.fullmatch(file.stem) and file.is_file()
    ]


def starter_path(paths: Paths) -> Path:
    """Where the starter model is installed."""
    return paths.models / f"{STARTER}.gguf"


def has_starter(paths: Paths) -> bool:
    """Whether the starter model is in place, undamaged and of this version."""
    target = starter_path(paths)
    return target.is_file() and filecmp.cmp(SHIPPED, target, shallow=False)


def place_starter(paths: Paths) -> None:
    """Put the starter model in place, over an older or a damaged one.

    Raises ModelError if it cannot be written; what was there then stays.
    """
    target = starter_path(paths)
    make_private(paths.models)
    try:
        write_atomically(target, SHIPPED.read_bytes())
    except OSError as error:
        raise ModelError(
            f"cannot write {target}: {error.strerror}", "make room or check permissions"
        ) from error
