"""Remote models from the user's view: adding and choosing them, and their failures."""

from __future__ import annotations

import copy
import json
import re
import signal
import socket
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from llmsuggestd.config import RemoteSettings
from llmsuggestd.errors import ExitCode
from llmsuggestd.models.store import SHIPPED
from tests.conftest import Home
from tests.support.completions import Completions, Faults, completions

GOAL = "p q : Prop\nhp : p\nhq : q\n⊢ p ∧ q"
KEY = "sesame-open-1234"


@pytest.fixture
def server() -> Iterator[Completions]:
    with completions() as running:
        running.key = KEY
        yield running


def add(home: Home, server: Completions, *more: str, **how: Any) -> Any:
    arguments = ("--url", server.url, "--model", "prover", "--format", "llmstep", *more)
    return home.run("models", "add", "lab", *arguments, **how)


def added(home: Home, server: Completions) -> None:
    result = add(home, server, "--key", "ask", input_=f"{KEY}\n")
    assert result.returncode == 0, result.stderr


@pytest.fixture
def lab(home: Home, server: Completions) -> Home:
    """A home with the starter, and the server's model as `lab`."""
    home.install_starter()
    added(home, server)
    return home


def settings(home: Home, text: str) -> None:
    home.paths.config.mkdir(mode=0o700, exist_ok=True)
    home.paths.config_file.write_text(text, encoding="utf-8")


def suggest(home: Home, goal: str = GOAL) -> tuple[int, Any]:
    return home.curl("/v1/suggest", body={"goal": goal, "n": 3})


def everything_written(home: Home) -> Iterator[tuple[Path, bytes]]:
    for file in home.root.rglob("*"):
        if file.is_file() and file.suffix != ".gguf":
            yield file, file.read_bytes()


def test_a_remote_model_is_added_chosen_and_removed(lab: Home, server: Completions) -> None:
    lab.serve()
    assert lab.run("models", "use", "lab").returncode == 0
    status, answer = suggest(lab)
    assert (status, answer["model"]) == (200, "lab")
    assert answer["suggestions"][0]["text"] == "exact And.intro hp hq"
    assert server.asked[-1]["prompt"] == f"[GOAL]{GOAL}[PROOFSTEP]"
    assert server.headers[-1]["authorization"] == f"Bearer {KEY}"
    assert lab.run("models", "remove", "lab").returncode == 0
    assert suggest(lab)[1]["model"] == "starter"
    assert not list(lab.paths.remote.iterdir())


def test_every_view_shows_where_goals_are_sent(lab: Home, server: Completions) -> None:
    lab.serve()
    address = f"http://127.0.0.1:{server.port}"
    assert lab.client.request("GET", "/v1/status")["remote"] is None
    assert suggest(lab)[1]["remote"] is None
    assert lab.run("models", "use", "lab").returncode == 0
    status = lab.client.request("GET", "/v1/status")
    assert status["remote"] == {
        "url": address, "leaves": False, "fallback": None, "reason": None
    }  # fmt: skip
    assert suggest(lab)[1]["remote"] == address
    again = suggest(lab)[1]
    assert (again["cached"], again["remote"]) == (True, address)
    _, several = lab.curl("/v1/suggest", body={"goals": [GOAL, "⊢ True"], "n": 1})
    assert (several["remote"], len(several["results"])) == (address, 2)
    assert address in lab.run("status").stdout
    assert address in lab.run("models", "list").stdout
    doctor = lab.run("doctor").stdout
    assert f"goals are sent to {address}" in doctor
    assert f"lab runs on {address}\n" in doctor
    rows = json.loads(lab.run("models", "list", "--json").stdout)["models"]
    assert [(row["id"], row["remote"]) for row in rows] == [("lab", address), ("starter", None)]
    models = lab.client.request("GET", "/v1/models")["models"]
    assert [(one["id"], one["remote"]) for one in models] == [("lab", address), ("starter", None)]


def test_a_failing_server_leaves_the_local_model_serving(lab: Home, server: Completions) -> None:
    lab.serve()
    server.faults.statuses = [(500, {})] * 5
    result = lab.run("models", "use", "lab")
    assert result.returncode != 0
    assert "failed with status 500" in result.stderr
    status, answer = suggest(lab)
    assert (status, answer["model"], answer["remote"]) == (200, "starter", None)
    assert "lab" not in (
        lab.paths.config_file.read_text() if lab.paths.config_file.exists() else ""
    )


