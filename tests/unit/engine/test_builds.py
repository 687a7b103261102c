"""The choice of the llama.cpp that an engine runs."""

from __future__ import annotations

from pathlib import Path

from llmsuggestd import building
from llmsuggestd.engine import builds
from llmsuggestd.paths import Paths


def test_only_a_build_of_the_installed_version_is_chosen(tmp_path: Path) -> None:
    paths = Paths(*[tmp_path] * 5)
    assert builds.chosen(paths) is None
    old, unfinished = paths.builds / "cuda-0.0.1", paths.builds / ".abc"
    old.mkdir(parents=True)
    unfinished.mkdir()
    assert builds.chosen(paths) is None
    assert builds.outdated(paths) == [old]
    new = builds.folder(paths, "vulkan")
    new.mkdir()
    assert builds.chosen(paths) == new
    building.remove_builds(paths)
    assert builds.chosen(paths) is None
    assert builds.outdated(paths) == []
