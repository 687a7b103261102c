"""The Lean tactic's call, as `doctor` makes it, with stand-ins for curl and the daemon."""

from __future__ import annotations

import json
import re
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from llmsuggestd import tactic
from llmsuggestd.errors import LlmsuggestdError, NotRunningError
from llmsuggestd.paths import Paths
from llmsuggestd.tactic import Door, TacticError

ANSWER = {"suggestions": [{"text": "exact ⟨h.2, h.1⟩", "score": -0.2}]}


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    monkeypatch.delenv("LLMSUGGESTD_SOCKET", raising=False)
    for name in ("config", "runtime"):
        (tmp_path / name).mkdir()
    return Paths(*(tmp_path / name for name in ("config", "data", "cache", "state", "runtime")))


def curl_is(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace curl by a shell script."""
    (folder / "curl").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "curl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def announce(paths: Paths, **record: str | None) -> None:
    paths.client_file.write_text(json.dumps({"url": "http://127.0.0.1:1", **record}))


@contextmanager
def listening(path: Path, answer: bytes) -> Iterator[None]:
    """A program on a Unix socket that gives every client the same answer."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(20)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        thread.join(20)


def http(status: str, body: object) -> bytes:
    data = json.dumps(body).encode()
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(data), data)


def test_the_call_is_the_one_in_the_lean_package(tmp_path: Path) -> None:
    source = (Path(__file__).parents[2] / "lean/LlmSuggest/Client.lean").read_text()
    listed = re.search(r"let args := #\[(.*?)\]", source, re.DOTALL)
    assert listed is not None
    words = re.findall(r'"((?:[^"\\]|\\.)*)"|toString (timeout)', listed[1])
    common = ["7" if number else word.replace("\\n", "\n") for word, number in words]
    arguments, text = tactic.curl_arguments(Door("/run/s", None, ""), "/v1/x", "body", 7)
    assert arguments[: len(common)] == common
    rest = arguments[len(common) :]
    assert rest == ["--unix-socket", "/run/s", "--data-binary", "@-", "http://localhost/v1/x"]
    assert text == "body"
    assert all(f'"{word}"' in source for word in rest[:-1] if word != "/run/s")
    token = tmp_path / "token"
    token.write_text("secret\n")
    arguments, text = tactic.curl_arguments(Door("http://h:1", str(token), ""), "/v1/x", 'a"\\', 7)
    assert arguments == [*common, "--config", "-", "http://h:1/v1/x"]
    assert text == 'header = "Authorization: Bearer secret"\ndata-binary = "a\\"\\\\"\n'
    for part in ('"--config", "-", url ++ path', 'header = {quote s!"Authorization: Bearer',
                 "data-binary = {quote body}"):  # fmt: skip
        assert part in source
    fields = re.search(r"instance : ToJson Request where(.*?)\n\n", source, re.DOTALL)
    assert fields is not None
    assert re.findall(r'\("(\w+)", toJson', fields[1]) == [
        "goal", "goals", "prefix", "n", "client", "context", "name",
    ]  # fmt: skip


def test_an_answer(paths: Paths) -> None:
    announce(paths, socket=str(paths.runtime / "own.sock"))
    with listening(paths.runtime / "own.sock", http("200 OK", ANSWER)):
        reply = tactic.ask(paths)
    assert reply.suggestions == ["exact ⟨h.2, h.1⟩"]
    assert reply.door.where == str(paths.runtime / "own.sock")


