"""A Hugging Face hub on this machine, with the calls that huggingface_hub makes for models.

As on the real hub, large files are stored elsewhere: `/resolve/` redirects to another host (here
`localhost` instead of `127.0.0.1`), which serves ranges and accepts no token. `Faults` sets the
hub's faults.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = (".safetensors", ".bin", ".gguf")
BLOCK = 2**14


@dataclass
class Faults:
    """The hub's faults."""

    statuses: dict[str, tuple[int, dict[str, str]]] = field(default_factory=dict)
    """Status and headers of the answer, by a part of the path."""
    damaged: Counter[str] = field(default_factory=Counter)
    """Number of times that a file will be sent with a wrong byte, by file."""
    cut_after: dict[str, int] = field(default_factory=dict)
    """Number of bytes after which the connection closes, by file."""
    stall_after: dict[str, int] = field(default_factory=dict)
    """Number of bytes after which the answer stalls, by file."""
    listed_bytes: dict[str, int] = field(default_factory=dict)
    """Wrong sizes in the listing."""
    without_parts: bool = False
    """Whether range requests get the whole file."""


@dataclass
class Hub:
    """The server's address, its repositories, and a record of its requests."""

    url: str
    repos: dict[str, Path]
    licence: str = "apache-2.0"
    commit: str = COMMIT
    gated: bool = False
    """Whether files require `token`."""
    token: str = "hf_test"
    rate: float = 0.0
    """Limit of each transfer in bytes per second; 0: none."""
    faults: Faults = field(default_factory=Faults)
    asked: list[str] = field(default_factory=list)
    """The files whose content was requested, in order."""
    sent: Counter[str] = field(default_factory=Counter)
    """Number of bytes of content sent, by file."""
    tokens: dict[str, str | None] = field(default_factory=dict)
    """The last Authorization header, by path."""

    def environment(self, home: Path) -> dict[str, str]:
        """Variables that make huggingface_hub use this hub, and none of this user's settings."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
            "NO_PROXY": "127.0.0.1,localhost",
        }


@contextlib.contextmanager
def serving(repos: dict[str, Path], tls: ssl.SSLContext | None = None) -> Iterator[Hub]:
    """Serve folders as repositories, by name, while the block runs; with a context, over TLS."""
    server = _Server(("127.0.0.1", 0), _Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "http" if tls is None else "https"
    hub = Hub(f"{scheme}://127.0.0.1:{server.server_port}", repos)
    server.hub = hub  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing: a killed client disconnects."""


