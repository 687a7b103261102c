"""Faults of a hub or a network: a pull reports them and loses nothing, and the next continues."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from llmsuggestd.errors import ExitCode
from tests.conftest import COMMAND

from .conftest import REPO, SHARDS, Puller, pulling_from, write_checkpoint

LAST = SHARDS[-1]
"""The shard that each case fails to download; the others are complete."""


@dataclass
class Case:
    """A fault, and the expected error."""

    wrong: Callable[[Puller], dict[str, str] | None]
    """Causes the fault at the hub. May return variables for the command."""
    code: int
    words: str
    hint: str


def status(part: str, code: int, **headers: str) -> Callable[[Puller], None]:
    """Answer requests whose path contains `part` with a status."""

    def wrong(puller: Puller) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        puller.hub.faults.statuses = {part: (code, named)}

    return wrong


def down(_: Puller) -> dict[str, str]:
    return {"HF_ENDPOINT": "http://127.0.0.1:9"}


def no_hub(puller: Puller) -> dict[str, str]:
    puller.hub.faults.statuses = {"/portal/": (200, {"Content-Type": "text/html"})}
    return {"HF_ENDPOINT": f"{puller.hub.url}/portal"}


def stalled(puller: Puller) -> dict[str, str]:
    puller.hub.faults.stall_after[LAST] = 0
    return {"HF_HUB_DOWNLOAD_TIMEOUT": "1"}


def refuses_token(puller: Puller) -> dict[str, str]:
    status("/api/", 401)(puller)
    return {"HF_TOKEN": "hf_old"}


def damaged(puller: Puller) -> None:
    puller.hub.faults.damaged[LAST] = 2


def longer_than_said(puller: Puller) -> None:
    puller.hub.faults.listed_bytes[LAST] = (puller.hub.repos[REPO] / LAST).stat().st_size - 5


def shorter_than_said(puller: Puller) -> None:
    puller.hub.faults.listed_bytes[LAST] = (puller.hub.repos[REPO] / LAST).stat().st_size + 5


CASES = {
    "down": Case(down, ExitCode.NETWORK, "http://127.0.0.1:9: ", "is the network up?"),
    "no hub": Case(no_hub, ExitCode.NETWORK, "does not answer like the hub", "HF_ENDPOINT"),
    "500 at once": Case(status("/api/", 500), ExitCode.NETWORK, "answers 500", "try again later"),
    "500 at a file": Case(status("/cdn/", 500), ExitCode.NETWORK, "answers 500", "again later"),
    "429": Case(
        status("/cdn/", 429, Retry_After="0"), ExitCode.NETWORK, "too many requests", "some minutes"
    ),
    "429 for an hour": Case(
        status("/api/", 429, Retry_After="3600"), ExitCode.NETWORK, "(429)", "in 60 minutes"
    ),
    "401": Case(status("/api/", 401), ExitCode.INPUT, "knows no such repository", "set HF_TOKEN"),
    "401 with a token": Case(
        refuses_token, ExitCode.INPUT, "refuses your token", "set HF_TOKEN"
    ),
    "403": Case(status("/resolve/", 403), ExitCode.INPUT, "authors' consent", "set HF_TOKEN"),
    "404": Case(
        status("/api/", 404, X_Error_Code="RepoNotFound"), ExitCode.INPUT,
        "knows no such repository", "is the name right?",
    ),
    "a file is gone": Case(
        status(LAST, 404, X_Error_Code="EntryNotFound"), ExitCode.INPUT, f"no file {LAST}", "see "
    ),
    "stalled": Case(stalled, ExitCode.NETWORK, "timed out", "is the network up?"),
    "damaged": Case(damaged, ExitCode.NETWORK, "arrived damaged twice", "without the mirror"),
    "longer than said": Case(
        longer_than_said, ExitCode.NETWORK, "the server sends", "without the mirror"
    ),
    "shorter than said": Case(
        shorter_than_said, ExitCode.NETWORK, "the server sends", "without the mirror"
    ),
}  # fmt: skip


@dataclass
class Outcome:
    """The result of a case: the pull's result, and its folder before and after."""

    code: int
    errors: str
    before: dict[str, int]
    after: dict[str, int]


def there(puller: Puller) -> dict[str, int]:
    """The weights in the download's folder, with their times."""
    return {file.name: file.stat().st_mtime_ns for file in puller.folder.glob("*.safetensors")}


