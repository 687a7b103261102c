"""The settings: `config.toml`, overridden by `LLMSUGGESTD_*` variables, overridden by flags."""

from __future__ import annotations

import codecs
import contextlib
import difflib
import errno
import json
import os
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec

from llmsuggestd import formats
from llmsuggestd.errors import ConfigError
from llmsuggestd.file_errors import explained, failed
from llmsuggestd.files import Rewrite, make_private
from llmsuggestd.formats import Format
from llmsuggestd.paths import Paths, absolute

DEFAULT_PORT: Final = 5567
"""LLMS on a telephone keypad. Outside the ephemeral range, and no common program uses it."""

COMPAT_PORTS: Final = {"llmstep": 6000, "tutorial": 5000, "leancopilot": 23337, "llmlean": 11434}
"""The compatibility listeners, each with its client's default port."""


MODEL_ID: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
"""The pattern of a model's id, for Python's `re` and JSON Schema. Every id is a valid file name."""


class RemoteSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table `[remote]`: settings of remote models."""

    allow_remote: bool = False
    """Whether goals may be sent to other machines, with https. This machine is always allowed."""

    fallback: Annotated[str, msgspec.Meta(pattern=rf"{MODEL_ID}|^$")] = ""
    """The id of a local model that answers while the server does not; empty: none."""

    timeout: Annotated[float, msgspec.Meta(gt=0, le=100)] = 15.0
    """Timeout for an answer, in seconds. The tactic waits for 20 s, in which the fallback has to
    answer too."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All settings, with their defaults (docs/reference/config.md)."""

    model: Annotated[str, msgspec.Meta(pattern=MODEL_ID)] = "starter"
    """The id of the installed model to serve: `ID.gguf` in the models directory."""

    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = DEFAULT_PORT
    """The port on 127.0.0.1; 0 for any free port. If the default port is taken, a free one is used.
    Clients find it in `client.json`."""

    socket: str = ""
    """The Unix socket's path; empty for `daemon.sock` in the runtime directory. At most 107 bytes
    (103 on macOS), in your own directory with mode 0700. A relative path starts at the folder of
    `config.toml`; in the variable, which clients read too, at the current folder."""

    compat: tuple[
        Annotated[str, msgspec.Meta(pattern=rf"^({'|'.join(COMPAT_PORTS)})(:\d{{1,5}})?\Z")], ...
    ] = ()
    """Listeners for other projects' clients, which need no token there: `"llmstep"` (port 6000),
    `"tutorial"` (5000), `"leancopilot"` (23337), `"llmlean"` (11434), each perhaps with another
    port, as in `"llmstep:6001"`. In the variable, commas separate them."""

    gpu: Literal["auto", "off"] | Annotated[int, msgspec.Meta(ge=0)] = "auto"
    """Number of layers to offload; `"auto"` for as many as fit, if llama.cpp was built for this
    machine's GPU; `"off"` for none."""

    threads: Annotated[int, msgspec.Meta(ge=0, le=1024)] = 0
    """Number of threads for decoding. 0: one per physical core, limited by a container's or
    service's CPU quota (0.5 and 1.5 CPUs count as one thread), and fewer for a model of a few
    million parameters, or while other programs use the cores."""

    context: Annotated[int, msgspec.Meta(ge=256, le=131072)] = 2048
    """Tokens of context in memory, for a prompt and the tokens that its candidates add."""

    idle_unload: Annotated[int, msgspec.Meta(ge=0)] = 900
    """Seconds without a request after which the model is unloaded, until the next request; 0 for
    never."""

    log_goals: bool = False
    """Whether goals and prefixes are written to the log."""

    formats: dict[str, Format] = {}
    """The user's own prompt formats, as tables `[formats.NAME]`."""

    remote: RemoteSettings = RemoteSettings()
    """The table `[remote]`: settings of remote models, such as whether goals may leave this
    machine."""

    def socket_path(self, paths: Paths) -> Path:
        """The Unix socket's path with the default filled in."""
        return Path(self.socket) if self.socket else paths.socket

    def compat_ports(self) -> dict[str, int]:
        """The port of each compatibility listener."""
        named = (entry.partition(":") for entry in self.compat)
        return {name: int(port) if port else COMPAT_PORTS[name] for name, _, port in named}


