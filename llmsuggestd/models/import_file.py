"""Adds a user's GGUF file to the installed models, for `models import`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from llmsuggestd import formats
from llmsuggestd.config import load_config
from llmsuggestd.errors import InputError, LlmsuggestdError
from llmsuggestd.file_errors import unreadable
from llmsuggestd.files import make_private, replacing
from llmsuggestd.models import asking, gguf, store
from llmsuggestd.models.pull import Pulled, Watcher, refresh_daemon
from llmsuggestd.models.trial import first_suggestion
from llmsuggestd.ownership import make_directory
from llmsuggestd.paths import Paths

_BLOCK = 2**22


def import_file(
    paths: Paths,
    file: Path,
    watcher: Watcher,
    *,
    name: str | None = None,
    link: bool = False,
    format_name: str | None = None,
) -> Pulled:
    """Check a GGUF file, try it, and put a copy of it (or a link to it) into the store.

    The model is asked in the named format, or in the one chosen by `asking`. The file itself stays
    unchanged. A daemon that serves an older copy switches to the new one. Raises WrongFormat,
    InputError if the file is not valid, ModelError if it does not work here or its id is taken,
    LlmsuggestdError if there is not enough disk space. After an error, no partial file remains.
    """
    own = load_config(paths).formats
    wanted = formats.find(format_name, own) if format_name else None
    if file.is_dir():
        raise InputError(
            f"{file}: is a folder",
            "`llmsuggestd convert` makes a GGUF file from a checkpoint's folder",
        )
    header, warnings = gguf.check(file)
    prompt_format, doubts = asking.choose(header, file.name, own, wanted=wanted)
    file = file.resolve()
    model_id = store.check_id(file.stem if name is None else name, of_file=name is None)
    store.check_free(paths, model_id, str(file))
    for warning in [*warnings, *doubts]:
        watcher.note(warning)
    make_private(paths.data)
    make_directory(paths, paths.models)
    if not link:
        store.check_room(paths.models, header.file_bytes)
    watcher.stage("trying it", "", 0, 0)
    trial = first_suggestion(paths, file, prompt_format)
    licence = header.text("general.license")
    record = store.Record(str(file), licence, header.file_bytes, format=prompt_format.name)
    if link:
        model = _place_link(paths, model_id, file, record)
    else:
        model = _place_copy(paths, model_id, file, record, watcher)
    refresh_daemon(paths, model_id, watcher.note)
    return Pulled(model, str(file), prompt_format.name, trial)


def _place_link(paths: Paths, model_id: str, file: Path, record: store.Record) -> store.Model:
    temporary = paths.models / f".{model_id}.link"
    temporary.unlink(missing_ok=True)
    try:
        temporary.symlink_to(file)
        return store.place(paths, model_id, temporary, record)
    except OSError as error:
        raise LlmsuggestdError(
            f"{paths.models}: a link cannot be made: {error.strerror}", "leave out --link"
        ) from None
    finally:
        temporary.unlink(missing_ok=True)


def _blocks(file: Path) -> Iterator[bytes]:
    """Read a file in blocks. Raises InputError, whereas writing the copy raises OSError."""
    try:
        with file.open("rb") as source:
            while block := source.read(_BLOCK):
                yield block
    except OSError as error:
        raise unreadable(file, error) from None


def _place_copy(
    paths: Paths, model_id: str, file: Path, record: store.Record, watcher: Watcher
) -> store.Model:
    target = store.model_path(paths, model_id)
    watcher.stage("copying", "bytes", 0, record.bytes)
    recording = store.recording(paths, model_id, record)
    with replacing(target, recording) as partial, partial.open("wb") as copy:
        for block in _blocks(file):
            copy.write(block)
            watcher.advance(len(block))
    return store.Model(model_id, target, record.bytes)
