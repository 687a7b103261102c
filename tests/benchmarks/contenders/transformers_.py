"""Hugging Face's transformers, the method of the tutorial server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.benchmarks.contenders.contender import THREADS, Contender, Question


class Transformers(Contender):
    """The tutorial server's method: transformers' `generate(num_beams=n)` in float32."""

    title = "transformers, beam search"
    weights = "float32"
    bits = 32
    packages = ("transformers", "torch")
    suffix = ""
    counts = (5,)
    turns = 1

    def __init__(self, model: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.set_num_threads(THREADS)
        self._torch = torch
        self._tokenizer = AutoTokenizer.from_pretrained(model)
        self._model = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)

    def answer(self, question: Question) -> dict[str, Any]:
        prompt = self._tokenizer(question.prompt, return_tensors="pt")
        with self._torch.inference_mode():
            output = self._model.generate(
                **prompt,
                num_beams=question.n,
                num_return_sequences=question.n,
                max_new_tokens=question.max_tokens,
                do_sample=False,
                pad_token_id=0,
            )
        return {"tokens": output.shape[1] - prompt["input_ids"].shape[1]}
