"""Requests that must be refused, and resources that no request must reach."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Home
from tests.support import raw

GOAL = {"goal": "⊢ 2 = 2"}
DOORS = ["port", "llmstep", "tutorial", "leancopilot", "llmlean"]
CALLS = {
    "port": ("/v1/suggest", GOAL),
    "socket": ("/v1/suggest", GOAL),
    "llmstep": ("/", {"tactic_state": "⊢ 2 = 2", "prefix": "", "context": ""}),
    "tutorial": ("/", {"tactic_state": "⊢ 2 = 2"}),
    "leancopilot": ("/generate", {"name": "x", "input": "⊢ 2 = 2", "prefix": ""}),
    "llmlean": ("/api/generate", {"prompt": "[GOAL]⊢ 2 = 2[PROOFSTEP]"}),
}


def attempt(home: Home, door: str, *headers: str, host: str | None = "localhost") -> int:
    """The status of a request that is valid except for its host or some headers."""
    path, body = CALLS[door]
    given = [*headers, *([f"Authorization: Bearer {raw.token(home)}"] if door == "port" else [])]
    return raw.ask(home, raw.post(path, body, *given, host=host), door)[0]


@pytest.mark.parametrize("door", [*DOORS, "socket"])
def test_a_valid_request_is_answered(exposed: Home, door: str) -> None:
    """Without this test, the refusals below would prove nothing."""
    assert attempt(exposed, door) == 200


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", None, "127.0.0.2",
     "0.0.0.0", "localhost:80@evil.example", "evil.example:5567", "169.254.169.254", "[::1]",
     "xn--localhost-"],
)  # fmt: skip
def test_a_host_that_is_not_this_machine(exposed: Home, door: str, host: str | None) -> None:
    """DNS rebinding: the page's own name resolves to 127.0.0.1, and is in the Host header."""
    assert attempt(exposed, door, host=host) in (400, 403)


@pytest.mark.parametrize("door", DOORS)
def test_two_host_headers(exposed: Home, door: str) -> None:
    assert attempt(exposed, door, "Host: evil.example") in (400, 403)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "127.0.0.1:5567", "localhost:1"])
def test_a_host_that_is_this_machine(exposed: Home, host: str) -> None:
    assert attempt(exposed, "port", host=host) == 200


@pytest.mark.parametrize("door", [*DOORS, "socket"])
@pytest.mark.parametrize(
    "header",
    ["Origin: http://evil.example", "Origin: http://localhost:5567", "Origin: null", "Origin:",
     "Sec-Fetch-Site: none", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"],
)  # fmt: skip
def test_headers_that_only_browsers_send_are_refused(exposed: Home, door: str, header: str) -> None:
    assert attempt(exposed, door, header) == 403


@pytest.mark.parametrize("door", [*DOORS, "socket"])
def test_there_is_no_cors(exposed: Home, door: str) -> None:
    path, _ = CALLS[door]
    preflight = raw.head(
        "OPTIONS", path, "Origin: http://evil.example", "Access-Control-Request-Method: POST"
    )
    status, headers, _ = raw.ask(exposed, preflight, door)
    assert status == 403
    assert not [name for name in headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "path", ["/v1/suggest", "/v1/status", "/v1/events", "/v1/models", "/ready", "/metrics",
             "/openapi.json", "/", "/generate", "/api/generate", "/v1/completions",
             "/v1/chat/completions", "/v1/model", "/v1/shutdown", "/v1/nothing"],
)  # fmt: skip
@pytest.mark.parametrize(
    "header", ["", "Authorization: Bearer wrong", "Authorization: Bearer",
               "Authorization: Basic {}", "Authorization: {}", "Authorization: Bearer {}x",
               "Authorization: Bearer \udcff"],
)  # fmt: skip
def test_the_port_answers_nothing_without_the_token(exposed: Home, path: str, header: str) -> None:
    given = [header.format(raw.token(exposed))] if header else []
    for request in (raw.head("GET", path, *given), raw.post(path, GOAL, *given),
                    raw.head("HEAD", path, *given)):  # fmt: skip
        assert raw.ask(exposed, request)[0] == 401


def test_only_health_needs_no_token_and_it_reveals_nothing(exposed: Home) -> None:
    status, _, body = raw.ask(exposed, raw.head("GET", "/health"))
    assert (status, body) == (200, {"status": "ok"})
    assert raw.ask(exposed, raw.post("/health", GOAL))[0] == 405
    for path in ("/health/", "//health", "/health/../v1/status", "/v1/../health"):
        assert raw.ask(exposed, raw.head("GET", path))[0] in (401, 404)


@pytest.mark.parametrize(
    "request_",
    [raw.head("GET", "/health", host="evil.example"), raw.head("GET", "/health", host=""),
     raw.head("GET", "/health", "Origin: null")],
)  # fmt: skip
def test_even_health_is_closed_to_other_hosts_and_web_pages(exposed: Home, request_: bytes) -> None:
    assert raw.ask(exposed, request_)[0] == 403


@pytest.mark.parametrize("door", [*DOORS, "socket"])
@pytest.mark.parametrize(
    "type_", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
              "text/json", ""],
)  # fmt: skip
def test_the_content_type_must_be_json(exposed: Home, door: str, type_: str) -> None:
    """A web page's form can send these types without a preflight request."""
    path, body = CALLS[door]
    data = json.dumps(body).encode()
    headers = [f"Content-Length: {len(data)}", f"Authorization: Bearer {raw.token(exposed)}"]
    request = (
        raw.head("POST", path, *([f"Content-Type: {type_}"] if type_ else []), *headers) + data
    )
    assert raw.ask(exposed, request, door)[0] == 415


