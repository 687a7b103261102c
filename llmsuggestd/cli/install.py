"""`llmsuggestd install`."""

from __future__ import annotations

import click

from llmsuggestd.cli import print_json
from llmsuggestd.cli.lean import require_lines
from llmsuggestd.paths import get_paths


@click.command("install")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--json", "as_json", is_flag=True, help="Print the steps as JSON.")
def command(dry_run: bool, as_json: bool) -> None:
    """Set up directories, the starter model and the user service. Safe to repeat.

    Nothing is started; nothing outside your own directories is touched.
    """
    from llmsuggestd import installation

    steps, why_no_service = installation.plan(get_paths())
    done = [step for step in steps if step.needed]
    if not dry_run:
        for step in done:
            step.act()
    if as_json:
        print_json(
            {
                "dry_run": dry_run,
                "steps": [
                    {"what": step.what, "path": str(step.path), "changed": step.needed}
                    for step in steps
                ],
                "no_service": why_no_service or None,
                "lean_require": require_lines(),
            }
        )
        return
    for step in steps:
        mark = "·" if not step.needed else "would" if dry_run else "✓"
        click.echo(f"{mark} {step.what}: {step.path}{'' if step.needed else ' (is there)'}")
    if why_no_service:
        click.echo(f"· no service: {why_no_service}; `start` runs a background process")
    if dry_run:
        return
    click.echo(f"""
Next:
  llmsuggestd start

In a Lean project, run `llmsuggestd lean add`, or add to lakefile.toml

{click.style(_indented(require_lines()), bold=True)}
then `lake update llmsuggest`, and in a Lean file

    import LlmSuggest
    example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by llmsuggest

`llmsuggestd doctor` checks every part.""")


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())
