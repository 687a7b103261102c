"""`python -m convert CHECKPOINT`, from a checkout of the repository."""

from __future__ import annotations

import sys

import click

from llmsuggestd.errors import ExitCode, LlmsuggestdError

from .command import command

if __name__ == "__main__":
    try:
        command.main(prog_name="python -m convert", standalone_mode=False)
    except LlmsuggestdError as error:
        click.echo(f"convert: {error.message}", err=True)
        if error.hint:
            click.echo(f"  → {error.hint}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("convert: interrupted", err=True)
        sys.exit(ExitCode.INTERRUPTED)
