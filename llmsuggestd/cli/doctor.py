"""`llmsuggestd doctor`."""

from __future__ import annotations

import click

from llmsuggestd.cli import print_json
from llmsuggestd.commands import runnable
from llmsuggestd.errors import ExitCode
from llmsuggestd.paths import get_paths

COLOURS = {"ok": "green", "warning": "yellow", "failed": "red"}


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Check every part of the installation. Each problem comes with its remedy.

    Exits with 1 if a check has failed.
    """
    from llmsuggestd import doctor

    findings = []
    for found in doctor.examine(get_paths()):
        finding = found._replace(remedy=runnable(found.remedy))
        findings.append(finding)
        if not as_json:
            level = click.style(f"{finding.level:<8}", fg=COLOURS[finding.level])
            click.echo(f"{level} {finding.part:<10} {finding.message}")
            if finding.remedy:
                click.echo(f"{'':<19} → {finding.remedy}")
    if as_json:
        print_json([finding._asdict() for finding in findings])
    if any(finding.level == "failed" for finding in findings):
        context.exit(ExitCode.ERROR)
