"""CTranslate2, the engine of LeanCopilot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.benchmarks.contenders.contender import THREADS, Contender, Question


class CTranslate2(Contender):
    """CTranslate2's `generate_batch` with beam search, on int8 weights."""

    title = "CTranslate2, beam search"
    weights = "int8"
    packages = ("ctranslate2",)
    suffix = "-ctranslate2-int8"
    without_avx512 = ("CT2_FORCE_CPU_ISA=AVX2", "ONEDNN_MAX_CPU_ISA=AVX2")

    def __init__(self, model: Path) -> None:
        import ctranslate2
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
        self._generator = ctranslate2.Generator(
            str(model), device="cpu", compute_type="int8", intra_threads=THREADS, inter_threads=1
        )

    def answer(self, question: Question) -> dict[str, Any]:
        (answer,) = self._generator.generate_batch(
            [self._tokenizer.encode(question.prompt).tokens],
            beam_size=question.n,
            num_hypotheses=question.n,
            max_length=question.max_tokens,
            min_length=question.max_tokens,
            include_prompt_in_result=False,
        )
        assert len(answer.sequences_ids) == question.n
        return {"tokens": min(map(len, answer.sequences_ids))}

    @classmethod
    def convert(cls, checkpoint: Path, model: Path) -> None:
        from ctranslate2.converters import TransformersConverter

        converter = TransformersConverter(
            str(checkpoint), copy_files=["tokenizer.json"], low_cpu_mem_usage=True
        )
        converter.convert(str(model), quantization="int8")
