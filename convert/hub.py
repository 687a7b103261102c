"""A checkpoint by name: a local folder, or a repository of the Hugging Face hub.

Only here, and only for a repository, does a conversion use the network.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from llmsuggestd.errors import InputError

from .metadata import Source, find_source

REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")

SMALL_FILES = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "README.md",  # the licence and the base model stand there
)


def find_checkpoint(name: str, revision: str | None = None) -> tuple[Path, Source, str]:
    """Return a checkpoint's folder, where it is from, and what to call it.

    `name` is a folder, or a repository such as EleutherAI/pythia-70m, which is downloaded into
    the Hugging Face cache; `revision` is a branch, tag or commit of it. Without a network, what
    the cache has is used. Raises `InputError` when there is neither, or when the download fails.
    """
    folder = Path(name)
    if name and folder.exists():
        source = find_source(folder)
        return folder, source, (source.repo or folder.resolve().name).rpartition("/")[2]
    if not REPO_ID.fullmatch(name):
        raise InputError(
            f"{name}: no such folder",
            "Give a checkpoint's folder, or a repository such as EleutherAI/pythia-2.8b.",
        )
    folder = _download(name, revision)
    return folder, Source(name, find_source(folder).revision), name.rpartition("/")[2]


def _download(repo: str, revision: str | None) -> Path:
    # Imported here: it takes half a second, and reads its settings from the environment then.
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError

    try:
        info = huggingface_hub.HfApi().model_info(repo, revision=revision)
        files = [sibling.rfilename for sibling in info.siblings or ()]
        # By the branch's name and not its commit: only so the cache knows the name offline.
        return Path(
            huggingface_hub.snapshot_download(
                repo, revision=revision, allow_patterns=wanted_files(files)
            )
        )
    except HfHubHTTPError as error:
        raise InputError(
            f"{repo}: no such folder, and the hub answered: {_line(error)}",
            "Is the name right? A private or gated repository needs: hf auth login.",
        ) from None
    except Exception as error:  # of whatever HTTP library this version of the hub's client uses
        cached = cached_checkpoint(repo, revision)
        if cached is None:
            raise InputError(
                f"{repo}: no such folder, and the hub cannot be asked: {_line(error)}",
                "Is the network there? A folder that is downloaded already needs none.",
            ) from None
        return cached


def cached_checkpoint(repo: str, revision: str | None) -> Path | None:
    """Return the Hugging Face cache's folder of a repository, if it has all that is needed."""
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    for pattern in ("model*.safetensors", "pytorch_model*.bin"):
        try:
            folder = Path(
                huggingface_hub.snapshot_download(
                    repo,
                    revision=revision,
                    allow_patterns=[*SMALL_FILES, pattern, f"{pattern}.index.json"],
                    local_files_only=True,
                )
            )
        except LocalEntryNotFoundError:
            continue
        if any(folder.glob(pattern)):
            return folder
    return None


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def wanted_files(files: Sequence[str]) -> list[str]:
    """Choose the files of a repository that a conversion reads; safetensors before pickles.

    Only files at its top: what is called `model/../../x.safetensors` is no file to take.
    """
    weights = [f for f in files if re.fullmatch(r"model[^/\\]*\.safetensors(\.index\.json)?", f)]
    if not any(f.endswith(".safetensors") for f in weights):
        weights = [
            f for f in files if re.fullmatch(r"pytorch_model[^/\\]*\.bin(\.index\.json)?", f)
        ]
    return [f for f in files if f in SMALL_FILES] + weights
