"""Downloads a model from the hub and installs it, for `models pull`.

A repository has either a checkpoint, which is converted here, or a GGUF file. Downloaded files stay
below `downloads/` until the model is installed. After any interruption, the next pull continues.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from llmsuggestd import formats
from llmsuggestd.client import Client
from llmsuggestd.config import load_config
from llmsuggestd.errors import InputError, LlmsuggestdError, UsageError
from llmsuggestd.file_errors import failed
from llmsuggestd.files import replacing
from llmsuggestd.formats import LLMSTEP, Format
from llmsuggestd.models import asking, downloads, gguf, hub, hub_variables, store
from llmsuggestd.models.catalogue import CATALOGUE
from llmsuggestd.models.hub import DownloadError, RemoteFile, Repository
from llmsuggestd.models.transfer import bytes_here, fetch, partial_path, retrying
from llmsuggestd.models.trial import Trial, first_suggestion
from llmsuggestd.ownership import make_directory
from llmsuggestd.paths import Paths
from llmsuggestd.quants import DEFAULT_QUANT
from llmsuggestd.units import size_text

_PART: Final = re.compile(r"-\d{5}-of-\d{5}\.gguf$")

_ENOUGH_FOR_THE_KIND: Final = 2**16
"""Bytes of a GGUF file that contain its architecture, which comes first by convention."""


@dataclass(frozen=True)
class Target:
    """The model to pull."""

    repo: str
    file: str | None = None
    """A GGUF file of the repository; None for its checkpoint or its only GGUF file."""
    revision: str | None = None
    """A branch, tag or commit; None for the main branch."""
    id: str | None = None
    """Its id in the catalogue."""


@dataclass(frozen=True)
class Options:
    """Options of a pull."""

    name: str | None = None
    """The model's id; None for the catalogue's, or the repository's or file's name."""
    quant: str = DEFAULT_QUANT
    """The quantisation of a converted checkpoint."""
    keep_checkpoint: bool = False
    format: str | None = None
    """The name of its prompt format; None for its known format."""
    again: bool = False
    """Install it even if it is already installed from the same commit."""
    dry_run: bool = False
    """Plan without downloading."""


@dataclass(frozen=True)
class Plan:
    """The plan of a pull; sizes in bytes."""

    id: str
    source: str
    licence: str | None
    quantisation: str | None
    """The type to which the checkpoint is converted; None for a GGUF file."""
    download_bytes: int
    here_bytes: int
    """Size of the part that has been downloaded before."""
    model_bytes: int
    """Size of the installed model. A converted one can be up to two megabytes smaller."""
    needed_bytes: int
    """Disk space that is still needed, before the download is removed."""
    free_bytes: int


@dataclass(frozen=True)
class Pulled:
    """The result of a pull."""

    model: store.Model
    source: str
    format: str | None
    """The name of its prompt format."""
    trial: Trial | None
    """None if the model was already installed from this commit."""


class Watcher(Protocol):
    """Receives the progress of a pull."""

    def planned(self, plan: Plan) -> None:
        """The plan, before anything is downloaded."""

    def stage(self, name: str, unit: str, done: int, total: int) -> None:
        """A stage begins; `done` of `total` is done. `unit` is `bytes`, `weights`, or empty."""

    def advance(self, count: int) -> None:
        """Progress within the stage; negative if a part has to be done again."""

    def note(self, line: str) -> None:
        """A message for the user."""


def parse(text: str) -> Target:
    """Parse a name: `ID`, `owner/name` or `owner/name/file.gguf`, perhaps with `@revision`.

    Raises UsageError if it is none of these.
    """
    name, at, revision = text.partition("@")
    parts = name.split("/")
    if (entry := CATALOGUE.get(name)) is not None and entry.repo and (revision or not at):
        return Target(entry.repo, None, revision or None, entry.id)
    if name == store.STARTER:
        raise UsageError(
            f"{text!r}: the starter ships with llmsuggestd and has no revisions",
            "`llmsuggestd models pull starter` puts it in place",
        )
    repo, file = "/".join(parts[:2]), "/".join(parts[2:])
    if (
        not hub.REPO.fullmatch(repo)
        or (file and not file.endswith(".gguf"))
        or ".." in parts
        or (at and not revision)
    ):
        raise UsageError(
            f"{text!r} is neither in the catalogue nor a repository of the hub",
            "`llmsuggestd models catalogue` lists the first; the second is owner/name or"
            " owner/name/file.gguf, both with @revision if need be",
        )
    return Target(repo, file or None, revision or None)


def pull(paths: Paths, target: Target, options: Options, watcher: Watcher) -> Pulled | None:
    """Download and install the target. Returns None after a dry run.

    Raises UsageError, InputError (the repository does not exist, is not permitted or not
    convertible, or has no known format), DownloadError, AlreadyRunningError (another pull of it),
    ModelError (it does not work here, or its id is taken), LlmsuggestdError (not enough disk
    space). Received data is kept for the next pull.
    """
    own = load_config(paths).formats
    wanted = formats.find(options.format, own) if options.format else None
    repository = _look_up(paths, target, watcher)
    repository, ready_made = _choose(repository, target, options.quant)
    model_id = options.name
    if model_id is None:
        model_id = _default_id(target, ready_made, options.quant)
    store.check_id(model_id)
    folder = downloads.folder_of(paths, repository.name, ready_made)
    job = _Job(model_id, repository, ready_made, folder, options, watcher, own, wanted)
    store.check_free(paths, model_id, job.source)
    there = _installed(paths, job)
    if there is not None and not options.again and not options.dry_run:
        return _with_format(paths, job, there)
    with downloads.working_in(paths, folder):
        begun = downloads.read_manifest(folder) is not None
        if not (options.dry_run and begun):
            downloads.prepare(folder, model_id, repository)
        plan = _plan(paths, job)
        watcher.planned(plan)
        if options.dry_run:
            if not begun:
                downloads.clear(folder)
            return None
        store.check_room(paths.data, plan.needed_bytes)
        watcher.stage("downloading", "bytes", plan.here_bytes, plan.download_bytes)
        try:
            _fetch_all(job, repository.files, _HeaderCheck(job))
            file, prompt_format = _checked_file(paths, job)
        except (gguf.WrongArchitecture, asking.NoFormat, _Refused):
            downloads.clear(folder)
            raise
        watcher.stage("trying it", "", 0, 0)
        trial = first_suggestion(paths, file, prompt_format)
        record = store.Record(
            job.source,
            repository.licence,
            file.stat().st_size,
            job.quantisation,
            prompt_format.name,
        )
        model = _place(paths, model_id, file, record)
        if ready_made or not options.keep_checkpoint:
            downloads.clear(folder)
    refresh_daemon(paths, model_id, watcher.note)
    return Pulled(model, job.source, prompt_format.name, trial)


def _with_format(paths: Paths, job: _Job, model: store.Model) -> Pulled:
    """Try an installed model in the requested format, and record the format."""
    record = store.read_record(paths, model)
    assert record is not None
    if job.wanted is None or record.format == job.wanted.name:
        return Pulled(model, job.source, store.details(paths, model).format, None)
    job.watcher.stage("trying it", "", 0, 0)
    trial = first_suggestion(paths, model.path, job.wanted)
    record.format = job.wanted.name
    try:
        store.write_record(paths, model.id, record)
    except OSError as error:
        raise failed(LlmsuggestdError, "cannot write to", paths.models, error) from None
    refresh_daemon(paths, model.id, job.watcher.note)
    return Pulled(model, job.source, record.format, trial)


def pull_starter(paths: Paths, options: Options, watcher: Watcher) -> Pulled | None:
    """Install the starter, which ships with llmsuggestd. Returns None after a dry run.

    Raises ModelError if it cannot be written.
    """
    entry = CATALOGUE[store.STARTER]
    plan = Plan(
        id=entry.id,
        source="llmsuggestd",
        licence=entry.licence,
        quantisation=None,
        download_bytes=0,
        here_bytes=0,
        model_bytes=entry.bytes,
        needed_bytes=entry.bytes,
        free_bytes=store.free_bytes(paths.data),
    )
    watcher.planned(plan)
    if options.dry_run:
        return None
    store.place_starter(paths)
    return Pulled(store.find(paths, store.STARTER), plan.source, LLMSTEP.name, None)


@dataclass(frozen=True)
class _Job:
    """One pull: files, folder, and the model they become."""

    id: str
    repository: Repository
    ready_made: RemoteFile | None
    """The GGUF file, if it is not a checkpoint."""
    folder: Path
    options: Options
    watcher: Watcher
    own: Mapping[str, Format]
    """The user's formats."""
    wanted: Format | None
    """The format that the user has named."""

    @property
    def source(self) -> str:
        """The model's origin, in the form of its record."""
        file = f"/{self.ready_made.name}" if self.ready_made else ""
        return f"{self.repository.name}{file}@{self.repository.commit}"

    @property
    def quantisation(self) -> str | None:
        """The type to which it is converted; None for a GGUF file."""
        return None if self.ready_made else self.options.quant.upper()

    def choose_format(self, header: gguf.Header, where: str) -> tuple[Format, list[str]]:
        """The format for a file of this pull, and warnings. Raises NoFormat."""
        return asking.choose(header, where, self.own, wanted=self.wanted, repo=self.repository.name)

    @property
    def is_borrowed(self) -> bool:
        """Whether the GGUF file is a link into the Hugging Face cache."""
        return self.ready_made is not None and _is_borrowed(self.folder, self.ready_made)


