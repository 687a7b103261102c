"""Every bad request gets one clear error, and the daemon continues to serve."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Home

GOAL = "⊢ 2 = 2"


@pytest.fixture(autouse=True)
def _still_serving(served: Home) -> Iterator[None]:
    """Check after each case that the same daemon still answers."""
    pid = served.client.request("GET", "/v1/status")["pid"]
    yield
    code, answer = served.curl("/v1/suggest", body={"goal": GOAL})
    assert code == 200
    assert len(answer["suggestions"]) == 5
    assert served.client.request("GET", "/v1/status")["pid"] == pid


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"not JSON", 400, "not JSON"),
        (b"", 400, "not JSON"),
        (b'{"goal": "\xff"}', 400, "not JSON"),
        (b'{"goal": "x"', 400, "not JSON"),
        ([], 400, "object"),
        ({}, 400, "goal"),
        ({"goal": ""}, 400, "white space"),
        ({"goal": " \n"}, 400, "white space"),
        ({"goal": 5}, 400, "$.goal"),
        ({"goal": "a\0b"}, 400, "NUL"),
        ({"goal": "x" * 200_000}, 400, "at most 100000 characters - at `$.goal`"),
        ({"goal": "x" * 2_000_000}, 413, "larger than"),
        ({"goal": GOAL, "n": 0}, 400, "$.n"),
        ({"goal": GOAL, "n": 10_000}, 400, "$.n"),
        ({"goal": GOAL, "n": -1}, 400, "$.n"),
        ({"goal": GOAL, "n": 2.5}, 400, "$.n"),
        ({"goal": GOAL, "n": True}, 400, "$.n"),
        ({"goal": GOAL, "max_tokens": 0}, 400, "$.max_tokens"),
        ({"goal": GOAL, "mode": "greedy"}, 400, "$.mode"),
        ({"goal": GOAL, "mode": "sample", "temperature": 0}, 400, "$.temperature"),
        ({"goal": GOAL, "seed": -1}, 400, "$.seed"),
        ({"goal": GOAL, "prefix": "exact\0h"}, 400, "NUL"),
        ({"goal": GOAL, "maxTokens": 5}, 400, "maxTokens"),
    ],
)
def test_wrong_bodies(served: Home, body: object, status: int, words: str) -> None:
    code, answer = served.curl("/v1/suggest", body=body)
    assert code == status
    assert words in answer["error"]["message"]
    assert answer["error"]["hint"]


def test_a_whole_number_may_be_written_with_a_point(served: Home) -> None:
    body = b'{"goal": "\xe2\x8a\xa2 2 = 2", "n": 3.0, "max_tokens": 1e1}'
    code, answer = served.curl("/v1/suggest", body=body)
    assert code == 200
    assert len(answer["suggestions"]) <= 3


def test_wrong_paths_methods_and_types(served: Home) -> None:
    assert served.curl("/v1/nothing")[0] == 404
    assert served.curl("/v1/suggest")[0] == 405
    code, answer = served.curl(
        "/v1/suggest", "-H", "Content-Type: text/plain", "--data-binary", '{"goal": "⊢ p"}'
    )
    assert code == 415
    assert answer["error"]["code"] == "unsupported_media_type"


def test_errors_of_the_command_line_are_one_line_and_an_exit_code(served: Home) -> None:
    for arguments, input_ in [
        (["suggest", GOAL, "-n", "0"], None),
        (["suggest", GOAL, "-n", "33"], None),
        (["suggest", GOAL, "--max-tokens", "513"], None),
        (["suggest", GOAL, "--temperature", "0"], None),
        (["suggest", ""], None),
        (["suggest", "-"], b"\xff\xfe"),
        (["suggest", GOAL, "-n", "many"], None),
        (["suggest"], None),
    ]:
        result = served.run(*arguments, input_=input_)
        assert result.returncode == 2, arguments
        assert result.stderr
        assert "Traceback" not in result.stderr
        assert result.stdout == ""
