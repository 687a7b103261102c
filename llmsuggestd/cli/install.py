"""`llmsuggestd install`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from llmsuggestd import accelerators, building, lake
from llmsuggestd.accelerators import Accelerator, AcceleratorError
from llmsuggestd.cli import print_json, say, terminal
from llmsuggestd.cli.lean import require_lines
from llmsuggestd.commands import program
from llmsuggestd.engine import builds
from llmsuggestd.ownership import our_paths

if TYPE_CHECKING:
    from llmsuggestd.installation import Step


@click.command("install")
@click.option(
    "--accelerator",
    type=click.Choice(["auto", *accelerators.NAMES]),
    help="Build llama.cpp for this kind of device, which takes minutes; auto chooses the fastest "
    "of this machine. Without this option, nothing is built.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@click.option("--json", "as_json", is_flag=True, help="Print the steps as JSON.")
def command(accelerator: str | None, dry_run: bool, as_json: bool) -> None:
    """Set up directories, the starter model and the user service. Safe to repeat.

    Changes only your own directories. Does not start the daemon, but restarts a running one if it
    has another version, if its model has failed, or if its service file has changed.
    """
    from llmsuggestd import installation

    paths = our_paths()
    target = None
    if accelerator is not None:
        target = accelerators.best() if accelerator == "auto" else accelerators.find(accelerator)
        if accelerator != "auto":
            accelerators.check_possible(target, named=True)
    steps, why_no_service = installation.plan(paths)
    for step in steps:
        if step.needed and not dry_run:
            step.act()
        if not as_json:
            _report(step, dry_run)
    if as_json:
        build = _accelerate(target, dry_run, quiet=True)
        print_json(
            {
                "dry_run": dry_run,
                "steps": [
                    {"what": step.what, "path": str(path), "changed": step.needed}
                    for step in steps
                    for path in step.paths
                ],
                "no_service": why_no_service or None,
                "accelerator": build,
                "lean_require": require_lines(),
            }
        )
        return
    if why_no_service:
        click.echo(f"· no service: {why_no_service}; `start` runs a background process")
    _accelerate(target, dry_run, quiet=False)
    if dry_run:
        return
    runs = installation.running(paths) is not None
    llmsuggestd = program()
    click.echo(f"""
Next:
  {llmsuggestd} {"status" if runs else "start"}

In a Lean project's folder:
  {llmsuggestd} lean add      (puts the package into its lakefile)
  {lake.UPDATE}

and in a Lean file:
  import LlmSuggest
  example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by llmsuggest

At any time:
  {llmsuggestd} doctor        (checks every part)
  {llmsuggestd} tray          (shows an icon)""")


def _report(step: Step, dry_run: bool) -> None:
    """Print a step's result for each of its paths."""
    mark = "·" if not step.needed else "would" if dry_run else "✓"
    for path in step.paths:
        is_there = path.exists() or path.is_symlink()
        state = "" if step.needed else " (present)" if is_there else " (absent; skipped)"
        click.echo(f"{mark} {step.what}: {path}{state}")


def _accelerate(target: Accelerator | None, dry_run: bool, *, quiet: bool) -> dict[str, Any]:
    """Build llama.cpp for `target`, or print what could be built. Returns the result for JSON."""
    from llmsuggestd import installation

    def tell(line: str) -> None:
        if not quiet:
            say(line)

    wanted = target or accelerators.best()
    result = {"name": wanted.name, "device": wanted.device, "built": False, "command": None}
    if target is None and wanted.name == "cpu":
        return result
    if building.describe(builds.chosen(our_paths())).sees(wanted):
        tell(f"· llama.cpp is built for {wanted.name}: {wanted.device} (present)")
        return result
    if target is None:
        tell(
            f"· this machine has {wanted.device}, but llama.cpp is not built for it:\n"
            f"  → `llmsuggestd install --accelerator {wanted.name}` builds it "
            f"({wanted.duration})"
        )
        return result | {"command": f"{program()} install --accelerator {wanted.name}"}
    try:
        accelerators.check_possible(wanted, named=False)
    except AcceleratorError as error:  # only with `auto`, for which this is no error
        tell(f"· {error.message}\n  → {error.hint}")
        return result
    if dry_run:
        tell(f"would build llama.cpp for {wanted.name}, {wanted.device}, with")
        tell(f"      {building.command(wanted)}")
        return result | {"command": building.command(wanted)}
    tell(
        f"Building llama.cpp for {wanted.name}, {wanted.device}. This takes {wanted.duration}.\n"
        "The present llama.cpp is used until the new one has been checked.\n"
        "Press Ctrl-C to cancel."
    )
    with _clock(quiet) as tick:
        build = installation.accelerate(our_paths(), wanted, tick)
    if build is None:
        tell("✓ the installed llama.cpp is used again")
        return result
    tell(f"✓ llama.cpp for {wanted.name} is in {build}")
    tell("· `llmsuggestd install --accelerator cpu` goes back to the installed one")
    return result | {"built": True}


@contextlib.contextmanager
def _clock(quiet: bool) -> Iterator[Callable[[float], None]]:
    """Yield `tick`, which takes the elapsed seconds and shows them on a terminal."""
    console = terminal.console()
    if quiet or not terminal.can_redraw(console):
        yield lambda _: None
        return
    with console.status("building") as status:
        yield lambda s: status.update(f"building, {int(s) // 60}:{int(s) % 60:02}")
