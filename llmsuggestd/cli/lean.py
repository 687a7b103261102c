"""`llmsuggestd lean`: the Lean package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from llmsuggestd.cli import print_json, say
from llmsuggestd.cli.parameters import UserPath
from llmsuggestd.ownership import our_paths

if TYPE_CHECKING:
    from llmsuggestd import lake

DIR = click.argument("project", metavar="[DIR]", default=".", type=UserPath())
DRY_RUN = click.option("--dry-run", is_flag=True, help="Only show what would be done.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")

LOCAL = """\
The path exists only on this machine. Before you share the lakefile or lake-manifest.json, run
`llmsuggestd lean remove`, which removes it from both, or use
`llmsuggestd lean add --copy`, which gives the project a copy of the package to share.
"""


@click.group("lean")
def command() -> None:
    """Show the Lean package's folder, and add it to or remove it from projects."""


@command.command("path")
def path() -> None:
    """Print the folder of the Lean package, for a `require` in a lakefile.

    It is the same after an upgrade. If the package is not there yet, this command puts it there.
    """
    from llmsuggestd import lean_package

    click.echo(lean_package.place(our_paths()))


@command.command("add")
@DIR
@click.option("--copy", is_flag=True, help="Put a copy of the package into the project.")
@DRY_RUN
@JSON
def add(project: Path, copy: bool, dry_run: bool, as_json: bool) -> None:
    """Let the Lake project in DIR (the current folder) import the Lean package.

    Adds a `require` to its lakefile.toml or lakefile.lean, or corrects the path in an existing one,
    and changes nothing else. Safe to repeat.

    The path in the `require` exists only on this machine: run `llmsuggestd lean remove` before you
    share the lakefile. With --copy, the project gets its own copy of the package, in llmsuggest/,
    which you can share with it. Run the command again after an upgrade.
    """
    from llmsuggestd import lake, lean_package

    paths = our_paths()
    copy = copy or lean_package.has_copy(project)
    folder = lean_package.COPY if copy else lean_package.folder(paths)
    change = lake.plan_require(project, folder)
    if not dry_run:
        if copy:
            lean_package.copy_into(project)
        else:
            lean_package.place(paths)
        change.write()
        lean_package.note_project(paths, project)
    warning = lean_package.too_old(project)
    if as_json:
        print_json(
            {
                "dry_run": dry_run,
                "file": str(change.file),
                "action": change.action,
                "entry": change.entry,
                "import": lake.MODULE,
                "warning": warning or None,
            }
        )
        return
    if copy:
        click.echo(f"{'would' if dry_run else '✓'} put the package into {project / folder}")
    if change.action == "none":
        click.echo(f"· {change.file} requires it already; nothing was changed")
    else:
        _report({"add": "add to", "update": "change the path in"}[change.action], change, dry_run)
        if not copy:
            say(LOCAL)
        click.echo(f"Next, in {project.resolve()}:\n\n    {lake.UPDATE}\n")
        click.echo(f"and in a Lean file:\n\n    import {lake.MODULE}")
    if warning:
        click.echo(f"warning: {warning}", err=True)
        click.echo("  → write a newer version into the project's lean-toolchain", err=True)


@command.command("remove")
@DIR
@DRY_RUN
@JSON
def remove(project: Path, dry_run: bool, as_json: bool) -> None:
    """Remove the Lean package from the Lake project in DIR (the current folder).

    Removes the `require` from its lakefile, and the entry that `lake update` has written from its
    lake-manifest.json, and changes nothing else. Safe to repeat.
    """
    from llmsuggestd import lake, lean_package

    changes = [c for c in lake.plan_removal(project) if c.action != "none"]
    if not dry_run:
        for change in changes:
            change.write()
        lean_package.forget_project(our_paths(), project)
    copy = project / lean_package.COPY
    importing = [str(file) for file in lake.importing_files(project)]
    if as_json:
        files = [str(change.file) for change in changes]
        print_json({"dry_run": dry_run, "files": files, "still_imported_in": importing})
        return
    for change in changes:
        _report("remove from", change, dry_run)
    if not changes:
        click.echo(f"· {project} does not require it; nothing was changed")
    if changes and copy.exists():
        click.echo(f"· kept the copy of the package in {copy}: delete it if nothing uses it")
    if importing:
        click.echo(f"· these files still import {lake.MODULE}: {', '.join(importing)}")


def _report(did: str, change: lake.Change, dry_run: bool) -> None:
    """Print the effect of a change on a file."""
    click.echo(f"{'would' if dry_run else '✓'} {did} {change.file}:\n")
    click.echo("".join(f"    {line}\n" for line in change.entry.splitlines()))


def require_lines() -> str:
    """The lines that require the package in a project's lakefile.toml."""
    from llmsuggestd import lake, lean_package

    return f"{lake.toml_entry(lean_package.folder(our_paths()))}\n"
