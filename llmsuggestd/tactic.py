"""Asks the daemon exactly as the Lean tactic does, so that `doctor` sees what the tactic sees.

The tactic runs `curl`. The cause of a problem can be `curl`, the socket, the program that listens
there, or the engine. Only the same call finds all of these. The call mirrors
lean/LlmSuggest/Client.lean, and the search for the daemon mirrors Discovery.lean.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from llmsuggestd.errors import LlmsuggestdError, NotRunningError
from llmsuggestd.paths import Paths, socket_override

TIMEOUT: Final = 60
"""Timeout for an answer in seconds, loading included: the default of `llmsuggest.loadTimeout`."""

NEWER_CURL: Final = "install curl 7.40 or newer, built for Unix sockets"

USUAL_PLACE: Final = "the usual place"

_CANNOT_CONNECT: Final = 7
_TIMED_OUT: Final = 28
_UNKNOWN_OPTION: Final = (2, 4)
"""curl's exit codes for an option that curl or its library does not support."""


class TacticError(LlmsuggestdError):
    """The tactic cannot get an answer."""

    code = "tactic"


class Door(NamedTuple):
    """A listener of the daemon that the tactic may connect to."""

    where: str
    """The path of a Unix socket, or the URL of a port."""
    token_file: str | None
    """The file with the port's token; None for a Unix socket."""
    source: str
    """The variable or file that names the listener, or `USUAL_PLACE`."""


class Reply(NamedTuple):
    """The answer that the tactic would get."""

    door: Door
    suggestions: list[str]
    seconds: float


class _Suggestion(msgspec.Struct):
    text: str
    score: float


class _Answer(msgspec.Struct):
    """An answer, as far as the tactic reads it."""

    suggestions: list[_Suggestion]


class _Refusal(msgspec.Struct):
    """An error, as far as the tactic reads it."""

    error: dict[str, str]


def find_curl() -> str:
    """The `curl` that the tactic would run. Raises TacticError if there is none."""
    if (curl := shutil.which("curl")) is None:
        raise TacticError("curl is not installed, and the Lean tactic needs it", "install curl")
    return curl


def doors(paths: Paths) -> Iterator[Door]:
    """Every listener that the tactic tries, in its order."""
    if path := socket_override():
        yield Door(str(path), None, "$LLMSUGGESTD_SOCKET")
        return
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        record = json.loads(paths.client_file.read_bytes())
        if isinstance(record.get("socket"), str):
            yield Door(record["socket"], None, str(paths.client_file))
        else:
            yield Door(record["url"], record["token_file"], str(paths.client_file))
    if paths.socket.is_socket():
        yield Door(str(paths.socket), None, USUAL_PLACE)


def ask(paths: Paths, timeout: int = TIMEOUT) -> Reply:
    """Ask for suggestions as the tactic does.

    The goal is new each time, so that the answer comes from the engine, not from the daemon's
    cache. Raises NotRunningError if nothing listens, TacticError for any other problem, including
    the daemon's own error.
    """
    curl = find_curl()
    hypothesis = f"h{secrets.token_hex(3)}"
    goal = f"p q : Prop\n{hypothesis} : p ∧ q\n⊢ q ∧ p"
    body = json.dumps({"goal": goal, "prefix": "", "n": 5, "client": "doctor"}, ensure_ascii=False)
    tried = []
    for door in doors(paths):
        if door in tried:
            continue
        started = time.monotonic()
        result = _run(curl, door, "/v1/suggest", body, timeout)
        if result.returncode != _CANNOT_CONNECT:
            suggestions = _suggestions(door, result, timeout)
            return Reply(door, suggestions, time.monotonic() - started)
        tried.append(door)
    raise _unreachable(tried)


def curl_arguments(door: Door, path: str, body: str, timeout: int) -> tuple[list[str], str]:
    """The arguments and the standard input with which `curl` posts `body` to the daemon."""
    arguments = [
        *("-q", "--silent", "--show-error", "--noproxy", "*", "--connect-timeout", "2"),
        *("--max-time", str(timeout), "--max-filesize", "1048576", "--write-out", "\n%{http_code}"),
        *("--header", "Content-Type: application/json"),
    ]
    if door.token_file is None:
        arguments += ["--unix-socket", door.where, "--data-binary", "@-"]
        return [*arguments, f"http://localhost{path}"], body
    try:
        token = Path(door.token_file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise TacticError(
            f"{door.source} names the token file {door.token_file}, which cannot be read",
            "`llmsuggestd restart` writes a new one",
        ) from error
    words = (
        f"header = {_quoted(f'Authorization: Bearer {token}')}",
        f"data-binary = {_quoted(body)}",
    )
    return [*arguments, "--config", "-", door.where + path], "".join(f"{word}\n" for word in words)


def _run(
    curl: str, door: Door, path: str, body: str, timeout: int
) -> subprocess.CompletedProcess[str]:
    arguments, text = curl_arguments(door, path, body, timeout)
    try:
        return subprocess.run(
            [curl, *arguments],
            input=text,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout + 10,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TacticError(f"{curl} does not finish", "install another curl") from error
    except OSError as error:
        raise TacticError(f"{curl} cannot be run: {error.strerror}", "install curl") from error


def _suggestions(door: Door, result: subprocess.CompletedProcess[str], timeout: int) -> list[str]:
    """The suggestions in curl's output, once it has connected. Raises TacticError."""
    words = (result.stderr.strip().splitlines() or [f"exit code {result.returncode}"])[0]
    if result.returncode in _UNKNOWN_OPTION:
        raise TacticError(f"curl cannot ask the daemon: {words}", NEWER_CURL)
    if result.returncode == _TIMED_OUT:
        raise TacticError(
            f"no answer from {door.where} within {timeout} s",
            "`llmsuggestd status` shows what the daemon is doing; `llmsuggestd restart` interrupts"
            " it",
        )
    if result.returncode < 0 or result.returncode > 100:
        raise TacticError(f"curl ended with exit code {result.returncode}", NEWER_CURL)
    body, _, status = result.stdout.rpartition("\n")
    with contextlib.suppress(msgspec.DecodeError):
        if result.returncode == 0 and status == "200":
            answer = msgspec.json.decode(body, type=_Answer)
            return [suggestion.text for suggestion in answer.suggestions]
        if result.returncode == 0:
            error = msgspec.json.decode(body, type=_Refusal).error
            raise TacticError(error["message"], error.get("hint", ""))
    how = words if result.returncode else f"status {status}"
    raise TacticError(f"another program answers at {door.where} ({how})", _freeing(door))


def _freeing(door: Door) -> str:
    """The remedy if another program answers at the daemon's address."""
    if door.source.startswith("$"):
        return f"unset {door.source.removeprefix('$')}, or set it to the daemon's socket"
    if door.token_file is not None:  # another program has taken the port of a daemon that ended
        return "`llmsuggestd restart` takes another port"
    return f"end the program that listens on {door.where}, then `llmsuggestd restart`"


def _unreachable(tried: list[Door]) -> LlmsuggestdError:
    """The error if no listener accepts a connection."""
    start = "start it with `llmsuggestd start`"
    if not tried:
        return NotRunningError("the daemon does not run", start)
    door = tried[0]
    message = f"nothing listens on {door.where}"
    if door.source != USUAL_PLACE:
        message += f", which {door.source} names"
    if door.source.startswith("$"):
        return NotRunningError(message, f"unset {door.source.removeprefix('$')}, or {start}")
    return NotRunningError(message, start)


def _quoted(text: str) -> str:
    """A text quoted as a value in curl's configuration."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
