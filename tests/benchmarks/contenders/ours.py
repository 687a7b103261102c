"""Our own engine."""

from __future__ import annotations

import atexit
import os
from pathlib import Path
from typing import Any

from tests.benchmarks.contenders.contender import Contender, Question

LIMIT = "LLMSUGGESTD_INSTRUCTIONS"


class Ours(Contender):
    """The daemon, asked over its Unix socket: beam search, with our kernels."""

    title = "llmsuggestd"
    weights = "Q4_K_M"
    packages = ("llmsuggestd", "llama-cpp-python")
    environment = None
    without_avx512 = (f"{LIMIT}=avx2",)

    def __init__(self, model: Path) -> None:
        from tests.conftest import make_home

        homes = make_home()
        self._home = next(homes)
        atexit.register(lambda: next(homes, None))
        self._home.paths.models.mkdir(parents=True)
        (self._home.paths.models / "benchmark.gguf").symlink_to(model)
        if LIMIT in os.environ:  # a home hides our variables
            self._home.env[LIMIT] = os.environ[LIMIT]
        self._home.serve("--model", "benchmark", "--gpu", "off")
        self._status = self._home.client.request("GET", "/v1/status")
        assert self._status["state"] == "ready", self._status["reason"]
        limit = os.environ.get(LIMIT, self._status["instructions"])
        assert self._status["instructions"] == limit, self._status

    def answer(self, question: Question) -> dict[str, Any]:
        request = {"goal": question.goal, "n": question.n, "max_tokens": question.max_tokens}
        answer = self._home.client.request("POST", "/v1/suggest", request, timeout=600)
        return {"cached": answer["cached"], **answer["timings"]}

    def processes(self) -> list[int]:
        return [self._status["engine_pid"], self._status["pid"]]


class LlamaKernels(Contender):
    """Our beam search with llama.cpp's own kernels, compiled for this processor.

    llama.cpp repacks the weights that it has repacked kernels for. The engine runs in this process,
    without a daemon.
    """

    title = "our search with llama.cpp's kernels"
    weights = "Q4_K_M"
    packages = ("llama-cpp-python",)
    environment = None

    def __init__(self, model: Path) -> None:
        from llmsuggestd.engine import protocol
        from llmsuggestd.engine.engine import Engine

        load = protocol.Load(str(model), "off", 0, 2048, kernels=("repacked", "plain"))
        self._engine = Engine(load)

    def answer(self, question: Question) -> dict[str, Any]:
        from llmsuggestd.engine import protocol

        goals, n, tokens = [question.goal], question.n, question.max_tokens
        self._engine.suggest(protocol.Suggest(1, goals, "", n, tokens, "beam", 0.5, None))
        return {}
