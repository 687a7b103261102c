"""Lists a repository's files on the Hugging Face hub, and reads a file from any position.

All requests use huggingface_hub, and so the variables in `hub_variables`. It is imported when it is
used, since the import takes half a second and reads the variables.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from llmsuggestd.errors import ConfigError, ExitCode, InputError, LlmsuggestdError
from llmsuggestd.models import hub_variables

REPO: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
"""The pattern of a repository's name. The hub is stricter."""

_FILE_NAME: Final = re.compile(r"[\w+][\w.+ -]*(/[\w+][\w.+ -]*)*")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_SHA1: Final = re.compile(r"[0-9a-f]{40}")


class DownloadError(LlmsuggestdError):
    """The hub cannot be reached, or the transfer broke off. Trying again later may help."""

    code = "download"
    exit_code = ExitCode.NETWORK


class Interrupted(DownloadError):
    """A transfer broke off or was refused temporarily. Another try may work in `after` seconds."""

    def __init__(self, message: str, hint: str = "", after: float = 0.0) -> None:
        super().__init__(message, hint)
        self.after = after


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository.

    `digest` is the expected digest: `sha256:…` for files in the hub's large storage, else git's
    `sha1:…`, which covers a header with the size, and the content.
    """

    name: str
    bytes: int
    digest: str

    @property
    def local_name(self) -> str:
        """The local name, without the repository's folders."""
        return self.name.rpartition("/")[2]


@dataclass(frozen=True)
class Repository:
    """A repository at one commit."""

    name: str
    commit: str
    licence: str | None
    files: tuple[RemoteFile, ...]


def look_up(repo: str, revision: str | None) -> Repository:
    """List the files of a repository.

    Files with names that could lead out of a folder are left out. Raises InputError if the
    repository does not exist or may not be read, Interrupted if the hub cannot be reached,
    DownloadError if the network is forbidden or the hub is not trusted, ConfigError if one of the
    hub's variables is wrong.
    """
    hub_variables.prepare()
    if variable := hub_variables.offline_variable():
        raise _offline(repo, variable)
    try:
        import huggingface_hub
        from huggingface_hub import constants, errors

        huggingface_hub.get_session()
    except Exception as error:  # caused by a variable that `hub_variables` does not check
        raise ConfigError(
            f"the hub's client cannot be set up: {_line(error)}",
            "look at the variables that begin with HF_, SSL_ or end with _PROXY",
        ) from None

    with hub_errors(repo, revision):
        try:
            info = huggingface_hub.HfApi(library_name="llmsuggestd").model_info(
                repo,
                revision=revision,
                files_metadata=True,
                timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
            )
            if not _SHA1.fullmatch(info.sha or ""):
                raise ValueError("no commit")
            assert info.sha is not None
            files = [_remote_file(repo, info.sha, sibling) for sibling in info.siblings or ()]
        except errors.HFValidationError:
            raise InputError(f"{repo}: not a valid name of a repository") from None
        except (ValueError, TypeError, AttributeError, KeyError):
            raise Interrupted(
                f"{_endpoint()} does not answer like the hub",
                "is HF_ENDPOINT right? a network's login page may have answered",
            ) from None
    licence = getattr(info.card_data, "license", None) if info.card_data else None
    return Repository(
        repo,
        info.sha,
        licence if isinstance(licence, str) else None,
        tuple(file for file in files if file is not None),
    )


def _remote_file(repo: str, commit: str, sibling: Any) -> RemoteFile | None:
    name = sibling.rfilename
    if not isinstance(name, str) or not _FILE_NAME.fullmatch(name):
        return None
    size, digest = sibling.size, None
    if sibling.lfs is not None:
        size, digest = sibling.lfs.size, sibling.lfs.sha256
    elif sibling.blob_id is not None:
        digest = sibling.blob_id
    if size is None or digest is None:  # some mirrors do not list these
        import huggingface_hub

        found = huggingface_hub.get_hf_file_metadata(
            huggingface_hub.hf_hub_url(repo, name, revision=commit)
        )
        size, digest = found.size, found.etag
    if not isinstance(size, int) or size < 0 or not isinstance(digest, str):
        raise ValueError(f"no size of {name}")
    if _SHA256.fullmatch(digest):
        return RemoteFile(name, size, f"sha256:{digest}")
    if _SHA1.fullmatch(digest):
        return RemoteFile(name, size, f"sha1:{digest}")
    raise ValueError(f"no digest of {name}")


