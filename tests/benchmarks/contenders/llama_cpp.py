"""llama.cpp without our search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.benchmarks.contenders.contender import THREADS, Contender, Question

SLOTS = 16
"""Number of texts that the server generates at the same time."""


class Server(Contender):
    """llama.cpp's own server: n slots sample at the same time, after one prompt that they share.

    The package's wheel is compiled for AVX2.
    """

    title = "llama.cpp's server, n slots"
    weights = "Q4_K_M"
    packages = ("xllamacpp",)
    without_avx512 = ()

    def __init__(self, model: Path) -> None:
        import xllamacpp

        settings = xllamacpp.CommonParams()
        settings.model.path = str(model)
        settings.n_ctx = 4096
        settings.n_parallel = SLOTS
        settings.kv_unified = True
        settings.n_batch = 512
        settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = THREADS
        self._server = xllamacpp.Server(settings)

    def answer(self, question: Question) -> dict[str, Any]:
        request = {
            "prompt": question.prompt,
            "n_predict": question.max_tokens,
            "n_cmpl": question.n,
            "temperature": 0.5,
            "ignore_eos": True,
        }
        answer = self._server.handle_completions(request)
        texts = answer["choices"]
        assert len(texts) == question.n, answer
        assert all(text["finish_reason"] == "length" for text in texts), answer
        return {}


class Completions(Contender):
    """llama-cpp-python's `create_completion`, n times in sequence, with its prompt cache.

    llama.cpp is compiled for this processor.
    """

    title = "llama-cpp-python, `create_completion` n times"
    weights = "Q4_K_M"
    packages = ("llama-cpp-python",)
    environment = None
    counts = (1, 5)
    turns = 1

    def __init__(self, model: Path) -> None:
        from llama_cpp import Llama

        self._llama = Llama(str(model), n_ctx=2048, n_threads=THREADS, verbose=False)

    def answer(self, question: Question) -> dict[str, Any]:
        lengths = []
        for seed in range(question.n):
            answer: Any = self._llama.create_completion(
                question.prompt, max_tokens=question.max_tokens, temperature=0.5, seed=seed
            )
            lengths.append(answer["usage"]["completion_tokens"])
        return {"tokens": min(lengths)}
