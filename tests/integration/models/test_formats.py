"""Models of other architectures, from a file or a repository to suggestions, and their formats."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmsuggestd.errors import ExitCode
from llmsuggestd.models.store import SHIPPED
from tests.conftest import Home
from tests.support.gguf_models import write_model

from .conftest import REPO, Puller, pulling_from

GOAL = "p q : Prop\nh : p ∧ q\n⊢ q ∧ p"
OWN = """model = "starter"

[formats.mine]
template = '''
<|im_start|>-- {name}
{context}
{state}<|im_end|>'''
special = ["<|im_start|>", "<|im_end|>"]
stop = ["\\n"]
goals = "all"
"""


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("qwen") / "qwen.gguf")


def suggest(home: Home, **fields: Any) -> dict[str, Any]:
    code, answer = home.curl("/v1/suggest", body={"goal": GOAL, "max_tokens": 8} | fields)
    assert code == 200, answer
    found: dict[str, Any] = answer
    return found


def test_from_a_file_to_suggestions(home: Home, qwen: Path) -> None:
    result = home.run("models", "import", str(qwen), "--format", "bfs-prover", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["format"] == "bfs-prover"
    home.serve("--model", "qwen")
    answer = suggest(home)
    assert len(answer["suggestions"]) == 5
    # this format shows all goals, but neither the file nor the name
    assert suggest(home, context="theorem t", name="t")["cached"]
    more = suggest(home, goal=f"{GOAL}\n\ncase two\n⊢ True")
    assert not more["cached"]
    assert more["timings"]["prompt_tokens"] > answer["timings"]["prompt_tokens"]
    prefixed = suggest(home, prefix="exact hp")
    assert all(s["text"].startswith("exact hp") for s in prefixed["suggestions"])
    # every view of the model shows its format
    status = home.client.request("GET", "/v1/status")
    assert status["model"]["format"] == "bfs-prover"
    (model,) = home.client.request("GET", "/v1/models")["models"]
    assert model["format"] == "bfs-prover"
    assert "format   bfs-prover" in home.run("status").stdout
    assert " bfs-prover " in home.run("models", "list").stdout.splitlines()[1]
    assert "format bfs-prover, " in home.run("doctor", LLMSUGGESTD_MODEL="qwen").stdout


def test_a_users_format_is_used_without_restarting_the_daemon(home: Home, qwen: Path) -> None:
    home.install_starter()
    home.serve()
    home.paths.config_file.write_text(OWN, encoding="utf-8")
    result = home.run("models", "import", str(qwen), "--format", "mine")
    assert result.returncode == 0, result.stderr
    assert home.run("models", "use", "qwen").returncode == 0
    one = suggest(home, context="import A", name="t")
    assert one["suggestions"]
    assert not any("\n" in s["text"] for s in one["suggestions"])
    assert not suggest(home, context="import B", name="t")["cached"]
    assert not suggest(home, context="import A", name="u")["cached"]
    assert suggest(home, context="import A", name="t")["cached"]
    # a changed template counts as soon as the settings are read again
    home.paths.config_file.write_text(OWN.replace("-- {name}", "{name}!"), encoding="utf-8")
    assert home.run("models", "use", "qwen").returncode == 0
    assert not suggest(home, context="import A", name="t")["cached"]


def test_a_file_that_replaces_an_unloaded_model_is_asked_in_its_own_format(home: Home) -> None:
    home.install_starter()
    own = home.paths.models / "own.gguf"
    shutil.copy(SHIPPED, own)
    home.serve(LLMSUGGESTD_MODEL="own", LLMSUGGESTD_IDLE_UNLOAD="1")
    assert suggest(home)["suggestions"]
    home.wait_until(lambda status: status["engine_pid"] is None)
    own.unlink()
    shutil.copy(SHIPPED, own)
    record = {"source": "x", "licence": None, "bytes": own.stat().st_size, "format": "bfs-prover"}
    own.with_suffix(".json").write_text(json.dumps(record))
    suggest(home)
    assert home.client.request("GET", "/v1/status")["model"]["format"] == "bfs-prover"


def test_a_format_that_was_removed_from_the_settings_is_named(home: Home, qwen: Path) -> None:
    home.paths.config.mkdir(parents=True)
    home.paths.config_file.write_text(OWN, encoding="utf-8")
    assert home.run("models", "import", str(qwen), "--format", "mine").returncode == 0
    home.paths.config_file.write_text('model = "qwen"\n', encoding="utf-8")
    home.serve()
    code, answer = home.curl("/v1/suggest", body={"goal": GOAL})
    assert code == 503
    assert answer["error"]["message"] == "qwen: there is no format 'mine'"
    assert "qwen: there is no format 'mine'" in home.run("doctor").stdout


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        ([], "qwen.gguf does not name its prompt format", ExitCode.INPUT),
        (["--format", "bsf"], "there is no format 'bsf'", ExitCode.USAGE),
    ],
)
def test_without_a_valid_format_the_error_lists_all_formats(
    home: Home, qwen: Path, arguments: list[str], words: str, code: ExitCode
) -> None:
    home.paths.config.mkdir(parents=True)
    home.paths.config_file.write_text(OWN, encoding="utf-8")
    result = home.run("models", "import", str(qwen), *arguments)
    assert result.returncode == code
    assert result.stderr.startswith(f"llmsuggestd: {words}")
    assert "llmstep, bfs-prover, " in result.stderr
    assert ", mine" in result.stderr
    assert not list(home.paths.models.glob("*"))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('template = "prove it"', "`formats.mine`: its template has no {state}"),
        ('template = "{state}"\nstop = [""]', "`formats.mine`: one of its stop strings is empty"),
        ('template = "{state}{goal}"', "`formats.mine`: its template has a field {goal}"),
    ],
)
def test_an_invalid_format_in_the_settings_is_one_line(home: Home, table: str, words: str) -> None:
    home.paths.config.mkdir(parents=True)
    home.paths.config_file.write_text(f"port = 0\n\n[formats.mine]\n{table}\n", encoding="utf-8")
    for command in (["models", "list"], ["serve"], ["models", "import", str(SHIPPED)]):
        result = home.run(*command)
        assert result.returncode == ExitCode.CONFIG
        assert f"config.toml:3: {words}" in result.stderr
        assert "Traceback" not in result.stderr


def test_a_special_token_that_the_model_lacks_is_named(home: Home, tmp_path: Path) -> None:
    path = write_model(tmp_path / "other.gguf", specials=())
    result = home.run("models", "import", str(path), "--format", "chat")
    assert result.returncode == ExitCode.MODEL
    assert "no token '<|im_start|>', which the format chat needs" in result.stderr
    assert not list(home.paths.models.glob("*"))


def test_a_file_of_a_known_repository_needs_no_format(home: Home, tmp_path: Path) -> None:
    url = "https://huggingface.co/ByteDance-Seed/BFS-Prover-V2-7B"
    path = write_model(tmp_path / "v2.gguf", facts={"general.source.repo_url": url})
    result = home.run("models", "import", str(path), "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["format"] == "bfs-prover"


def test_a_model_added_manually_without_a_format_is_an_error(home: Home, qwen: Path) -> None:
    home.paths.models.mkdir(parents=True)
    shutil.copy(qwen, home.paths.models / "qwen.gguf")
    home.serve("--model", "qwen")
    code, answer = home.curl("/v1/suggest", body={"goal": GOAL})
    assert code == 503
    assert answer["error"]["message"] == "qwen.gguf does not name its prompt format"
    assert "--format: llmstep, " in answer["error"]["hint"]
    (model,) = home.client.request("GET", "/v1/models")["models"]
    assert model["format"] is None


@pytest.fixture
def hub(tmp_path: Path, qwen: Path) -> Iterator[Puller]:
    """A home, and a hub with a Qwen2."""
    folder = tmp_path / "served"
    folder.mkdir()
    shutil.copy(qwen, folder / "qwen.gguf")
    with pulling_from(folder) as puller:
        yield puller


def test_changing_the_format_needs_no_second_download(hub: Puller) -> None:
    result = hub.run("pull", REPO)
    assert result.returncode == ExitCode.INPUT
    assert "qwen.gguf does not name its prompt format" in result.stderr
    assert hub.run("pull", REPO, "--format", "bfs-prover").returncode == 0
    fetched = hub.hub.sent["qwen.gguf"]
    for name in ("ntp-mathlib-st", None):
        result = hub.run("pull", REPO, "--json", *(["--format", name] if name else []))
        assert result.returncode == 0, result.stderr
        assert json.loads(result.stdout)["format"] == "ntp-mathlib-st"
        assert hub.hub.sent["qwen.gguf"] == fetched
