"""Recognising files by their content, without mistaking valid files."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from llmsuggestd import filekind
from llmsuggestd.errors import InputError
from llmsuggestd.models.store import SHIPPED
from tests.unit.convert import checkpoints

POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    b"size 12345678\n"
)


def zipped(name: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(name, b"x")
    return data.getvalue()


def tarred() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.safetensors"))
    return data.getvalue()


def array() -> bytes:
    data = io.BytesIO()
    np.save(data, np.zeros(3))
    return data.getvalue()


FILES = {
    "a pointer": (POINTER, "a pointer of git-lfs in place of the file (12.3 MB)", "git lfs pull"),
    "a pointer with CRLF": (POINTER.replace(b"\n", b"\r\n"), "git-lfs", "git lfs pull"),
    "an old pointer": (b"version https://hawser.github.com/spec/v1\n", "git-lfs", "git lfs pull"),
    "of git-annex": (b"/annex/objects/SHA256E-s1--0.bin\n", "git-annex", "git annex get"),
    "a page": (b"\n<!DOCTYPE html><html><head><title>Sign in\n to Acme</title>",
               "a web page (“Sign in to Acme”) in place", "download it again"),
    "a page with a BOM": (b"\xef\xbb\xbf<html><body>no", "a web page in place", "again"),
    "of a storage": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Request has'
                     b" expired</Message></Error>", "a server's message (“Request has expired”)",
                     "download it again"),
    "an error": (b'{"error": "Repository not found"}', "(“Repository not found”)", "again"),
    "a nested error": (b'{"error": {"message": "no", "code": 1}, "status": 404}', "(“no”)", ""),
    "words": (b"Entry not found", "text (“Entry not found”)", "download it again"),
    "many words": (b"x " * 4000, "text", "download it again"),
    "nothing": (b"", "empty", "download it again"),
    "zeros": (bytes(100_000), "filled with zeros", "download it again"),
    "gzip": (gzip.compress(b"{}"), "compressed (gzip)", "unpack it"),
    "bzip2": (bz2.compress(b"{}"), "compressed (bzip2)", "unpack it"),
    "xz": (lzma.compress(b"{}"), "compressed (xz)", "unpack it"),
    "zip": (zipped("model.safetensors"), "a zip archive", "unpack it"),
    "tar": (tarred(), "a tar archive", "unpack it"),
    "torch": (zipped("archive/data.pkl"), filekind.TORCH, "llmsuggestd convert"),
    "old torch": (pickle.dumps(0x1950A86A20F9469CFC6C, 2), "a checkpoint of torch before 1.6",
                  "current torch"),
    "a pickle": (pickle.dumps([1], 4), "a Python pickle", "safetensors"),
    "an array": (array(), "a numpy array", "safetensors"),
    "GGML": (b"tjgg\3\0\0\0", "a GGJT file, a predecessor of GGUF", "a GGUF file made since"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_recognised(tmp_path: Path, name: str) -> None:
    content, what, remedy = FILES[name]
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    kind = filekind.recognise(path)
    assert kind is not None
    assert what in kind.what
    assert remedy in kind.remedy
    error = filekind.refusal(path, filekind.GGUF)
    assert error.message == f"{path}: is {kind.what}"


def test_a_pointer_in_a_clone_is_fetched_there(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "model.safetensors").write_bytes(POINTER)
    kind = filekind.recognise(tmp_path / "sub" / "model.safetensors")
    assert kind is not None
    assert kind.remedy.startswith(f"`git lfs pull` in {tmp_path / 'sub'} fetches it")


def test_our_own_files_are_recognised(tmp_path: Path) -> None:
    folder = checkpoints.make_checkpoint(tmp_path / "c")
    checkpoints.single_pickle(folder, checkpoints.random_weights(checkpoints.config()), "F16")
    for path, what in (
        (SHIPPED, filekind.GGUF),
        (folder / "model.safetensors", filekind.SAFETENSORS),
        (folder / "pytorch_model.bin", filekind.TORCH),
    ):
        kind = filekind.recognise(path)
        assert kind is not None
        assert kind.what == what
        error = filekind.refusal(
            path, what, "it is cut short"
        )  # the expected kind explains nothing
        assert error.message == f"{path}: is not {what}: it is cut short"
    for path in folder.glob("*.json"):
        filekind.check_text(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize(
    "content",
    [{}, [], {"norm": {"a": 1}}, {"abcd": {"x": 1}}, {"message": 3}, {"path": "x"}, "<html>", 3],
)
def test_json_is_left_to_its_reader(tmp_path: Path, content: object, encoding: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(json.dumps(content, separators=(",", ":")).encode(encoding))
    filekind.check_text(path)


@pytest.mark.parametrize("name", ["a pointer", "a page", "of a storage", "an error", "gzip"])
def test_a_placeholder_for_a_text_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(FILES[name][0])
    with pytest.raises(InputError) as caught:
        filekind.check_text(path)
    assert FILES[name][1] in caught.value.message
    assert "\n" not in caught.value.message + caught.value.hint


def test_a_file_that_cannot_be_opened_is_left_to_its_reader(tmp_path: Path) -> None:
    assert filekind.recognise(tmp_path / "none") is None
    assert filekind.recognise(tmp_path) is None
    filekind.check_text(tmp_path / "none")
