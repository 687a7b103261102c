"""`llmsuggestd suggest`: what the tactic asks, from a terminal."""

from __future__ import annotations

import codecs
import sys

import click

from llmsuggestd import goals
from llmsuggestd.cli import print_json
from llmsuggestd.client import Client
from llmsuggestd.errors import UsageError
from llmsuggestd.ownership import our_paths

TIMEOUT = 130.0
"""Seconds: more than the 120 in which the daemon answers, if only to say that it cannot."""


def _text(context: click.Context, parameter: click.Parameter, value: str) -> str:  # noqa: ARG001
    """An argument for the model, which must be UTF-8, whatever else a shell lets one type."""
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise click.BadParameter("it is not UTF-8 text")
    return value


@click.command("suggest")
@click.argument("goal", callback=_text)
@click.option("--prefix", callback=_text, default="", help="How the tactic must begin.")
@click.option(
    "-n",
    "count",
    type=click.IntRange(1, 32),
    default=5,
    show_default=True,
    help="How many suggestions.",
)
@click.option(
    "--max-tokens",
    type=click.IntRange(1, 512),
    default=64,
    show_default=True,
    help="Length of a suggestion.",
)
@click.option("--mode", type=click.Choice(["beam", "sample"]), default="beam", show_default=True)
@click.option(
    "--temperature",
    type=click.FloatRange(0, 10, min_open=True),
    default=0.5,
    show_default=True,
    help="For --mode sample.",
)
@click.option("--seed", type=click.IntRange(min=0), help="For --mode sample.")
@click.option("--json", "as_json", is_flag=True, help="Print the daemon's answer as JSON.")
def command(
    goal: str,
    prefix: str,
    count: int,
    max_tokens: int,
    mode: str,
    temperature: float,
    seed: int | None,
    as_json: bool,
) -> None:
    """Print suggestions for GOAL, best first, each with its score.

    GOAL is what Lean shows: hypotheses, one per line, then `⊢ target`; of several goals, the first
    counts. `-` reads it from standard input. The score is the mean log probability of a token: 0
    would be certainty.
    """
    request = {
        "goal": goals.normalise(_read_standard_input() if goal == "-" else goal),
        "prefix": prefix,
        "n": count,
        "max_tokens": max_tokens,
        "mode": mode,
        "temperature": temperature,
        "seed": seed,
    }
    answer = Client(our_paths()).request("POST", "/v1/suggest", request, timeout=TIMEOUT)
    if as_json:
        print_json(answer)
        return
    if not answer["suggestions"]:
        click.echo("the model has no suggestion for this goal", err=True)
    for rank, suggestion in enumerate(answer["suggestions"], 1):
        tactic = suggestion["text"].replace("\n", "\n" + " " * 12)
        more = "" if suggestion["finished"] else " …"
        click.echo(f"{rank:>3} {suggestion['score']:>7.3f} {tactic}{more}")


def _read_standard_input() -> str:
    """What is piped in: UTF-8, or UTF-16 with its mark, which is what PowerShell makes of a file.

    Raises UsageError if it cannot be read, or is no text.
    """
    try:
        data = sys.stdin.buffer.read()
        is_utf_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = data.decode("utf-16" if is_utf_16 else "utf-8")
    except OSError as error:
        raise UsageError(f"standard input cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError("standard input is not UTF-8 text", "pipe in a goal") from None
    if "\0" in text:
        raise UsageError("standard input is not text", "pipe in a goal")
    return text