@pytest.fixture(scope="module")
def outcomes(checkpoint: Path) -> Iterator[dict[str, Outcome]]:
    """All cases, each with two of three shards downloaded, run in parallel, since most wait."""
    with pulling_from(checkpoint) as first:
        status(LAST, 404, X_Error_Code="EntryNotFound")(first)
        assert first.run("pull", REPO).returncode == ExitCode.INPUT

        def play(case: Case) -> Outcome:
            with pulling_from(checkpoint) as puller:
                shutil.copytree(first.folder, puller.folder)
                before = there(puller)
                failed = puller.run("pull", REPO, **(case.wrong(puller) or {}))
                return Outcome(failed.returncode, failed.stderr, before, there(puller))

        with ThreadPoolExecutor(len(CASES)) as pool:
            yield dict(zip(CASES, pool.map(play, CASES.values()), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_the_fault_is_reported_and_nothing_is_lost(outcomes: dict[str, Outcome], name: str) -> None:
    case, outcome = CASES[name], outcomes[name]
    lines = outcome.errors.splitlines()
    assert outcome.code == case.code, outcome.errors
    assert lines[-2].startswith("llmsuggestd: ")
    assert case.words in lines[-2]
    assert lines[-1].startswith("  → ")
    assert case.hint in lines[-1]
    assert "Traceback" not in outcome.errors
    assert outcome.before == outcome.after
    assert len(outcome.after) == 2


def test_the_next_pull_fetches_only_what_is_missing(puller: Puller) -> None:
    for wrong in (status(LAST, 410), damaged, longer_than_said):
        wrong(puller)
        assert puller.run("pull", REPO).returncode == ExitCode.NETWORK
        puller.hub.faults = type(puller.hub.faults)()
    assert puller.run("pull", REPO).returncode == 0
    assert [puller.hub.asked.count(name) for name in SHARDS[:2]] == [1, 1]


def test_a_transfer_that_breaks_off_is_continued(puller: Puller) -> None:
    size = (puller.hub.repos[REPO] / LAST).stat().st_size
    puller.hub.faults.cut_after[LAST] = size // 3 + 1
    result = puller.run("pull", REPO)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("trying again in 1 s") == puller.hub.asked.count(LAST) - 1 >= 2
    assert puller.hub.sent[LAST] == size


def test_a_damaged_byte_is_noticed_and_fetched_again(puller: Puller) -> None:
    puller.hub.faults.damaged[LAST] = 1
    result = puller.run("pull", REPO)
    assert result.returncode == 0, result.stderr
    assert f"{LAST} arrived damaged; fetching it again" in result.stderr
    assert puller.hub.asked.count(LAST) == 2


def test_a_small_file_is_checked_too(puller: Puller) -> None:
    puller.hub.faults.damaged["config.json"] = 2
    result = puller.run("pull", REPO)
    assert result.returncode == ExitCode.NETWORK
    assert "config.json: arrived damaged twice (its sha1" in result.stderr


def test_a_server_without_range_requests(puller: Puller) -> None:
    puller.hub.rate = 1e6
    process = puller.start("pull", REPO)
    while puller.hub.sent[SHARDS[0]] < 200_000:
        with contextlib.suppress(Exception):
            process.wait(0.02)
    process.kill()
    process.wait()
    puller.hub.rate, puller.hub.faults.without_parts = 0, True
    result = puller.run("pull", REPO)
    assert result.returncode == 0, result.stderr
    assert "the server cannot continue; fetching it from the start" in result.stderr


def test_an_unsupported_checkpoint_is_refused_and_leaves_nothing(
    tmp_path: Path, pulling: Callable[[Path], contextlib.AbstractContextManager[Puller]]
) -> None:
    folder = write_checkpoint(tmp_path / "served", model_type="llama", architectures=["Llama"])
    with pulling(folder) as puller:
        result = puller.run("pull", REPO)
        assert result.returncode == ExitCode.INPUT
        assert "this is Llama, which cannot be converted" in result.stderr
        assert not set(SHARDS) & set(puller.hub.asked)
        assert not puller.home.paths.downloads.exists()


def test_an_error_after_the_download_names_how_to_free_the_disk(
    tmp_path: Path, pulling: Callable[[Path], contextlib.AbstractContextManager[Puller]]
) -> None:
    folder = write_checkpoint(tmp_path / "served")
    short = (folder / LAST).read_bytes()[:-100]
    (folder / LAST).write_bytes(short)
    with pulling(folder) as puller:
        result = puller.run("pull", REPO)
        assert result.returncode == ExitCode.INPUT
        assert f"{LAST}: cut short" in result.stderr
        assert (
            "the hub's file has this fault; `llmsuggestd models remove tuned-model`"
            in result.stderr
        )
        assert puller.run("remove", "tuned-model").returncode == 0
        assert not puller.home.paths.downloads.exists()


def test_not_enough_disk_space(puller: Puller) -> None:
    for name in SHARDS:
        puller.hub.faults.listed_bytes[name] = 10**15
    result = puller.run("pull", REPO)
    assert result.returncode == ExitCode.ERROR
    assert "not enough room" in result.stderr
    assert "3000000.00 GB are needed" in result.stderr
    assert not set(SHARDS) & set(puller.hub.asked)


@pytest.mark.skipif(sys.platform == "win32", reason="no `ulimit`")
def test_a_disk_that_fills_up_during_a_download(puller: Puller) -> None:
    """A limit on file sizes makes a write fail half way, as a full disk does."""
    limited = subprocess.run(
        ["sh", "-c", 'ulimit -f 400; exec "$@"', "sh", *COMMAND, "models", "pull", REPO],
        capture_output=True, text=True, timeout=60, env=puller.env,
    )  # fmt: skip
    assert limited.returncode == ExitCode.ERROR
    assert f"cannot write to {puller.folder}" in limited.stderr
    assert "continues where it stopped" in limited.stderr
    assert "Traceback" not in limited.stderr
    here = puller.bytes_here()
    assert 0 < here <= 400 * 1024  # a block has 512 or 1024 bytes
    sent = sum(puller.hub.sent[name] for name in SHARDS)
    result = puller.run("pull", REPO)
    assert result.returncode == 0, result.stderr
    rest = sum(puller.hub.sent[name] for name in SHARDS) - sent
    assert rest <= sum((puller.hub.repos[REPO] / name).stat().st_size for name in SHARDS) - here


@pytest.mark.parametrize(
    "name", ["nothing", "a/b/c", "../x/y", "/etc/passwd", "a/..", "a/../b.gguf", "a/b@", "a/b/c/"]
)
def test_an_invalid_name_makes_no_request(puller: Puller, name: str) -> None:
    result = puller.run("pull", name)
    assert result.returncode == ExitCode.USAGE
    assert "neither in the catalogue nor a repository" in result.stderr
    assert puller.hub.tokens == {}


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "", "x" * 101, "a\nb"])
def test_an_id_cannot_be_a_path(puller: Puller, name: str) -> None:
    for arguments in (["pull", REPO, "--name", name], ["remove", name]):
        result = puller.run(*arguments)
        assert result.returncode == ExitCode.USAGE, arguments
        assert "cannot be a model's id" in result.stderr
    assert puller.hub.asked == []


