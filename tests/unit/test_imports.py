"""Each process imports only what it needs: the table in docs/architecture.md."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

LIST_MODULES = "import json, sys; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"


@pytest.mark.parametrize(
    ("statement", "never"),
    [
        ("import llmsuggestd.cli.status", {"llama_cpp", "numpy", "aiohttp", "asyncio", "pystray"}),
        ("import llmsuggestd.cli.suggest", {"llama_cpp", "numpy", "aiohttp", "asyncio", "pystray"}),
        ("import llmsuggestd.cli.start", {"llama_cpp", "numpy", "aiohttp", "pystray", "torch"}),
        ("import llmsuggestd.cli.models", {"llama_cpp", "numpy", "huggingface_hub", "rich"}),
        ("import llmsuggestd.daemon.server", {"llama_cpp", "numpy", "pystray", "torch"}),
        ("import llmsuggestd.engine.__main__", {"aiohttp", "pystray", "torch", "click"}),
    ],
)
def test_imports_that_a_process_must_not_have(statement: str, never: set[str]) -> None:
    result = subprocess.run(
        [sys.executable, "-c", f"{statement}; {LIST_MODULES}"],
        capture_output=True, check=True, text=True, timeout=60,
    )  # fmt: skip
    assert never & set(json.loads(result.stdout)) == set()
