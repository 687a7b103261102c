"""Other projects' clients: the requests that their own code makes, and the fields that it reads in
the answers."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from typing import Any

import pytest

from tests.conftest import Home
from tests.support import raw

STATE = "p q : Prop\nhp : p\nhq : q\n⊢ p ∧ q"
INSTRUCTION = (
    "/- You are proving a theorem in Lean 4.\nPut the next tactic inside [TAC]...[/TAC].\n-/\n"
    "[CTX]\nimport Lean\n[/CTX]\n[STATE]\n{state}\n[/STATE]\n[TAC]\n{prefix}"
)


def curl(home: Home, door: str, path: str, body: object, *headers: str) -> Any:
    """The output of `curl -X POST URL -H ... -d BODY`, as LeanCopilot and LLMLean run it."""
    arguments = [argument for header in headers for argument in ("-H", header)]
    result = subprocess.run(
        ["curl", "-q", "--noproxy", "*", "-X", "POST",
         f"http://localhost:{raw.port(home, door)}{path}",
         "-H", "accept: application/json", "-H", "Content-Type: application/json", *arguments,
         "-d", json.dumps(body)],
        capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    return json.loads(result.stdout)


def own(home: Home, prefix: str = "", **fields: object) -> list[dict[str, Any]]:
    """The suggestions of `POST /v1/suggest`."""
    code, answer = home.curl("/v1/suggest", body={"goal": STATE, "prefix": prefix, **fields})
    assert code == 200
    suggestions: list[dict[str, Any]] = answer["suggestions"]
    return suggestions


def urllib_post(home: Home, door: str, body: object) -> Any:
    """A request as Python clients send it: with a type and a length, without a token."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{raw.port(home, door)}/",
        json.dumps(body).encode(), {"Content-type": "application/json"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def test_llmstep(exposed: Home) -> None:
    for prefix in ("", "exact"):
        answer = urllib_post(
            exposed,
            "llmstep",
            {"tactic_state": STATE, "prefix": prefix, "context": "import Lean"},
        )
        assert set(answer) == {"suggestions"}
        assert answer["suggestions"] == [
            s["text"] for s in own(exposed, prefix, n=10, max_tokens=128)
        ]
        joined = "[SUGGESTION]".join(answer["suggestions"])  # in the form that its script prints
        assert all(text.startswith(prefix) for text in joined.split("[SUGGESTION]"))


def test_the_tutorials_llmsuggest(exposed: Home) -> None:
    answer = urllib_post(exposed, "tutorial", {"tactic_state": STATE})
    assert answer == {"suggestions": [s["text"] for s in own(exposed, max_tokens=50)]}


def test_leancopilot(exposed: Home) -> None:
    name = "wellecks/llmstep-mathlib4-pythia2.8b"
    for prefix in ("", "exact"):
        answer = curl(
            exposed, "leancopilot", "/generate", {"name": name, "input": STATE, "prefix": prefix}
        )
        outputs = answer["outputs"]
        assert [o["output"] for o in outputs] == [
            s["text"] for s in own(exposed, prefix, n=8, max_tokens=128)
        ]
        scores = [o["score"] for o in outputs]
        assert scores == sorted(scores, reverse=True)
        assert all(0 < score <= 1 for score in scores)
    nothing = curl(
        exposed, "leancopilot", "/generate", {"name": name, "input": "no goals", "prefix": ""}
    )
    assert nothing == {"outputs": []}


def test_llmlean_through_ollama(exposed: Home) -> None:
    def ask(prompt: str, temperature: float) -> str:
        body = {
            "model": "wellecks/ntpctx-llama3-8b", "prompt": prompt, "raw": False, "stream": False,
            "options": {"temperature": temperature, "stop": ["[/TAC]"], "num_predict": 128},
        }  # fmt: skip
        answer = curl(exposed, "llmlean", "/api/generate", body, "Authorization: Bearer ",
                      "x-api-key: ", "anthropic-version: 2023-06-01")  # fmt: skip
        response: str = answer["response"]
        return response

    for prefix in ("", "exact "):
        prompt = INSTRUCTION.format(state=STATE, prefix=prefix)
        best = own(exposed, prefix, n=1, max_tokens=128)[0]["text"]
        # the client adds the prefix to the answer
        assert prefix + ask(prompt, 0.0).strip() == best.strip()
        assert isinstance(ask(prompt, 0.7), str)
    assert ask("theorem t : p := by\n  simp at h ⊢\n", 0.7) == ""
    # LLMLEAN_PROMPT=tacticstate
    assert ask(f"{STATE}:::", 0.0) == own(exposed, "", n=1, max_tokens=128)[0]["text"]


@pytest.mark.parametrize("count", [1, 16])
def test_llmlean_through_openai(exposed: Home, count: int) -> None:
    prompt = INSTRUCTION.format(state=STATE, prefix="exact ")
    body = {
        "model": "gpt-4o", "messages": [{"role": "user", "content": prompt}], "n": count,
        "temperature": 0.7, "max_tokens": 512, "stream": False, "stop": ["[/TAC]"],
    }  # fmt: skip
    answer = curl(exposed, "llmlean", "/v1/chat/completions", body, "Authorization: Bearer x")
    assert isinstance(answer["id"], str)
    contents = [choice["message"]["content"] for choice in answer["choices"]]
    assert 1 <= len(contents) <= count
    assert len(set(contents)) == len(contents)
    assert {choice["message"]["role"] for choice in answer["choices"]} == {"assistant"}


def test_leancopilots_chat_models(exposed: Home) -> None:
    prompt = (
        "Here is a theorom you need to prove in Lean:\n"
        f"{STATE}\nNow you should suggest one line tactic in lean code:"
    )
    body = {"messages": [{"role": "user", "content": prompt}], "n": 3, "temperature": 0}
    answer = curl(exposed, "llmlean", "/v1/chat/completions", body)
    outputs = [choice["message"]["content"] for choice in answer["choices"]]
    # read as LeanCopilot's post_process_output does
    tactics = [text.split("lean")[-1].split("```")[0].split("\n")[1] for text in outputs]
    assert tactics == [s["text"] for s in own(exposed, "", n=3, max_tokens=128)]


def test_completions(exposed: Home) -> None:
    body = {"prompt": f"[GOAL]{STATE}[PROOFSTEP]exact", "n": 3, "max_tokens": 40}
    answer = curl(exposed, "llmlean", "/v1/completions", body)
    assert ["exact" + choice["text"] for choice in answer["choices"]] == [
        s["text"] for s in own(exposed, "exact", n=3, max_tokens=40)
    ]


@pytest.mark.parametrize(("tokens", "reason"), [(1, "length"), (40, "stop")])
def test_a_text_that_the_limit_cuts_off_says_so(exposed: Home, tokens: int, reason: str) -> None:
    prompt = f"[GOAL]{STATE}[PROOFSTEP]"
    ollama = {"prompt": prompt, "options": {"num_predict": tokens}}
    assert curl(exposed, "llmlean", "/api/generate", ollama)["done_reason"] == reason
    body = {"prompt": prompt, "max_tokens": tokens}
    chat = {"messages": [{"role": "user", "content": prompt}], "max_tokens": tokens}
    for path, asked in (("/v1/completions", body), ("/v1/chat/completions", chat)):
        (choice,) = curl(exposed, "llmlean", path, asked)["choices"]
        assert choice["finish_reason"] == reason


def test_whole_proofs_are_refused_with_a_readable_message(exposed: Home) -> None:
    """LLMLean shows the user an answer that it cannot parse."""
    body = {"prompt": "[CTX]\ntheorem t\n[/CTX]\n[PROOF]", "stream": False, "options": {}}
    answer = curl(exposed, "llmlean", "/api/generate", body)
    assert "whole proof" in answer["error"]["message"]
    assert "llmstep" in answer["error"]["hint"]


def test_the_port_accepts_llmleans_key_as_the_token(exposed: Home) -> None:
    body = {"prompt": f"[GOAL]{STATE}[PROOFSTEP]"}
    key = f"Authorization: Bearer {raw.token(exposed)}"
    assert curl(exposed, "port", "/v1/completions", body, key)["choices"]
    assert curl(exposed, "port", "/v1/completions", body)["error"]["code"] == "unauthorized"


def test_listeners_are_off_by_default_and_logged_when_opened(home: Home) -> None:
    process = home.serve(wait=False)
    home.wait_until(lambda status: status["listeners"] == {})
    process.terminate()
    assert "compatibility" not in process.communicate(timeout=15)[1]
    home.env["LLMSUGGESTD_COMPAT"] = "llmstep:0"
    process = home.serve(wait=False)
    url = home.wait_until(lambda status: status["listeners"])["listeners"]["llmstep"]
    process.terminate()
    log = process.communicate(timeout=15)[1]
    assert f"compatibility listener llmstep on {url}" in log
    assert "without the token" in log


def test_a_listener_whose_port_is_taken_is_named(home: Home) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = home.run("serve", "--compat", f"llmstep:{port}")
    assert result.returncode == 4
    assert f"port {port} is used by another program" in result.stderr
    assert "llmstep:PORT" in result.stderr
