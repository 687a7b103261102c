"""A remote model at llama.cpp's own server, which serves the starter."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from llmsuggestd.config import RemoteSettings
from llmsuggestd.formats import LLMSTEP
from llmsuggestd.models import store
from llmsuggestd.remote.address import parse
from llmsuggestd.remote.model import RemoteModel, Target
from tests.conftest import Home, make_home
from tests.support.engine_requests import request
from tests.support.llama_server import SLOTS, LlamaServer, llama_server

GOAL = "p q : Prop\nhp : p\nhq : q\n⊢ p ∧ q"
GOALS = (
    GOAL,
    "p q : Prop\nh : p ∧ q\n⊢ q ∧ p",
    "n m : Nat\n⊢ n + m = m + n",
    "α : Type\nxs : List α\n⊢ xs ++ [] = xs",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaServer]:
    log = tmp_path_factory.mktemp("llama-server") / "server.log"
    with llama_server(store.SHIPPED, log) as running:
        yield running


@pytest.fixture(scope="module")
def lab(server: LlamaServer) -> Iterator[Home]:
    """A home whose daemon can switch between the starter and the server's model, `lab`."""
    for home in make_home():
        home.install_starter()
        home.serve()
        added = home.run("models", "add", "lab", "--url", server.url, "--model", "prover",
                         "--format", "llmstep")  # fmt: skip
        assert added.returncode == 0, added.stderr
        yield home


def suggest(home: Home, model: str, **question: Any) -> dict[str, Any]:
    """The answer of a model to `POST /v1/suggest`."""
    used = home.run("models", "use", model)
    assert used.returncode == 0, used.stderr
    status, answer = home.curl("/v1/suggest", body=question)
    assert (status, answer["model"]) == (200, model), answer
    found: dict[str, Any] = answer
    return found


def scores(result: dict[str, Any]) -> dict[str, float]:
    return {one["text"]: one["score"] for one in result["suggestions"]}


def test_the_suggestions_are_those_of_the_local_engine(lab: Home) -> None:
    """Those of nearly equal scores may differ, since our kernels round otherwise."""
    remote = suggest(lab, "lab", goals=GOALS, n=5)["results"]
    local = suggest(lab, "starter", goals=GOALS, n=5)["results"]
    for theirs, ours in zip(map(scores, remote), map(scores, local), strict=True):
        assert len(theirs) == 5
        common = theirs.keys() & ours.keys()
        assert len(common) >= 3
        for text in common:
            assert theirs[text] == pytest.approx(ours[text], abs=0.05)
        assert max(theirs.values()) == pytest.approx(max(ours.values()), abs=0.05)


def test_suggestions_begin_with_the_prefix(lab: Home) -> None:
    found = suggest(lab, "lab", goal=GOAL, n=3, prefix="exact ")["suggestions"]
    assert len(found) == 3
    assert all(one["text"].startswith("exact ") for one in found)


def test_drawn_suggestions_are_reproducible(lab: Home) -> None:
    """There are more of them than the server has slots."""
    question = {"goal": GOAL, "n": SLOTS + 1, "mode": "sample", "temperature": 1.0, "seed": 3}
    first = suggest(lab, "lab", **question)["suggestions"]
    lab.run("models", "use", "starter")  # forgets the cached answer
    assert first
    assert suggest(lab, "lab", **question)["suggestions"] == first


def test_the_status_shows_the_server_and_its_context(lab: Home, server: LlamaServer) -> None:
    lab.run("models", "use", "lab")
    status = lab.client.request("GET", "/v1/status")
    assert status["remote"]["url"] == server.url
    assert status["model"]["context"] == 512


def test_a_goal_that_is_too_long_loses_hypotheses(lab: Home) -> None:
    long = "\n".join(f"h{i} : p ∨ q" for i in range(200)) + "\n⊢ p ∨ q"
    answer = suggest(lab, "lab", goal=long, n=2)
    assert answer["truncated"]
    assert answer["suggestions"]


async def test_the_server_is_free_after_a_cancelled_question(server: LlamaServer) -> None:
    target = Target("lab", parse(server.url), "prover", LLMSTEP)
    model = RemoteModel(target, RemoteSettings())
    await model.load()
    asking = asyncio.create_task(model.ask(request(*GOALS * 8, n=16, max_tokens=64)))
    await asyncio.sleep(0.2)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.to_thread(wait_until_idle, server)
    answer = await model.ask(request(GOAL))
    await model.close()
    assert len(answer.result.found[0].suggestions) == 3


def wait_until_idle(server: LlamaServer) -> None:
    """Wait until no slot of the server generates. A step of a search takes far less."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"{server.url}/slots", timeout=10) as answer:
            if not any(slot["is_processing"] for slot in json.load(answer)):
                return
        time.sleep(0.02)
    raise AssertionError("the server still generates")
