"""`doctor` on broken installations: it names the problem, and its remedy works."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from llmsuggestd import lean_package
from llmsuggestd.models import store
from tests.conftest import Home


def findings(home: Home, *parts: str, **env: str) -> list[dict[str, Any]]:
    """The findings of `doctor` about some parts."""
    found = json.loads(home.run("doctor", "--json", timeout=60, **env).stdout)
    return [finding for finding in found if finding["part"] in parts]


def follow(home: Home, remedy: str) -> None:
    """Run the first command that a remedy names."""
    named = re.search(r"`llmsuggestd ([^`]*)`", remedy)
    assert named is not None, remedy
    result = home.run(*named[1].split())
    assert result.returncode == 0, result.stderr


def test_a_daemon_that_was_killed(home: Home) -> None:
    home.install_starter()
    daemon = home.serve()
    daemon.kill()
    daemon.wait()
    (found,) = findings(home, "socket", "tactic")
    assert (found["part"], found["level"]) == ("socket", "failed")
    assert f"nothing listens on {home.paths.socket}" in found["message"]
    follow(home, found["remedy"])
    assert [f["level"] for f in findings(home, "socket", "tactic", "engine")] == ["ok"] * 3


def test_a_socket_that_was_removed(home: Home) -> None:
    home.install_starter()
    daemon = home.serve()
    home.paths.socket.unlink()
    found = findings(home, "socket", "tactic")[0]
    assert found["level"] == "failed"
    assert "a daemon runs, but curl cannot reach it: nothing listens on" in found["message"]
    threading.Thread(target=daemon.communicate, daemon=True).start()
    follow(home, found["remedy"])
    assert [f["level"] for f in findings(home, "socket", "tactic")] == ["ok"] * 2


def test_another_program_on_the_socket(home: Home, tmp_path: Path) -> None:
    home.paths.config.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        path = home.root / "other.sock"
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            for _ in range(2):  # curl, and our own client
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"220 mail.example.org ESMTP\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        found = findings(home, "socket", "tactic", LLMSUGGESTD_SOCKET=str(path))
        thread.join(20)
    assert [(f["part"], f["level"]) for f in found] == [("tactic", "failed")]
    assert f"another program answers at {path}" in found[0]["message"]
    assert found[0]["remedy"].startswith("unset LLMSUGGESTD_SOCKET")


def test_a_model_that_cannot_be_loaded(home: Home) -> None:
    home.paths.models.mkdir(parents=True)
    store.starter_path(home.paths).write_bytes(store.SHIPPED.read_bytes()[:100_000])
    home.serve()
    (found,) = findings(home, "tactic")
    assert found["level"] == "failed"
    assert "the model could not be loaded" in found["message"]
    follow(home, found["remedy"])
    assert findings(home, "tactic")[0]["level"] == "ok"


def test_an_engine_that_was_killed_is_started_by_the_call(home: Home) -> None:
    home.install_starter()
    home.serve()
    status = home.client.request("GET", "/v1/status")
    os.kill(status["engine_pid"], signal.SIGKILL)
    assert [f["level"] for f in findings(home, "tactic", "engine")] == ["ok"] * 2


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="a shell script in the place of curl")
def test_a_curl_that_is_too_old(home: Home, tmp_path: Path) -> None:
    home.install_starter()
    home.serve()
    (tmp_path / "curl").write_text(
        "#!/bin/sh\n"
        'case "$*" in *--version*) echo "curl 7.29.0 (x86_64)"; exit;; esac\n'
        'echo "curl: option --unix-socket: is unknown" >&2; exit 2\n'
    )
    (tmp_path / "curl").chmod(0o755)
    path = f"{tmp_path}:{home.env['PATH']}"
    curl, tactic = findings(home, "curl", "tactic", PATH=path)
    assert curl["message"].endswith("curl 7.29.0")
    assert tactic["level"] == "failed"
    assert "option --unix-socket: is unknown" in tactic["message"]
    assert tactic["remedy"].startswith("install curl 7.40")


def test_lean_projects(home: Home, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "lakefile.toml").write_text('name = "demo"\n')
    assert findings(home, "package")[0]["remedy"].startswith("`llmsuggestd install`")
    home.run("lean", "add", str(project))
    assert [f["level"] for f in findings(home, "package", "project")] == ["ok", "ok"]
    changed = lean_package.folder(home.paths) / "LlmSuggest/Client.lean"
    changed.write_text("of another version")
    (package,) = findings(home, "package")
    assert package["level"] == "warning"
    follow(home, package["remedy"])
    assert findings(home, "package")[0]["level"] == "ok"
    lakefile = project / "lakefile.toml"
    lakefile.write_text(lakefile.read_text().replace(str(home.root), "/moved"))
    (found,) = findings(home, "project")
    assert found["level"] == "warning"
    assert "but it is not there" in found["message"]
    follow(home, found["remedy"])
    assert findings(home, "project")[0]["level"] == "ok"
    (project / "lean-toolchain").write_text("leanprover/lean4:v4.9.0")
    (found,) = findings(home, "project")
    assert "needs 4.27.0 or newer" in found["message"]
    assert found["remedy"]
