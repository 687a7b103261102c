"""Switching models while clients ask: no request fails, and a model that fails changes nothing."""

from __future__ import annotations

import json
import shutil
import signal
import threading
import time
from typing import Any

import pytest

from llmsuggestd.errors import ExitCode
from llmsuggestd.models import store
from tests.conftest import Home

GOAL = "p q : Prop\nhp : p\nhq : q\n⊢ p ∧ q"


@pytest.fixture
def two(home: Home) -> Home:
    """A daemon with three models: the starter, a copy of it, and a file that is no model."""
    home.install_starter()
    shutil.copy(store.SHIPPED, home.paths.models / "other.gguf")
    (home.paths.models / "broken.gguf").write_bytes(store.SHIPPED.read_bytes()[:100_000])
    home.serve()
    return home


def use(home: Home, model_id: str) -> tuple[int, Any]:
    return home.curl("/v1/model", "-X", "PUT", body={"id": model_id})


class Clients:
    """Clients that ask new questions without a pause."""

    def __init__(self, home: Home, count: int) -> None:
        self._home = home
        self._stop = threading.Event()
        self.answers: list[tuple[int, Any]] = []
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(count)]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int) -> None:
        asked = 0
        while not self._stop.is_set():
            asked += 1
            goal = f"n : Nat\n⊢ n + {number} = {asked} + n"
            body = {"goal": goal, "n": 2, "max_tokens": 8}
            self.answers.append(self._home.curl("/v1/suggest", body=body))


def test_switches_while_clients_ask(two: Home) -> None:
    with Clients(two, 4) as clients:
        for round_ in range(8):
            wanted = ("other", "starter")[round_ % 2]
            code, model = use(two, wanted)
            assert (code, model["id"]) == (200, wanted)
            # new requests are answered by the new model
            _, answer = two.curl(
                "/v1/suggest", body={"goal": f"⊢ {round_} = 1", "n": 1, "max_tokens": 4}
            )
            assert answer["model"] == wanted
    assert {code for code, _ in clients.answers} == {200}
    assert {answer["model"] for _, answer in clients.answers} == {"starter", "other"}
    assert len(clients.answers) > 20


@pytest.mark.parametrize(
    ("model_id", "code", "word"),
    [("broken", 503, "model_failed"), ("missing", 404, "model_not_found"),
     ("../starter", 400, "invalid_request")],
)  # fmt: skip
def test_a_model_that_fails_changes_nothing(two: Home, model_id: str, code: int, word: str) -> None:
    before = two.client.request("GET", "/v1/status")
    with Clients(two, 2) as clients:
        status, answer = use(two, model_id)
    assert (status, answer["error"]["code"]) == (code, word)
    after = two.client.request("GET", "/v1/status")
    for field in ("model", "engine_pid", "device", "reason"):
        assert after[field] == before[field]
    assert {code for code, _ in clients.answers} <= {200}
    assert two.curl("/v1/suggest", body={"goal": GOAL})[1]["model"] == "starter"


def test_a_client_that_disconnects_does_not_stop_a_switch(two: Home) -> None:
    with pytest.raises(Exception, match="28"):  # curl: operation timed out
        two.curl("/v1/model", "-X", "PUT", "--max-time", "0.05", body={"id": "other"})
    two.wait_until(lambda s: s["model"]["id"] == "other" and s["switching_to"] is None)


def test_one_switch_at_a_time(two: Home) -> None:
    results: list[tuple[int, Any]] = []

    def switch(model_id: str) -> None:
        results.append(use(two, model_id))

    first = [threading.Thread(target=switch, args=("other",)) for _ in range(2)]
    for thread in first:
        thread.start()
    two.wait_until(lambda status: status["switching_to"] == "other")
    code, answer = use(two, "broken")
    for thread in first:
        thread.join()
    assert [code for code, _ in results] == [200, 200]  # both asked for the same model
    assert (code, answer["error"]["code"]) in ((409, "switching"), (503, "model_failed"))


def test_a_switch_to_the_present_model_does_nothing(two: Home) -> None:
    before = two.client.request("GET", "/v1/status")["engine_pid"]
    assert use(two, "starter")[0] == 200
    assert two.client.request("GET", "/v1/status")["engine_pid"] == before
    # a replaced file is loaded, though
    time.sleep(0.01)
    shutil.copy(store.SHIPPED, two.paths.models / "new.gguf")
    (two.paths.models / "new.gguf").replace(two.paths.models / "starter.gguf")
    assert use(two, "starter")[0] == 200
    assert two.client.request("GET", "/v1/status")["engine_pid"] != before


def test_a_switch_repairs_a_daemon_without_its_model(home: Home) -> None:
    home.serve(LLMSUGGESTD_MODEL="other")
    assert home.client.request("GET", "/v1/status")["state"] == "failed"
    shutil.copy(store.SHIPPED, home.paths.models / "other.gguf")
    assert use(home, "other")[0] == 200
    assert home.curl("/v1/suggest", body={"goal": GOAL})[0] == 200


