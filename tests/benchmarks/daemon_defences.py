"""Removes each defence of docs/security.md once, in a copy of the checkout. Its test must fail.

    python tests/benchmarks/daemon_defences.py [WORD ...]

With words, only defences with one of them in their name. Run it as root, with Chromium installed.
Otherwise, tests that need these are skipped, and a skipped test proves nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DAEMON = "llmsuggestd/daemon"
SECURITY = "tests/integration/security"
REQUESTS, LIMITS = f"{SECURITY}/test_requests.py", f"{SECURITY}/test_limits.py"
USER, BROWSER = f"{SECURITY}/test_another_user.py", f"{SECURITY}/test_browser.py"
SECRETS = f"{SECURITY}/test_secrets.py"
LIFECYCLE = "tests/integration/daemon/test_lifecycle.py"
ROBUSTNESS = "tests/integration/daemon/test_robustness.py"


@dataclass(frozen=True)
class Defence:
    """A defence, the edits that remove it, and the tests that must then fail."""

    name: str
    edits: tuple[tuple[str, str, str], ...]
    """File, text, and its replacement."""
    tests: tuple[str, ...]


def edit(file: str, old: str, new: str) -> tuple[tuple[str, str, str], ...]:
    """An edit in a file of the daemon, or in the given file."""
    return ((file if "/" in file else f"{DAEMON}/{file}", old, new),)


DEFENCES = [
    Defence("Host allow-list",
            edit("access.py", "if len(hosts) != 1 or not LOCAL_HOST.fullmatch(hosts[0]):",
                 "if False:"),
            (f"{REQUESTS}::test_a_host_that_is_not_this_machine",
             f"{BROWSER}::test_a_rebound_name_gets_nothing")),
    Defence("no web pages",
            edit("access.py", "if any(name in request.headers for name in BROWSER_HEADERS):",
                 "if False:"),
            (f"{REQUESTS}::test_headers_that_only_browsers_send_are_refused",
             f"{REQUESTS}::test_there_is_no_cors",
             f"{BROWSER}::test_a_page_of_the_daemons_own_origin_gets_nothing",
             f"{BROWSER}::test_a_page_gets_nothing")),
    Defence("bearer token", edit("access.py", "if door.needs_token and ", "if False and "),
            (f"{REQUESTS}::test_the_port_answers_nothing_without_the_token",
             f"{USER}::test_the_port_gives_nothing_without_the_token")),
    Defence("comparison in constant time",
            edit("access.py", "hmac.compare_digest(", "(lambda one, other: one == other)("),
            ("tests/unit/daemon/test_access.py",)),
    Defence("peer of the Unix socket", edit("access.py", "uid = unix_peer(sock)", "uid = None"),
            (f"{USER}::test_a_socket_open_to_all_still_refuses_other_users",)),
    Defence("peer of a TCP connection",
            edit("access.py", "uid = tcp_peer(sock.getpeername(), sock.getsockname())", "uid = 0"),
            (f"{USER}::test_a_listener_without_a_token_refuses_other_users",)),
    Defence("orphaned connections", edit("access.py", ' and columns[9] != "0"', ""),
            ("tests/unit/daemon/test_access.py",)),
    Defence("mode of the socket", edit("listeners.py", "path.chmod(0o600)", "path.chmod(0o666)"),
            (f"{LIFECYCLE}::test_the_socket_and_its_neighbours_are_private",)),
    Defence("mode of the socket's directory",
            (*edit("llmsuggestd/files.py", "directory.chmod(0o700)", "directory.chmod(0o755)"),
             *edit("llmsuggestd/files.py", "directory.mkdir(mode=0o700,", "directory.mkdir(")),
            (f"{LIFECYCLE}::test_the_socket_and_its_neighbours_are_private",)),
    Defence("owner of the socket's directory",
            edit("llmsuggestd/files.py", "if owner != os.getuid():", "if False:"),
            (f"{USER}::test_a_directory_of_another_user_is_not_used",)),
    Defence("open directories are refused",
            edit("listeners.py", "    check_place(path, chosen=chosen)\n", ""),
            (f"{LIFECYCLE}::test_a_socket_in_a_directory_open_to_others_is_refused",)),
    Defence("sockets from systemd are checked",
            edit("server.py", "        check_inherited(listener)\n", ""),
            (f"{ROBUSTNESS}::test_an_open_socket_from_systemd_is_refused",)),
    Defence("token file of others",
            edit("server.py", "if len(token) >= 32 and private:", "if len(token) >= 32:"),
            (f"{USER}::test_a_token_that_others_could_read_is_replaced",)),
    Defence("nothing is written for others", edit("server.py", "os.umask(0o077)", "os.umask(0)"),
            (f"{SECRETS}::test_no_file_can_be_read_by_other_users",)),
    Defence("content type", edit("calls.py", "if request.content_type != JSON:", "if False:"),
            (f"{REQUESTS}::test_the_content_type_must_be_json",)),
    Defence("127.0.0.1 only", edit("listeners.py", '(("127.0.0.1", port))', '(("0.0.0.0", port))'),
            (f"{REQUESTS}::test_the_daemon_listens_only_on_127_0_0_1",)),
    Defence("listeners off by default",
            edit("llmsuggestd/config.py", "    ] = ()\n", '    ] = ("llmstep:0",)\n'),
            ("tests/integration/daemon/test_compat.py::"
             "test_listeners_are_off_by_default_and_logged_when_opened",)),
    Defence("listeners say what they open",
            edit("server.py", '.warning(\n        "compat', '.debug(\n        "compat'),
            ("tests/integration/daemon/test_compat.py::"
             "test_listeners_are_off_by_default_and_logged_when_opened",)),
    Defence("listeners for their calls only",
            edit("app.py", "if door.group in (None, call.group):", "if True:"),
            (f"{REQUESTS}::test_a_compatibility_listener_answers_its_client_and_nothing_else",)),
    Defence("size of a body", edit("app.py", "client_max_size=MAX_BODY", "client_max_size=2**30"),
            (f"{LIMITS}::test_a_body_over_the_limit_is_refused",)),
    Defence("compressed bodies",
            edit("listeners.py", "auto_decompress=False", "auto_decompress=True"),
            (f"{LIMITS}::test_a_compressed_body_is_not_expanded",)),
    Defence("size of headers",
            edit("listeners.py", "auto_decompress=False,", "auto_decompress=False, "
                 "max_line_size=2**20, max_field_size=2**20, max_headers=10**6,"),
            (f"{LIMITS}::test_headers_over_the_limit",)),
    Defence("time for a head", edit("listeners.py", "IDLE_TIMEOUT: Final = 15.0",
                                    "IDLE_TIMEOUT: Final = 600.0"),
            (f"{LIMITS}::test_slow_clients_are_dropped",)),
    Defence("time for a body", edit("calls.py", "BODY_TIMEOUT: Final = 10.0",
                                    "BODY_TIMEOUT: Final = 600.0"),
            (f"{LIMITS}::test_slow_clients_are_dropped",)),
    Defence("time to take an answer", edit("app.py", "WRITE_TIMEOUT: Final = 10.0",
                                           "WRITE_TIMEOUT: Final = 600.0"),
            (f"{LIMITS}::test_slow_clients_are_dropped",)),
    Defence("connections", edit("listeners.py", "MAX_CONNECTIONS: Final = 128",
                                "MAX_CONNECTIONS: Final = 1280"),
            (f"{LIMITS}::test_a_client_with_many_connections_leaves_the_other_doors_open",)),
    Defence("event streams", edit("api.py", "MAX_STREAMS: Final = 16", "MAX_STREAMS: Final = 160"),
            (f"{LIMITS}::test_event_listeners_are_counted",)),
    Defence("questions waiting", edit("suggester.py", "MAX_QUEUE: Final = 32",
                                      "MAX_QUEUE: Final = 3200"),
            (f"{LIMITS}::test_the_queue_is_bounded",)),
    Defence("size of the cache",
            edit("cache.py", "while len(self._answers) > MAX_ANSWERS or", "while False and"),
            ("tests/unit/daemon/test_cache.py",)),
    Defence("model ids are no paths",
            (("llmsuggestd/config.py", 'MODEL_ID: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"',
              'MODEL_ID: Final = r"(?s)^.*$"'),
             ("llmsuggestd/models/store.py", "    if re.fullmatch(MODEL_ID, model_id):\n",
              "    if (paths.models / f'{model_id}.gguf').exists():\n"
              "        return Model(model_id, paths.models / f'{model_id}.gguf', 0)\n"
              "    if re.fullmatch(MODEL_ID, model_id):\n")),
            (f"{REQUESTS}::test_a_path_is_no_model_id",)),
    Defence("the engine's environment",
            edit("llmsuggestd/environment.py", "if row is not None and process in row.reach", ""),
            (f"{SECRETS}::test_the_engines_environment_is_scrubbed",)),
    Defence("no goals in the log", edit("daemon.py", "if self.config.log_goals:", "if True:"),
            (f"{SECRETS}::test_goals_are_in_no_log_and_no_metric",)),
    Defence("no quotes of what is not HTTP",
            edit("listeners.py", "def handle_error(", "def unused("),
            (f"{SECRETS}::test_goals_are_in_no_log_and_no_metric",)),
    Defence("one daemon per home",
            edit("llmsuggestd/lock.py", "            _lock(handle, held)\n        except Blocking",
                 "            pass\n        except Blocking"),
            (f"{LIFECYCLE}::test_a_second_daemon_is_refused",
             f"{ROBUSTNESS}::test_ten_starts_at_once")),
    Defence("a live socket is not replaced",
            edit("listeners.py", "            probe.connect(str(path))\n",
                 "            raise ConnectionRefusedError\n"),
            (f"{LIFECYCLE}::test_another_programs_live_socket_is_not_taken",)),
    Defence("the end waits for answers",
            edit("server.py", "await daemon.close(GRACE)", "await daemon.close(0)"),
            (f"{ROBUSTNESS}::test_requests_in_flight_finish",)),
]  # fmt: skip


def run_tests(root: Path, tests: tuple[str, ...]) -> str:
    """Run tests in a copy. Returns pytest's last line."""
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True,
        check=False, timeout=600,
    )  # fmt: skip
    return result.stdout.strip().splitlines()[-1]


