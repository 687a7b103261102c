"""OpenVINO GenAI, Intel's engine for language models."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.benchmarks.contenders.contender import THREADS, Contender, Question


class OpenVino(Contender):
    """OpenVINO GenAI's `LLMPipeline` with beam search, on weights compressed by optimum-intel."""

    title = "OpenVINO GenAI, beam search"
    weights = "int4 in groups of 64, embeddings int8"
    packages = ("openvino-genai",)
    suffix = "-openvino-int4"
    without_avx512 = ("OV_CPU_MAX_ISA=avx2", "ONEDNN_MAX_CPU_ISA=AVX2")

    def __init__(self, model: Path) -> None:
        import openvino_genai

        self._genai = openvino_genai
        self._tokenizer = openvino_genai.Tokenizer(str(model))
        self._pipeline = openvino_genai.LLMPipeline(
            str(model), self._tokenizer, "CPU", {"INFERENCE_NUM_THREADS": THREADS}
        )

    def answer(self, question: Question) -> dict[str, Any]:
        settings = self._genai.GenerationConfig()
        settings.max_new_tokens = settings.min_new_tokens = question.max_tokens
        settings.ignore_eos = True
        settings.num_beams = settings.num_return_sequences = question.n
        answer = self._pipeline.generate(self._tokenizer.encode(question.prompt), settings)
        assert len(answer.tokens) == question.n
        return {"tokens": min(len(tokens) for tokens in answer.tokens)}

    @classmethod
    def convert(cls, checkpoint: Path, model: Path) -> None:
        program = Path(sys.executable).parent / "optimum-cli"
        command = [str(program), "export", "openvino", "--model", str(checkpoint),
                   "--task", "text-generation-with-past", "--weight-format", "int4",
                   "--group-size", "64", "--ratio", "1.0", str(model)]  # fmt: skip
        subprocess.run(command, check=True)
