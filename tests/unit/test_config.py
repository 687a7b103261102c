"""Settings: their sources, and the errors about wrong ones."""

from __future__ import annotations

import codecs
import errno
import os
from pathlib import Path

import pytest

from llmsuggestd.config import DEFAULT_PORT, Config, choosing_model, load_config, write_model
from llmsuggestd.errors import ConfigError
from llmsuggestd.paths import Paths, get_paths

BOM = codecs.BOM_UTF8  # as Windows' Notepad writes it


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
        ("port = ", ":1: "),
        ("threads = 1\nport = 70000", ":2: `port`"),
        ('port = "x"', ":1: `port`"),
        ('# models\n\n"model" = "../../etc/passwd"', ":3: `model`"),
        ('gpu = "maybe"', "`gpu`"),
        ('gpu = "cuda"', '`gpu` must be "auto", "off" or a number of layers, not \'cuda\''),
        ('compat = ["llmstep\\n"]', "`compat`"),
        ("log_goals = 1", "`log_goals`"),
        ('compat = ["ollama"]', "`compat`"),
        ("compat = true", "`compat`"),
        ("prot = 1", ":1: there is no setting `prot`"),
        ("port = 1\n[server]\nhost = 'x'", ":2: there is no setting `server`"),
        ("[remote]\nfallback = 'x'\ntimeout = 101\n", ":3: `remote.timeout` must be a number"),
        ("remote = {allow_remote = 1}", ":1: `remote.allow_remote` must be true or false"),
        ("port = 1\nremote.time = 1", ":2: there is no setting `remote.time`"),
        ("remote = 3", ":1: `remote` must be a table"),
        (
            "[formats.a]\ntemplate = '{state}'\n[formats.b]\ntemplate = '{stat}'",
            ":3: `formats.b`: its template has a field {stat}",
        ),
        ("formats = 3", ":1: `formats` must be tables"),
    ],
)
def test_a_wrong_file_is_named_with_the_key(paths: Paths, text: str, words: str) -> None:
    paths.config_file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(paths)
    assert words in caught.value.message
    assert str(paths.config_file) in caught.value.message


def test_a_wrong_variable_or_flag_is_named(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"--port: `port` must be"):
        load_config(paths, port=-1)
    monkeypatch.setenv("LLMSUGGESTD_THREADS", "many")
    with pytest.raises(ConfigError, match="LLMSUGGESTD_THREADS"):
        load_config(paths)
    monkeypatch.setenv("LLMSUGGESTD_THREADS", "-1")
    with pytest.raises(ConfigError, match=r"from 0 .* not -1"):
        load_config(paths)


@pytest.mark.parametrize("name", Config.__struct_fields__)
def test_every_setting_has_a_description_of_its_values(paths: Paths, name: str) -> None:
    with pytest.raises(ConfigError, match=f"`{name}` must be "):
        load_config(paths, **{name: object()})


def test_a_misspelt_setting_is_recognised(paths: Paths) -> None:
    paths.config_file.write_text("prot = 1")
    with pytest.raises(ConfigError) as caught:
        load_config(paths)
    assert caught.value.hint == "did you mean `port`?"