def remove(defence: Defence) -> str:
    """The result of each test without a defence. Raises if the defence is not found."""
    words = []
    for test in defence.tests:
        with tempfile.TemporaryDirectory(prefix="llms-") as folder:
            root = Path(folder) / "copy"
            for name in ("llmsuggestd", "tests", "packaging", "lean", "convert"):
                shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns(
                    "__pycache__", "node_modules", "checkpoint"))  # fmt: skip
            shutil.copy(ROOT / "pyproject.toml", root)
            for file, old, new in defence.edits:
                text = (root / file).read_text()
                if text.count(old) != 1:
                    raise SystemExit(f"{defence.name}: {old!r} is not once in {file}")
                (root / file).write_text(text.replace(old, new))
            last = run_tests(root, (test,))
        failed = re.search(r"(\d+) failed", last)
        word = f"{failed[1]} failed" if failed else f"NOT NOTICED ({last})"
        words.append(f"{word}: {test.rpartition('/')[2]}")
    return "; ".join(words)


def main() -> None:
    """Run it."""
    wanted = sys.argv[1:]
    unnoticed = 0
    for defence in DEFENCES:
        if not wanted or any(word in defence.name for word in wanted):
            words = remove(defence)
            unnoticed += "NOT NOTICED" in words
            print(f"{defence.name}: {words}", flush=True)
    sys.exit(unnoticed > 0)


if __name__ == "__main__":
    main()
