"""The findings of `doctor` about kernels, models and variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmsuggestd import doctor, environment, service
from llmsuggestd.building import Description
from llmsuggestd.engine import crashes
from llmsuggestd.engine.protocol import Kernels
from llmsuggestd.models import store
from llmsuggestd.models.store import SHIPPED
from llmsuggestd.paths import Paths

CPU = {"name": "CPU", "description": "a processor", "is_gpu": False}


@pytest.mark.parametrize(
    ("missing", "crashed", "expected"),
    [
        ("", set(), [("ok", "our own (avx2) for Q4_K, Q5_K and Q6_K, llama.cpp's for others")]),
        ("ours need x86-64", set(), [("ok", "llama.cpp's (ours need x86-64)")]),
        ("", {"own"}, [("warning", "our own crashed on this machine; using llama.cpp's")]),
        (
            "",
            {"own", "repacked"},
            [
                ("warning", "our own crashed on this machine; using llama.cpp's"),
                (
                    "warning",
                    "llama.cpp's repacked kernels crashed on this machine, and are not used",
                ),
            ],
        ),
    ],
)
def test_kernels(
    missing: str,
    crashed: set[Kernels],
    expected: list[tuple[str, str]],
    tmp_path: Path,
) -> None:
    found = Description(
        [CPU], build="1.0", physical_cores=4, no_own_kernels=missing, instructions="avx2"
    )
    paths = Paths(*[tmp_path] * 5)
    if crashed:
        crashes.remember(paths, frozenset(crashed))
    said = [finding for finding in doctor._llama_cpp(paths, found) if finding.part == "kernels"]
    assert [(finding.level, finding.message) for finding in said] == expected
    assert all(str(paths.engine_memory) in f.remedy for f in said if f.level == "warning")


@pytest.mark.parametrize(
    ("content", "level", "words", "remedy"),
    [
        (SHIPPED.read_bytes(), "ok", "mine, 11.2 MB", ""),
        (b"version https://git-lfs.github.com/spec/v1\n", "failed", "a pointer of git-lfs", "pull"),
        (SHIPPED.read_bytes()[:2_000_000], "failed", "cut short", "fetch it again"),
        (SHIPPED.read_bytes().replace(b"olmo", b"dbrx"), "failed", "split as by dbrx", "convert"),
    ],
    ids=["sound", "pointer", "short", "wrong tokenizer"],
)
def test_a_file_that_is_no_model_is_found(
    tmp_path: Path, content: bytes, level: str, words: str, remedy: str
) -> None:
    paths = Paths(*(tmp_path / name for name in ("config", "data", "cache", "state", "runtime")))
    paths.models.mkdir(parents=True)
    (paths.models / "mine.gguf").write_bytes(content)
    finding = doctor._model(paths, "mine")
    assert finding.level == level
    assert words in finding.message
    assert remedy in finding.remedy


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A shell without any of the reported variables."""
    for name, _ in list(environment.reported()):
        monkeypatch.delenv(name)
    monkeypatch.setattr(service, "registered", lambda: None)
    return monkeypatch


def said(paths: Paths) -> list[tuple[str, str]]:
    return [(finding.level, finding.message) for finding in doctor._variables(paths)]


def test_variables_are_reported_as_obeyed_or_ignored(
    shell: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    paths = Paths(*[tmp_path] * 5)
    assert said(paths) == []
    shell.setenv("CUDA_VISIBLE_DEVICES", "1")
    shell.setenv("OMP_NUM_THREADS", "64")
    shell.setenv("MKL_NUM_THREADS", "64")
    shell.setenv("LLMSUGGESTD_THREADS", "2")
    ignored = "MKL_NUM_THREADS, OMP_NUM_THREADS: ignored; set `threads` in config.toml instead"
    obeyed = "obeyed: CUDA_VISIBLE_DEVICES=1"
    assert said(paths) == [("ok", ignored), ("ok", obeyed)]
    shell.setattr(service, "registered", object)
    shell.setenv("LD_LIBRARY_PATH", "/opt/lib")
    assert said(paths) == [
        ("ok", "LD_LIBRARY_PATH: not seen by the service"),
        ("ok", "LLMSUGGESTD_THREADS: not seen by the service"),
        ("ok", ignored),
        ("ok", obeyed),
    ]


def test_a_misspelt_variable_is_named(shell: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shell.setenv("LLMSUGGESTD_CONTXT", "512")
    shell.setenv("LLMSUGGESTD_FORMATS", "x")
    shell.setenv("LLMSUGGESTD_HOME", str(tmp_path))
    found = {(f.message, f.remedy) for f in doctor._variables(Paths(*[tmp_path] * 5))}
    assert found == {
        ("there is no setting for LLMSUGGESTD_CONTXT", "did you mean LLMSUGGESTD_CONTEXT?"),
        ("there is no setting for LLMSUGGESTD_FORMATS", "unset it"),
    }


def test_a_model_that_cannot_be_checked_is_no_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """For example, if LD_LIBRARY_PATH gives numpy another libstdc++."""

    def check(*_: object, **__: object) -> None:
        raise ImportError("many words\n/lib/libstdc++.so.6: file too short\n")

    paths = Paths(*[tmp_path] * 5)
    store.place_starter(paths)
    monkeypatch.setattr("llmsuggestd.models.gguf.check", check)
    finding = doctor._model(paths, store.STARTER)
    assert finding.level == "warning"
    assert finding.message.endswith("could not be checked: /lib/libstdc++.so.6: file too short")


@pytest.mark.parametrize("by_service", [True, False])
def test_a_daemon_with_another_device_than_the_shell_is_noticed(by_service: bool) -> None:
    libraries = {"LD_LIBRARY_PATH": "/opt/lib"}  # a service does not get it
    here, there = {"CUDA_VISIBLE_DEVICES": "1"}, {"CUDA_VISIBLE_DEVICES": "0"}
    assert not list(doctor._differing(here, here, by_service=by_service))
    assert len(list(doctor._differing(libraries, {}, by_service=by_service))) == 1 - by_service
    (found,) = doctor._differing(here, there, by_service=by_service)
    assert found.level == "warning"
    assert found.message == ("CUDA_VISIBLE_DEVICES is '0' in the daemon, and is '1' in this shell")
    assert f"`llmsuggestd {'install' if by_service else 'restart'}`" in found.remedy
    (found,) = doctor._differing(here, {}, by_service=by_service)
    assert "is not set in the daemon" in found.message
