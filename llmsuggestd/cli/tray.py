"""`llmsuggestd tray`: the icon in the desktop's panel."""

from __future__ import annotations

import logging

import click

from llmsuggestd import service
from llmsuggestd.cli.parameters import FiniteRange
from llmsuggestd.ownership import our_paths


@click.command("tray")
@click.option(
    "--wait",
    type=FiniteRange(min=0),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the panel while the desktop starts.",
)
def command(wait: float) -> None:
    """Show the daemon's state as an icon in the panel, with a menu to control it.

    Runs until you choose Quit in the menu. The tray and the daemon run independently. There is one
    tray at a time.
    """
    from llmsuggestd.tray import app

    handler = logging.StreamHandler()
    handler.setFormatter(app.Brief(app.LOG_FORMAT, app.LOG_TIME))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    service.adopt_places()
    app.run(our_paths(), wait)
