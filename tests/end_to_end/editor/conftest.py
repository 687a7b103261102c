"""What the tests in the editor share: a Lean, and the editor's page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest

from tests.end_to_end.editor import bundle
from tests.end_to_end.editor.driver import Editor, open_file
from tests.end_to_end.lean.conftest import fake, lean
from tests.support import npm
from tests.support.leanwasm import Lean

__all__ = ["fake", "lean", "open_editor", "page"]

OpenEditor = Callable[[str, Mapping[str, str]], AbstractAsyncContextManager[Editor]]


@pytest.fixture(scope="session")
def page() -> Path:
    """The folder of the editor's page."""
    try:
        return bundle.page()
    except npm.FetchError as error:
        pytest.skip(str(error))


@pytest.fixture
def open_editor(lean: Lean, page: Path, browser: str, tmp_path: Path) -> OpenEditor:
    """Opens a file in the editor: `open_editor(text, env)`, where a ‸ marks the cursor."""
    return partial(open_file, lean, page, browser, tmp_path / "Some.lean")
