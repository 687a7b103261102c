"""Kinds of values that several commands take."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from llmsuggestd.errors import ConfigError, UsageError
from llmsuggestd.paths import expanded


class UserPath(click.Path):
    """A path in which a leading `~` is a home: no shell expands it in `--output=~/x`.

    A file whose own name begins so is taken as it is.
    """

    def __init__(self, **how: Any) -> None:
        super().__init__(**{"path_type": Path} | how)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path as click has it. Raises UsageError for the home of somebody unknown."""
        if isinstance(value, str) and value.startswith("~") and not os.path.lexists(value):
            try:
                value = str(expanded(value, param.get_error_hint(ctx) if param else "the path"))
            except ConfigError as error:
                raise UsageError(error.message, error.hint) from None
        return super().convert(value, param, ctx)
