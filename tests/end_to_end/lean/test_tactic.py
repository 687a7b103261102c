"""The tactic with a scripted daemon: each Lean file checks its own messages."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import msgspec
import pytest

from llmsuggestd.daemon.schema import SuggestRequest
from llmsuggestd.goals import normalise
from tests.end_to_end.lean.fake_daemon import FakeDaemon
from tests.support.leanwasm import Lean
from tests.support.leanwasm.lean import PACKAGE

HERE = Path(__file__).resolve().parent
# The first run downloads a Lean and compiles the package: about three minutes on a slow machine.
pytestmark = [pytest.mark.lean, pytest.mark.timeout(600, func_only=True)]


def check(lean: Lean, file: Path, env: dict[str, str] | None = None) -> None:
    """Run a Lean file that tests itself with `#guard_msgs`. It prints nothing if it passes."""
    result = lean.run(file, env=env)
    assert (result.output, result.exit_code) == ("", 0)


@pytest.mark.parametrize(
    "file", sorted(PACKAGE.glob("LlmSuggestTest/*.lean")), ids=lambda f: f.stem
)
def test_package(lean: Lean, file: Path) -> None:
    """These are the files that `lake test` runs."""
    check(lean, file)


def test_suggestions(lean: Lean, fake: FakeDaemon) -> None:
    check(lean, HERE / "Suggestions.lean", fake.env)
    assert all(request["path"] == "/v1/suggest" for request in fake.requests)
    clients = {request["client"] for request in fake.requests}
    assert len(clients) == len(fake.requests), "each place in a file must have its own client name"
    asked = [request["goal"] for request in fake.requests]
    assert [normalise(goal) for goal in asked] == asked, "goals by Lean must need no normalising"


def test_the_name_of_a_client_fits_into_a_request(
    lean: Lean, fake: FakeDaemon, tmp_path: Path
) -> None:
    """The file's path may be longer than the name may be."""
    folder = tmp_path / ("deep" * 50)
    folder.mkdir()
    for name in ("Found.lean", "FakeDaemon.lean"):
        shutil.copy(HERE / name, folder)
    check(lean, folder / "Found.lean", fake.env)
    request = {name: value for name, value in fake.requests[0].items() if name != "path"}
    msgspec.convert(request, SuggestRequest)  # checks what the daemon would


def test_the_state_the_file_above_and_the_name(lean: Lean, fake: FakeDaemon) -> None:
    check(lean, HERE / "Context.lean", fake.env)
    *_, several, focused = [request["goal"] for request in fake.requests]
    left, right = (f"case {name}\np q : Prop\nhp : p\nhq : q\n⊢ " for name in ("left", "right"))
    assert several == f"{left}p\n\n{right}q"
    assert focused == f"{left}p"


def test_checks(lean: Lean, fake: FakeDaemon) -> None:
    check(lean, HERE / "Checks.lean", fake.env)


def test_hostile_answers(lean: Lean, fake: FakeDaemon) -> None:
    check(lean, HERE / "Hostile.lean", fake.env)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux only")
def test_memory(lean: Lean, fake: FakeDaemon) -> None:
    check(lean, HERE / "Memory.lean", fake.env)


def test_try(lean: Lean, fake: FakeDaemon) -> None:
    check(lean, HERE / "Try.lean", fake.env)


def test_the_server_of_a_remote_model(lean: Lean, fake: FakeDaemon) -> None:
    check(lean, HERE / "Remote.lean", fake.env)


def test_insertion(lean: Lean, fake: FakeDaemon) -> None:
    check(lean, HERE / "Insertion.lean", fake.env)


def test_nearly_a_step(lean: Lean, fake: FakeDaemon) -> None:
    check(lean, HERE / "Mended.lean", fake.env)


def test_what_a_step_leaves_is_finished(lean: Lean, fake: FakeDaemon) -> None:
    check(lean, HERE / "Finished.lean", fake.env)


def test_the_library_is_read_once(lean: Lean, fake: FakeDaemon) -> None:
    check(lean, HERE / "Library.lean", fake.env)


