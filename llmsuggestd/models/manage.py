"""Lists the installed models with their states, chooses one, and removes one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from llmsuggestd.client import Client
from llmsuggestd.config import choosing_model, load_config, write_model
from llmsuggestd.errors import LlmsuggestdError
from llmsuggestd.models import downloads, remotes, store
from llmsuggestd.paths import Paths


@dataclass(frozen=True, kw_only=True)
class Row(store.Listed):
    """A model with its state, or a download, whose `bytes` are those received."""

    total_bytes: int
    state: str
    """`loaded` (in the daemon's memory), `loading`, `failed` or `available`; for a download,
    `downloading`, `partial` or `complete`."""
    served: bool
    """Whether the running daemon serves it."""
    chosen: bool
    """Whether the settings name it."""


def rows(paths: Paths, status: dict[str, Any] | None) -> list[Row]:
    """All models and downloads. `status` is the daemon's; None if none is running."""
    chosen = load_config(paths).model
    models = [
        Row(
            **asdict(model),
            total_bytes=model.bytes,
            state=_state(model.id, status),
            served=status is not None and status["model"]["id"] == model.id,
            chosen=model.id == chosen,
        )
        for model in store.listed(paths)
    ]
    return models + [
        Row(
            id=download.id,
            bytes=download.bytes,
            total_bytes=download.total_bytes,
            quantisation=None,
            format=None,
            source=download.source,
            licence=download.licence,
            state=download.state,
            path=str(download.folder),
            served=False,
            chosen=False,
            remote=None,
        )
        for download in downloads.listed(paths)
    ]


def use(paths: Paths, model_id: str) -> bool:
    """Make the running daemon, and every later one, serve a model. Returns whether a daemon runs.

    Raises ModelError or Refused if the model is not installed or cannot be loaded, ConfigError if
    `config.toml` is wrong or cannot be written. After an error, nothing has changed.
    """
    if remotes.find(paths, model_id) is None:
        store.find(paths, model_id)
    load_config(paths)  # raises an error about a wrong file before anything changes
    client = Client(paths)
    with choosing_model(paths, model_id):
        runs = client.status() is not None
        if runs:
            client.use_model(model_id)
    return runs


def remove(paths: Paths, model_id: str) -> tuple[int, bool]:
    """Remove a model and its downloads.

    Returns the number of freed bytes, and whether the starter replaces the model: a daemon that
    serves it switches to the starter first. Raises ModelError if the model does not exist or
    belongs to another user, AlreadyRunningError if it is being pulled, LlmsuggestdError if it is
    the fallback of remote models. After an error, nothing has changed.
    """
    store.check_id(model_id)
    if remotes.exists(paths, model_id):
        replaced = _stop_using(paths, model_id)
        remotes.remove(paths, model_id)
        return 0, replaced
    waiting = [download for download in downloads.listed(paths) if download.id == model_id]
    for download in waiting:
        downloads.check_idle(download)
    present = store.model_path(paths, model_id)
    installed = present.exists() or present.is_symlink()
    replaced = False
    if installed or not waiting:
        store.check_removable(paths, model_id)
        if load_config(paths).remote.fallback == model_id:
            raise LlmsuggestdError(
                f"{model_id} is the fallback of the remote models",
                "name another `fallback` below [remote] in config.toml, or none",
            )
        replaced = _stop_using(paths, model_id)
    freed = store.remove(paths, model_id) if installed else 0
    for download in waiting:
        freed += download.bytes
        downloads.clear(download.folder)
    return freed, replaced


def _state(model_id: str, status: dict[str, Any] | None) -> str:
    if status is None:
        return "available"
    return store.state_of(model_id, status["state"], status["model"]["id"], status["switching_to"])


def _stop_using(paths: Paths, model_id: str) -> bool:
    """Switch to the starter if a model is served or chosen. Returns whether it was."""
    status = Client(paths).status()
    if status is not None and status["switching_to"] == model_id:
        raise LlmsuggestdError(f"{model_id} is being loaded", "try again in a moment")
    served = status is not None and status["model"]["id"] == model_id
    if not served and load_config(paths).model != model_id:
        return False
    if not store.starter_path(paths).exists():
        store.place_starter(paths)
    if served:
        use(paths, store.STARTER)
    else:
        write_model(paths, store.STARTER)
    return True
