"""`llmsuggestd logs`."""

from __future__ import annotations

import time
from collections import deque

import click

from llmsuggestd.errors import LlmsuggestdError
from llmsuggestd.file_errors import failed
from llmsuggestd.ownership import our_paths


@click.command("logs")
@click.option("-f", "--follow", is_flag=True, help="Keep showing new lines.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(0, 1_000_000_000),
    default=50,
    show_default=True,
    help="Number of lines to show.",
)
def command(follow: bool, lines: int) -> None:
    """Show the end of the daemon's log."""
    log_file = our_paths().log_file
    try:
        with log_file.open(encoding="utf-8", errors="replace") as log:
            for line in deque(log, maxlen=lines):
                click.echo(line, nl=False)
            while follow:
                if log_file.stat().st_size < log.tell():
                    log.seek(0)  # the log was rotated
                click.echo(log.read(), nl=False)
                time.sleep(0.3)
    except FileNotFoundError:
        raise LlmsuggestdError(f"there is no log yet ({log_file})", "`llmsuggestd start`") from None
    except BrokenPipeError:  # the reader of our output has ended
        raise
    except OSError as error:
        raise failed(LlmsuggestdError, "cannot read", log_file, error) from error
