"""Where goals may be sent: to this machine, or over https and with permission to another."""

from __future__ import annotations

import pytest

from llmsuggestd.errors import UsageError
from llmsuggestd.remote.address import NotAllowed, check_allowed, parse

HERE = [
    "http://127.0.0.1:8000/v1",
    "http://127.9.9.9:8000",
    "http://localhost:8000",
    "http://LOCALHOST:8000",
    "http://[::1]:8000/v1",
]
ELSEWHERE = [
    "https://gpu.example.org/v1",
    "https://192.168.1.7:8000",
    "https://10.0.0.1",
    "https://0.0.0.0:8000",
    "https://localhost.example.org",
    "https://127.0.0.1.example.org",
    "https://2130706433",
    "https://[::]:8000",
    "https://[::ffff:10.0.0.1]:8000",
]


@pytest.mark.parametrize("url", HERE)
def test_a_server_on_this_machine_needs_no_permission(url: str) -> None:
    check_allowed(parse(url), allow_remote=False)


@pytest.mark.parametrize("url", ELSEWHERE)
def test_a_server_on_another_machine_needs_permission(url: str) -> None:
    with pytest.raises(NotAllowed, match="another machine") as refused:
        check_allowed(parse(url), allow_remote=False)
    assert "allow_remote = true" in refused.value.hint
    check_allowed(parse(url), allow_remote=True)


@pytest.mark.parametrize("url", ELSEWHERE)
def test_nothing_goes_to_another_machine_unencrypted(url: str) -> None:
    with pytest.raises(NotAllowed, match="without encryption") as refused:
        check_allowed(parse(url.replace("https", "http")), allow_remote=True)
    assert "ssh -N -L" in refused.value.hint


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1"),
        ("http://localhost:8000/", "http://localhost:8000/v1"),
        ("http://localhost:8000/v1/", "http://localhost:8000/v1"),
        ("http://localhost:8000/v1/completions", "http://localhost:8000/v1"),
        ("https://lab.example.org/team/v1", "https://lab.example.org/team/v1"),
        ("https://[::1]:8000", "https://[::1]:8000/v1"),
    ],
)
def test_the_url_may_be_given_with_or_without_v1(url: str, base: str) -> None:
    assert parse(url).base == base


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000", "ftp://localhost", "http://", "http:///v1", "http://localhost:99999",
        "http://localhost:8000/v1?x=1", "http://localhost/v1#x", "http://lo calhost",
        "http://localhost\n", "http://[::1", "", "file:///etc/passwd",
    ],
)  # fmt: skip
def test_an_invalid_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        parse(url)


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as refused:
        parse("https://user:sesame@gpu.example.org")
    assert "sesame" not in refused.value.message + refused.value.hint
