"""The settings: `config.toml`, overridden by `LLMSUGGESTD_*` variables, overridden by flags."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from llmsuggestd.errors import ConfigError
from llmsuggestd.paths import Paths

DEFAULT_PORT = 5567
"""LLMS on a telephone's keys; outside the ephemeral range, used by nothing common."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All settings, with their defaults (docs/reference/config.md)."""

    model: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")] = "starter"
    """The id of the model to serve, one that is installed."""

    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = DEFAULT_PORT
    """The port on 127.0.0.1; 0 takes any free one (clients find it in `client.json`)."""

    socket: str = ""
    """The Unix socket's path; empty: `daemon.sock` in the runtime directory."""

    gpu: Literal["auto", "off"] | Annotated[int, msgspec.Meta(ge=0)] = "auto"
    """How much of the model goes to the GPU: all of it, nothing, or that many layers."""

    threads: Annotated[int, msgspec.Meta(ge=0, le=1024)] = 0
    """Threads for decoding; 0: one for each physical core that the process may use."""

    context: Annotated[int, msgspec.Meta(ge=256, le=131072)] = 2048
    """Tokens of context held in memory: one prompt and what all its candidates add."""

    def socket_path(self, paths: Paths) -> Path:
        """The Unix socket's path with the default filled in."""
        return Path(self.socket).absolute() if self.socket else paths.socket


def load_config(paths: Paths, **flags: object) -> Config:
    """Read the settings. Flag beats environment beats file; a flag that is None is not given.

    Raises ConfigError naming the file or variable, the key and what it should be.
    """
    values = _validated(_read_file(paths.config_file), str(paths.config_file))
    for name in Config.__struct_fields__:
        variable = f"LLMSUGGESTD_{name.upper()}"
        if text := os.environ.get(variable):
            values |= _validated({name: _number_or_text(text)}, f"${variable}")
    for name, value in flags.items():
        if value is not None:
            values |= _validated({name: value}, f"--{name}")
    return msgspec.convert(values, Config)


def _read_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file}: {error}", "correct the file") from error


def _validated(values: dict[str, Any], source: str) -> dict[str, Any]:
    try:
        msgspec.convert(values, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {error}", "see docs/reference/config.md") from error
    return values


def _number_or_text(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() else text
