"""Detecting that another version was installed, and renewing the user's data."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmsuggestd import lean_package, manifest
from llmsuggestd.daemon import upgrade
from llmsuggestd.manifest import Manifest
from llmsuggestd.models import store
from llmsuggestd.paths import Paths
from llmsuggestd.version import __version__


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(*(tmp_path / name for name in ("config", "data", "cache", "state", "runtime")))


def looks(monkeypatch: pytest.MonkeyPatch, *found: str | None) -> Iterator[str | None]:
    """Make each check find the next of these, and after the last, the last again."""
    rest = iter(found)
    monkeypatch.setattr(upgrade, "INTERVAL", 0)
    monkeypatch.setattr(upgrade, "installed", lambda: next(rest, found[-1]))
    return rest


async def notices(seconds: float) -> bool:
    try:
        await asyncio.wait_for(upgrade.wait_until_replaced(), seconds)
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize(
    ("found", "looks_left"),
    [
        (["old", "new", "new", "never asked"], 1),
        (["old", None, None, "half", "new", "new", "never asked"], 1),
    ],
)
async def test_a_version_that_stays_is_noticed(
    monkeypatch: pytest.MonkeyPatch, found: list[str | None], looks_left: int
) -> None:
    rest = looks(monkeypatch, *found)
    monkeypatch.setattr(upgrade, "_works", lambda: True)
    assert await notices(5)
    assert len(list(rest)) == looks_left


@pytest.mark.parametrize("found", [["old"], ["old", None], [None], ["old", None, "old"]])
async def test_nothing_is_noticed_without_an_upgrade(
    monkeypatch: pytest.MonkeyPatch, found: list[str | None]
) -> None:
    looks(monkeypatch, *found)
    monkeypatch.setattr(upgrade, "_works", lambda: True)
    assert not await notices(0.1)


async def test_a_version_that_does_not_start_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks(monkeypatch, "old", "new")
    works = iter([False, False, True])
    monkeypatch.setattr(upgrade, "_works", lambda: next(works))
    assert await notices(5)
    assert list(works) == []


def test_the_installed_version_is_known_by_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "llmsuggestd-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Name: llmsuggestd\nVersion: 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert upgrade.installed() is None  # not complete yet
    (folder / "RECORD").write_text("llmsuggestd/version.py,sha256=x,1\n")
    assert upgrade.installed() == "llmsuggestd/version.py,sha256=x,1\n"


def test_another_python_in_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """`pipx reinstall --python` puts the packages into the folder of another Python."""
    monkeypatch.setattr(sys, "path", [])
    here = upgrade.installed()
    assert here is not None
    assert "llmsuggestd" in here
    monkeypatch.setattr(sys, "executable", "/absent/python")
    assert upgrade.installed() is None


def test_the_installed_version_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["python", "-P", "-m", "llmsuggestd", "serve", "--log-file"]
    monkeypatch.setattr(sys, "orig_argv", command)
    assert upgrade._works()
    monkeypatch.setattr(sys, "orig_argv", ["python", "-c", "import sys; sys.exit(1)", "serve"])
    assert not upgrade._works()


def test_the_data_of_an_older_version_is_renewed(paths: Paths) -> None:
    paths.models.mkdir(parents=True)
    store.starter_path(paths).write_bytes(b"of an older version")
    upgrade.finish(paths)  # nothing was installed: nothing is touched
    assert not lean_package.folder(paths).exists()
    manifest.write(paths, Manifest(version="0.0.1", python="/x", files=("/y",)))
    upgrade.finish(paths)
    assert store.has_starter(paths)
    assert lean_package.is_current(paths)
    assert manifest.read(paths) == Manifest(version=__version__, python="/x", files=("/y",))


def test_a_damaged_model_of_this_version_is_not_replaced_silently(paths: Paths) -> None:
    paths.models.mkdir(parents=True)
    store.starter_path(paths).write_bytes(b"damaged")
    manifest.write(paths, Manifest(version=__version__))
    upgrade.finish(paths)
    assert store.starter_path(paths).read_bytes() == b"damaged"


def test_a_failed_renewal_does_not_stop_the_daemon(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    paths.data.mkdir()
    manifest.write(paths, Manifest(version="0.0.1"))
    paths.models.write_text("in the way")
    upgrade.finish(paths)
    assert "cannot finish the upgrade from version 0.0.1" in caplog.text
    assert manifest.read(paths).version == "0.0.1"  # the next start tries again