@pytest.mark.parametrize(
    ("variable", "value"), [("HF_HUB_DOWNLOAD_TIMEOUT", "abc"), ("HF_ENDPOINT", "http://[bad")]
)
def test_a_variable_that_cannot_be_used(puller: Puller, variable: str, value: str) -> None:
    result = puller.run("pull", REPO, **{variable: value})
    assert result.returncode == ExitCode.CONFIG
    assert result.stderr.startswith(f"llmsuggestd: {variable}={value}: ")
    assert "Traceback" not in result.stderr


def test_quantised_weights_are_refused_before_the_download(
    tmp_path: Path, pulling: Callable[[Path], contextlib.AbstractContextManager[Puller]]
) -> None:
    settings = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    folder = write_checkpoint(tmp_path / "served", quantization_config=settings)
    with pulling(folder) as puller:
        result = puller.run("pull", REPO)
        assert result.returncode == ExitCode.INPUT
        assert f"llmsuggestd: {REPO}/config.json: quantization_config: the weights" in result.stderr
        assert not set(SHARDS) & set(puller.hub.asked)
        assert not puller.home.paths.downloads.exists()


def test_an_incomplete_checkpoint_is_refused_before_any_download(
    tmp_path: Path, pulling: Callable[[Path], contextlib.AbstractContextManager[Puller]]
) -> None:
    folder = write_checkpoint(tmp_path / "served")
    (folder / LAST).unlink()
    with pulling(folder) as puller:
        result = puller.run("pull", REPO)
        assert result.returncode == ExitCode.INPUT
        assert f"{REPO}: the shard {LAST} is missing" in result.stderr
        assert puller.hub.asked == []
