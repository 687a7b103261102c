"""Adds a remote model, after a trial of its server."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from llmsuggestd import formats
from llmsuggestd.config import RemoteSettings, load_config
from llmsuggestd.errors import ModelError
from llmsuggestd.models import remotes, store
from llmsuggestd.models.pull import refresh_daemon
from llmsuggestd.models.remotes import Remote
from llmsuggestd.models.trial import QUESTION, Trial
from llmsuggestd.paths import Paths
from llmsuggestd.remote.model import RemoteModel, Target
from llmsuggestd.units import milliseconds


def add(
    paths: Paths,
    remote: Remote,
    read_key: Callable[[], str] | None,
    note: Callable[[str], None],
) -> Trial:
    """Try a model's server with a fixed goal, and record the model.

    `read_key` returns the key to store. A daemon that serves a model of this name tries the server
    again; if that fails, `note` gets a line. Raises UsageError, WrongFormat, NotAllowed or
    ConfigError before anything is sent; ModelError if an installed model has this id; RemoteError
    if the trial fails. Nothing is recorded then.
    """
    config = load_config(paths)
    remotes.check(remote, config)
    if any(model.id == remote.id for model in store.installed(paths)):
        raise ModelError(f"a model {remote.id!r} is installed already", "choose another name")
    key = None
    if read_key is not None:
        key = remotes.checked_key(read_key(), "the input", "type the key, or pipe it in")
    target = Target(
        remote.id, remote.address, remote.model, formats.find(remote.format, config.formats)
    )
    reader = remotes.key_reader(paths, remote) if key is None else lambda: key
    # without a handler, logging would print warnings, which the error repeats
    logging.getLogger("llmsuggestd").addHandler(logging.NullHandler())
    trial = asyncio.run(_try(target, config.remote, reader))
    remotes.add(paths, remote, key)
    refresh_daemon(paths, remote.id, note)
    return trial


async def _try(target: Target, settings: RemoteSettings, key: Callable[[], str | None]) -> Trial:
    model = RemoteModel(target, settings, key=key)
    try:
        began = time.monotonic()
        loaded = await model.load()
        asked = time.monotonic()
        (found,) = (await model.ask(QUESTION)).result.found
        answered = time.monotonic()
    finally:
        await model.close()
    if not found.suggestions:
        raise ModelError(
            "the server answers, but its model suggests nothing for ⊢ p ∧ q",
            "use a model that was trained on Lean goals and tactics, or give another --format",
        )
    return Trial(
        found.suggestions[0].text,
        loaded.device,
        milliseconds(asked - began),
        milliseconds(answered - asked),
    )
