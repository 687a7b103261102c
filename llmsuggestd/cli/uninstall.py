"""`llmsuggestd uninstall`."""

from __future__ import annotations

import shlex

import click

from llmsuggestd import service
from llmsuggestd.cli import print_json
from llmsuggestd.commands import program
from llmsuggestd.errors import LlmsuggestdError
from llmsuggestd.ownership import is_shared, our_paths


@click.command("uninstall")
@click.option("--purge", is_flag=True, help="Remove settings and models too.")
@click.option("--json", "as_json", is_flag=True, help="Print the removed paths as JSON.")
def command(purge: bool, as_json: bool) -> None:
    """Stop the daemon and remove what `install` and the daemon have made."""
    from llmsuggestd import control, installation, lean_package

    paths = our_paths()
    projects = lean_package.projects(paths)
    manager = service.registered()
    elsewhere = service.other_places(manager) if manager is not None else {}
    stopped = control.stop(paths, manager)
    removed, left = installation.uninstall(paths, purge=purge)
    if as_json:
        print_json(
            {
                "removed": [str(path) for path in removed],
                "projects": [str(project) for project in projects],
            }
        )
    else:
        if stopped.pid is not None:
            click.echo("✓ stopped the daemon")
        for path in removed:
            click.echo(f"✓ removed {path}")
        if paths.models.exists():
            why = "the folder is shared" if is_shared(paths.models) else "--purge removes them"
            click.echo(f"· kept the models in {paths.models}: {why}")
        if stopped.pid is None and not removed:
            click.echo("· there was nothing to remove")
        if projects:
            click.echo("· these projects still require the Lean package; to remove it from them:\n")
            for project in projects:
                click.echo(f"    {program()} lean remove {shlex.quote(str(project))}")
        if elsewhere:
            variables = " ".join(f"{n}={shlex.quote(v)}" for n, v in elsewhere.items())
            click.echo("· its service had files elsewhere, too; to remove them:\n")
            click.echo(f"    {variables} {program()} uninstall{' --purge' * purge}")
    if left:
        raise LlmsuggestdError(
            f"could not remove {', '.join(map(str, left))}",
            "remove it, or change its owner or mode, and run the same command again",
        )