def test_the_fallback_answers_while_the_server_fails(lab: Home, server: Completions) -> None:
    settings(lab, '[remote]\nfallback = "starter"\n')
    lab.serve()
    assert lab.run("models", "use", "lab").returncode == 0
    server.faults.statuses = [(500, {})] * 5
    status, answer = suggest(lab)
    assert (status, answer["model"]) == (200, "starter")
    shown = lab.client.request("GET", "/v1/status")
    assert shown["state"] == "ready"
    assert shown["remote"]["fallback"] == "starter"
    assert "failed with status 500" in shown["remote"]["reason"]
    assert "answered by starter: " in lab.run("status").stdout
    server.faults.statuses = []
    lab.client.request(
        "PUT", "/v1/model", {"id": "lab"}, timeout=30
    )  # before the daemon's next try
    status, answer = suggest(lab)
    assert (status, answer["model"], answer["cached"]) == (200, "lab", False)


def test_a_fallback_can_be_added_while_the_server_fails(lab: Home, server: Completions) -> None:
    process = lab.serve()
    assert lab.run("models", "use", "lab").returncode == 0
    server.faults.statuses = [(500, {})] * 9
    assert suggest(lab)[0] == 503
    settings(lab, 'model = "lab"\n[remote]\nfallback = "starter"\n')
    process.send_signal(signal.SIGHUP)
    lab.wait_until(lambda status: status["remote"]["fallback"] == "starter")
    assert suggest(lab)[1]["model"] == "starter"


def test_the_fallback_is_not_removed(lab: Home) -> None:
    assert lab.run("models", "import", str(SHIPPED), "--name", "mine").returncode == 0
    settings(lab, '[remote]\nfallback = "mine"\n')
    result = lab.run("models", "remove", "mine")
    assert result.returncode == ExitCode.ERROR
    assert "mine is the fallback of the remote models" in result.stderr
    assert (lab.paths.models / "mine.gguf").exists()


def test_a_fallback_answers_in_the_time_that_the_tactic_waits() -> None:
    options = (Path(__file__).parents[3] / "lean/LlmSuggest/Options.lean").read_text("utf-8")
    found = re.search(r"llmsuggest\.timeout : Nat := \{\s*defValue := (\d+)", options)
    assert found is not None
    assert RemoteSettings().timeout <= int(found[1]) - 5


def test_a_failure_is_one_line_with_its_status(lab: Home, server: Completions) -> None:
    lab.serve()
    assert lab.run("models", "use", "lab").returncode == 0
    server.faults.statuses = [(500, {})]
    status, answer = suggest(lab)
    assert (status, answer["error"]["code"]) == (503, "remote_broken")
    assert lab.client.request("GET", "/v1/status")["state"] == "failed"
    assert suggest(lab)[0] == 200
    assert lab.client.request("GET", "/v1/status")["state"] == "ready"


def test_a_daemon_that_starts_while_the_server_fails_recovers(
    lab: Home, server: Completions
) -> None:
    settings(lab, 'model = "lab"\n')
    server.faults.statuses = [(500, {})]
    lab.serve()
    assert lab.client.request("GET", "/v1/status")["state"] == "failed"
    assert suggest(lab)[1]["model"] == "lab"


def test_neither_a_goal_nor_the_key_is_written_anywhere(lab: Home, server: Completions) -> None:
    lab.env["LLMSUGGESTD_REMOTE_KEY"] = KEY
    process = lab.serve()
    assert lab.run("models", "use", "lab").returncode == 0
    server.faults.words = f"secretgoal {KEY}"  # a server that repeats its input
    goal = "h : secretgoal\n⊢ secretgoal"
    said = [suggest(lab, goal)]
    for status in (400, 401, 404, 429, 500):
        server.faults.statuses = [(status, {"Retry-After": "900"})]
        said.append(suggest(lab, f"{goal} ∨ h{status}"))
    server.faults.body = f"secretgoal {KEY}".encode()
    said.append(suggest(lab, f"{goal} ∧ True"))
    server.key = "another"
    said.append(suggest(lab, f"{goal} ∧ False"))
    texts = [json.dumps(said), lab.run("status", "--json").stdout, lab.run("status").stdout,
             lab.run("doctor").stdout, lab.run("models", "list").stdout]  # fmt: skip
    process.terminate()
    log = process.communicate(timeout=15)[1]
    assert "answers for prover" in log
    assert "rejects the key" in log
    for text in (*texts, log):
        assert "secretgoal" not in text
        assert KEY not in text
    for file, content in everything_written(lab):
        assert b"secretgoal" not in content, file
        if file.name == "lab.key":
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
        else:
            assert KEY.encode() not in content, file


