"""`llmsuggestd stop`."""

from __future__ import annotations

import click

from llmsuggestd import service
from llmsuggestd.cli import print_json
from llmsuggestd.ownership import our_paths


@click.command("stop")
@click.option(
    "--json", "as_json", is_flag=True, help='Print {"stopped": bool, "forced": bool} instead.'
)
def command(as_json: bool) -> None:
    """Stop the daemon. Requests in progress get a few seconds to finish.

    A daemon that hangs is ended by force.
    """
    from llmsuggestd import control

    stopped = control.stop(our_paths(), service.registered())
    if as_json:
        print_json({"stopped": stopped.pid is not None, "forced": stopped.forced})
    elif stopped.pid is None:
        click.echo("llmsuggestd was not running")
    elif stopped.forced:
        click.echo(f"llmsuggestd (pid {stopped.pid}) did not respond, and was ended by force")
    else:
        click.echo("llmsuggestd has stopped")
