"""The `convert` command: its options, its progress bar, what it prints."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from .recipe import DEFAULT_QUANT, RECIPES


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("checkpoint")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The file to write.  [default: NAME-QUANT.gguf in this folder]",
)
@click.option(
    "-q",
    "--quant",
    type=click.Choice(list(RECIPES), case_sensitive=False),
    default=DEFAULT_QUANT,
    show_default=True,
    help="How many bits a weight gets, and how they are laid out.",
)
@click.option("--revision", help="Branch, tag or commit, if CHECKPOINT is a repository.")
@click.option("--name", help="The model's name in the file.  [default: the checkpoint's]")
@click.option(
    "--threads", type=click.IntRange(1, 1024), help="How many quantise.  [default: all cores]"
)
@click.option("--quiet", is_flag=True, help="No progress bar, no summary.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(
    checkpoint: str,
    output: Path | None,
    quant: str,
    revision: str | None,
    name: str | None,
    threads: int | None,
    *,
    quiet: bool,
    as_json: bool,
) -> None:
    """Convert a GPT-NeoX checkpoint (Pythia and its fine-tunes) to a GGUF file.

    CHECKPOINT is a folder in Hugging Face layout (config.json, tokenizer.json, and safetensors
    or pytorch_model.bin files), or a repository of the hub such as EleutherAI/pythia-2.8b.
    """
    # Here, so that --help needs neither numpy nor gguf's tables to be loaded.
    from .conversion import convert
    from .hub import find_checkpoint

    with _terminating():
        folder, source, found_name = find_checkpoint(checkpoint, revision)
        target = output or Path(f"{found_name}-{quant}.gguf")
        with _progress_bar(shown=not quiet) as report:
            summary = convert(
                folder,
                target,
                quant,
                name=name or found_name,
                source=source,
                threads=threads,
                progress=report,
            )
    for warning in summary.warnings:
        click.echo(f"warning: {warning}", err=True)
    if as_json:
        click.echo(json.dumps(summary.to_dict(), ensure_ascii=False, indent=2))
    elif not quiet:
        click.echo(
            f"{summary.output}: {summary.bytes / 1e6:,.1f} MB,"
            f" {summary.parameters / 1e6:,.1f} million weights as {summary.quant},"
            f" {summary.bytes * 8 / summary.parameters:.2f} bits each,"
            f" in {summary.seconds:.1f} s"
        )


@contextlib.contextmanager
def _progress_bar(*, shown: bool) -> Iterator[Any]:
    """Give a function that takes the weights done and all weights, and draws a bar of them."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    # On a pipe there is nothing to draw on: rich would print the last state only.
    with Progress(*columns, console=console, disable=not (shown and console.is_terminal)) as bar:
        task = bar.add_task("converting", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextlib.contextmanager
def _terminating() -> Iterator[None]:
    """Let SIGTERM (and a closed terminal) end the block as an exception, so that it cleans up."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001
        click.echo(f"llmsuggestd: stopped by {signal.Signals(number).name}", err=True)
        sys.exit(128 + number)

    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    old = {name: signal.signal(getattr(signal, name), stop) for name in names}
    try:
        yield
    finally:
        for name, handler in old.items():
            signal.signal(getattr(signal, name), handler)
