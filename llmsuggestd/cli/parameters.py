"""Types of values that several commands accept, with their completions."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from llmsuggestd.errors import ConfigError, LlmsuggestdError, UsageError
from llmsuggestd.paths import expanded, get_paths


class UserPath(click.Path):
    """A path in which a leading `~` is a home, since no shell expands it in `--output=~/x`.

    If a file with that literal name exists, it is used.
    """

    def __init__(self, **how: Any) -> None:
        super().__init__(**{"path_type": Path} | how)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert the value as click does. Raises UsageError for the home of an unknown user."""
        if isinstance(value, str) and value.startswith("~") and not os.path.lexists(value):
            try:
                value = str(expanded(value, param.get_error_hint(ctx) if param else "the path"))
            except ConfigError as error:
                raise UsageError(error.message, error.hint) from None
        return super().convert(value, param, ctx)


class FiniteRange(click.FloatRange):
    """A range of numbers without NaN, which click counts into every range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert the value as click does."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


def installed_models(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """The ids of installed models with this prefix; none if the models cannot be listed."""
    from llmsuggestd.models import store

    try:
        ids = [model.id for model in store.installed(get_paths())]
    except (LlmsuggestdError, OSError):
        return []
    return [id_ for id_ in ids if id_.startswith(incomplete)]


def catalogue_models(
    _: click.Context, __: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The ids in the catalogue with this prefix, each with its purpose."""
    from llmsuggestd.models.catalogue import CATALOGUE

    return [
        CompletionItem(entry.id, help=entry.good_for)
        for entry in CATALOGUE.values()
        if entry.id.startswith(incomplete)
    ]