def _look_up(paths: Paths, target: Target, watcher: Watcher) -> Repository:
    """The repository on the hub, or, if the hub cannot be reached, a complete local copy."""
    try:
        return retrying(lambda: hub.look_up(target.repo, target.revision), watcher.note)
    except DownloadError as error:
        for download in downloads.listed(paths):
            manifest = downloads.read_manifest(download.folder)
            if (
                manifest is not None
                and manifest.repo == target.repo
                and target.revision in (None, manifest.commit)
                and (target.file is None or target.file in [f.name for f in manifest.files])
                and download.bytes == download.total_bytes
            ):
                watcher.note(f"{error.message}; using the complete copy on this machine")
                return manifest.repository
        if hub_variables.offline_variable() and (
            found := hub.cached_repository(target.repo, target.revision)
        ):
            watcher.note(f"{target.repo} is read from the Hugging Face cache")
            return found
        raise


def _choose(
    repository: Repository, target: Target, quant: str = DEFAULT_QUANT
) -> tuple[Repository, RemoteFile | None]:
    """The repository reduced to the files that are needed, and the GGUF file if it is one.

    Of several GGUF files it is the one whose name has the quantisation. Raises InputError if there
    is no model in it, or more than one.
    """
    ready_made = {file.name: file for file in repository.files if file.name.endswith(".gguf")}
    if target.file is not None:
        if target.file not in ready_made:
            raise InputError(
                f"{target.repo} has no file {target.file}", _they_are(target.repo, ready_made)
            )
        chosen = ready_made[target.file]
    else:
        # Imported late: it takes a while, and a mistyped name should fail before.
        from llmsuggestd.convert.files import MODEL_FILE, check_names, wanted_files, weights_of

        names = [file.name for file in repository.files]
        if weights_of(names) or not ready_made:
            check_names(target.repo, names)
            wanted = wanted_files(names)
            for needed, instead in (("config.json", ""), ("tokenizer.json", MODEL_FILE)):
                if needed not in wanted and instead not in wanted:
                    raise InputError(
                        f"{target.repo} has weights, but no {needed}",
                        "without it they cannot be converted; does its base model have one?",
                    )
            files = tuple(file for file in repository.files if file.name in wanted)
            return replace(repository, files=files), None
        named = re.compile(rf"(?i)[-._]{re.escape(quant)}\.gguf$")
        fitting = [file for name, file in ready_made.items() if named.search(name)]
        found = list(ready_made.values()) if len(ready_made) == 1 else fitting
        if len(found) != 1:
            raise InputError(
                f"{target.repo} has no checkpoint, but {len(ready_made)} GGUF files",
                _they_are(target.repo, ready_made),
            )
        (chosen,) = found
    if _PART.search(chosen.name):
        raise InputError(
            f"{chosen.name} is a part of a model",
            "fetch all parts, join them with llama.cpp's program `llama-gguf-split --merge`, then"
            " `llmsuggestd models import`",
        )
    return replace(repository, files=(chosen,)), chosen


