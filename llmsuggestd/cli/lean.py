"""`llmsuggestd lean`: the Lean package."""

from __future__ import annotations

import os
from pathlib import Path

import click

from llmsuggestd.cli import print_json
from llmsuggestd.resources import resource


@click.group("lean")
def command() -> None:
    """The Lean package: where it is, how to require it."""


@command.command("path")
def path() -> None:
    """Print the folder of the Lean package, for a `require` in a lakefile."""
    click.echo(resource("lean"))


@command.command("add")
@click.argument("project", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def add(project: Path, dry_run: bool, as_json: bool) -> None:
    """Let the Lake project in DIR (the current folder) import the Lean package.

    Puts a `require` into its lakefile.toml or lakefile.lean, or mends the path in the one that is
    there, and leaves everything else as it is. Safe to repeat.
    """
    from llmsuggestd import lake

    package = resource("lean")
    change = lake.plan_require(project, package)
    if not dry_run:
        change.write()
    if as_json:
        print_json(
            {
                "dry_run": dry_run,
                "file": str(change.file),
                "action": change.action,
                "entry": change.entry,
                "import": lake.MODULE,
            }
        )
        return
    if change.action == "none":
        click.echo(f"· {change.file} requires it already; nothing was changed")
    else:
        did = {"add": "add to", "update": "change the path in"}[change.action]
        click.echo(f"{'would' if dry_run else '✓'} {did} {change.file}:\n")
        click.echo("".join(f"    {line}\n" for line in change.entry.splitlines()))
        click.echo(f"Next, in {project}:\n\n    {lake.UPDATE}\n")
        click.echo(f"and in a Lean file:\n\n    import {lake.MODULE}")
    if not os.access(package, os.W_OK):
        click.echo(
            f"· Lake builds the package where it is, and {package} is not writable for you",
            err=True,
        )


def require_lines() -> str:
    """What a user adds to a project's lakefile.toml."""
    from llmsuggestd import lake

    return f"{lake.toml_entry(resource('lean'))}\n"
