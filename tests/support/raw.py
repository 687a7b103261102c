"""Raw HTTP requests, which no client library would send, to any door of a daemon."""

from __future__ import annotations

import json
import socket
from typing import Any

from tests.conftest import Home


def connect(home: Home, door: str = "port", timeout: float = 60) -> socket.socket:
    """A connection to a door: `socket`, `port`, or a compatibility listener's name."""
    if door == "socket":
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout)
        sock.connect(str(home.paths.socket))
        return sock
    return socket.create_connection(("127.0.0.1", port(home, door)), timeout=timeout)


def port(home: Home, door: str = "port") -> int:
    """The TCP port of a door."""
    status = home.client.request("GET", "/v1/status")
    url = status["url"] if door == "port" else status["listeners"][door]
    return int(url.rpartition(":")[2])


def token(home: Home) -> str:
    """The daemon's bearer token."""
    return home.paths.token_file.read_text()


def head(method: str, path: str, *headers: str, host: str | None = "localhost") -> bytes:
    """A request's head; `headers` as `Name: value`."""
    lines = [f"{method} {path} HTTP/1.1", *([f"Host: {host}"] if host is not None else [])]
    lines.append("Connection: close")
    return "\r\n".join([*lines, *headers, "", ""]).encode("utf-8", "surrogateescape")


def post(path: str, body: object, *headers: str, host: str | None = "localhost") -> bytes:
    """A complete POST request with JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return (
        head("POST", path, "Content-Type: application/json", f"Content-Length: {len(data)}",
             *headers, host=host)
        + data
    )  # fmt: skip


def answer(sock: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """The next answer on a connection: status (0 if there is none), headers in lower case, body."""
    with sock.makefile("rb") as file:
        first = file.readline()
        if not first:
            return 0, {}, b""
        headers: dict[str, str] = {}
        while line := file.readline().strip().decode("latin-1"):
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = file.read(int(headers.get("content-length", 0)))
        return int(first.split()[1]), headers, body


def text(home: Home, path: str) -> str:
    """The text that the socket answers to a GET request, with status 200."""
    with connect(home, "socket") as sock:
        sock.sendall(head("GET", path))
        status, _, body = answer(sock)
    assert status == 200, body
    return body.decode()


def metrics(home: Home) -> dict[str, float]:
    """The values of /metrics by name with labels, such as `requests_total{door="socket"}`."""
    lines = (line.rpartition(" ") for line in text(home, "/metrics").splitlines())
    return {name: float(value) for name, _, value in lines if not name.startswith("#")}


def ask(home: Home, request: bytes, door: str = "port") -> tuple[int, dict[str, str], Any]:
    """Send bytes to a door. Returns the status, headers and JSON of the answer."""
    with connect(home, door) as sock:
        sock.sendall(request)
        status, headers, body = answer(sock)
    return status, headers, json.loads(body) if body else None