def _they_are(repo: str, files: dict[str, RemoteFile]) -> str:
    if not files:
        return "look at its page: does it have model.safetensors or pytorch_model.bin?"
    return "pull one of: " + ", ".join(
        f"{repo}/{name} ({size_text(file.bytes)})" for name, file in sorted(files.items())
    )


def _is_weights(file: RemoteFile) -> bool:
    return file.name.endswith((".safetensors", ".bin", ".gguf"))


def _plan(paths: Paths, job: _Job) -> Plan:
    """The plan. For a checkpoint, its small files are downloaded first, since the plan needs them.

    Raises InputError, and removes them again, if they show that it cannot be converted.
    """
    files, folder = job.repository.files, job.folder
    if job.ready_made is not None:
        model_bytes = job.ready_made.bytes
    else:
        _fetch_all(job, [file for file in files if not _is_weights(file)])
        try:
            _checkpoint_format(job)
            model_bytes = _converted_bytes(folder, job.options.quant)
        except InputError as error:
            if any(_is_fetched(folder, file) for file in files if _is_weights(file)):
                raise
            downloads.clear(folder)
            # the message must not name the removed folder
            where = error.message.replace(str(folder), job.repository.name)
            raise InputError(where, error.hint) from None
    download_bytes = sum(file.bytes for file in files)
    here_bytes = sum(bytes_here(folder, file) for file in files)
    moved = job.ready_made is not None and not job.is_borrowed
    return Plan(
        id=job.id,
        source=job.source,
        licence=job.repository.licence,
        quantisation=job.quantisation,
        download_bytes=download_bytes,
        here_bytes=here_bytes,
        model_bytes=model_bytes,
        needed_bytes=download_bytes - here_bytes + (0 if moved else model_bytes),
        free_bytes=store.free_bytes(paths.data),
    )