@pytest.mark.parametrize("door", DOORS[1:])
def test_a_compatibility_listener_answers_its_client_and_nothing_else(
    exposed: Home, door: str
) -> None:
    served = {path for name, (path, _) in CALLS.items() if name == door}
    for path in ["/v1/suggest", "/v1/status", "/v1/events", "/v1/models", "/metrics", "/health",
                 "/openapi.json", "/", "/generate", "/api/generate"]:  # fmt: skip
        if path not in served:
            assert raw.ask(exposed, raw.head("GET", path), door)[0] == 404, path
            assert raw.ask(exposed, raw.post(path, GOAL), door)[0] == 404, path
    for path in ("/v1/model", "/v1/shutdown"):
        assert raw.ask(exposed, raw.post(path, {"id": "starter"}), door)[0] == 404


@pytest.mark.parametrize(
    "model_id",
    ["../../../etc/passwd", "/etc/passwd", "..", ".", "", "a/b", "a\\b", "starter\n", "starter\0",
     "starter.gguf", "../models/starter", "%2e%2e%2fx", "~", "$HOME", "x" * 101, "-rf"],
)  # fmt: skip
def test_a_path_is_no_model_id(exposed: Home, model_id: str) -> None:
    data = json.dumps({"id": model_id}).encode()
    request = raw.head(
        "PUT", "/v1/model", "Content-Type: application/json", f"Content-Length: {len(data)}"
    )
    status, _, answer = raw.ask(exposed, request + data, "socket")
    assert status in (400, 404)
    assert "etc/passwd" not in answer["error"]["hint"]
    assert exposed.client.request("GET", "/v1/status")["model"]["id"] == "starter"


def test_model_names_of_other_clients_are_not_used(exposed: Home) -> None:
    secret = exposed.root / "secret.gguf"
    secret.write_text("secret")
    for door, field in (("leancopilot", "name"), ("llmlean", "model")):
        path, body = CALLS[door]
        status, _, answer = raw.ask(exposed, raw.post(path, body | {field: str(secret)}), door)
        assert status == 200
        assert "secret" not in json.dumps(answer)


def test_the_daemon_listens_only_on_127_0_0_1(exposed: Home) -> None:
    """Every TCP socket of the daemon is bound to 127.0.0.1."""
    pid = exposed.client.request("GET", "/v1/status")["pid"]
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            link = str(descriptor.readlink())
        except FileNotFoundError:
            continue
        if link.startswith("socket:["):
            inodes.add(link[8:-1])
    found = [
        line.split()[1]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if line.split()[9] in inodes and line.split()[3] == "0A"
    ]
    assert len(found) == 1 + 4
    assert {address.partition(":")[0] for address in found} == {"0100007F"}