def test_lists_and_switches_can_come_from_the_environment(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMSUGGESTD_COMPAT", "llmstep, tutorial:5001")
    monkeypatch.setenv("LLMSUGGESTD_LOG_GOALS", "true")
    config = load_config(paths)
    assert config.compat_ports() == {"llmstep": 6000, "tutorial": 5001}
    assert config.log_goals is True


VALUES = {
    "model": ("other", "other"),
    "port": ("1234", 1234),
    "socket": ("/run/other.sock", "/run/other.sock"),
    "compat": ("llmstep, llmlean:1234", ("llmstep", "llmlean:1234")),
    "gpu": ("off", "off"),
    "threads": ("3", 3),
    "context": ("512", 512),
    "idle_unload": ("0", 0),
    "log_goals": ("true", True),
}


@pytest.mark.parametrize("name", sorted({*Config.__struct_fields__} - {"formats", "remote"}))
def test_every_setting_can_come_from_a_variable(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    text, value = VALUES[name]
    assert value != getattr(Config(), name)
    monkeypatch.setenv(f"LLMSUGGESTD_{name.upper()}", text)
    assert getattr(load_config(paths), name) == value


def test_choosing_a_model_keeps_the_rest_of_the_file(paths: Paths) -> None:
    before = '# mine\nport = 1234  # a good port\n\nmodel = "old" # for now\nthreads = 2\n'
    paths.config_file.write_text(before)
    paths.config_file.chmod(0o600)
    write_model(paths, "new")
    assert paths.config_file.read_text() == before.replace('"old"', '"new"')
    assert paths.config_file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (BOM + b"# a\r\nmodel = 'old'  # b\r\n", BOM + b'# a\r\nmodel = "new"  # b\r\n'),
        (BOM + b"threads = 1\r\n", BOM + b'threads = 1\r\nmodel = "new"\r\n'),
        (b"threads = 1\r\n\r\n# end\r\n", b'threads = 1\r\n\r\n# end\r\nmodel = "new"\r\n'),
        (b"threads = 1", b'threads = 1\nmodel = "new"\n'),
        (b"threads = 1\r\nport = 1\n", b'threads = 1\r\nport = 1\nmodel = "new"\n'),
        (b"model = 'new'", b"model = 'new'"),
        (b"# \xc3\xbc\t \nmodel = 'a'\n\n\n", b'# \xc3\xbc\t \nmodel = "new"\n\n\n'),
    ],
)  # fmt: skip
def test_choosing_a_model_changes_no_other_byte(paths: Paths, before: bytes, after: bytes) -> None:
    paths.config_file.write_bytes(before)
    write_model(paths, "new")
    assert paths.config_file.read_bytes() == after


def test_a_model_that_fails_is_not_chosen(paths: Paths) -> None:
    paths.config_file.write_text("threads = 2\n")
    with pytest.raises(RuntimeError), choosing_model(paths, "new"):
        raise RuntimeError("of the daemon's")
    assert [(f.name, f.read_text()) for f in paths.config.iterdir()] == [
        ("config.toml", "threads = 2\n")
    ]


def test_an_edit_during_the_switch_is_kept(paths: Paths) -> None:
    paths.config_file.write_text("threads = 2\n")
    with choosing_model(paths, "new"):
        paths.config_file.write_text("threads = 3\n")
    assert load_config(paths) == Config(model="new", threads=3)


def test_an_unwritable_file_is_detected_before_the_switch(paths: Paths) -> None:
    paths.config_file.symlink_to("/nowhere/config.toml")
    with pytest.raises(ConfigError, match="is a link to /nowhere"), choosing_model(paths, "new"):
        pytest.fail("the daemon has been asked to change")


def test_the_remedy_for_a_read_only_file_is_the_line_to_write(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example, a file made by a package manager for the home."""

    def read_only(*_: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(ConfigError, match="Read-only") as caught:
        write_model(paths, "new")
    assert 'model = "new"' in caught.value.hint


def test_a_file_in_another_encoding_is_an_error(paths: Paths) -> None:
    paths.config_file.write_bytes("model = 'ü'".encode("utf-16"))
    with pytest.raises(ConfigError, match="not UTF-8 text") as caught:
        load_config(paths)
    assert caught.value.hint == "save it as UTF-8"


def test_a_file_written_by_notepad_is_read_and_changed(paths: Paths) -> None:
    paths.config_file.write_text("threads = 2\n", encoding="utf-8-sig")
    write_model(paths, "new")
    assert load_config(paths) == Config(model="new", threads=2)


def test_choosing_a_model_without_a_file_makes_one(paths: Paths) -> None:
    write_model(paths, "new")
    assert load_config(paths) == Config(model="new")


def test_choosing_a_model_follows_a_link_to_the_real_file(paths: Paths, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.toml"
    real.write_text("threads = 3\n")
    paths.config_file.symlink_to(real)
    write_model(paths, "new")
    assert paths.config_file.is_symlink()
    assert load_config(paths) == Config(model="new", threads=3)


def test_a_broken_file_is_not_overwritten(paths: Paths) -> None:
    paths.config_file.write_text("port = ")
    with pytest.raises(ConfigError):
        write_model(paths, "new")
    assert paths.config_file.read_text() == "port = "