@lru_cache(maxsize=256)
def _sha256(path: Path, _mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256(path: Path) -> str:
    """The sha256 of a file."""
    return _sha256(path, path.stat().st_mtime_ns)


def git_sha1(path: Path) -> str:
    """Git's object id of a file."""
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> Hub:
        hub: Hub = self.server.hub  # type: ignore[attr-defined]
        return hub

    def do_HEAD(self) -> None:
        self.route(body=False)

    def do_GET(self) -> None:
        self.route(body=True)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def route(self, *, body: bool) -> None:
        # a proxy gets the whole URL
        address = urlsplit(self.path)
        path = unquote(address.path)
        self.hub.tokens[path] = self.headers["Authorization"]
        for part, (status, headers) in self.hub.faults.statuses.items():
            if part in path:
                self.reply(status, b'{"error": "as told"}', headers, body=body)
                return
        if path.startswith("/cdn/"):
            self.large(Path(path.removeprefix("/cdn")), body=body)
            return
        for repo, folder in self.hub.repos.items():
            api = re.fullmatch(rf"/api/models/{repo}(/revision/([^/]+))?", path)
            if api and api[2] in (None, "main", self.hub.commit):
                self.reply(200, self.listing(repo, folder, "blobs" in parse_qs(address.query)))
                return
            if api:
                self.reply(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
                return
            if path.startswith(f"/api/models/{repo}/tree/"):
                tree = [
                    {"type": "file", "path": name, "size": file.stat().st_size, "oid": "0"}
                    for name, file in _files(folder)
                ]
                self.reply(200, json.dumps(tree).encode())
                return
            resolve = re.fullmatch(rf"/{repo}/resolve/(?:main|{self.hub.commit})/(.+)", path)
            if resolve:
                self.file(folder / resolve[1], body=body)
                return
        self.reply(404, b'{"error": "no"}', {"X-Error-Code": "RepoNotFound"}, body=body)

    def listing(self, repo: str, folder: Path, blobs: bool) -> bytes:
        siblings = []
        for name, file in _files(folder):
            entry: dict[str, object] = {"rfilename": name}
            if blobs:
                size = self.hub.faults.listed_bytes.get(name, file.stat().st_size)
                entry |= {"size": size, "blobId": "0" * 40}
                if name.endswith(LARGE):
                    entry["lfs"] = {"size": size, "sha256": sha256(file), "pointerSize": 130}
                else:
                    entry["blobId"] = git_sha1(file)
            siblings.append(entry)
        model = {
            "id": repo, "modelId": repo, "sha": self.hub.commit, "siblings": siblings,
            "cardData": {"license": self.hub.licence},
            "gated": "manual" if self.hub.gated else False,
        }  # fmt: skip
        return json.dumps(model).encode()

    def file(self, file: Path, *, body: bool) -> None:
        if not file.is_file():
            self.reply(404, b"{}", {"X-Error-Code": "EntryNotFound"}, body=body)
            return
        if self.hub.gated and self.headers["Authorization"] != f"Bearer {self.hub.token}":
            self.reply(401, b"{}", {"X-Error-Code": "GatedRepo"}, body=body)
            return
        headers = {"X-Repo-Commit": self.hub.commit}
        if not file.name.endswith(LARGE):
            headers["ETag"] = f'"{git_sha1(file)}"'
            self.content(file, headers, body=body)
            return
        other_host = self.hub.url.replace("127.0.0.1", "localhost")
        headers |= {
            "Location": f"{other_host}/cdn{file}?Expires=1&Signature=x",
            "X-Linked-Etag": f'"{sha256(file)}"',
            "X-Linked-Size": str(file.stat().st_size),
        }
        self.reply(302, b"", headers, body=body)

    def large(self, file: Path, *, body: bool) -> None:
        self.content(file, {"ETag": '"of the store"', "Accept-Ranges": "bytes"}, body=body)

    def content(self, file: Path, headers: dict[str, str], *, body: bool) -> None:
        size, start = file.stat().st_size, 0
        part = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        if part and not self.hub.faults.without_parts:
            start = int(part[1])
            if start >= size:
                self.reply(416, b"", {"Content-Range": f"bytes */{size}"}, body=body)
                return
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        self.send_response(206 if "Content-Range" in headers else 200)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(size - start))
        self.end_headers()
        if body:
            self.hub.asked.append(file.name)
            with contextlib.suppress(ConnectionError):
                self.send(file, start)

    def send(self, file: Path, start: int) -> None:
        faults, name = self.hub.faults, file.name
        damage = faults.damaged[name] > 0
        faults.damaged[name] -= damage
        began, sent = time.monotonic(), 0
        with file.open("rb") as source:
            source.seek(start)
            while block := source.read(BLOCK):
                if damage:
                    block, damage = bytes([block[0] ^ 1]) + block[1:], False
                if name in faults.cut_after and sent >= faults.cut_after[name]:
                    self.close_connection = True
                    return
                while name in faults.stall_after and sent >= faults.stall_after[name]:
                    time.sleep(0.05)
                self.wfile.write(block)
                sent += len(block)
                self.hub.sent[name] += len(block)
                if self.hub.rate:
                    time.sleep(max(0.0, sent / self.hub.rate - (time.monotonic() - began)))

    def reply(
        self,
        status: int,
        content: bytes,
        headers: dict[str, str] | None = None,
        *,
        body: bool = True,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(content)


def _files(folder: Path) -> list[tuple[str, Path]]:
    return [
        (str(file.relative_to(folder)), file)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    ]
