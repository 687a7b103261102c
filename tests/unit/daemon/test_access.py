"""The owner of the other end of a connection, and the comparison of tokens."""

from __future__ import annotations

import hmac
import os
import socket
import sys
from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request

from llmsuggestd.daemon import access
from llmsuggestd.daemon.access import LOCAL_HOST, PORT, Unauthorized, check, tcp_peer, unix_peer

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@linux
def test_the_owner_of_the_other_end_of_a_connection(family: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.socket(family) as client:
            if family == socket.AF_INET6:
                client.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            client.connect(("127.0.0.1" if family == socket.AF_INET else "::ffff:127.0.0.1", port))
            ours, peer = server.accept()
            with ours:
                assert tcp_peer(peer, ours.getsockname()) == os.getuid()
                client.close()
                # after the client has closed its end, the kernel's table names root as the owner
                assert tcp_peer(peer, ours.getsockname()) is None
    assert tcp_peer(("127.0.0.1", 1), ("127.0.0.1", 2)) is None


@linux
def test_the_owner_of_the_other_end_of_a_unix_socket(tmp_path: Path) -> None:
    one, other = socket.socketpair()
    with one, other:
        assert unix_peer(one) == os.getuid()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "LocalHost:80", "127.0.0.1.:1"])
def test_hosts_that_are_this_machine(host: str) -> None:
    assert LOCAL_HOST.fullmatch(host)


@pytest.mark.parametrize(
    "host", ["", "localhost\n", "127.0.0.1.nip.io", "127x0x0x1", "localhost:", "localhost:1:2",
             "127.0.0.10", "a.localhost", "localhost:123456", "user@localhost"],
)  # fmt: skip
def test_hosts_that_are_not(host: str) -> None:
    assert not LOCAL_HOST.fullmatch(host)


def test_the_token_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only `hmac.compare_digest` decides, and no earlier code reads the token."""
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return False

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for given in ("token", "t", "wrong", ""):
        request = make_mocked_request(
            "GET", "/v1/status", {"Host": "localhost", "Authorization": f"Bearer {given}"}
        )
        with pytest.raises(Unauthorized):
            check(request, PORT, "token")
    assert compared == [(g.encode(), b"token") for g in ("token", "t", "wrong", "")]


def test_a_closed_connection_has_no_owner() -> None:
    assert not access._from_owner(None)
