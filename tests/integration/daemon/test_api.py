"""Events, models, metrics and the OpenAPI document."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from typing import Any

import msgspec
import pytest

from llmsuggestd import control
from llmsuggestd.daemon.schema import Status
from tests.conftest import Home
from tests.support import raw

GOAL = "p q : Prop\nhp : p\nhq : q\n⊢ p ∧ q"


def test_events_report_changes(served: Home) -> None:
    seen: list[dict[str, Any]] = []
    events = served.client.events()
    seen.append(next(events))
    msgspec.convert(seen[0], Status)
    assert seen[0]["state"] == "ready"

    def ask() -> None:
        body = {"goal": GOAL, "mode": "sample", "n": 32, "max_tokens": 512}
        served.curl("/v1/suggest", body=body)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    while (status := next(events))["queue"]:
        seen.append(status)
    for thread in threads:
        thread.join()
    assert any(status["state"] == "busy" and status["queue"] for status in seen)
    events.close()


def test_events_show_even_the_shortest_request(served: Home) -> None:
    """The daemon polls the state once a second, and reports shorter requests, too."""
    events = served.client.events()
    next(events)
    for number in range(5):
        served.client.request("POST", "/v1/suggest", {"goal": f"⊢ {number} = {number}", "n": 1})
        assert next(events)["queue"] == 1
        assert next(events)["queue"] == 0
    events.close()


def test_events_end_with_the_daemon(home: Home) -> None:
    home.install_starter()
    process = home.serve()
    events = home.client.events()
    next(events)
    began = time.monotonic()
    process.terminate()
    list(events)  # it must end without an error
    assert process.wait(10) == 0
    assert time.monotonic() - began < control.STOP_TIMEOUT


def test_models_are_listed(served: Home) -> None:
    _, answer = served.curl("/v1/models")
    size = (served.paths.models / "starter.gguf").stat().st_size
    (starter,) = answer["models"]
    assert starter.pop("quantisation")
    assert starter == {
        "id": "starter", "bytes": size, "current": True, "state": "loaded",
        "source": "llmsuggestd", "licence": "apache-2.0", "format": "llmstep", "remote": None,
    }  # fmt: skip
    listed = json.loads(served.run("models", "list", "--json").stdout)["models"]
    assert [(m["id"], m["bytes"], m["served"], m["chosen"]) for m in listed] == [
        ("starter", size, True, True)
    ]
    assert served.run("models", "list").stdout.splitlines()[1].split()[:2] == ["*", "starter"]


def test_metrics_count_requests(served: Home) -> None:
    body = {"goal": GOAL, "n": 3}
    before = raw.metrics(served)
    for _ in range(3):
        assert served.curl("/v1/suggest", body=body)[0] == 200
    served.curl("/v1/suggest", body={"goal": "", "n": 3})
    after = raw.metrics(served)

    def gained(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert gained('llmsuggestd_answers_total{source="engine"}') == 1
    assert gained('llmsuggestd_answers_total{source="cache"}') == 2
    requests = 'llmsuggestd_requests_total{door="socket",path="/v1/suggest",status="%d"}'
    assert gained(requests % 200) == 3
    assert gained(requests % 400) == 1
    assert gained("llmsuggestd_cached_answers") == 1
    assert gained('llmsuggestd_phase_seconds_count{phase="decode"}') == 1
    assert after["llmsuggestd_engine_up"] == 1
    assert after["process_resident_memory_bytes"] > 1e6
    assert not [name for name in after if name.startswith("python_")]


def test_unknown_paths_do_not_become_metrics(served: Home) -> None:
    for number in range(5):
        served.curl(f"/unknown{number}")
    assert "unknown" not in raw.text(served, "/metrics")


def test_the_openapi_document_has_every_call(served: Home) -> None:
    document = json.loads(raw.text(served, "/openapi.json"))
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {
        "/v1/suggest", "/v1/status", "/v1/events", "/v1/models", "/v1/model", "/v1/shutdown",
        "/health", "/ready", "/metrics", "/openapi.json", "/", "/generate", "/api/generate",
        "/v1/completions", "/v1/chat/completions",
    }  # fmt: skip
    goal = document["components"]["schemas"]["SuggestRequest"]["properties"]["goal"]
    assert goal["maxLength"] == 100_000
    for path, operations in document["paths"].items():
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"):
            if method.lower() not in operations:
                status, headers, _ = raw.ask(served, raw.head(method, path), "socket")
                assert status == 405, (method, path)
                assert set(headers["allow"].split(",")) == {m.upper() for m in operations}


@pytest.mark.timeout(320)
def test_generated_requests_agree_with_the_openapi_document(served: Home) -> None:
    """The small version of tests/benchmarks/daemon_schemathesis.py."""
    result = subprocess.run(
        [sys.executable, "tests/benchmarks/daemon_schemathesis.py", "--together",
         "--phases", "coverage",
         "--url", served.client.request("GET", "/v1/status")["url"],
         "--token", raw.token(served)],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-2000:]


def test_a_model_that_was_unloaded_is_idle_and_ready(home: Home) -> None:
    home.install_starter()
    home.serve(LLMSUGGESTD_IDLE_UNLOAD="1")
    status = home.wait_until(lambda status: status["state"] == "idle")
    assert status["engine_pid"] is None
    assert home.curl("/ready") == (200, {"state": "idle"})
    assert "idle: the next request loads the model" in home.run("status").stdout
    assert (
        home.client.request("GET", "/v1/status")["state"] == "idle"
    )  # the request does not load the model
    code, answer = home.curl("/v1/suggest", body={"goal": GOAL})
    assert code == 200
    assert answer["timings"]["load_ms"] > 0
