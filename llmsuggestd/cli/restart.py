"""`llmsuggestd restart`."""

from __future__ import annotations

import click

from llmsuggestd import service
from llmsuggestd.cli.start import report
from llmsuggestd.ownership import our_paths


@click.command("restart")
@click.option("--json", "as_json", is_flag=True, help="Print the daemon's status as JSON.")
def command(as_json: bool) -> None:
    """Stop the daemon if it runs, and start it.

    If the settings are wrong, the daemon is not stopped.
    """
    from llmsuggestd import control

    paths, manager = our_paths(), service.registered()
    report(control.restart(paths, manager), manager, as_json)
