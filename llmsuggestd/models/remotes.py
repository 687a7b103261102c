"""The remote models that the user has added: one record per model, and their servers' keys.

Records and keys are in the configuration directory, to which only the user can write. The models'
directory may be shared, and another user must not be able to have goals sent anywhere. Each key is
in its own file, with mode 0600.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

import msgspec

from llmsuggestd import formats
from llmsuggestd.config import MODEL_ID, Config
from llmsuggestd.errors import ConfigError, ModelError, UsageError
from llmsuggestd.file_errors import failed
from llmsuggestd.files import make_private, write_atomically
from llmsuggestd.paths import Paths
from llmsuggestd.remote import address
from llmsuggestd.remote.address import Address

log = logging.getLogger(__name__)

KEY_VARIABLE: Final = "LLMSUGGESTD_REMOTE_KEY"
"""The variable that holds the key for models added with `--key environment`."""

Key = Literal["none", "file", "environment"]
"""The place of a server's key."""


class Remote(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The record of a remote model."""

    id: str
    url: str
    model: str
    """The model's name at the server."""
    format: str
    """The name of its prompt format."""
    key: Key = "none"

    @property
    def address(self) -> Address:
        """The server's address. Raises UsageError if `url` is not valid."""
        return address.parse(self.url)


def listed(paths: Paths) -> list[Remote]:
    """All remote models, sorted by id. A damaged record is logged and left out."""
    found = []
    for file in sorted(paths.remote.glob("*.json")):
        try:
            found.append(_read(file))
        except ModelError as error:
            log.warning("%s", error.message)
    return sorted(found, key=lambda remote: remote.id)


def find(paths: Paths, model_id: str) -> Remote | None:
    """The remote model with this id, if there is one. Raises ModelError for a damaged record."""
    return _read(_record(paths, model_id)) if exists(paths, model_id) else None


def exists(paths: Paths, model_id: str) -> bool:
    """Whether there is a remote model with this id. Its record may be damaged."""
    return bool(re.fullmatch(MODEL_ID, model_id)) and _record(paths, model_id).exists()


def check(remote: Remote, config: Config) -> None:
    """Raise UsageError, WrongFormat or NotAllowed if a model cannot be used with these settings."""
    if not re.fullmatch(MODEL_ID, remote.id):
        raise UsageError(
            f"{remote.id!r} cannot be a model's id", "an id is letters, digits, `.`, `_` and `-`"
        )
    address.check_allowed(remote.address, allow_remote=config.remote.allow_remote)
    formats.find(remote.format, config.formats)


def add(paths: Paths, remote: Remote, key: str | None) -> None:
    """Write a model's record, and `key` to its file. They replace those of the same id.

    Raises ModelError if that fails.
    """
    try:
        make_private(paths.config)
        make_private(paths.remote)
        if key is not None:
            write_atomically(_key_file(paths, remote.id), f"{key}\n".encode(), mode=0o600)
        write_atomically(_record(paths, remote.id), msgspec.json.encode(remote), mode=0o600)
        if remote.key != "file":
            _key_file(paths, remote.id).unlink(missing_ok=True)
    except OSError as error:
        raise failed(ModelError, "cannot write", paths.remote, error) from None


def remove(paths: Paths, model_id: str) -> None:
    """Remove a model and its key. Raises ModelError if that fails."""
    try:
        _key_file(paths, model_id).unlink(missing_ok=True)
        _record(paths, model_id).unlink(missing_ok=True)
    except OSError as error:
        raise failed(ModelError, "cannot remove", _record(paths, model_id), error) from None


def key_reader(paths: Paths, remote: Remote) -> Callable[[], str | None]:
    """Return a function that reads the key for a model's server.

    It raises ConfigError, whose message never has the key.
    """

    def read() -> str | None:
        match remote.key:
            case "none":
                return None
            case "environment":
                key, remedy = os.environ.get(KEY_VARIABLE, ""), "set it where the daemon starts"
                return checked_key(key, f"${KEY_VARIABLE}", remedy)
            case "file":
                return _key(_key_file(paths, remote.id))

    return read


def checked_key(text: str, source: str, remedy: str) -> str:
    """Return a key without the line's end. Raises ConfigError if it is not valid.

    `remedy` says how to give one if there is none in the `source`.
    """
    key = text.strip()
    if not key:
        raise ConfigError(f"{source} has no key", remedy)
    if not re.fullmatch(r"[!-~]+", key):
        raise ConfigError(
            f"the key in {source} is not one line of ASCII without spaces", "copy it again"
        )
    return key


def files(paths: Paths) -> list[Path]:
    """The records and keys of all remote models, for `uninstall`."""
    return sorted([*paths.remote.glob("*.json"), *paths.remote.glob("*.key")])


def _key(file: Path) -> str:
    try:
        mode = file.stat().st_mode
        if sys.platform != "win32" and stat.S_IMODE(mode) & 0o077:
            raise ConfigError(
                f"other users can read the key in {file}, so it is not used",
                f"have the key replaced, since it may be known, and `chmod 600 {file}`",
            )
        text = file.read_text(encoding="utf-8", errors="replace")
        return checked_key(text, str(file), "`llmsuggestd models add` with --key writes it again")
    except OSError as error:
        raise failed(ConfigError, "cannot read", file, error) from None


def _read(file: Path) -> Remote:
    again = f"`llmsuggestd models add {file.stem}` writes it again"
    try:
        found = msgspec.json.decode(file.read_bytes(), type=Remote)
        if found.id != file.stem:
            raise ModelError(f"{file} is the record of another model, {found.id}", again)
        address.parse(found.url)
    except OSError as error:
        raise failed(ModelError, "cannot read", file, error) from None
    except msgspec.MsgspecError:
        raise ModelError(f"{file} is not the record of a remote model", again) from None
    except UsageError as error:
        raise ModelError(f"{file}: {error.message}", again) from None
    return found


def _record(paths: Paths, model_id: str) -> Path:
    return paths.remote / f"{model_id}.json"


def _key_file(paths: Paths, model_id: str) -> Path:
    return paths.remote / f"{model_id}.key"
