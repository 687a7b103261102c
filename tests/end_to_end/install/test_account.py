"""llmsuggestd in a whole account, without `$LLMSUGGESTD_HOME`.

The home is a temporary directory. All variables of the XDG specification are unset, as in a new
account. No service manager answers, so `start` makes a background process.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the home of a Linux account")

GOAL = "p q : Prop\nh : p ∧ q\n⊢ q ∧ p"


class Account:
    """An account: a home with the files of `adduser`, a runtime directory, and a command line."""

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.runtime = root / "run"
        self.bin = root / "bin"
        for folder in (self.home, self.bin):
            folder.mkdir()
        self.runtime.mkdir(mode=0o700)
        (self.home / ".profile").write_text("# as adduser makes it\n")
        self.service_manager(answers=False)  # in place of this machine's
        kept = {"LANG", "LD_LIBRARY_PATH", "TMPDIR"}
        self.env = {name: value for name, value in os.environ.items() if name in kept} | {
            "HOME": str(self.home),
            "PATH": f"{self.bin}:{Path(sys.executable).parent}:/usr/bin:/bin",
            "XDG_RUNTIME_DIR": str(self.runtime),
            "LLMSUGGESTD_PORT": "0",
        }

    def service_manager(
        self, *, answers: bool, refuses: str = "nothing", config: Path | None = None
    ) -> None:
        """Add a systemctl with a user manager that only makes and removes links, or with none.

        A command with the word `refuses` fails. `config` is the manager's own
        $XDG_CONFIG_HOME; it does not see the user's.
        """
        (self.bin / "systemctl").write_text(
            f"""#!/bin/sh