def _is_borrowed(folder: Path, file: RemoteFile) -> bool:
    """Whether a file is a link into the Hugging Face cache."""
    return (folder / file.local_name).is_symlink()


def _is_fetched(folder: Path, file: RemoteFile) -> bool:
    """Whether a file has been downloaded, at least in part."""
    return bytes_here(folder, file) > 0 and not _is_borrowed(folder, file)


def _default_id(target: Target, ready_made: RemoteFile | None, quant: str) -> str:
    if ready_made is not None:
        return target.id or ready_made.local_name.removesuffix(".gguf")
    name = target.id or target.repo.rpartition("/")[2]
    return name if quant.upper() == DEFAULT_QUANT else f"{name}-{quant.upper()}"


def _installed(paths: Paths, job: _Job) -> store.Model | None:
    """The model with that id, if it has the same source and conversion."""
    wanted = (job.source, job.quantisation)
    for model in store.installed(paths):
        record = store.read_record(paths, model) if model.id == job.id else None
        if record is not None and (record.source, record.quantisation) == wanted:
            return model
    return None


def _checkpoint_format(job: _Job) -> Format:
    """The format for the checkpoint. Raises NoFormat, or InputError if it cannot be converted."""
    from llmsuggestd.convert import read_model

    model, _ = read_model(job.folder)
    return asking.of_checkpoint(model, job.repository.name, job.own, wanted=job.wanted)


def _converted_bytes(folder: Path, quant: str) -> int:
    from llmsuggestd.convert.conversion import expected_bytes

    size: int = expected_bytes(folder, quant)
    return size


class _Refused(InputError):
    """The downloaded beginning of a file shows that it is unusable."""


