"""Errors for users, and the exit codes of the commands that they end.

Every failure that has a remedy is an `LlmsuggestdError`: one line that says what happened, and a
hint that says what to do next. The command line prints it and exits with its code. The daemon
turns it into `{"error": {"code", "message", "hint"}}`. Any other exception is a bug.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every `llmsuggestd` command (docs/reference/exit-codes.md)."""

    OK = 0
    """Done."""
    ERROR = 1
    """A failure without a separate code, or a failed check of `doctor`."""
    USAGE = 2
    """The command line, or a value given on it, is wrong (click's own code)."""
    NOT_RUNNING = 3
    """The daemon is needed and does not answer."""
    CONFIG = 4
    """A setting is wrong: `config.toml`, the option of `serve` for it, a variable such as
    `HTTPS_PROXY`, a socket path, a port that is taken."""
    MODEL = 5
    """A model is missing, broken, or cannot be loaded."""
    INPUT = 6
    """A file or checkpoint given as input cannot be used."""
    ALREADY_RUNNING = 7
    """Another daemon or another tray runs for this home, or another `models pull` of the same
    model."""
    NETWORK = 8
    """A download failed; the same command continues it."""
    FAULT = 70
    """An unexpected error; its traceback is in the log (sysexits' EX_SOFTWARE)."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C."""


class LlmsuggestdError(Exception):
    """An error with a remedy, and without a separate code.

    `message` is one line that says what happened, and `hint` says what to do next (may be empty).
    `code` is a word for programs, in JSON answers. `exit_code` is the command's exit code.
    """

    code = "error"
    exit_code = ExitCode.ERROR

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def to_dict(self) -> dict[str, str]:
        """The error as it appears in JSON answers."""
        return {"code": self.code, "message": self.message, "hint": self.hint}


class UsageError(LlmsuggestdError):
    """A value given on the command line or in a request cannot be used."""

    code = "invalid_request"
    exit_code = ExitCode.USAGE


class NotRunningError(LlmsuggestdError):
    """The daemon does not answer."""

    code = "not_running"
    exit_code = ExitCode.NOT_RUNNING


class AlreadyRunningError(LlmsuggestdError):
    """Another daemon holds this home's lock."""

    code = "already_running"
    exit_code = ExitCode.ALREADY_RUNNING


class ConfigError(LlmsuggestdError):
    """The configuration cannot be used."""

    code = "config"
    exit_code = ExitCode.CONFIG


class ModelError(LlmsuggestdError):
    """A model is missing, broken, or cannot be loaded."""

    code = "model"
    exit_code = ExitCode.MODEL


class InputError(LlmsuggestdError):
    """A file or checkpoint given as input cannot be used."""

    code = "input"
    exit_code = ExitCode.INPUT
