"""`llmsuggestd stop`."""

from __future__ import annotations

import click

from llmsuggestd import service
from llmsuggestd.cli import print_json
from llmsuggestd.paths import get_paths


@click.command("stop")
@click.option("--json", "as_json", is_flag=True, help='Print {"stopped": bool} instead.')
def command(as_json: bool) -> None:
    """Stop the daemon; what is being answered gets a few seconds to finish."""
    from llmsuggestd.daemon import control

    stopped = control.stop(get_paths(), service.registered())
    if as_json:
        print_json({"stopped": stopped})
    else:
        click.echo("llmsuggestd has stopped" if stopped else "llmsuggestd was not running")