link="{config or self.home / ".config"}/systemd/user/default.target.wants/llmsuggestd.service"
case "$*" in
*{refuses}*) echo "no $*" >&2; exit 1;;
*show-environment*) echo "HOME={self.home}"; echo "XDG_CONFIG_HOME={config or ""}";;
*enable*) mkdir -p "${{link%/*}}"; ln -sf ../llmsuggestd.service "$link";;
*disable*) rm -f "$link";;
esac
exit {0 if answers else 1}
"""
        )
        (self.bin / "systemctl").chmod(0o755)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `llmsuggestd` as the account's user."""
        return subprocess.run(
            [sys.executable, "-P", "-m", "llmsuggestd", *arguments],
            env=self.env, cwd=self.home, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def listing(self) -> list[str]:
        """Every file and directory below the home and the runtime directory."""
        roots = (self.home, self.runtime)
        return sorted(str(path) for root in roots for path in [root, *root.rglob("*")])


@pytest.fixture
def account() -> Iterator[Account]:
    root = Path(tempfile.mkdtemp(prefix="llms-"))  # short, since the paths of sockets must be
    account = Account(root)
    try:
        yield account
    finally:
        account.run("stop")
        shutil.rmtree(root)


def test_purging_leaves_nothing_of_an_installation(account: Account) -> None:
    before = account.listing()
    said = account.run("install")
    assert said.returncode == 0, said.stderr
    made = [path for path in account.listing() if path not in before and Path(path).is_file()]
    assert made
    # it prints every file that it writes; of a copy of the Lean package, the folder
    lean = f"{account.home}/.local/share/llmsuggestd/lean/"
    assert [p for p in made if p not in said.stdout and not p.startswith(lean)] == []
    assert account.run("start").returncode == 0
    answer = json.loads(account.run("suggest", GOAL, "--json").stdout)
    assert answer["suggestions"]
    said = account.run("uninstall", "--purge")
    assert said.returncode == 0, said.stderr
    assert account.listing() == before
    assert account.run("status").returncode == 3


def test_start_before_install_names_the_command_for_login(account: Account) -> None:
    advice = "`llmsuggestd install` makes it start when you log in"
    said = account.run("start")
    assert said.returncode == 0, said.stderr
    assert advice not in said.stdout  # without a service manager
    account.run("stop")
    account.service_manager(answers=True)
    said = account.run("start")
    assert advice in said.stdout
    account.run("install")


def test_models_stay_and_a_later_purge_removes_everything(account: Account) -> None:
    before = account.listing()
    account.run("install")
    account.run("start")
    said = account.run("uninstall")
    assert "kept the models" in said.stdout
    left = [path for path in account.listing() if path not in before and Path(path).is_file()]
    assert sorted(Path(path).name for path in left) == ["install.json", "starter.gguf"]
    assert account.run("uninstall", "--purge").returncode == 0
    assert account.listing() == before


def test_the_users_own_files_stay(account: Account) -> None:
    account.run("install")
    own = [
        account.home / ".config" / "other-program.conf",
        account.home / ".config" / "llmsuggestd" / "notes.txt",
    ]
    for file in own:
        file.write_text("mine")
    assert account.run("uninstall", "--purge").returncode == 0
    assert all(file.read_text() == "mine" for file in own)


def test_the_trays_autostart_entry_is_removed_too(account: Account) -> None:
    before = account.listing()
    account.run("install")
    enable = "from llmsuggestd.tray import autostart; autostart.enable()"
    subprocess.run([sys.executable, "-P", "-c", enable], env=account.env, check=True, timeout=60)
    assert list((account.home / ".config" / "autostart").iterdir())
    said = account.run("uninstall", "--purge")
    assert "autostart" in said.stdout
    left = {path for path in account.listing() if path not in before}
    assert not any(Path(path).is_file() for path in left)


def test_the_tray_at_login_follows_an_installation_that_has_moved(account: Account) -> None:
    enable = "from llmsuggestd.tray import autostart; autostart.enable()"
    subprocess.run([sys.executable, "-P", "-c", enable], env=account.env, check=True, timeout=60)
    (entry,) = (account.home / ".config" / "autostart").iterdir()
    content = entry.read_text()
    entry.write_text(content.replace(sys.executable, "/moved/away/python"))
    assert str(entry) in account.run("install").stdout
    assert entry.read_text() == content
    # an entry that is disabled, or that a desktop has extended, is not changed
    for changed in (
        content.replace(sys.executable, "/moved/away/python") + "Hidden=true\n",
        content + "X-GNOME-Autostart-Delay=5\n",
    ):
        entry.write_text(changed)
        assert str(entry) not in account.run("install").stdout
        assert entry.read_text() == changed
    entry.unlink()
    account.run("install")
    assert not entry.exists()


def test_a_daemon_that_hangs_is_stopped_and_uninstalled(account: Account) -> None:
    account.run("install")
    account.run("start")
    pid = json.loads(account.run("status", "--json").stdout)["pid"]
    os.kill(pid, signal.SIGSTOP)  # it accepts connections, but does not answer
    said = account.run("stop")
    assert said.returncode == 0, said.stderr
    assert f"(pid {pid}) did not respond, and was ended by force" in said.stdout
    assert account.run("status").returncode == 3
    assert "not running" in account.run("stop").stdout
    assert account.run("start").returncode == 0  # in place of the dead daemon's socket
    assert account.run("suggest", GOAL).returncode == 0


def test_two_logins_with_different_variables_find_the_same_installation(account: Account) -> None:
    """A second install with another $XDG_CACHE_HOME leaves nothing of the first behind."""
    before = account.listing()
    account.run("install")
    account.env["XDG_CACHE_HOME"] = str(account.home / "elsewhere")
    assert account.run("install").returncode == 0
    assert account.run("uninstall", "--purge").returncode == 0
    assert account.listing() == before


def test_a_dry_run_plans_to_restart_the_daemon_under_the_new_service(account: Account) -> None:
    account.run("install")
    account.run("start")
    account.service_manager(answers=True)
    planned = account.run("install", "--dry-run").stdout
    assert "would register the service with systemd --user" in planned
    assert "would restart the running daemon" in planned


def test_a_service_is_removed_even_if_its_manager_no_longer_answers(account: Account) -> None:
    before = account.listing()
    account.service_manager(answers=True)
    account.run("install")
    unit = account.home / ".config" / "systemd" / "user" / "llmsuggestd.service"
    assert f"ExecStart={sys.executable} " in unit.read_text()
    account.service_manager(answers=False)
    account.run("install")  # for example from cron; the service must stay
    assert unit.exists()
    assert str(unit) in account.run("uninstall", "--purge").stdout
    assert account.listing() == before


def test_a_service_that_could_not_be_registered_is_registered_next_time(account: Account) -> None:
    link = account.home / ".config/systemd/user/default.target.wants/llmsuggestd.service"
    account.service_manager(answers=True, refuses="enable")
    said = account.run("install")
    assert said.returncode == 1
    message, hint = said.stderr.splitlines()
    assert "enable llmsuggestd.service" in message
    assert "`llmsuggestd install` again" in hint
    assert "starter.gguf" in said.stdout  # the earlier steps are printed
    account.service_manager(answers=True)
    findings = {f["part"]: f for f in json.loads(account.run("doctor", "--json").stdout)}
    assert findings["service"]["level"] == "warning"
    assert str(link) in findings["service"]["message"]
    assert account.run("install").returncode == 0
    assert link.is_symlink()
    findings = {f["part"]: f for f in json.loads(account.run("doctor", "--json").stdout)}
    assert findings["service"]["level"] == "ok"


def test_a_service_that_the_user_has_disabled_stays_disabled(account: Account) -> None:
    account.service_manager(answers=True)
    account.run("install")
    unit = account.home / ".config/systemd/user/llmsuggestd.service"
    link = unit.parent / "default.target.wants" / unit.name
    content = unit.read_text()
    link.unlink()  # systemctl --user disable
    unit.write_text("of another version")
    assert account.run("install").returncode == 0
    assert unit.read_text() == content
    assert not link.is_symlink()


def test_a_service_follows_an_installation_that_has_moved(account: Account) -> None:
    account.service_manager(answers=True)
    account.run("install")
    unit = account.home / ".config" / "systemd" / "user" / "llmsuggestd.service"
    unit.write_text(unit.read_text().replace(sys.executable, "/moved/away/python"))
    findings = {f["part"]: f for f in json.loads(account.run("doctor", "--json").stdout)}
    assert findings["service"]["level"] == "warning"
    account.run("install")
    assert f"ExecStart={sys.executable} " in unit.read_text()
    # the service gets the shell's folders, which its manager does not know
    account.env["XDG_DATA_HOME"] = account.env["XDG_CONFIG_HOME"] = str(account.home / "elsewhere")
    assert account.run("install").returncode == 0
    assert f"XDG_DATA_HOME={account.home / 'elsewhere'}\n" in unit.read_text()
    assert not (account.home / "elsewhere" / "systemd").exists()
    # the service's file moves to the folder that its manager now searches
    account.service_manager(answers=True, config=account.home / "elsewhere")
    said = account.run("install")
    assert f"remove what an earlier version made: {unit}" in said.stdout
    assert not unit.exists()
    assert (account.home / "elsewhere" / "systemd" / "user" / "llmsuggestd.service").exists()