class _HeaderCheck:
    """Checks a GGUF file's header during the download, to stop early if it cannot be used."""

    def __init__(self, job: _Job) -> None:
        self._job = job
        self._enough = _ENOUGH_FOR_THE_KIND

    def __call__(self) -> None:
        """Raise _Refused or WrongArchitecture if the received part shows that it is unusable."""
        file, folder = self._job.ready_made, self._job.folder
        if file is None or bytes_here(folder, file) < self._enough:
            return
        path = folder / file.local_name
        path = path if path.exists() else partial_path(folder, file)
        try:
            self._look_at(path, file)
        except gguf.TooShort:
            self._enough *= 4
        except gguf.WrongArchitecture:
            raise
        except InputError as error:
            message = error.message.replace(str(path), file.name)
            raise _Refused(message, error.hint) from None
        else:
            self._enough = file.bytes + 1

    def _look_at(self, path: Path, file: RemoteFile) -> None:
        # it is at the start of the header
        gguf.check_architecture(file.name, gguf.architecture(path))
        header = replace(gguf.read_header(path, vocabulary=True), file_bytes=file.bytes)
        gguf.check_header(header, file.name)
        self._job.choose_format(header, file.name)


def _fetch_all(job: _Job, files: Iterable[RemoteFile], check: _HeaderCheck | None = None) -> None:
    def advance(count: int) -> None:
        job.watcher.advance(count)
        if check is not None:
            check()

    for file in sorted(files, key=lambda file: file.bytes):
        fetch(job.folder, job.repository, file, advance, job.watcher.note)


def _checked_file(paths: Paths, job: _Job) -> tuple[Path, Format]:
    """The GGUF file, complete and checked, and its format.

    Raises InputError if the file is not valid.
    """
    try:
        file = _own_file(job) if job.ready_made else _converted(job)
        header, warnings = gguf.check(file)
        prompt_format, doubts = job.choose_format(
            header, job.ready_made.name if job.ready_made else ""
        )
    except (gguf.WrongArchitecture, asking.NoFormat):
        raise
    except InputError as error:  # its own hint may be to download it again, which would not help
        hint = (
            f"the installed {job.id} stays as it was"
            if store.model_path(paths, job.id).exists()
            else f"`llmsuggestd models remove {job.id}` frees the disk"
        )
        raise InputError(error.message, f"the hub's file has this fault; {hint}") from None
    for warning in [*warnings, *doubts]:
        job.watcher.note(warning)
    return file, prompt_format


def _own_file(job: _Job) -> Path:
    """The downloaded GGUF file, or a copy of the one in the Hugging Face cache."""
    assert job.ready_made is not None
    file = job.folder / job.ready_made.local_name
    if job.is_borrowed:  # the model must survive a cleared cache
        with replacing(file) as copy:
            shutil.copyfile(file, copy)
    return file


def _converted(job: _Job) -> Path:
    """The GGUF file, converted from the downloaded checkpoint."""
    from llmsuggestd.convert import Source, convert

    quant, watcher = job.options.quant, job.watcher
    shown = 0

    def progress(done: int, total: int) -> None:
        nonlocal shown
        if shown == 0:
            watcher.stage(f"converting to {quant.upper()}", "weights", 0, total)
        watcher.advance(done - shown)
        shown = done

    file = job.folder / "converted.gguf"
    summary = convert(
        job.folder,
        file,
        quant,
        prompt_format=_checkpoint_format(job),
        name=job.repository.name.rpartition("/")[2],
        source=Source(job.repository.name, job.repository.commit),
        progress=progress,
    )
    for warning in summary.warnings:
        watcher.note(warning)
    return file


def _place(paths: Paths, model_id: str, file: Path, record: store.Record) -> store.Model:
    make_directory(paths, paths.models)
    try:
        return store.place(paths, model_id, file, record)
    except OSError as error:
        raise failed(LlmsuggestdError, "cannot write to", paths.models, error) from None


def refresh_daemon(paths: Paths, model_id: str, note: Callable[[str], None]) -> None:
    """Make a daemon that serves an older model with this id load the new one.

    The model is installed by then, so a failure is only noted.
    """
    client = Client(paths)
    if (status := client.status()) is None or status["model"]["id"] != model_id:
        return
    try:
        client.use_model(model_id)
    except LlmsuggestdError as error:
        note(
            f"the daemon still serves the older {model_id}: {error.message};"
            f" `llmsuggestd models use {model_id}` tries again"
        )
