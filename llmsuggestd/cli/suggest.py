"""`llmsuggestd suggest`: the tactic's question, from a terminal."""

from __future__ import annotations

import codecs
import sys

import click

from llmsuggestd import goals
from llmsuggestd.cli import print_json
from llmsuggestd.cli.parameters import FiniteRange
from llmsuggestd.client import Client
from llmsuggestd.errors import UsageError
from llmsuggestd.limits import MAX_CANDIDATES, MAX_TOKENS
from llmsuggestd.ownership import our_paths
from llmsuggestd.paths import is_text

TIMEOUT = 130.0
"""Timeout in seconds. The daemon answers within 120 s, at least with an error."""


def _text(context: click.Context, parameter: click.Parameter, value: str) -> str:  # noqa: ARG001
    """Check that an argument for the model is UTF-8 text. Shells also pass other bytes."""
    if not is_text(value):
        raise click.BadParameter("it is not UTF-8 text")
    return value


@click.command("suggest")
@click.argument("goal", callback=_text)
@click.option("--prefix", callback=_text, default="", help="Text that each suggestion begins with.")
@click.option(
    "-n",
    "count",
    type=click.IntRange(1, MAX_CANDIDATES),
    default=5,
    show_default=True,
    help="Number of suggestions.",
)
@click.option(
    "--max-tokens",
    type=click.IntRange(1, MAX_TOKENS),
    default=64,
    show_default=True,
    help="Maximum length of a suggestion.",
)
@click.option(
    "--mode",
    type=click.Choice(["beam", "sample"]),
    default="beam",
    show_default=True,
    help="`beam` finds the likeliest suggestions, `sample` draws them.",
)
@click.option(
    "--temperature",
    type=FiniteRange(0, 10, min_open=True),
    default=0.5,
    show_default=True,
    help="For --mode sample.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="For --mode sample.")
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

    GOAL is a goal as Lean shows it: hypotheses, one per line, then `⊢ target`. If there are several
    goals, the first is used. `-` reads it from standard input. The score is the mean log
    probability per token, where 0 is certainty.
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
    """The text on standard input: UTF-8, or UTF-16 with a byte order mark, as PowerShell writes it.

    Raises UsageError if it cannot be read or is not text.
    """
    try:
        data = sys.stdin.buffer.read()
        is_utf_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = data.decode("utf-16" if is_utf_16 else "utf-8")
    except OSError as error:
        raise UsageError(f"standard input cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError("standard input is not UTF-8 text", "pipe in a goal") from None
    if not data:
        raise UsageError(
            "standard input is empty", "pipe in a goal: hypotheses, one per line, then `⊢ target`"
        )
    if "\0" in text:
        raise UsageError("standard input is not text", "pipe in a goal")
    return text