@contextlib.contextmanager
def stream(repo: str, commit: str, file: RemoteFile, start: int) -> Iterator[tuple[int, Any]]:
    """Read a file from byte `start` on. Yields the actual start, and an iterator of the bytes.

    The actual start is 0 if the server does not support ranges. Raises the errors of `look_up`,
    also Interrupted if the transfer breaks off, and DownloadError if the file's length differs from
    the hub's listing.
    """
    import huggingface_hub
    from huggingface_hub import constants
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    headers = build_hf_headers(library_name="llmsuggestd")
    headers["Accept-Encoding"] = "identity"  # positions are those in the uncompressed file
    if start:
        headers["Range"] = f"bytes={start}-"
    url = huggingface_hub.hf_hub_url(repo, file.name, revision=commit)
    with (
        hub_errors(repo, commit, file),
        huggingface_hub.get_session().stream(
            "GET",
            url,
            headers=headers,
            timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
            follow_redirects=True,
        ) as response,
    ):
        huggingface_hub.hf_raise_for_status(response)
        begins = start if response.status_code == 206 else 0
        length = response.headers.get("Content-Length", "")
        if response.status_code == 206:
            served = re.fullmatch(
                r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", "")
            )
            if served is None or int(served[1]) != start:
                raise DownloadError(f"{file.name}: the server sent another part than requested")
            total = int(served[2])
        else:
            total = int(length) if length.isdigit() else file.bytes
        if total != file.bytes:
            raise DownloadError(
                f"{file.name}: the hub says it has {file.bytes:,} bytes, the server sends"
                f" {total:,}",
                "try later, or without the mirror or proxy in between",
            )
        yield begins, response.iter_raw()


@contextlib.contextmanager
def hub_errors(repo: str, revision: str | None, file: RemoteFile | None = None) -> Iterator[None]:
    """Turn the client's exceptions into errors with a remedy, those of `look_up`."""
    import socksio
    from huggingface_hub import errors

    # httpx's or its successor's, depending on the client's version
    transport_error: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]
    try:
        yield
    except errors.OfflineModeIsEnabled:
        raise _offline(repo, hub_variables.offline_variable() or "HF_HUB_OFFLINE") from None
    except errors.HfHubHTTPError as error:
        raise _explained(error, repo, revision, file) from None
    except (transport_error, errors.LocalEntryNotFoundError, socksio.SOCKSError) as error:
        raise _unreached(error) from None


def _offline(repo: str, variable: str) -> DownloadError:
    return DownloadError(
        f"{repo} is not on this machine, and {variable} is set", "unset it to download"
    )