WORDS = f"secretgoal {KEY}"
FAILURES = [
    ("remote_slow", Faults(seconds=30)),  # first, so that beams can leave it out: it takes long
    ("remote_key", Faults(statuses=[(403, {})] * 9, words=WORDS)),
    ("remote_route", Faults(statuses=[(404, {})] * 9, words=WORDS)),
    ("remote_redirect", Faults(statuses=[(302, {"Location": f"/{WORDS}"})] * 9, words=WORDS)),
    ("remote_busy", Faults(statuses=[(429, {"Retry-After": "900"})] * 9, words=WORDS)),
    ("remote_broken", Faults(statuses=[(500, {})] * 9, words=WORDS)),
    ("remote_answer", Faults(body=WORDS.encode())),
    ("remote_cut_off", Faults(hang_up=True)),
    ("remote_logprobs", Faults(without_logprobs=True)),
    ("remote_refused", Faults(longest=5)),
    ("remote_refused", Faults(statuses=[(400, {})] * 9, words=WORDS)),  # ends the beam search
]
"""Ways for the server to fail, each with the code of the error."""


def test_no_failure_writes_a_goal(home: Home) -> None:
    """With asyncio's debug output, the most that the daemon can write."""
    settings(home, "[remote]\ntimeout = 4\n")
    codes = []
    with completions() as server:
        server.key = KEY
        added(home, server)
        process = home.serve(PYTHONASYNCIODEBUG="1", LLMSUGGESTD_MODEL="lab")
        for ids in (False, True):  # drawn candidates, and beams
            server.ids = ids
            for code, faults in FAILURES if not ids else FAILURES[1:]:
                server.faults = Faults()
                home.client.request("PUT", "/v1/model", {"id": "lab"}, timeout=30)
                goal = f"secretgoal : Prop\n⊢ secretgoal ∨ {code} ∨ {ids}"
                assert suggest(home, goal)[1]["model"] == "lab"
                server.faults = copy.deepcopy(faults)
                status, answer = suggest(home, f"{goal} ∨ secretgoal")
                if status != 200:
                    assert "secretgoal" not in json.dumps(answer)
                    codes.append(answer["error"]["code"])
        prompts = [sent["prompt"] for sent in server.asked]
        assert [len(one) for one in prompts if isinstance(one, list) and len(one) > 1]  # beams
    codes.append(suggest(home, "secretgoal : Prop\n⊢ secretgoal")[1]["error"]["code"])
    process.terminate()
    log = process.communicate(timeout=15)[1]
    assert codes[: len(FAILURES)] == [code for code, _ in FAILURES]
    assert codes[-1] == "remote_down"
    assert "answers for prover" in log
    written = [log.encode(), *(content for _, content in everything_written(home))]
    assert not [text for text in written if b"secretgoal" in text]


def test_a_slow_server_is_waited_for_once(lab: Home, server: Completions) -> None:
    """The fallback answers the next questions at once."""
    settings(lab, '[remote]\nfallback = "starter"\ntimeout = 1\n')
    lab.serve()
    assert lab.run("models", "use", "lab").returncode == 0
    server.faults.seconds = 30
    first = suggest(lab)[1]
    assert (first["model"], first["remote"]) == ("starter", f"http://127.0.0.1:{server.port}")
    sent = len(server.asked)
    second = suggest(lab, "⊢ True")[1]
    assert (second["model"], second["remote"]) == ("starter", None)
    assert len(server.asked) == sent


def test_a_fallback_has_to_be_local(lab: Home, server: Completions) -> None:
    settings(lab, 'model = "lab"\n[remote]\nfallback = "lab"\n')
    lab.serve()
    server.faults.statuses = [(500, {})] * 5
    status, answer = suggest(lab)
    assert status == 503
    assert "not a local one" in answer["error"]["message"]


def test_a_fallback_writes_no_goal(lab: Home, server: Completions) -> None:
    """Neither does its engine."""
    settings(lab, '[remote]\nfallback = "starter"\n')
    process = lab.serve(PYTHONASYNCIODEBUG="1", LLMSUGGESTD_MODEL="lab")
    server.faults = Faults(statuses=[(500, {})] * 9, words=WORDS)
    status, answer = suggest(lab, "secretgoal : Prop\nh : secretgoal\n⊢ secretgoal")
    assert (status, answer["model"]) == (200, "starter")
    process.terminate()
    log = process.communicate(timeout=15)[1]
    assert "failed with status 500" in log
    written = [log.encode(), *(content for _, content in everything_written(lab))]
    assert not [text for text in written if b"secretgoal" in text]


def test_a_key_that_others_can_read_is_not_used(lab: Home, server: Completions) -> None:
    (lab.paths.remote / "lab.key").chmod(0o644)
    lab.serve()
    asked = len(server.headers)
    result = lab.run("models", "use", "lab")
    assert result.returncode != 0
    assert "other users can read the key" in result.stderr
    assert len(server.headers) == asked


