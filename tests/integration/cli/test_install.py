"""`install`, `uninstall` and `doctor`, in an empty home."""

from __future__ import annotations

import json
from pathlib import Path

from llmsuggestd.models import store
from tests.conftest import Home


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


def test_a_dry_run_names_everything_and_writes_nothing(home: Home) -> None:
    result = home.run("install", "--dry-run")
    assert result.returncode == 0, result.stderr
    assert list(home.root.iterdir()) == []
    for path in [*home.paths.directories(), store.starter_path(home.paths)]:
        assert str(path) in result.stdout


def test_install_says_what_it_did_and_what_is_next(home: Home) -> None:
    result = home.run("install")
    assert result.returncode == 0, result.stderr
    assert files(home.root) == {"data/models/starter.gguf"}
    assert store.starter_path(home.paths).read_bytes() == store.SHIPPED.read_bytes()
    assert "llmsuggestd start" in result.stdout
    assert "[[require]]" in result.stdout
    lean = home.run("lean", "path").stdout.strip()
    assert f'path = "{lean}"' in result.stdout
    assert (Path(lean) / "lakefile.toml").is_file()
    assert (Path(lean) / "LlmSuggest.lean").is_file()


def test_a_second_install_changes_nothing(home: Home) -> None:
    home.run("install")
    before = store.starter_path(home.paths).stat().st_mtime_ns
    again = json.loads(home.run("install", "--json").stdout)
    assert not any(step["changed"] for step in again["steps"])
    assert store.starter_path(home.paths).stat().st_mtime_ns == before


def test_install_mends_a_damaged_model(home: Home) -> None:
    home.run("install")
    target = store.starter_path(home.paths)
    data = bytearray(target.read_bytes())
    data[len(data) // 2] ^= 1
    target.write_bytes(data)
    home.run("install")
    assert target.read_bytes() == store.SHIPPED.read_bytes()


def test_install_where_nothing_can_be_written(home: Home) -> None:
    (home.root / "data").write_text("a file in the way")
    result = home.run("install")
    assert result.returncode == 4
    assert result.stderr.startswith("llmsuggestd: cannot make the directory")
    assert "Traceback" not in result.stderr


def test_uninstall_keeps_models_and_purge_keeps_nothing(home: Home) -> None:
    home.run("install")
    assert home.run("start").returncode == 0
    home.paths.config_file.write_text("threads = 1\n")
    own = home.paths.models / "own.gguf"
    own.write_bytes(b"mine")
    result = home.run("uninstall")
    assert result.returncode == 0, result.stderr
    assert files(home.root) == {
        "config/config.toml",
        "data/models/own.gguf",
        "data/models/starter.gguf",
    }
    assert home.run("status").returncode == 3
    assert home.run("uninstall", "--purge").returncode == 0
    assert list(home.root.iterdir()) == []


def test_doctor_finds_everything_in_order(home: Home) -> None:
    home.run("install")
    home.run("start")
    findings = {f["part"]: f for f in json.loads(home.run("doctor", "--json").stdout)}
    assert set(findings) >= {
        "python", "llama.cpp", "device", "settings", "model", "socket", "curl", "lean", "service",
    }  # fmt: skip
    failed = {part: f for part, f in findings.items() if f["level"] == "failed"}
    assert failed == {}
    assert all(f["remedy"] for f in findings.values() if f["level"] != "ok")


def test_doctor_names_the_remedy_of_what_is_missing(home: Home) -> None:
    home.paths.config.mkdir()
    home.paths.config_file.write_text("port = 'many'\n")
    # no curl and no lean on an empty path
    result = home.run("doctor", PATH=str(home.root))
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    lines = result.stdout.splitlines()
    for part in ("settings", "model", "socket", "curl"):
        index = next(i for i, line in enumerate(lines) if line.split()[:2] == ["failed", part])
        assert lines[index + 1].strip().startswith("→ ")
