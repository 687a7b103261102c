"""The whole way from Lean through curl and the daemon to llama.cpp, with the starter model.

llama.cpp is in the engine, or on a server.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from llmsuggestd.models import store
from tests.conftest import Home, make_home
from tests.end_to_end.lean.offers import messages, mismatches, offers
from tests.support.leanwasm import Lean
from tests.support.llama_server import llama_server

pytestmark = [pytest.mark.lean, pytest.mark.timeout(600, func_only=True)]


def test_core_goals(lean: Lean, served: Home, tmp_path: Path) -> None:
    file = Path(__file__).with_name("CoreGoals.lean")
    env = served.lean_env
    result = lean.run(file, env=env, options=["--json"])
    for message in messages(result.output):
        if message["severity"] == "error":
            expected = ("unsolved goals", "llmsuggest: none of the model's suggestions")
            assert message["data"].startswith(expected)
    made = offers(result.output)
    assert any(offer.closes for offer in made)
    assert mismatches(lean, file, made, tmp_path) == []


CALL = """import LlmSuggest

example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  llmsuggest
"""


def test_a_newer_request_of_a_place_ends_the_older(
    lean: Lean, served: Home, tmp_path: Path
) -> None:
    file = tmp_path / "Some.lean"
    env = served.lean_env
    ended: list[tuple[int, Any]] = []
    with lean.worker(file, CALL.replace("llmsuggest", "exact ⟨hp, hq⟩"), env) as worker:
        assert worker.diagnostics() == []
        # An earlier request for this place, which the daemon still computes.
        client = f"lean {42 if lean.wasm else worker.pid} {file}:4:2"
        context = "".join(f"p{i} q{i} : Nat\nhp{i} : p{i} < q{i} + {i}\n" for i in range(80))
        goal = f"{context}⊢ p1 * q2 = q2 * p1"
        body = {"goal": goal, "n": 32, "max_tokens": 512, "client": client}
        older = threading.Thread(target=lambda: ended.append(served.curl("/v1/suggest", body=body)))
        older.start()
        served.wait_until(lambda status: status["queue"] == 1)
        worker.change(CALL)
        said = [diagnostic["message"] for diagnostic in worker.diagnostics()]
        older.join()
        assert ended[0][0] == 409
        assert ended[0][1]["error"]["code"] == "superseded"
        assert said[0].startswith(("Try th", "llmsuggest: none of the model's suggestions"))


WITH_A_SERVER = """import LlmSuggest
set_option llmsuggest.inBuild true

example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  llmsuggest

inductive Tree where
  | leaf
  | node (left right : Tree)

def Tree.mirror : Tree → Tree
  | leaf => leaf
  | node l r => node r.mirror l.mirror

example (t : Tree) : t.mirror.mirror = t := by
  llmprove
"""


def test_suggestions_and_a_proof_through_a_server(lean: Lean, tmp_path: Path) -> None:
    file = tmp_path / "Some.lean"
    file.write_text(WITH_A_SERVER)
    for home in make_home():
        home.install_starter()
        home.serve()
        with llama_server(store.SHIPPED, tmp_path / "server.log") as server:
            for command in (
                ("add", "lab", "--url", server.url, "--model", "prover", "--format", "llmstep"),
                ("use", "lab"),
            ):
                done = home.run("models", *command)
                assert done.returncode == 0, done.stderr
            result = lean.run(file, env=home.lean_env, options=["--json"])
    said = [message["data"] for message in messages(result.output)]
    assert len(said) == 2
    for text in said:
        assert text.startswith("Try th")
        assert text.partition("\n")[0].endswith(f" (the goal was sent to {server.url}):")
        assert "closes the goal" in text
