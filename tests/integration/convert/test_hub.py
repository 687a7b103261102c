"""The real hub client against a hub on this machine: a repository's name becomes a file."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest
from gguf import GGUFReader

from llmsuggestd.errors import ExitCode
from tests.unit.convert import checkpoints
from tests.unit.convert.checkpoints import make_checkpoint

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPO = "someone/tuned-model"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """A hub with one repository; gives its address and the files it was asked for."""
    folder = make_checkpoint(tmp_path / "served", write=checkpoints.sharded_safetensors)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    (folder / "training_args.bin").write_bytes(b"a pickle that nobody needs")
    (folder / "pytorch_model.bin").write_bytes(b"the same weights once more")
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            path = unquote(self.path.partition("?")[0])
            content, headers = b'{"error": "Repository not found"}', {}
            status = 404
            if path.startswith(f"/api/models/{REPO}/tree/"):
                tree = [
                    {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": "0"}
                    for file in sorted(folder.iterdir())
                ]
                status, content = 200, json.dumps(tree).encode()
                headers = {"Content-Type": "application/json"}
            elif path.startswith(f"/api/models/{REPO}"):
                files = [{"rfilename": file.name} for file in sorted(folder.iterdir())]
                model = {"id": REPO, "modelId": REPO, "sha": COMMIT, "siblings": files}
                status, content = 200, json.dumps(model).encode()
                headers = {"Content-Type": "application/json"}
            elif path.startswith((f"/{REPO}/resolve/{COMMIT}/", f"/{REPO}/resolve/main/")):
                name = path.rpartition("/")[2]
                if body:
                    asked.append(name)
                status, content = 200, (folder / name).read_bytes()
                digest = hashlib.sha256(content).hexdigest()
                headers = {"ETag": f'"{digest}"', "X-Repo-Commit": COMMIT}
            else:
                headers = {"X-Error-Code": "RepoNotFound"}
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()
    thread.join()


def convert(
    folder: Path, endpoint: str, repo: str = REPO, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Convert a repository of the hub at `endpoint`, with a cache of its own."""
    return subprocess.run(
        [sys.executable, "-m", "llmsuggestd.convert", repo, "--quiet"],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
        env=os.environ
        | {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "hf"), "HF_HUB_DISABLE_XET": "1",
           "HF_HUB_DISABLE_PROGRESS_BARS": "1", "NO_PROXY": "127.0.0.1"}
        | environment,
    )  # fmt: skip


def test_a_repository_is_downloaded_and_converted(
    tmp_path: Path, hub: tuple[str, list[str]]
) -> None:
    endpoint, asked = hub
    result = convert(tmp_path, endpoint)
    assert result.returncode == 0, result.stderr
    fields = {
        name: field.contents()
        for name, field in GGUFReader(tmp_path / "tuned-model-Q4_K_M.gguf").fields.items()
    }
    assert fields["general.name"] == "tuned-model"
    assert fields["general.license"] == "apache-2.0"
    assert fields["general.source.repo_url"] == f"https://huggingface.co/{REPO}"
    assert fields["llmsuggestd.source_revision"] == COMMIT
    shards = [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
    assert sorted(asked) == sorted(
        ["README.md", "config.json", "tokenizer.json", "model.safetensors.index.json", *shards]
    )
    # What is in the cache needs no network any more.
    (tmp_path / "tuned-model-Q4_K_M.gguf").unlink()
    for offline in ({"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}):
        result = convert(tmp_path, endpoint, **offline)
        assert result.returncode == 0, result.stderr
        (tmp_path / "tuned-model-Q4_K_M.gguf").unlink()
    assert len(asked) == 7


def test_a_repository_that_is_not_there_is_one_line(
    tmp_path: Path, hub: tuple[str, list[str]]
) -> None:
    result = convert(tmp_path, hub[0], "someone/else")
    assert result.returncode == ExitCode.INPUT
    assert result.stderr.startswith(
        "llmsuggestd: someone/else: no such folder, and the hub answered:"
    )
    assert len(result.stderr.splitlines()) == 2


def test_a_hub_out_of_reach_is_one_line(tmp_path: Path) -> None:
    result = convert(tmp_path, "http://127.0.0.1:9")
    assert result.returncode == ExitCode.INPUT
    assert "the hub cannot be asked" in result.stderr
    assert len(result.stderr.splitlines()) == 2
