"""Compares the next tokens of llama.cpp, with our F16 file, and of transformers in float32.

    python -m tests.benchmarks.convert_logits --torch-python .../bin/python --work /tmp/logits

The models are the shipped starter's checkpoint and a random Pythia 70M; `--checkpoint` adds
others. The reference computes in float32, once with the erf GELU of the checkpoints and once with
llama.cpp's tanh GELU, to show its part in the difference. The exit code is 1 if fewer than 99.5 %
of the positions have the same most likely token.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from llmsuggestd.convert import convert
from llmsuggestd.convert.evaluate import log_probabilities, tokenize_all
from llmsuggestd.convert.samples import BUILT_IN
from llmsuggestd.formats import LLMSTEP
from tests.benchmarks.convert_common import ROOT, make_checkpoint

REFERENCE = """
import json, sys, numpy as np, torch
from transformers import GPTNeoXForCausalLM
folder, tokens_file, output = sys.argv[1:]
texts = json.load(open(tokens_file))
for activation in ("gelu", "gelu_pytorch_tanh"):
    model = GPTNeoXForCausalLM.from_pretrained(
        folder, hidden_act=activation, attn_implementation="eager"
    ).float().eval()
    with torch.no_grad():
        rows = [model(torch.tensor([text])).logits[0].log_softmax(-1).numpy() for text in texts]
    np.save(f"{output}-{activation}.npy", np.concatenate(rows))
"""


def main() -> int:
    """Compare every model. Returns 0 if all agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torch-python", type=Path, required=True, help="has torch, transformers")
    parser.add_argument("--work", type=Path, required=True, help="folder for the files made")
    parser.add_argument("--checkpoint", type=Path, action="append", default=[])
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    starter = ROOT / "convert" / "starter" / "checkpoint"
    random = make_checkpoint(options.work / "70m", "70m")
    agreements = [compare(options, path) for path in (starter, random, *options.checkpoint)]
    return 0 if min(agreements) >= 0.995 else 1


def compare(options: argparse.Namespace, checkpoint: Path) -> float:
    """Print the differences on a checkpoint. Returns the share of equal top tokens."""
    model = options.work / "f16.gguf"
    convert(checkpoint, model, "F16")
    texts = [LLMSTEP.text(sample.goal, sample.tactic) for sample in BUILT_IN]
    tokens = tokenize_all(model, texts)
    found = np.concatenate(list(log_probabilities(model, tokens, 4)))
    erf, tanh = reference(options, checkpoint, tokens)
    same = found.argmax(axis=1) == erf.argmax(axis=1)
    agreement = float(same.mean())
    print(f"{checkpoint}: {len(same)} positions, {same.sum()} ({agreement:.2%}) same top token")
    for name, one, other in (
        ("llama.cpp - erf GELU", found, erf),
        ("llama.cpp - tanh GELU", found, tanh),
        ("tanh GELU - erf GELU", tanh, erf),
    ):
        apart = np.abs(one - other)
        divergence = (np.exp(other) * (other - one)).sum(axis=1)
        print(f"  {name:22} largest {apart.max():.5f}, mean {apart.mean():.6f} nats,"
              f" mean KL {divergence.mean():.2e}")  # fmt: skip
    # If the top token differs, the reference's difference between the two candidates.
    for row in np.flatnonzero(~same):
        first, second = np.sort(erf[row])[::-1][:2]
        print(f"  position {row}: the reference's own two best are {first - second:.5f} apart")
    return agreement


def reference(
    options: argparse.Namespace, checkpoint: Path, tokens: Sequence[Sequence[int]]
) -> tuple[Any, Any]:
    """The log probabilities of transformers, with erf and with tanh GELU."""
    listed = options.work / "tokens.json"
    listed.write_text(json.dumps(tokens))
    output = options.work / "reference"
    subprocess.run(
        [str(options.torch_python), "-c", REFERENCE, str(checkpoint), str(listed), str(output)],
        check=True,
        capture_output=True,
    )
    return np.load(f"{output}-gelu.npy"), np.load(f"{output}-gelu_pytorch_tanh.npy")


if __name__ == "__main__":
    sys.exit(main())
