"""Another user of the machine tries every door. Needs root, to act as that user."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.conftest import Home
from tests.support import raw

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="must be root to act as another user"
)


@pytest.fixture
def another() -> dict[str, object]:
    """Arguments that make a subprocess run as another user."""
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": [], "cwd": "/"}


@pytest.fixture
def open_directory(exposed: Home) -> Iterator[None]:
    """Open the socket's directory to all users, to test the other defences."""
    changed = [
        (exposed.root, 0o700),
        (exposed.paths.runtime, 0o700),
        (exposed.paths.socket, 0o600),
    ]
    for path, _ in changed:
        path.chmod(0o777)
    yield
    for path, mode in changed:
        path.chmod(mode)


def curl(another: dict[str, object], *arguments: str) -> tuple[int, str]:
    """Run curl as another user. Returns its exit code and the HTTP status."""
    result = subprocess.run(
        ["curl", "-q", "--silent", "--noproxy", "*", "--max-time", "20", "-o", "/dev/null",
         "--write-out", "%{http_code}", "-H", "Content-Type: application/json", *arguments],
        capture_output=True, text=True, check=False, timeout=60, **another,  # type: ignore[call-overload]
    )  # fmt: skip
    return result.returncode, result.stdout


def test_the_socket_cannot_be_opened(exposed: Home, another: dict[str, object]) -> None:
    code, status = curl(
        another, "--unix-socket", str(exposed.paths.socket), "http://localhost/health"
    )
    assert (code, status) == (7, "000")


def test_a_socket_open_to_all_still_refuses_other_users(
    exposed: Home, another: dict[str, object], open_directory: None
) -> None:
    for path in ("/health", "/v1/status", "/metrics"):
        where = ("--unix-socket", str(exposed.paths.socket), f"http://localhost{path}")
        assert curl(another, *where) == (0, "403")
        assert curl({}, *where) == (0, "200")


def test_the_files_cannot_be_read(exposed: Home, another: dict[str, object]) -> None:
    for file in (
        exposed.paths.token_file,
        exposed.paths.client_file,
        exposed.paths.lock_file,
    ):
        assert file.exists()
        result = subprocess.run(["cat", str(file)], capture_output=True, check=False, **another)  # type: ignore[call-overload]
        assert (result.returncode, result.stdout) == (1, b"")


def test_the_port_gives_nothing_without_the_token(
    exposed: Home, another: dict[str, object]
) -> None:
    for path in ("/v1/status", "/v1/models", "/metrics", "/openapi.json"):
        assert curl(another, f"http://127.0.0.1:{raw.port(exposed)}{path}") == (0, "401")


@pytest.mark.parametrize(
    ("door", "path", "body"),
    [
        ("llmstep", "/", '{"tactic_state": "⊢ 2 = 2", "prefix": "", "context": ""}'),
        ("tutorial", "/", '{"tactic_state": "⊢ 2 = 2"}'),
        ("leancopilot", "/generate", '{"input": "⊢ 2 = 2"}'),
        ("llmlean", "/api/generate", '{"prompt": "[GOAL]⊢ 2 = 2[PROOFSTEP]"}'),
    ],
)
def test_a_listener_without_a_token_refuses_other_users(
    exposed: Home, another: dict[str, object], door: str, path: str, body: str
) -> None:
    for host in ("127.0.0.1", "localhost"):
        where = (f"http://{host}:{raw.port(exposed, door)}{path}", "--data-binary", body)
        assert curl(another, *where) == (0, "403")
        assert curl({}, *where) == (0, "200")


def test_a_directory_of_another_user_is_not_used(home: Home, another: dict[str, object]) -> None:
    """The owner of the socket's directory could replace the socket."""
    home.paths.runtime.mkdir(mode=0o700)
    os.chown(home.paths.runtime, int(str(another["user"])), -1)
    result = home.run("serve")
    assert result.returncode == 4
    assert "belongs to another user" in result.stderr


def test_a_token_that_others_could_read_is_replaced(home: Home) -> None:
    home.paths.state.mkdir(mode=0o700)
    old = "x" * 43
    home.paths.token_file.write_text(old)
    home.paths.token_file.chmod(0o644)
    home.serve(wait=False)
    home.wait_until(lambda status: True)
    assert home.paths.token_file.read_text() != old
    assert home.paths.token_file.stat().st_mode & 0o777 == 0o600
