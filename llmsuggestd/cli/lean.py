"""`llmsuggestd lean`: the Lean package."""

from __future__ import annotations

import click

from llmsuggestd.resources import resource


@click.group("lean")
def command() -> None:
    """The Lean package: where it is, how to require it."""


@command.command("path")
def path() -> None:
    """Print the folder of the Lean package, for a `require` in a lakefile."""
    click.echo(resource("lean"))


def require_lines() -> str:
    """What a user adds to a project's lakefile.toml."""
    return f'[[require]]\nname = "llmsuggest"\npath = "{resource("lean").as_posix()}"\n'