_EXPECTED: Final = {
    "model": "the id of a model: letters, digits, `.`, `_` and `-`",
    "port": "a number from 0 (any free port) to 65535",
    "socket": "a path, in quotes",
    "compat": f"a list of {', '.join(COMPAT_PORTS)}, each perhaps with a port as in `llmstep:6001`",
    "gpu": '"auto", "off" or a number of layers',
    "threads": "a number from 0 (chosen automatically) to 1024",
    "context": "a number of tokens from 256 to 131072",
    "idle_unload": "a number of seconds; 0: never",
    "log_goals": "true or false",
    "formats": "tables, each as `[formats.NAME]`",
    "remote": "a table, as `[remote]`",
    "remote.allow_remote": "true or false",
    "remote.fallback": "the id of a local model",
    "remote.timeout": "a number of seconds, at most 100",
}
"""A description of each setting's values, for messages."""


class _Setting(NamedTuple):
    """A setting's type and default."""

    type: Any
    default: object


_SETTINGS: Final = {
    prefix + field.name: _Setting(field.type, getattr(defaults, field.name))
    for prefix, defaults in (("", Config()), ("remote.", RemoteSettings()))
    for field in msgspec.structs.fields(defaults)
}
"""Each setting, those of `[remote]` as `remote.KEY`."""

VARIABLES: Final = {
    name: f"LLMSUGGESTD_{name.upper()}"
    for name in Config.__struct_fields__
    if name not in ("formats", "remote")
}
"""The environment variable of each setting. Tables have none."""


def load_config(paths: Paths, **flags: object) -> Config:
    """Read the settings. Flag beats environment beats file; a flag that is None is not given.

    Raises ConfigError naming the file and line, variable or flag, and what the value should be.
    """
    values = _read_file(paths.config_file)
    for name, variable in VARIABLES.items():
        if text := os.environ.get(variable):
            values[name] = _checked(name, _from_text(name, text), f"${variable}")
    for name, value in flags.items():
        if value is not None:
            values[name] = _checked(name, value, f"--{name}")
    return Config(**values)


@contextlib.contextmanager
def choosing_model(paths: Paths, model_id: str) -> Iterator[None]:
    """Write the id of the model to serve into `config.toml` after the block has succeeded.

    Every other byte that the file has then is kept. Raises ConfigError before the block, with the
    file unchanged, if the file cannot be read or written.
    """
    file = paths.config_file
    make_private(paths.config)
    if (trial := _rewritten(file, model_id)) is not None:
        trial.abandon()
    yield
    if (rewrite := _rewritten(file, model_id)) is None:
        return
    try:
        rewrite.commit()
    except OSError as error:
        raise _unwritable(file, model_id, error) from error
    finally:
        rewrite.abandon()


def _rewritten(file: Path, model_id: str) -> Rewrite | None:
    """The settings file's present content with another model; None if it has that model already.

    Raises ConfigError if the file cannot be read or written.
    """
    try:
        raw = file.read_bytes() if file.exists() else b""
        content = _with_model(raw, model_id)
        return Rewrite(file, content) if content != raw else None
    except ValueError as error:
        raise ConfigError(f"cannot write {file}: {error}", "correct the file") from error
    except OSError as error:
        raise _unwritable(file, model_id, error) from error


def write_model(paths: Paths, model_id: str) -> None:
    """Write the id of the model to serve into `config.toml`. Raises like `choosing_model`."""
    with choosing_model(paths, model_id):
        pass


def _unwritable(file: Path, model_id: str, error: OSError) -> ConfigError:
    """The error about a settings file that cannot be written.

    A file on a read-only file system was generated by another program, such as NixOS's: its source
    has to change.
    """
    reason, hint = explained(file.resolve() if error.errno == errno.EROFS else file, error)
    if error.errno == errno.EROFS:
        hint = f'write `model = "{model_id}"` into the source of that file'
    return ConfigError(f"cannot write {file}: {reason}", hint)


