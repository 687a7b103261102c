"""`llmsuggestd start`: the daemon in the background."""

from __future__ import annotations

from typing import Any

import click

from llmsuggestd import service
from llmsuggestd.cli import print_json, say
from llmsuggestd.errors import ModelError
from llmsuggestd.ownership import our_paths
from llmsuggestd.units import device_text


@click.command("start")
@click.option("--json", "as_json", is_flag=True, help="Print the daemon's status as JSON.")
def command(as_json: bool) -> None:
    """Start the daemon in the background and wait until its model is loaded.

    Uses the service that `llmsuggestd install` registered, or a plain background process where
    there is no service manager.
    """
    from llmsuggestd import control

    manager = service.registered()
    report(control.start(our_paths(), manager), manager, as_json)
    if manager is None and not as_json and service.detect()[0] is not None:
        say("`llmsuggestd install` makes it start when you log in")


def report(status: dict[str, Any], manager: service.Service | None, as_json: bool) -> None:
    """Print the result of a start. Raises ModelError if the daemon has no working model."""
    if as_json:
        print_json(status)
    else:
        how = f"as a {manager.manager} service" if manager else "in the background"
        click.echo(f"llmsuggestd runs {how} (pid {status['pid']})")
        if status["state"] != "failed":
            loaded = status["device"] is not None  # else loading takes longer than we wait
            about = status["model"]["description"] if loaded else "still being loaded"
            click.echo(f"  model   {status['model']['id']}: {about}")
            if loaded:
                click.echo(f"  device  {device_text(status['device'], status['threads'])}")
            if status["socket"]:
                click.echo(f"  socket  {status['socket']}")
            else:  # on Windows, or below a home with a long path
                click.echo(f"  port    {status['url']}")
    if status["state"] == "failed":
        raise ModelError(status["reason"], status["hint"])
