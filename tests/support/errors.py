"""Errors of commands."""

from __future__ import annotations

import subprocess


def error_of(result: subprocess.CompletedProcess[str]) -> str:
    """Check that a command has printed one line and a hint as its error. Returns the line."""
    assert result.returncode != 0
    lines = result.stderr.splitlines()
    assert len(lines) == 2, result.stderr
    assert lines[0].startswith("llmsuggestd: ")
    assert lines[1].startswith("  → ")
    return lines[0]
