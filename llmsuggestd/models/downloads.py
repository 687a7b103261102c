"""The folders below `downloads/`, in which downloaded files wait to become a model.

There is one folder per repository, or per single file of one. It has a manifest that lists its
files, and a lock that the downloading process holds. All files in such a folder are ours.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from llmsuggestd.errors import AlreadyRunningError, LlmsuggestdError
from llmsuggestd.file_errors import failed
from llmsuggestd.files import make_private, write_atomically
from llmsuggestd.identity import Process
from llmsuggestd.lock import holder, identity_file, only_one
from llmsuggestd.models import hub
from llmsuggestd.models.hub import RemoteFile, Repository
from llmsuggestd.models.transfer import bytes_here, digest_of, partial_path
from llmsuggestd.paths import Paths

_LOCK = "lock"
_OF_THE_LOCK = frozenset({_LOCK, identity_file(Path(_LOCK)).name})
_MANIFEST = "manifest.json"


class Manifest(msgspec.Struct):
    """The content of a folder when its download is complete."""

    id: str
    """The id of the future model."""
    repo: str
    commit: str
    licence: str | None
    files: list[RemoteFile]

    @property
    def repository(self) -> Repository:
        """The files, in the form of a repository."""
        return Repository(self.repo, self.commit, self.licence, tuple(self.files))


@dataclass(frozen=True)
class Download:
    """A download that has not become a model, or was kept."""

    id: str
    source: str
    licence: str | None
    folder: Path
    bytes: int
    total_bytes: int
    process: Process | None
    """The process that is downloading it."""

    @property
    def state(self) -> str:
        """`downloading`, `partial`, or `complete`."""
        if self.process is not None:
            return "downloading"
        return "complete" if self.bytes >= self.total_bytes else "partial"


def folder_of(paths: Paths, repo: str, file: RemoteFile | None) -> Path:
    """The folder for a repository's checkpoint, or for a single file of it."""
    name = repo.replace("/", "--")
    return paths.downloads / (f"{name}--{file.local_name}" if file else name)


@contextlib.contextmanager
def working_in(paths: Paths, folder: Path) -> Iterator[None]:
    """Make the folder and hold its lock while the block runs.

    Raises AlreadyRunningError if another process uses it.
    """
    for directory in (paths.data, paths.downloads, folder):
        make_private(directory)
    held = False
    try:
        with only_one(
            folder / _LOCK,
            lambda process: AlreadyRunningError(
                f"another process ({process}) is pulling this already", "wait for it, or end it"
            ),
        ):
            held = True
            yield
    finally:
        if held:
            _remove_if_empty(folder)


def prepare(folder: Path, model_id: str, repository: Repository) -> None:
    """Write the manifest, and remove files that have changed or may have changed since.

    Files that are complete in the Hugging Face cache are linked instead of downloaded.
    """
    before = read_manifest(folder)
    digests = {file.local_name: file.digest for file in repository.files}
    if before is None:
        for path in folder.iterdir():
            if path.name not in _OF_THE_LOCK and path.suffix != ".partial":
                path.unlink()
    for file in before.files if before else ():
        if digests.get(file.local_name) != file.digest:
            (folder / file.local_name).unlink(missing_ok=True)
    kept = {partial_path(folder, file) for file in repository.files}
    for partial in folder.glob("*.partial"):
        if partial not in kept:
            partial.unlink()
    manifest = Manifest(
        model_id, repository.name, repository.commit, repository.licence, list(repository.files)
    )
    write_atomically(folder / _MANIFEST, msgspec.json.encode(manifest))
    for file in repository.files:
        _borrow(folder, repository, file)


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a folder, if it has one."""
    try:
        return msgspec.json.decode((folder / _MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError):
        return None


def listed(paths: Paths) -> list[Download]:
    """All downloads, also those of running processes."""
    found = []
    for folder in sorted(paths.downloads.glob("*/")):
        if (manifest := read_manifest(folder)) is not None:
            found.append(
                Download(
                    manifest.id,
                    f"{manifest.repo}@{manifest.commit}",
                    manifest.licence,
                    folder,
                    sum(bytes_here(folder, file) for file in manifest.files),
                    sum(file.bytes for file in manifest.files),
                    holder(folder / _LOCK),
                )
            )
    return found


def check_idle(download: Download) -> None:
    """Raise AlreadyRunningError if a process uses it."""
    if download.process is not None:
        raise AlreadyRunningError(
            f"{download.id} is being pulled ({download.process})", "end that process first"
        )


def clear(folder: Path) -> None:
    """Remove a folder's content (of links, only the links), and the folder if no process uses it.

    Raises LlmsuggestdError if that fails.
    """
    try:
        for path in folder.iterdir():
            if path.name not in _OF_THE_LOCK:  # a held lock cannot be removed on every system
                path.unlink()
    except OSError as error:
        raise failed(LlmsuggestdError, "cannot empty", folder, error) from None
    if holder(folder / _LOCK) is None:
        _remove_if_empty(folder)


def _remove_if_empty(folder: Path) -> None:
    """Remove a folder that has only its lock, and then the one around it if that is empty."""
    with contextlib.suppress(OSError):
        if _OF_THE_LOCK.issuperset(path.name for path in folder.iterdir()):
            for name in _OF_THE_LOCK:
                (folder / name).unlink(missing_ok=True)
            folder.rmdir()
            folder.parent.rmdir()


def _borrow(folder: Path, repository: Repository, file: RemoteFile) -> None:
    """Link to a file in the Hugging Face cache, if it has the right digest."""
    target = folder / file.local_name
    if target.exists() or partial_path(folder, file).exists():
        return
    target.unlink(missing_ok=True)  # a dangling link
    cached = hub.cached_file(repository.name, repository.commit, file.name)
    if cached is None or cached.stat().st_size != file.bytes:
        return
    if digest_of(cached, file) == file.digest:
        with contextlib.suppress(OSError):  # on Windows, few users may make links
            target.symlink_to(cached.resolve())
