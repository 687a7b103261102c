"""The model store: one `ID.gguf` per model in the models directory, and the starter that ships.

`models pull` and `models import` write a record beside each model, `ID.json`. A model without a
record was added manually; we never delete it.
"""

from __future__ import annotations

import contextlib
import errno
import filecmp
import os
import re
import shutil
import stat
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

import msgspec

from llmsuggestd import formats
from llmsuggestd.config import MODEL_ID
from llmsuggestd.errors import InputError, LlmsuggestdError, ModelError, UsageError
from llmsuggestd.file_errors import failed
from llmsuggestd.files import replacing, write_atomically
from llmsuggestd.formats import LLMSTEP, Format
from llmsuggestd.models import asking, gguf, remotes
from llmsuggestd.models.catalogue import CATALOGUE
from llmsuggestd.ownership import is_shared, make_directory
from llmsuggestd.paths import Paths
from llmsuggestd.units import size_text

STARTER: Final = "starter"
SHIPPED: Final = Path(__file__).with_name("starter.gguf")
"""The starter model inside the installation."""

SPARE_BYTES: Final = 64 * 2**20
"""Bytes that must stay free on the disk after a new model."""


class Record(msgspec.Struct):
    """The origin of a model, stored as `ID.json`."""

    source: str
    """`owner/name@commit` (with `/file.gguf` if it was a file of it), or a local file's path."""
    licence: str | None
    bytes: int
    """Size of `ID.gguf`. If the file has another size, the record does not belong to it."""
    quantisation: str | None = None
    """The requested quantisation, for a model that was converted here."""
    format: str | None = None
    """The name of its prompt format; None: the file's."""


@dataclass(frozen=True)
class Model:
    """An installed model."""

    id: str
    path: Path
    bytes: int


@dataclass(frozen=True)
class Details:
    """Further facts about a model."""

    quantisation: str | None
    """llama.cpp's name for the mix of types, such as `Q4_K_M`."""
    source: str | None
    licence: str | None
    format: str | None
    """The name of its prompt format; None if it is unknown."""


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A model in a list: an installed one, or a remote one."""

    id: str
    bytes: int
    """Size of the installed file; 0 for a remote model."""
    quantisation: str | None
    format: str | None
    """The name of its prompt format."""
    source: str | None
    licence: str | None
    path: str
    remote: str | None
    """The server to which its goals are sent, for a remote model."""


def _changed(path: Path) -> int:
    """A file's modification time in nanoseconds; 0 if it no longer exists."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def check_id(model_id: str, *, of_file: bool = False) -> str:
    """Return a model's id. Raises UsageError if it is not valid.

    `of_file` says that it is the name of a file, not one that the user has chosen.
    """
    if not re.fullmatch(MODEL_ID, model_id):
        rule = "an id is letters, digits, `.`, `_` and `-`"
        raise UsageError(
            f"{model_id!r} cannot be a model's id",
            f"give one with --name: {rule}" if of_file else rule,
        )
    return model_id


def find(paths: Paths, model_id: str) -> Model:
    """The installed model with this id.

    Raises ModelError if there is none, naming those installed, or if its file cannot be read.
    """
    if re.fullmatch(MODEL_ID, model_id):
        for model in installed(paths):
            if model.id == model_id:
                _check_readable(model.path)
                return model
    ids = [model.id for model in installed(paths)]
    known = ", ".join([*ids, *(remote.id for remote in remotes.listed(paths))])
    if model_id == STARTER:
        hint = "`llmsuggestd install` puts it in place"
    elif model_id in CATALOGUE:
        hint = f"`llmsuggestd models pull {model_id}` fetches it"
    elif known:
        hint = f"installed: {known}"
    else:
        hint = "`llmsuggestd install` puts the starter model in place"
    raise ModelError(f"the model {model_id!r} is not installed", hint)


def _check_readable(file: Path) -> None:
    try:
        file.open("rb").close()
    except OSError as error:
        raise failed(ModelError, "cannot read", file, error) from None


