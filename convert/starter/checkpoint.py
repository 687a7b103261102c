"""Suggestions of a checkpoint through transformers: beam search, ranked by mean log probability."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import GPTNeoXForCausalLM

from .evaluate import Suggest
from .prompt import prompt


def checkpoint(folder: Path, longest: int = 64) -> Suggest:
    """Load a checkpoint; its suggestions are the beams of a search as wide as their number."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    model = GPTNeoXForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def suggest(goal: str, count: int) -> list[str]:
        ids = torch.tensor([tokenizer.encode(prompt(goal)).ids])
        with torch.inference_mode():
            beams = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=longest,
                do_sample=False,
                num_beams=count,
                num_return_sequences=count,
                length_penalty=1.0,
                early_stopping=False,
                pad_token_id=0,
                eos_token_id=0,
            )
        texts = tokenizer.decode_batch(beams[:, ids.shape[1] :].tolist())
        return [text.strip() for text in texts]

    return suggest
