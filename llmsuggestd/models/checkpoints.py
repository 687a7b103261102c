"""Finds a checkpoint by name: a local folder, a repository of the hub, or its cached copy.

A conversion uses the network only here, and only for a repository.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from llmsuggestd.convert.conversion import expected_bytes
from llmsuggestd.convert.files import check_names, wanted_files, weights_of
from llmsuggestd.convert.metadata import Source, find_source
from llmsuggestd.errors import InputError, LlmsuggestdError, UsageError
from llmsuggestd.models.hub import REPO, DownloadError, cached_checkpoint, hub_errors, look_up


def find_checkpoint(
    name: str, revision: str | None = None, *, quiet: bool = False
) -> tuple[Path, Source, str]:
    """Find a checkpoint. Returns its folder, its source, and its name.

    `name` is a folder, or a repository such as EleutherAI/pythia-70m. A repository is downloaded
    into the Hugging Face cache, without progress bars if `quiet`; `revision` is a branch, tag or
    commit of it. Without a network, a cached copy is used. Weights are downloaded last, and only if
    the other files show that they can be converted. Raises `InputError` if there is neither, or if
    the repository has no checkpoint that can be converted; `UsageError` for a revision of a folder,
    `DownloadError` if the download fails, `LlmsuggestdError` if it cannot be written.
    """
    folder = Path(name)
    if os.path.exists(name):  # noqa: PTH110 - false also without permission
        if revision is not None:
            raise UsageError(f"{name}: is a folder; only a repository has revisions")
        source = find_source(folder)
        return folder, source, (source.repo or folder.resolve().name).rpartition("/")[2]
    if not REPO.fullmatch(name):
        raise InputError(
            f"{name}: no such folder",
            "give a checkpoint's folder, or a repository such as EleutherAI/pythia-2.8b",
        )
    folder = _download(name, revision, quiet=quiet)
    return folder, Source(name, find_source(folder).revision), name.rpartition("/")[2]


def _download(repo: str, revision: str | None, *, quiet: bool) -> Path:
    try:
        names = [file.name for file in look_up(repo, revision).files]
        check_names(repo, names)
        # Imported late: the import takes half a second, and reads the environment.
        from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

        if quiet:
            disable_progress_bars()
        files = wanted_files(names)
        weights = weights_of(files)
        expected_bytes(_fetch(repo, revision, [name for name in files if name not in weights]))
        return _fetch(repo, revision, files)
    except DownloadError as error:
        cached = cached_checkpoint(repo, revision)
        if cached is None:
            raise DownloadError(f"{repo}: no such folder; {error.message}", error.hint) from None
        return cached
    except OSError as error:
        from huggingface_hub import constants

        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise LlmsuggestdError(
            f"{constants.HF_HUB_CACHE}: the download cannot be written: {error.strerror or error}",
            "make room there, or set HF_HOME to a folder on a larger disk"
            if full
            else "set HF_HOME to a folder that you may write to",
        ) from None


def _fetch(repo: str, revision: str | None, files: Sequence[str]) -> Path:
    """Download files into the Hugging Face cache. Returns their folder."""
    import huggingface_hub

    with hub_errors(repo, revision):
        # By the branch's name, not its commit, so that the cache knows the name offline.
        return Path(
            huggingface_hub.snapshot_download(repo, revision=revision, allow_patterns=list(files))
        )