def installed(paths: Paths) -> list[Model]:
    """All installed models, by id. Raises ModelError if the directory cannot be read."""
    try:
        files = sorted(paths.models.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise failed(ModelError, "cannot read", paths.models, error) from None
    if is_shared(paths.models) and not _is_shipped(starter_path(paths)):
        files = [SHIPPED, *(file for file in files if file != starter_path(paths))]
    models = [
        Model(file.stem, file, size)
        for file in files
        if file.suffix == ".gguf" and re.fullmatch(MODEL_ID, file.stem)
        if (size := _size(file)) is not None
    ]
    return sorted(models, key=lambda model: model.id)


def _size(file: Path) -> int | None:
    """The size of a file; None if there is none, as at the end of a link to a dead mount."""
    try:
        info = file.stat()
    except OSError:
        return None
    return info.st_size if stat.S_ISREG(info.st_mode) else None


def details(paths: Paths, model: Model) -> Details:
    """Details of a model from its record and its file."""
    header = _header(model)
    quantisation = header.quantisation if header else None
    source = header.text("general.source.repo_url") if header else None
    licence = header.text("general.license") if header else None
    record = read_record(paths, model)
    if record is not None:
        source, licence = record.source, record.licence or licence
    elif model.id == STARTER:
        source, licence = "llmsuggestd", CATALOGUE[STARTER].licence
    return Details(quantisation, source, licence, _format_name(record, header, model.path))


def listed(paths: Paths) -> list[Listed]:
    """All models, the remote ones first. Raises ModelError if the directory cannot be read."""
    remote = [
        Listed(
            id=model.id,
            bytes=0,
            quantisation=None,
            format=model.format,
            source=f"{model.model} at {model.url}",
            licence=None,
            path="",
            remote=model.address.origin,
        )
        for model in remotes.listed(paths)
    ]
    local = [
        Listed(
            id=model.id,
            bytes=model.bytes,
            path=str(model.path),
            remote=None,
            **asdict(details(paths, model)),
        )
        for model in installed(paths)
    ]
    return remote + local


def format_of(paths: Paths, model: Model, own: Mapping[str, Format]) -> Format:
    """The format in which an installed model is asked; `own` are the user's formats.

    Raises ModelError if the format is unknown or no longer exists.
    """
    record = read_record(paths, model)
    try:
        if record is not None and record.format is not None:
            return formats.find(record.format, own)
        header = _header(model)  # half a second for a large vocabulary
        if header is None:  # the engine will report the problem
            return LLMSTEP
        return asking.choose(header, model.path.name, own)[0]
    except formats.WrongFormat as error:
        raise ModelError(f"{model.id}: {error.message}", error.hint) from None
    except asking.NoFormat as error:
        raise ModelError(
            error.message,
            f"move it to another folder, then `llmsuggestd models import` it: {error.hint}",
        ) from None


def _format_name(record: Record | None, header: gguf.Header | None, path: Path) -> str | None:
    if record is not None and record.format is not None:
        return record.format
    with contextlib.suppress(asking.NoFormat):
        return asking.choose(header, path.name, {})[0].name if header is not None else None
    return None


def state_of(
    model_id: str, daemon: str, served: str, loading: str | None
) -> Literal["available", "loading", "loaded", "failed"]:
    """The state of an installed model.

    `daemon` is the daemon's state, `served` the model it serves, `loading` the model that it is
    switching to.
    """
    if model_id == loading:
        return "loading"
    if model_id == served:
        if daemon in ("ready", "busy"):
            return "loaded"
        if daemon == "loading":
            return "loading"
        if daemon == "failed":
            return "failed"
    return "available"


def _header(model: Model) -> gguf.Header | None:
    """The header of a model's file; None if it cannot be read."""
    return _read_header(model.path, model.bytes, _changed(model.path))


@lru_cache(maxsize=64)
def _read_header(path: Path, _bytes: int, _changed: int) -> gguf.Header | None:
    with contextlib.suppress(InputError):
        return gguf.read_header(path)
    return None


def model_path(paths: Paths, model_id: str) -> Path:
    """The file of a model with this id. Raises UsageError if the id is not valid."""
    return paths.models / f"{check_id(model_id)}.gguf"


def record_path(paths: Paths, model_id: str) -> Path:
    """The record's file of a model with this id. Raises UsageError if the id is not valid."""
    return paths.models / f"{check_id(model_id)}.json"


def read_record(paths: Paths, model: Model) -> Record | None:
    """A model's record; None for a model without one."""
    try:
        record = msgspec.json.decode(record_path(paths, model.id).read_bytes(), type=Record)
    except (OSError, msgspec.MsgspecError):
        return None
    same = model.path.is_symlink() or record.bytes == model.bytes
    return record if same else None


def write_record(paths: Paths, model_id: str, record: Record) -> None:
    """Write a model's record. Raises OSError."""
    write_atomically(record_path(paths, model_id), msgspec.json.encode(record))


def place(paths: Paths, model_id: str, file: Path, record: Record) -> Model:
    """Move a complete file into the store, replacing a model with this id.

    Raises OSError, LlmsuggestdError if the file is on another disk and cannot be copied, and
    ModelError if the id has been taken meanwhile. The older model and its record are then kept.
    """
    target = model_path(paths, model_id)
    with recording(paths, model_id, record):
        try:
            file.replace(target)
        except OSError as error:
            if error.errno != errno.EXDEV:  # the models' directory may be a link to another disk
                raise
            with replacing(target) as copy:
                shutil.copyfile(file, copy)
            file.unlink()
    return Model(model_id, target, record.bytes)


@contextlib.contextmanager
def recording(paths: Paths, model_id: str, record: Record) -> Iterator[None]:
    """Write the record of a model that the block puts in place. If it fails, the old record stays.

    The record comes first: alone it is harmless, but a model without it counts as added manually.
    Raises OSError, and ModelError if the id is taken.
    """
    check_free(paths, model_id, record.source)
    file = record_path(paths, model_id)
    before = file.read_bytes() if file.exists() else None
    write_record(paths, model_id, record)
    try:
        yield
    except BaseException:
        if before is None:
            file.unlink()
        else:
            write_atomically(file, before)
        raise


def check_free(paths: Paths, model_id: str, source: str) -> None:
    """Raise ModelError if a model with this id may not be replaced by one from `source`.

    Only a model from the same source, perhaps from another commit, may be replaced.
    """
    target = model_path(paths, model_id)
    if model_id == STARTER:
        raise ModelError(
            "`starter` is the id of the model that ships", "choose another with --name"
        )
    if remotes.exists(paths, model_id):
        raise ModelError(
            f"a remote model {model_id!r} has been added",
            f"choose another id with --name, or run `llmsuggestd models remove {model_id}`",
        )
    if not target.exists():
        return
    record = read_record(paths, Model(model_id, target, target.stat().st_size))
    if record is None:
        raise ModelError(
            f"{target} was added manually, and is not replaced",
            "choose another id with --name, or remove that file",
        )
    if _without_commit(record.source) != _without_commit(source):
        raise ModelError(
            f"a model {model_id!r} is installed already, from {record.source}",
            f"choose another id with --name, or run `llmsuggestd models remove {model_id}`",
        )


def check_room(folder: Path, needed: int) -> None:
    """Raise LlmsuggestdError unless this many bytes, and a reserve, are free for a folder."""
    free = free_bytes(folder)
    if free < needed + SPARE_BYTES:
        raise LlmsuggestdError(
            f"not enough room in {folder}: {size_text(needed)} are needed,"
            f" {size_text(free)} are free",
            f"make room, or move {folder} to a larger disk and put a link in its place",
        )


def free_bytes(folder: Path) -> int:
    """Free bytes on a folder's disk. The folder need not exist yet."""
    there = next(one for one in (folder, *folder.parents) if one.exists())
    return shutil.disk_usage(there).free


def _without_commit(source: str) -> str:
    return re.sub(r"@[0-9a-f]{40}$", "", source)


def check_removable(paths: Paths, model_id: str) -> None:
    """Raise ModelError unless a model may be removed.

    The starter stays, and so does a model that was added manually or that lies in a folder we
    cannot write to.
    """
    target = model_path(paths, model_id)
    if model_id == STARTER:
        raise ModelError(
            "the starter belongs to the installation",
            "it can stay: `llmsuggestd models use ID` serves another model",
        )
    gone = target.is_symlink() and not target.exists()  # a link whose file is gone
    if not gone and read_record(paths, find(paths, model_id)) is None:
        raise ModelError(
            f"{target} was added manually, and is not removed", "remove the file yourself"
        )
    if not os.access(paths.models, os.W_OK):
        closed = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        raise failed(ModelError, "cannot remove", target, closed)


def remove(paths: Paths, model_id: str) -> int:
    """Remove a model that `check_removable` allows. Returns the number of freed bytes.

    Of a linked file, only the link is removed. Raises ModelError if that fails nevertheless.
    """
    target = model_path(paths, model_id)
    try:
        freed = 0 if target.is_symlink() else target.stat().st_size
        target.unlink()
        record_path(paths, model_id).unlink(missing_ok=True)
    except OSError as error:
        raise failed(ModelError, "cannot remove", target, error) from None
    return freed


def starter_path(paths: Paths) -> Path:
    """The installed starter model's file."""
    return paths.models / f"{STARTER}.gguf"


def has_starter(paths: Paths) -> bool:
    """Whether the starter model is installed, intact and of this version.

    In a shared folder, it is not installed. The shipped file is served, unless the folder has it.
    """
    return is_shared(paths.models) or _is_shipped(starter_path(paths))


def placed_starter(paths: Paths) -> Path | None:
    """The starter's file, if we may have placed it: this user's, and equal to the shipped one."""
    target = starter_path(paths)
    own = sys.platform == "win32" or (target.exists() and target.stat().st_uid == os.getuid())
    return target if own and _is_shipped(target) else None


def _is_shipped(file: Path) -> bool:
    try:
        return file.is_file() and filecmp.cmp(SHIPPED, file, shallow=False)
    except OSError:
        return False


def place_starter(paths: Paths) -> None:
    """Put the starter model in place, over an older or a damaged one; not into a shared folder.

    Raises ModelError, with the old file unchanged, if it cannot be written.
    """
    if is_shared(paths.models):
        return
    target = starter_path(paths)
    make_directory(paths, paths.models)
    try:
        write_atomically(target, SHIPPED.read_bytes())
    except OSError as error:
        raise failed(ModelError, "cannot write", target, error) from error