def test_a_model_that_does_not_know_mathlib(lean: Lean, fake: FakeDaemon) -> None:
    check(lean, HERE / "WithMathlib.lean", fake.env)


def test_a_call_that_is_run_several_times(lean: Lean, fake: FakeDaemon) -> None:
    check(lean, HERE / "Several.lean", fake.env)


def test_a_call_that_the_file_does_not_have(lean: Lean, fake: FakeDaemon) -> None:
    check(lean, HERE / "Elsewhere.lean", fake.env)


def test_daemon_found(lean: Lean, fake: FakeDaemon) -> None:
    check(lean, HERE / "Discovery.lean", fake.env | {"LLMSUGGESTD_SOCKET": ""})


# Variables, and the socket of a daemon with these variables, relative to the user's home.
PLACES = {
    "home": ({"LLMSUGGESTD_HOME": "$HOME/own"}, "own/runtime/daemon.sock"),
    "tilde": ({"LLMSUGGESTD_HOME": "~/own"}, "own/runtime/daemon.sock"),
    "tilde in the socket": ({"LLMSUGGESTD_SOCKET": "~/own/x.sock"}, "own/x.sock"),
    "runtime directory": ({"XDG_RUNTIME_DIR": "$HOME/700/"}, "700/llmsuggestd/daemon.sock"),
    "open to others": (
        {"XDG_RUNTIME_DIR": "$HOME/755"},
        ".local/state/llmsuggestd/run/daemon.sock",
    ),
    "a link": ({"XDG_RUNTIME_DIR": "$HOME/link/"}, ".local/state/llmsuggestd/run/daemon.sock"),
    "missing": ({"XDG_RUNTIME_DIR": "$HOME/x"}, ".local/state/llmsuggestd/run/daemon.sock"),
    "relative": ({"XDG_STATE_HOME": "state"}, ".local/state/llmsuggestd/run/daemon.sock"),
    "state": ({"XDG_STATE_HOME": "$HOME/s"}, "s/llmsuggestd/run/daemon.sock"),
}


@pytest.mark.skipif(Path(f"/run/user/{os.getuid()}").exists(), reason="this user has a session")
@pytest.mark.parametrize(
    ("place", "has_record"),
    [*((place, False) for place in PLACES), ("home", True), ("runtime directory", True)],
)
def test_daemon_found_in_the_usual_place(
    place: str, has_record: bool, lean: Lean, fake: FakeDaemon
) -> None:
    """Without a `client.json` of this machine, the tactic looks where llmsuggestd/paths.py says."""
    home = fake.directory / "user"
    for name, mode in (("700", 0o700), ("755", 0o755), ("own/config", 0o700)):
        (home / name).mkdir(mode, parents=True)
    (home / "link").symlink_to(home / "700")
    variables, at = PLACES[place]
    env = fake.env | {"HOME": str(home), "LLMSUGGESTD_HOME": "", "LLMSUGGESTD_SOCKET": ""}
    env |= {"XDG_CONFIG_HOME": "", "XDG_STATE_HOME": "", "XDG_RUNTIME_DIR": ""}
    env |= {name: value.replace("$HOME", str(home)) for name, value in variables.items()}
    (home / at).parent.mkdir(0o700, parents=True, exist_ok=True)
    (home / at).symlink_to(fake.directory / "socket")
    for wrong in ("755", "link"):  # the tactic must not look here
        (home / wrong / "llmsuggestd").mkdir(exist_ok=True)
    if has_record:  # of another machine's daemon
        record = {"socket": "/x", "url": "", "token_file": ""}
        for config in (home / "own/config", home / ".config/llmsuggestd"):
            config.mkdir(parents=True, exist_ok=True)
            (config / "client.json").write_text(json.dumps(record))
    check(lean, HERE / "Found.lean", env)


def test_no_curl(lean: Lean, fake: FakeDaemon) -> None:
    check(lean, HERE / "NoCurl.lean", fake.env | {"PATH": str(fake.directory)})
