"""Settings: where they come from, and what is said of wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmsuggestd.config import DEFAULT_PORT, Config, load_config
from llmsuggestd.errors import ConfigError
from llmsuggestd.paths import Paths, get_paths


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    for name in Config.__struct_fields__:
        monkeypatch.delenv(f"LLMSUGGESTD_{name.upper()}", raising=False)
    monkeypatch.setenv("LLMSUGGESTD_HOME", str(tmp_path))
    (tmp_path / "config").mkdir()
    return get_paths()


def test_without_a_file_the_defaults_hold(paths: Paths) -> None:
    assert load_config(paths) == Config()
    assert load_config(paths).socket_path(paths) == paths.socket


def test_flag_beats_environment_beats_file(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    paths.config_file.write_text('port = 1111\nmodel = "a"\nthreads = 2\n')
    assert load_config(paths).port == 1111
    monkeypatch.setenv("LLMSUGGESTD_PORT", "2222")
    monkeypatch.setenv("LLMSUGGESTD_MODEL", "b")
    config = load_config(paths, port=3333, model=None)
    assert (config.port, config.model, config.threads) == (3333, "b", 2)


def test_an_empty_variable_counts_as_unset(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMSUGGESTD_PORT", "")
    assert load_config(paths).port == DEFAULT_PORT


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("port = ", "config.toml"),
        ("port = 70000", "$.port"),
        ('port = "x"', "$.port"),
        ('model = "../../etc/passwd"', "$.model"),
        ('gpu = "maybe"', "$.gpu"),
        ("prot = 1", "prot"),
    ],
)
def test_a_wrong_file_is_named_with_the_key(paths: Paths, text: str, words: str) -> None:
    paths.config_file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(paths)
    assert words in caught.value.message
    assert str(paths.config_file) in caught.value.message


def test_a_wrong_variable_or_flag_is_named(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"--port.*\$\.port"):
        load_config(paths, port=-1)
    monkeypatch.setenv("LLMSUGGESTD_THREADS", "many")
    with pytest.raises(ConfigError, match="LLMSUGGESTD_THREADS"):
        load_config(paths)
