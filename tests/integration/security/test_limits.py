"""Requests that exceed a limit (size, depth, time, number) are refused, and others are served."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import Home
from tests.support import raw

GOAL = {"goal": "⊢ 2 = 2"}


@pytest.fixture(autouse=True)
def _still_serving(exposed: Home) -> Iterator[None]:
    yield
    assert raw.ask(exposed, raw.post("/v1/suggest", GOAL), "socket")[0] == 200


def authorized(exposed: Home) -> str:
    return f"Authorization: Bearer {raw.token(exposed)}"


@pytest.mark.parametrize("door", ["socket", "port", "llmstep"])
def test_a_body_over_the_limit_is_refused(exposed: Home, door: str) -> None:
    path = "/" if door == "llmstep" else "/v1/suggest"
    request = raw.post(path, b"x" * (2**20 + 1), authorized(exposed))
    assert raw.ask(exposed, request, door)[0] == 413
    chunk = b"10000\r\n" + b"x" * 2**16 + b"\r\n"
    chunked = raw.head(
        "POST", path, "Content-Type: application/json", "Transfer-Encoding: chunked",
        authorized(exposed),
    )  # fmt: skip
    with raw.connect(exposed, door) as sock:
        sock.sendall(chunked)
        try:
            for _ in range(40):
                sock.sendall(chunk)
            sock.sendall(b"0\r\n\r\n")
        except OSError:
            pass  # it is refused before it is sent completely
        assert raw.answer(sock)[0] == 413


def test_a_compressed_body_is_not_expanded(exposed: Home) -> None:
    bomb = gzip.compress(json.dumps(GOAL | {"prefix": "x" * 50_000_000}).encode())
    request = raw.post("/v1/suggest", bomb, "Content-Encoding: gzip")
    assert raw.ask(exposed, request, "socket")[0] == 400
    fine = gzip.compress(json.dumps(GOAL).encode())
    request = raw.post("/v1/suggest", fine, "Content-Encoding: gzip")
    assert raw.ask(exposed, request, "socket")[0] == 400  # it is not decompressed


def test_a_body_nested_too_deep(exposed: Home) -> None:
    for body in (b"[" * 500_000, b'{"goal":' * 100_000, b'{"x":' + b"[" * 400_000):
        assert raw.ask(exposed, raw.post("/v1/suggest", body), "socket")[0] == 400


@pytest.mark.parametrize("door", ["socket", "port"])
def test_headers_over_the_limit(exposed: Home, door: str) -> None:
    long = raw.head("GET", "/health", "X-Long: " + "x" * 10_000)
    many = raw.head("GET", "/health", *(f"X-{n}: x" for n in range(500)))
    line = raw.head("GET", "/health?" + "x" * 10_000)
    for request in (long, many, line):
        status, _, body = raw.ask(exposed, request, door)
        assert status == 400
        assert body["error"]["code"] == "invalid_request"


def test_bytes_that_are_not_http(exposed: Home) -> None:
    for request in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 300 + b"\r\n\r\n",
                    b"secret goal\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"):  # fmt: skip
        status, _, body = raw.ask(exposed, request, "socket")
        assert status == 400
        assert "secret" not in json.dumps(body)


def closes(sock: socket.socket, limit: float) -> bool:
    """Whether the other end closes within some seconds. Its output is discarded."""
    sock.settimeout(0.2)
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        try:
            if not sock.recv(65536):
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


def test_slow_clients_are_dropped(exposed: Home) -> None:
    """Endless heads, endless bodies, and answers that the client does not read."""
    head = raw.head("GET", "/health")
    body = raw.post("/v1/suggest", GOAL, authorized(exposed))
    document = raw.head("GET", "/openapi.json").replace(b"Connection: close\r\n", b"")
    idle, trickling, stuck, unread = (
        raw.connect(exposed), raw.connect(exposed), raw.connect(exposed),
        raw.connect(exposed, "socket"),
    )  # fmt: skip
    trickling.sendall(head[:20])
    stuck.sendall(body[:-5])
    unread.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    unread.sendall(document * 40)
    stop = threading.Event()

    def trickle() -> None:
        while not stop.wait(1):
            try:
                trickling.sendall(b"x")
            except OSError:
                return

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        began = time.monotonic()
        assert raw.ask(exposed, raw.post("/v1/suggest", GOAL), "socket")[0] == 200
        status, _, answer = raw.answer(stuck)
        assert (status, json.loads(answer)["error"]["code"]) == (408, "timeout")
        assert time.monotonic() - began < 30
        time.sleep(max(0.0, began + 12 - time.monotonic()))
        received = 0
        unread.settimeout(5)
        try:
            while data := unread.recv(65536):
                received += len(data)
        except ConnectionResetError:
            pass
        assert received < 40 * 20_000  # the answer was cut off
        for sock in (idle, trickling):
            assert closes(sock, began + 40 - time.monotonic())
    finally:
        stop.set()
        thread.join()
        for sock in (idle, trickling, stuck, unread):
            sock.close()


def test_a_client_with_many_connections_leaves_the_other_doors_open(exposed: Home) -> None:
    held = [raw.connect(exposed) for _ in range(140)]
    try:
        wait_until(lambda: sum(map(readable, held)) >= 12)
        full = [sock for sock in held if readable(sock)]
        assert len(full) == 12
        assert raw.answer(full[0])[0] == 503
        for door, path in (("socket", "/health"), ("llmstep", "/nothing")):
            assert raw.ask(exposed, raw.head("GET", path), door)[0] in (200, 404)
    finally:
        for sock in held:
            sock.close()
    wait_until(lambda: status_of(exposed, "/health") == b"HTTP/1.1 200")


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def status_of(exposed: Home, path: str, door: str = "port") -> bytes:
    """The status line of an answer that may be endless; empty if the door closes immediately."""
    with raw.connect(exposed, door) as sock:
        try:
            sock.sendall(raw.head("GET", path))
            return sock.recv(12)
        except ConnectionError:
            return b""


def readable(sock: socket.socket) -> bool:
    """Whether data has arrived."""
    sock.setblocking(False)
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
    finally:
        sock.settimeout(10)


def test_event_listeners_are_counted(exposed: Home) -> None:
    held = []
    try:
        for _ in range(16):
            held.append(raw.connect(exposed, "socket"))
            held[-1].sendall(raw.head("GET", "/v1/events"))
            assert held[-1].recv(12) == b"HTTP/1.1 200"
        assert raw.ask(exposed, raw.head("GET", "/v1/events"), "socket")[0] == 503
    finally:
        for sock in held:
            sock.close()
    wait_until(lambda: status_of(exposed, "/v1/events", "socket") == b"HTTP/1.1 200")


def test_the_queue_is_bounded(exposed: Home) -> None:
    """Of many long questions at once, some are refused with a time to try again, and none fails."""
    answers: list[tuple[int, dict[str, str]]] = []

    def ask(number: int) -> None:
        body = {"goal": f"⊢ {number} = {number}", "n": 8, "max_tokens": 32}
        status, headers, _ = raw.ask(exposed, raw.post("/v1/suggest", body), "socket")
        answers.append((status, headers))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {status for status, _ in answers} == {200, 503}
    assert all("retry-after" in headers for status, headers in answers if status == 503)
