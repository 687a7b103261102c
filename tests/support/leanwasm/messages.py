"""The messages between an editor and Lean's language server: bytes of JSON behind a header."""

from __future__ import annotations

import json
import subprocess

EXIT = json.dumps({"jsonrpc": "2.0", "method": "exit"}).encode()


def send(server: subprocess.Popen[bytes], body: bytes) -> None:
    """Send the server a message."""
    assert server.stdin is not None
    server.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    server.stdin.flush()


def receive(server: subprocess.Popen[bytes]) -> bytes | None:
    """The server's next message, or None at the end of its output."""
    assert server.stdout is not None
    length = None
    while line := server.stdout.readline():
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
        elif not line.strip() and length is not None:
            return server.stdout.read(length)
    return None


def end(server: subprocess.Popen[bytes]) -> None:
    """Let the server end by itself, so that it leaves no files. Kill it if it does not."""
    if server.poll() is None:
        try:
            send(server, EXIT)
            server.wait(10)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            server.kill()
            server.wait()