def test_the_key_from_the_environment(home: Home, server: Completions) -> None:
    result = add(home, server, "--key", "environment")
    assert result.returncode == ExitCode.CONFIG
    assert "LLMSUGGESTD_REMOTE_KEY" in result.stderr
    home.env["LLMSUGGESTD_REMOTE_KEY"] = KEY
    assert add(home, server, "--key", "environment").returncode == 0
    for file, content in everything_written(home):
        assert KEY.encode() not in content, file


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://192.0.2.1:8000/v1", "another machine"),
        ("http://192.0.2.1:8000/v1", "without encryption"),
        ("https://user:sesame@192.0.2.1/v1", "must not contain a key"),
        ("ftp://127.0.0.1", "is not the URL of a server"),
    ],
)
def test_a_server_that_is_not_allowed_is_not_added(home: Home, url: str, message: str) -> None:
    result = home.run("models", "add", "lab", "--url", url, "--model", "m", "--format", "llmstep")
    assert result.returncode in (ExitCode.USAGE, ExitCode.CONFIG)
    assert message in result.stderr
    assert "sesame" not in result.stderr
    assert not home.paths.remote.exists()


def test_a_server_that_refuses_a_request_is_not_added(home: Home, server: Completions) -> None:
    result = add(home, server)  # without the key
    assert result.returncode == ExitCode.MODEL
    assert "requires a key" in result.stderr
    assert re.match(r"llmsuggestd: .*\n.*", result.stderr)
    assert not home.paths.remote.exists()


def test_local_and_remote_models_share_one_set_of_ids(lab: Home, server: Completions) -> None:
    result = lab.run("models", "add", "starter", "--url", server.url, "--model", "prover",
                     "--format", "llmstep", "--key", "ask", input_=KEY)  # fmt: skip
    assert result.returncode == ExitCode.MODEL
    starter = lab.paths.models / "starter.gguf"
    result = lab.run("models", "import", str(starter), "--name", "lab")
    assert result.returncode == ExitCode.MODEL
    assert "remote model" in result.stderr


def test_permission_that_is_withdrawn_ends_at_the_next_reload(
    home: Home, server: Completions
) -> None:
    """The served model gets no more requests, even if no other model can take its place."""
    home.install_starter()
    settings(home, 'model = "lab"\n[remote]\nallow_remote = true\ntimeout = 1\n')
    home.paths.remote.mkdir(mode=0o700)
    record = {"id": "lab", "url": "https://192.0.2.1", "model": "m", "format": "llmstep"}
    (home.paths.remote / "lab.json").write_text(json.dumps(record))
    process = home.serve()
    assert "192.0.2.1" in home.client.request("GET", "/v1/status")["reason"]
    settings(home, 'model = "lab"\n')
    process.send_signal(signal.SIGHUP)
    home.wait_until(lambda status: "do not allow" in (status["reason"] or ""))
    status, answer = suggest(home)
    assert (status, answer["error"]["code"]) == (503, "remote_not_allowed")


def test_permission_that_is_withdrawn_ends_a_switch(home: Home) -> None:
    """`0x7f.1` is this machine for the system, but no loopback address for us."""
    home.install_starter()
    settings(home, "[remote]\nallow_remote = true\n")
    home.paths.remote.mkdir(mode=0o700)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://0x7f.1:{silent.getsockname()[1]}"
        record = {"id": "lab", "url": url, "model": "m", "format": "llmstep"}
        (home.paths.remote / "lab.json").write_text(json.dumps(record))
        process = home.serve()
        with ThreadPoolExecutor() as pool:
            switching = pool.submit(home.curl, "/v1/model", "-X", "PUT", body={"id": "lab"})
            home.wait_until(lambda status: status["switching_to"] == "lab")
            with silent.accept()[0]:  # it has connected, and waits for TLS
                settings(home, "")
                process.send_signal(signal.SIGHUP)
                status, answer = switching.result(timeout=10)
    assert (status, answer["error"]["code"]) == (503, "remote_not_allowed")
    assert suggest(home)[1]["model"] == "starter"


def test_a_new_key_is_used_at_once(lab: Home, server: Completions) -> None:
    lab.serve()
    assert lab.run("models", "use", "lab").returncode == 0
    server.key = "another-key"
    replaced = add(lab, server, "--key", "ask", input_="another-key\n")
    assert replaced.returncode == 0, replaced.stderr
    assert suggest(lab)[0] == 200
    assert server.headers[-1]["authorization"] == "Bearer another-key"
    # a key that the server still accepts is not sent any more either
    server.key = None
    assert add(lab, server).returncode == 0
    assert suggest(lab, "⊢ 1 = 1")[0] == 200
    assert "authorization" not in server.headers[-1]


def test_purging_removes_records_and_keys(lab: Home) -> None:
    assert lab.run("uninstall", "--purge").returncode == 0
    assert not lab.paths.remote.exists()
