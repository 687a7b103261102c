"""Completion with Tab: bash's answers, and the scripts for the other shells."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from tests.conftest import Home

SCRIPT = r"""
eval "$(_LLMSUGGESTD_COMPLETE=bash_source llmsuggestd)"
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_llmsuggestd_completion llmsuggestd
printf '%s\n' "${COMPREPLY[@]}"
"""


def completed(home: Home, *words: str) -> list[str]:
    """The completions that bash offers for the last of these words."""
    result = subprocess.run(
        ["bash", "--norc", "-c", SCRIPT, "bash", "llmsuggestd", *words],
        env=home.env, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert result.stderr == ""
    return result.stdout.split()


@pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("bash") is None, reason="needs a bash of 4.4 or newer"
)
def test_bash_completes_commands_options_and_models(home: Home) -> None:
    assert completed(home, "sta") == ["start", "status"]
    assert completed(home, "models", "pu") == ["pull"]
    assert completed(home, "install", "--acc") == ["--accelerator"]
    assert completed(home, "install", "--accelerator", "cu") == ["cuda"]
    assert completed(home, "models", "use", "") == []  # no model is installed
    home.install_starter()
    (home.paths.models / "mine.gguf").write_bytes(b"GGUF")
    assert completed(home, "models", "use", "") == ["mine", "starter"]
    assert completed(home, "models", "remove", "m") == ["mine"]
    assert completed(home, "serve", "--model", "st") == ["starter"]
    assert completed(home, "models", "pull", "llm") == ["llmstep-2.8b"]


def test_completion_is_silent_if_the_models_cannot_be_listed(home: Home) -> None:
    home.paths.data.mkdir()
    home.paths.models.write_text("not a folder")
    result = home.run(
        _LLMSUGGESTD_COMPLETE="bash_complete", COMP_WORDS="llmsuggestd models use ", COMP_CWORD="3"
    )
    assert (result.stdout.strip(), result.stderr, result.returncode) == ("", "", 0)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_zsh_and_fish_have_a_script(home: Home, shell: str) -> None:
    result = home.run(_LLMSUGGESTD_COMPLETE=f"{shell}_source")
    assert result.returncode == 0, result.stderr
    assert f"_LLMSUGGESTD_COMPLETE={shell}_complete" in result.stdout