def _unreached(error: BaseException) -> DownloadError:
    """The reason why a request got no answer, and the remedy."""
    import socksio
    from huggingface_hub import constants

    proxy = hub_variables.proxy_of(constants.ENDPOINT)
    causes = list(_causes(error))
    where = f"{_endpoint()} (through {proxy})" if proxy else _endpoint()
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _untrusted(cause)
        if isinstance(cause, ssl.SSLError) and cause.reason == "WRONG_VERSION_NUMBER":
            at_fault = proxy.variable if proxy else "HF_ENDPOINT"
            return DownloadError(
                f"{where}: the other end does not speak TLS",
                f"does the address in {at_fault} have to begin with http://?",
            )
    words = _line(error.__cause__ or error)
    if proxy is None:
        hint = "is the network up? behind a proxy set HTTPS_PROXY, for a mirror HF_ENDPOINT"
        return Interrupted(f"{where}: {words}", hint)
    if isinstance(error, socksio.SOCKSError):
        return DownloadError(f"{where}: the proxy does not speak SOCKS 5", "try http:// there")
    passing = "could not connect" in words and "not allowed" not in words  # a SOCKS proxy's message
    if any(type(cause).__name__ == "ProxyError" for cause in causes) and not passing:
        return _refused_by(proxy, where, words)
    return Interrupted(
        f"{where}: {words}", f"is the proxy running? {proxy.variable} names it; NO_PROXY avoids it"
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _refused_by(proxy: hub_variables.Proxy, where: str, words: str) -> DownloadError:
    if "407" in words or "auth" in words.lower() or "password" in words:
        scheme = proxy.address.partition("://")[0] if "://" in proxy.address else "http"
        hint = f"it requires a name and a password: {proxy.variable}={scheme}://NAME:PASSWORD@HOST:PORT"
    else:
        hint = (
            f"does it allow connections to the hub? {proxy.variable} names it; NO_PROXY avoids it"
        )
    return DownloadError(f"{where}: the proxy refuses: {words}", hint)


def _untrusted(error: ssl.SSLCertVerificationError) -> DownloadError:
    """The problem with a server's certificate. The numbers are OpenSSL's X509_V_ERR_…"""

    message = f"the certificate of {_endpoint()} is not trusted: {error.verify_message}"
    if error.verify_code in (9, 10):  # not yet valid, or expired
        return DownloadError(message, "is this machine's clock right?")
    if error.verify_code in (62, 64):  # for another host or address
        return DownloadError(
            message, "is HF_ENDPOINT right? a network's login page may have answered"
        )
    hint = (
        "if a company's proxy signs it, set SSL_CERT_FILE to a file with the company's certificate"
        " (PEM)"
    )
    if variable := hub_variables.certificates_variable():
        hint += f"; {variable} is set, and that certificate is not in it"
    return DownloadError(message, hint)


def _explained(
    error: Any, repo: str, revision: str | None, file: RemoteFile | None
) -> LlmsuggestdError:
    """The meaning of an answer with an error status, and the remedy."""
    from huggingface_hub import constants, errors, get_token

    status = error.response.status_code
    page = f"{_endpoint()}/{repo}"
    login = "set HF_TOKEN to a token from https://huggingface.co/settings/tokens"
    if status == 407 and (proxy := hub_variables.proxy_of(constants.ENDPOINT)):
        return _refused_by(proxy, f"{_endpoint()} (through {proxy})", "407")
    if isinstance(error, errors.GatedRepoError) or status == 403:
        return InputError(
            f"{repo}: access needs its authors' consent (the hub answers {status})",
            f"accept the conditions on {page}, then {login}",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return InputError(f"{repo} has no branch, tag or commit {revision!r}", f"see {page}")
    if isinstance(error, errors.EntryNotFoundError) and file is not None:
        return InputError(f"{repo} has no file {file.name} any more", f"see {page}")
    if status in (401, 404):
        if status == 401 and get_token():
            return InputError(
                f"{repo}: the hub refuses your token (401)",
                f"{login}; a public model needs none: unset HF_TOKEN",
            )
        return InputError(
            f"{repo}: the hub knows no such repository, or it is private (it answers {status})",
            f"is the name right? for a private or gated one, {login}",
        )
    if status == 429:
        after = error.response.headers.get("Retry-After", "")
        wait = int(after) if after.isdigit() else 0
        when = f"{wait / 60:.0f} minutes" if wait > 90 else "some minutes"
        return Interrupted(
            "the hub has had too many requests from here (429)",
            f"try again in {when}; with a token you may send more: {login}",
            after=wait,
        )
    if status >= 500 or status == 408:
        return Interrupted(f"{_endpoint()} answers {status}", "try again later")
    return DownloadError(f"{_endpoint()} answers {status}: {_line(error)}", f"see {page}")


def cached_file(repo: str, commit: str, name: str) -> Path | None:
    """A file that another program has downloaded into the Hugging Face cache; None if missing."""
    import huggingface_hub

    found = huggingface_hub.try_to_load_from_cache(repo, name, revision=commit)
    return Path(found) if isinstance(found, str) else None


def cached_checkpoint(repo: str, revision: str | None) -> Path | None:
    """A repository's folder in the Hugging Face cache, if it has all needed files."""
    from llmsuggestd.convert.files import SMALL_FILES  # imports numpy, which a lookup does not need

    for pattern in ("model*.safetensors", "pytorch_model*.bin"):
        others = [*SMALL_FILES, f"{pattern}.index.json"]
        if (folder := _cached(repo, revision, pattern, *others)) is not None:
            return folder
    return None


def _cached(repo: str, revision: str | None, pattern: str, *others: str) -> Path | None:
    """A repository's folder in the Hugging Face cache, if it has a file of that pattern."""
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(
            huggingface_hub.snapshot_download(
                repo, revision=revision, allow_patterns=[pattern, *others], local_files_only=True
            )
        )
    except LocalEntryNotFoundError:
        return None
    return folder if any(folder.glob(pattern)) else None


def cached_repository(repo: str, revision: str | None) -> Repository | None:
    """A checkpoint or GGUF files that another program has downloaded to the Hugging Face cache.

    The files are trusted: their own digests are taken as the expected ones.
    """
    folder = cached_checkpoint(repo, revision) or _cached(repo, revision, "*.gguf")
    if folder is None:
        return None
    files = tuple(
        RemoteFile(file.name, file.stat().st_size, f"sha256:{_sha256(file)}")
        for file in sorted(folder.iterdir())
        if file.is_file() and _FILE_NAME.fullmatch(file.name)
    )
    return Repository(repo, folder.name, None, files)


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _endpoint() -> str:
    """The hub's address, for messages."""
    from huggingface_hub import constants

    return hub_variables.masked(constants.ENDPOINT)


def _line(error: BaseException) -> str:
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return re.sub(r"//[^/@\s]*@", "//…@", line)
