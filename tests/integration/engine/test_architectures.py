"""The architectures that are refused by name are those that llama.cpp calls recurrent."""

from __future__ import annotations

from pathlib import Path

import llama_cpp
import pytest
from gguf import MODEL_ARCH_NAMES, GGUFWriter

from llmsuggestd.engine import architectures
from llmsuggestd.engine.llama_log import LlamaError, capture_log
from llmsuggestd.engine.model_file import open_model, read_header


def vocabulary_only(folder: Path, name: str) -> Path:
    """A file of an architecture without weights or tokenizer."""
    path = folder / f"{name}.gguf"
    writer = GGUFWriter(path, name)
    writer.add_tokenizer_model("no_vocab")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bool]:
    """Whether llama.cpp calls an architecture recurrent, for all that the gguf package knows."""
    capture_log(warnings=False)
    folder = tmp_path_factory.mktemp("architectures")
    params = llama_cpp.llama_model_default_params()
    params.vocab_only = True
    found = {}
    for name in MODEL_ARCH_NAMES.values():
        try:
            model = open_model(vocabulary_only(folder, name), params)
        except LlamaError:
            continue
        found[name] = llama_cpp.llama_model_is_recurrent(model) or llama_cpp.llama_model_is_hybrid(
            model
        )
        llama_cpp.llama_model_free(model)
    return found


def test_the_list_agrees_with_llama_cpp(recurrent: dict[str, bool]) -> None:
    assert len(recurrent) > 50
    assert {name for name, is_so in recurrent.items() if is_so} == (
        architectures.RECURRENT & set(recurrent)
    )


@pytest.mark.parametrize("name", ["mamba", "jamba", "t5", "llada"])
def test_an_unsupported_architecture_is_not_loaded(name: str, tmp_path: Path) -> None:
    with pytest.raises(LlamaError, match=f"its architecture, {name}, "):
        read_header(vocabulary_only(tmp_path, name), 512)