def _with_model(raw: bytes, model_id: str) -> bytes:
    """The settings file with another model, as a changed value or a new line, otherwise unchanged.

    Raises ValueError if they are not TOML.
    """
    import tomlkit

    text = raw.decode("utf-8-sig")
    document = tomlkit.parse(text)
    if document.get("model") == model_id:
        return raw
    document["model"] = model_id
    changed = tomlkit.dumps(document)
    if "\r\n" in text and not re.search(r"(?<!\r)\n", text):
        changed = re.sub(r"(?<!\r)\n", "\r\n", changed)
    return (codecs.BOM_UTF8 if raw.startswith(codecs.BOM_UTF8) else b"") + changed.encode()


def _read_file(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8-sig")  # as Windows' Notepad writes it
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise failed(ConfigError, "cannot read", file, error) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8 text", "save it as UTF-8") from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        words, _, where = str(error).removesuffix(")").partition(" (at ")
        found = re.match(r"line (\d+)", where)
        line = found[1] if found else len(text.splitlines())
        raise ConfigError(f"{file}:{line}: {words}", "correct the line") from error
    return {name: _in_file(name, value, file, text) for name, value in values.items()}


def _in_file(name: str, value: object, file: Path, text: str) -> object:
    """The value in its type of a setting in a file with this text. Raises ConfigError."""

    def source(*keys: str) -> str:
        return f"{file}:{_line_of(keys, text)}"

    match name, value:
        case "formats", dict():
            return {
                key: _checked_format(key, each, source(name, key)) for key, each in value.items()
            }
        case "remote", dict():
            keys = {
                key: _checked(f"remote.{key}", each, source(name, key))
                for key, each in value.items()
            }
            return RemoteSettings(**keys)  # type: ignore[arg-type]
    return _checked(name, value, source(name), file.parent)


def _checked(name: str, value: object, source: str, folder: Path | None = None) -> object:
    """A setting's value in its type, a relative path as below `folder`.

    Raises ConfigError naming source and key if it has another type.
    """
    if name not in _SETTINGS:
        near = difflib.get_close_matches(name, _SETTINGS, n=1)
        raise ConfigError(
            f"{source}: there is no setting `{name}`",
            f"did you mean `{near[0]}`?" if near else f"the settings are {', '.join(_SETTINGS)}",
        )
    try:
        found: object = msgspec.convert(value, _SETTINGS[name].type)
    except msgspec.ValidationError as error:
        default = json.dumps(msgspec.to_builtins(_SETTINGS[name].default))
        raise ConfigError(
            f"{source}: `{name}` must be {_EXPECTED[name]}, not {value!r}",
            f"correct it, or leave it out for the default, {default}",
        ) from error
    if name == "socket" and found:
        return str(absolute(str(found), f"{source}: `{name}`", folder))
    return found


def _checked_format(name: str, table: object, source: str) -> Format:
    try:
        return formats.parse(name, table)
    except formats.WrongFormat as error:
        raise ConfigError(f"{source}: `formats.{name}`: {error.message}", error.hint) from None


def _line_of(keys: Sequence[str], text: str) -> int:
    """The line number in a TOML file of a key, given with those of the tables around it."""
    lines = text.splitlines()
    at = 0
    for depth, name in enumerate(keys):
        before = r".*?(?<![\w-])" if depth else r"\s*\[?\s*"
        key = re.compile(rf"""{before}["']?{re.escape(name)}["']?\s*[\].=]""")
        at = next((number for number in range(at, len(lines)) if key.match(lines[number])), at)
    return at + 1


def _from_text(name: str, text: str) -> object:
    """A variable's text, converted to the setting's kind of value."""
    if name == "compat":
        return [part.strip() for part in text.split(",")]
    if _SETTINGS[name].type is bool:
        return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
    return int(text) if re.fullmatch(r"-?[0-9]+", text) else text
