"""A daemon that serves an older file of a model that was installed again."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import pytest

from llmsuggestd.client import Client, Refused
from llmsuggestd.models.pull import refresh_daemon
from llmsuggestd.paths import Paths

BUSY = Refused(409, "switching", "the model 'other' is being loaded", "try again in a moment")


@pytest.mark.parametrize(("served", "asked"), [("m", ["m"]), ("other", [])])
def test_only_a_daemon_that_serves_the_model_loads_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: str, asked: list[str]
) -> None:
    """The model is installed by then, so a refusal is a note, and no error."""
    loaded = []

    def use_model(_: Client, model_id: str) -> None:
        loaded.append(model_id)
        raise BUSY

    monkeypatch.setattr(Client, "status", lambda _: {"model": {"id": served}})
    monkeypatch.setattr(Client, "use_model", use_model)
    watcher = Mock()
    refresh_daemon(Paths(*[tmp_path] * 5), "m", watcher.note)
    assert loaded == asked
    notes = [call.args[0] for call in watcher.note.call_args_list]
    assert len(notes) == len(asked)
    assert all("is being loaded" in note and "models use m" in note for note in notes)
