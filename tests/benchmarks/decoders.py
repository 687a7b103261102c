"""Three ways to get suggestions, each in a separate process, for the comparison of `engine.py`.

    python -m tests.benchmarks.decoders METHOD CHECKPOINT GGUF

reads requests from standard input, one JSON object per line. It answers each with the seconds that
it took, the peak memory so far, and the method's other timings.

- `transformers`: the tutorial server's method, `generate(num_beams=n)` in float32.
- `completions`: llama-cpp-python's `create_completion`, called n times, with its prompt cache.
- `ours`: a daemon, asked over its Unix socket.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llmsuggestd.formats import LLMSTEP

Decoder = Callable[[str, int, int], dict[str, Any]]
"""Answers a goal with n suggestions of a number of tokens. Returns the timings."""


def transformers_decoder(checkpoint: str, _: str) -> tuple[Decoder, list[int]]:
    """Beam search in transformers."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(os.cpu_count() or 1)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)

    def decode(goal: str, n: int, max_tokens: int) -> dict[str, Any]:
        prompt = tokenizer(LLMSTEP.text(goal), return_tensors="pt")
        with torch.inference_mode():
            output = model.generate(
                **prompt,
                num_beams=n,
                num_return_sequences=n,
                max_new_tokens=max_tokens,
                do_sample=False,
                pad_token_id=0,
            )
        return {"tokens": output.shape[1] - prompt["input_ids"].shape[1]}

    return decode, [os.getpid()]


def completions_decoder(_: str, gguf: str) -> tuple[Decoder, list[int]]:
    """n completions in sequence."""
    from llama_cpp import Llama

    llama = Llama(gguf, n_ctx=2048, n_threads=os.cpu_count(), verbose=False)

    def decode(goal: str, n: int, max_tokens: int) -> dict[str, Any]:
        tokens = []
        for seed in range(n):
            answer: Any = llama.create_completion(
                LLMSTEP.text(goal), max_tokens=max_tokens, temperature=0.5, seed=seed
            )
            tokens.append(answer["usage"]["completion_tokens"])
        return {"tokens": min(tokens)}

    return decode, [os.getpid()]


def our_decoder(_: str, gguf: str) -> tuple[Decoder, list[int]]:
    """A daemon with the model, asked over its socket."""
    from tests.conftest import make_home

    homes = make_home()
    home = next(homes)
    atexit.register(lambda: next(homes, None))
    home.paths.models.mkdir(parents=True)
    (home.paths.models / "benchmark.gguf").symlink_to(gguf)
    home.serve("--model", "benchmark", "--gpu", "off")

    def decode(goal: str, n: int, max_tokens: int) -> dict[str, Any]:
        request = {"goal": goal, "n": n, "max_tokens": max_tokens}
        answer = home.client.request("POST", "/v1/suggest", request, timeout=600)
        return {"cached": answer["cached"], **answer["timings"]}

    status = home.client.request("GET", "/v1/status")
    assert status["state"] == "ready", status["reason"]
    return decode, [status["engine_pid"], status["pid"]]


DECODERS = {
    "transformers": transformers_decoder,
    "completions": completions_decoder,
    "ours": our_decoder,
}


def peak_memory(pid: int) -> int:
    """The peak memory of a process in bytes, including mapped files."""
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(next(x for x in status.splitlines() if x.startswith("VmHWM")).split()[1])


def main() -> None:
    """Answer until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # output of libraries goes to standard error
    decode, pids = DECODERS[sys.argv[1]](*sys.argv[2:4])
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        began = time.monotonic()
        details = decode(request["goal"], request["n"], request["max_tokens"])
        seconds = time.monotonic() - began
        answer = {"seconds": seconds, "peak": sum(map(peak_memory, pids)), **details}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