def test_a_missing_model_is_served_once_it_is_there(home: Home) -> None:
    home.serve(LLMSUGGESTD_MODEL="other")
    code, answer = home.curl("/v1/suggest", body={"goal": GOAL})
    assert (code, answer["error"]["code"]) == (503, "model")
    shutil.copy(store.SHIPPED, home.paths.models / "other.gguf")
    code, answer = home.curl("/v1/suggest", body={"goal": GOAL})
    assert (code, answer["model"]) == (200, "other")
    assert home.client.request("GET", "/v1/status")["state"] == "ready"


def test_models_use_changes_the_daemon_and_the_file(two: Home) -> None:
    two.paths.config_file.write_text('# mine\nthreads = 1\nmodel = "starter"  # for now\n')
    done = two.run("models", "use", "other", "--json")
    assert json.loads(done.stdout)["running"] is True
    assert two.client.request("GET", "/v1/status")["model"]["id"] == "other"
    assert two.paths.config_file.read_text() == (
        '# mine\nthreads = 1\nmodel = "other"  # for now\n'
    )
    for model_id in ("broken", "missing", "../x"):
        failed = two.run("models", "use", model_id)
        assert failed.returncode == ExitCode.MODEL
        assert failed.stderr.startswith("llmsuggestd: ")
        assert 'model = "other"' in two.paths.config_file.read_text()
    two.paths.config_file.write_text("prot = 1\n")
    assert two.run("models", "use", "starter").returncode == ExitCode.CONFIG
    assert two.client.request("GET", "/v1/status")["model"]["id"] == "other"
    two.paths.config_file.unlink()
    two.paths.config_file.symlink_to("/nowhere/config.toml")  # it cannot be written
    failed = two.run("models", "use", "starter")
    assert failed.returncode == ExitCode.CONFIG
    assert "is a link to /nowhere" in failed.stderr
    assert two.client.request("GET", "/v1/status")["model"]["id"] == "other"
    two.paths.config_file.unlink()
    two.run("stop")
    assert "when the daemon starts" in two.run("models", "use", "starter").stdout
    two.serve()
    assert two.client.request("GET", "/v1/status")["model"]["id"] == "starter"


def test_the_settings_are_read_again_on_sighup(two: Home) -> None:
    process = two.processes[-1]
    engine = two.client.request("GET", "/v1/status")["engine_pid"]
    two.paths.config_file.write_text('model = "other"\nthreads = 1\ncontext = 512\n')
    process.send_signal(signal.SIGHUP)
    status = two.wait_until(lambda s: s["model"]["id"] == "other" and s["switching_to"] is None)
    assert (status["threads"], status["model"]["context"]) == (1, 512)
    assert status["engine_pid"] != engine
    # wrong settings are logged, with their line, and change nothing
    two.paths.config_file.write_text('model = "starter"\nthreads = "many"\n')
    process.send_signal(signal.SIGHUP)
    assert process.stderr is not None
    line = next(line for line in process.stderr if "the settings stay unchanged" in line)
    assert f": {two.paths.config_file}:2: `threads`" in line
    assert two.client.request("GET", "/v1/status")["model"]["id"] == "other"


def test_settings_with_the_model_before_the_switch_are_applied(two: Home) -> None:
    process = two.processes[-1]
    assert two.run("models", "use", "other").returncode == 0
    two.paths.config_file.write_text('model = "starter"\n')
    process.send_signal(signal.SIGHUP)
    two.wait_until(lambda s: s["model"]["id"] == "starter" and s["switching_to"] is None)


@pytest.mark.parametrize("first", ["other", "broken"])
def test_settings_that_change_during_a_switch_are_applied_after_it(two: Home, first: str) -> None:
    process = two.processes[-1]
    two.paths.config_file.write_text(f'model = "{first}"\n')
    process.send_signal(signal.SIGHUP)
    two.wait_until(lambda s: s["switching_to"] == first)
    two.paths.config_file.write_text('model = "other"\nthreads = 1\ncontext = 512\n')
    process.send_signal(signal.SIGHUP)
    status = two.wait_until(lambda s: s["model"]["context"] == 512 and s["switching_to"] is None)
    assert (status["model"]["id"], status["threads"]) == ("other", 1)


def test_settings_that_failed_to_apply_are_tried_again(two: Home) -> None:
    process = two.processes[-1]
    two.paths.config_file.write_text('model = "broken"\nthreads = 1\n')
    process.send_signal(signal.SIGHUP)
    two.wait_until(lambda s: s["switching_to"] == "broken")
    two.wait_until(lambda s: s["switching_to"] is None)
    shutil.copy(store.SHIPPED, two.paths.models / "broken.gguf")
    process.send_signal(signal.SIGHUP)
    status = two.wait_until(lambda s: s["model"]["id"] == "broken")
    assert status["threads"] == 1
    process.terminate()
    assert "Traceback" not in process.communicate(timeout=15)[1]
