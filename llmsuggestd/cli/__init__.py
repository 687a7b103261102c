"""The command line. Each command is a module that parses, calls the library, and prints.

A command's module is imported only when the command runs, so that `llmsuggestd status` starts fast,
whatever `llmsuggestd convert` needs.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any, NoReturn

import click

from llmsuggestd.cli import edge, terminal
from llmsuggestd.commands import runnable
from llmsuggestd.version import __version__

# command -> (the module that holds it, as `command`; the line `--help` shows)
COMMANDS = {
    "install": ("install", "Set up directories, the starter model and the user service."),
    "uninstall": ("uninstall", "Remove what install made; keeps models unless --purge."),
    "start": ("start", "Start the daemon in the background."),
    "stop": ("stop", "Stop the daemon."),
    "restart": ("restart", "Stop the daemon and start it again."),
    "status": ("status", "Show whether the daemon runs, and with which model."),
    "serve": ("serve", "Run the daemon in the foreground, as a service manager does."),
    "logs": ("logs", "Show the daemon's log."),
    "suggest": ("suggest", "Print suggestions for a goal."),
    "models": ("models", "Fetch, list, choose and remove models."),
    "doctor": ("doctor", "Check every part of the installation."),
    "convert": ("convert", "Convert a checkpoint to a quantised GGUF file."),
    "lean": ("lean", "The Lean package: where it is, how to require it."),
    "tray": ("tray", "Show the tray icon."),
}


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"llmsuggestd.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def get_help(self, ctx: click.Context) -> str:
        return runnable(super().get_help(ctx))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_) for name, (_, help_) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="llmsuggestd")
def cli() -> None:
    """Next-tactic suggestions for Lean 4 from a local language model.

    Begin with `llmsuggestd install`, then `llmsuggestd start`. `llmsuggestd doctor` finds problems.
    """


def say(message: str, *, err: bool = False) -> None:
    """Print a message whose commands can be run as shown."""
    click.echo(runnable(message), err=err)


def print_json(value: Any) -> None:
    """Print a value as `--json` promises: one indented JSON document in UTF-8."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def main(command: click.Command = cli, name: str = "llmsuggestd") -> NoReturn:
    """Run the command line; an error becomes one line, its hint another, and its exit code."""
    edge.prepare()
    colour = terminal.colour()
    sys.exit(edge.run(lambda: command.main(prog_name=name, standalone_mode=False, color=colour)))