def test_no_question_is_answered_from_a_cache(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce(paths, socket="/x")
    said = json.dumps(ANSWER)
    curl_is(tmp_path, f"cat >> {tmp_path}/asked; echo >> {tmp_path}/asked\n"
            f"printf '%s\\n200' '{said}'", monkeypatch)  # fmt: skip
    for _ in range(2):
        tactic.ask(paths)
    first, second = map(json.loads, (tmp_path / "asked").read_text().splitlines())
    assert first["goal"] != second["goal"]
    assert first | {"goal": ""} == second | {"goal": ""}


@pytest.mark.parametrize(
    ("script", "message", "hint"),
    [
        (
            "echo 'curl: option --unix-socket: is unknown' >&2; exit 2",
            "curl cannot ask the daemon: curl: option --unix-socket: is unknown",
            "install curl 7.40 or newer",
        ),
        (
            'echo "curl: option --unix-socket: the installed libcurl version doesn\'t support this"'
            " >&2; exit 2",
            "doesn't support this",
            "install curl 7.40 or newer",
        ),
        ("exit 127", "curl ended with exit code 127", "install curl"),
        ("kill -SEGV $$", "curl ended with exit code -11", "install curl"),
        ("exit 28", "no answer from /x within 60 s", "`llmsuggestd restart`"),
        ("printf '<html>\\n404'", "another program answers at /x (status 404)", "end the program"),
        ('printf \'{"suggestions": [{"text": "rfl"}]}\\n200\'', "another program", "end the"),
        ("printf 'null\\n200'", "another program answers at /x (status 200)", "end the program"),
        ("printf '{\"a\": 1}\\n200'", "another program answers at /x (status 200)", "end the"),
        ("echo 'curl: (52) Empty reply' >&2; exit 52", "another program answers at /x", "end the"),
        (
            "echo 'curl: (1) Received HTTP/0.9 when not allowed' >&2; exit 1",
            "another program answers at /x (curl: (1) Received HTTP/0.9",
            "end the program",
        ),
        (
            "printf '%s\\n503' "
            '\'{"error": {"code": "model", "message": "no such model", "hint": "pull it"}}\'',
            "no such model",
            "pull it",
        ),
    ],
)
def test_problems_with_the_call(
    paths: Paths,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    message: str,
    hint: str,
) -> None:
    announce(paths, socket="/x")
    curl_is(tmp_path, f"cat > /dev/null; {script}", monkeypatch)
    with pytest.raises(TacticError) as caught:
        tactic.ask(paths)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_no_curl_or_one_that_does_not_start(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce(paths, socket="/x")
    curl_is(tmp_path, "", monkeypatch)
    (tmp_path / "curl").write_bytes(b"\x7fELF of another machine")
    with pytest.raises(TacticError, match=r"cannot be run: Exec format error"):
        tactic.ask(paths)
    (tmp_path / "curl").chmod(stat.S_IRUSR)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TacticError, match="curl is not installed") as caught:
        tactic.ask(paths)
    assert caught.value.hint == "install curl"


def test_nothing_listens(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    def error() -> LlmsuggestdError:
        with pytest.raises(NotRunningError) as caught:
            tactic.ask(paths)
        return caught.value

    assert error().message == "the daemon does not run"
    dead = paths.runtime / "dead.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(dead))
    announce(paths, socket=str(dead))
    assert f"nothing listens on {dead}, which {paths.client_file} names" in error().message
    assert "`llmsuggestd start`" in error().hint
    monkeypatch.setenv("LLMSUGGESTD_SOCKET", "/absent.sock")
    assert error().message == "nothing listens on /absent.sock, which $LLMSUGGESTD_SOCKET names"
    assert error().hint.startswith("unset LLMSUGGESTD_SOCKET, or")


def test_the_usual_place_is_tried_if_the_named_socket_is_dead(paths: Paths) -> None:
    for record in ({"socket": "/absent.sock"}, {"socket": 5}, None):
        paths.client_file.write_text("{" if record is None else json.dumps(record))
        with listening(paths.socket, http("200 OK", ANSWER)):
            assert tactic.ask(paths).door.source == "the usual place"
        paths.socket.unlink()


def test_a_port_that_another_program_has_taken(paths: Paths, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        announce(paths, socket=None, url=url, token_file=str(token))

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(http("404 Not Found", "nothing here"))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with pytest.raises(TacticError, match="another program answers") as caught:
            tactic.ask(paths)
        thread.join(20)
    assert "`llmsuggestd restart`" in caught.value.hint
    token.unlink()
    with pytest.raises(TacticError, match="cannot be read"):
        tactic.ask(paths)
