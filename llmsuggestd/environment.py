"""Which variables of a shell reach the daemon and its engine, and what becomes of the others.

`TABLE` is the one list. A variable that it does not name reaches neither: it may be a secret, or
change answers in a way that nobody could explain. `start` gives the daemon what `for_daemon` lets
through, `install` writes `for_service` into the service, and the daemon gives its engine
`for_engine`. docs/reference/environment.md has the table for users.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from enum import Flag, auto
from pathlib import Path
from typing import Final, NamedTuple


class Reach(Flag):
    """The processes that get a variable from the shell."""

    NONE = 0
    DAEMON = auto()
    """The daemon, where `start` runs it in the background."""
    SERVICE = auto()
    """The daemon that a service manager runs: as the variable was when `install` ran."""
    ENGINE = auto()
    """The engine, from the daemon."""
    COMMANDS = auto()
    """Commands that use the network. (Every command sees all variables; these it acts on.)"""


class Row(NamedTuple):
    """What becomes of some variables."""

    names: str
    """Separated by spaces; a name that ends in `*` stands for all that begin so."""
    reach: Reach
    note: str
    """What they do, or what takes their place."""
    reported: bool = False
    """Whether `doctor` names those that are set."""


_HERE: Final = Reach.DAEMON | Reach.ENGINE
_EVERYWHERE: Final = Reach.DAEMON | Reach.SERVICE | Reach.ENGINE

PYTHON_OPTIONS: Final = ("-P", "-X", "utf8")
"""For a process of ours: modules never come from the current folder, and names of files are UTF-8
whatever the locale."""

LIBRARY_PATHS: Final = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH")
"""Where libraries are looked for first, which a shell's modules or an activated Conda may set."""

TABLE: Final = (
    # Dropped, though the prefixes further below would let them through.
    Row("VK_INSTANCE_LAYERS VK_LAYER_*", Reach.NONE, "overlays for games", reported=True),
    # Devices.
    Row(
        "CUDA_* NVIDIA_VISIBLE_DEVICES NVIDIA_DRIVER_CAPABILITIES HIP_* HSA_* ROCR_* ROCM_* GPU_*"
        " VK_* DRI_PRIME MESA_VK_* __NV_PRIME_* __VK_LAYER_NV_* SYCL_* ONEAPI_* ZE_*"
        " GGML_CUDA_* GGML_HIP_* GGML_METAL_* GGML_SYCL_* GGML_VK_*",
        _EVERYWHERE,
        "which GPU is used, and how",
        reported=True,
    ),
    # Libraries. Not in the service: a shell's modules come and go.
    Row(
        " ".join(LIBRARY_PATHS),
        _HERE,
        "where libraries are looked for first; not in a service",
        reported=True,
    ),
    Row("LLAMA_CPP_LIB_PATH", _EVERYWHERE, "the folder of llama.cpp's library", reported=True),
    # Where files are.
    Row("XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME", _EVERYWHERE, "our folders"),
    Row("XDG_RUNTIME_DIR", Reach.DAEMON, "the folder of the socket"),
    Row("XDG_CONFIG_DIRS XDG_DATA_DIRS", _HERE, "where GPU drivers are registered"),
    Row("LLMSUGGESTD_HOME LLMSUGGESTD_SOCKET", Reach.DAEMON | Reach.SERVICE, "our folders"),
    Row("LLMSUGGESTD_*", Reach.DAEMON, "settings; a service has config.toml only", reported=True),
    Row("HOME PATH TMPDIR", _HERE, "the system's"),
    Row("TZ", Reach.DAEMON, "the time in the log"),
    Row(
        "USERPROFILE HOMEDRIVE HOMEPATH APPDATA LOCALAPPDATA PROGRAMDATA PROGRAMFILES SYSTEMDRIVE"
        " SYSTEMROOT WINDIR TEMP TMP USERNAME USERDOMAIN",
        _HERE,
        "Windows'",
    ),
    # The network, of which only commands such as `models pull` make use.
    Row(
        "HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE"
        " CURL_CA_BUNDLE HF_* HUGGINGFACE_* HUGGING_FACE_HUB_TOKEN TRANSFORMERS_OFFLINE",
        Reach.COMMANDS,
        "how the Hugging Face hub is reached (models/hub_variables.py)",
    ),
    # Dropped, and worth a word: somebody may have set them for us.
    Row(
        "OMP_* GOMP_* KMP_* MKL_* OPENBLAS_* BLIS_* GOTO_* VECLIB_* NUMEXPR_*",
        Reach.NONE,
        "`threads` in config.toml decides",
        reported=True,
    ),
    Row("GGML_* LLAMA_*", Reach.NONE, "llama.cpp's, for its developers", reported=True),
    Row("LD_* DYLD_*", Reach.NONE, "they would change the engine's code", reported=True),
    Row("MALLOC_* GLIBC_TUNABLES", Reach.NONE, "they would change the engine's memory"),
    Row("PYTHON*", Reach.NONE, "they would have other modules imported"),
    Row("LANG LANGUAGE LC_*", Reach.NONE, "text is UTF-8 everywhere"),
)

ENGINE_SETTINGS: Final = {
    # Threads that wait for each other spin for a while (10,000 turns, less than a millisecond),
    # and do not at all while others want the cores: see engine/threads.py
    "OMP_WAIT_POLICY": "passive",
    "GOMP_SPINCOUNT": "10000",
    # numpy's library for matrices, of which the engine has none, would start threads that spin
    "OPENBLAS_NUM_THREADS": "1",
    # an abort is for the daemon to handle, not for a debugger
    "GGML_NO_BACKTRACE": "1",
    # numbers have a point, and no driver fails because a locale is not installed
    "LC_ALL": "C",
}
"""What an engine is told through its environment, whatever the shell says."""


def for_daemon(shell: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a daemon that `start` runs in the background."""
    return _that_reach(Reach.DAEMON, shell) | _ways_to_us(shell)


def for_service(shell: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What the shell in which `install` runs has the service know, beside what its manager says."""
    return _that_reach(Reach.SERVICE, shell) | _ways_to_us(shell)


def for_engine(daemon: Mapping[str, str] = os.environ, build: Path | None = None) -> dict[str, str]:
    """The environment of an engine, from its daemon's; `build` is the llama.cpp that it runs."""
    variables = _that_reach(Reach.ENGINE, daemon) | _ways_to_us(daemon) | ENGINE_SETTINGS
    if build is not None:
        ours = variables.get("PYTHONPATH")
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, [str(build), ours]))
    return variables


def forget_python_path() -> None:
    """Import nothing from the folders of PYTHONPATH from now on, unless this package is from there.

    Other programs set it for theirs: ROS, modules of a cluster. What lies there comes before the
    packages of the environment that we are installed in.
    """
    if not _ways_to_us(os.environ).get("PYTHONPATH"):
        others = _resolved(os.environ.get("PYTHONPATH", ""))
        sys.path[:] = [
            entry for entry in sys.path if not entry or Path(entry).resolve() not in others
        ]


def python_of_service() -> list[str]:
    """The interpreter as a service manager runs it, whose own environment nobody has sifted."""
    isolated = [] if _ways_to_us(os.environ) else ["-E"]
    return [sys.executable, *isolated, *PYTHON_OPTIONS]


def reported(shell: Mapping[str, str] = os.environ) -> Iterator[tuple[str, Row]]:
    """The variables that are set and that `doctor` names, each with its row, in the table's order.

    Those that the engine's own settings take the place of are among them.
    """
    for row in TABLE:
        if row.reported:
            yield from ((name, row) for name in sorted(shell) if row_of(name) is row)


def obeyed(shell: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Those variables that are set and reach the engine by somebody's choice."""
    return {name: shell[name] for name, row in reported(shell) if Reach.ENGINE in row.reach}


def row_of(name: str) -> Row | None:
    """The first row that names a variable, in capitals or not."""
    return next((row for row in TABLE if _names(row, name.upper())), None)


def _names(row: Row, name: str) -> bool:
    return any(
        name.startswith(entry[:-1]) if entry.endswith("*") else name == entry
        for entry in row.names.split()
    )


def _that_reach(process: Reach, shell: Mapping[str, str]) -> dict[str, str]:
    rows = ((name, row_of(name)) for name in shell)
    return {name: shell[name] for name, row in rows if row is not None and process in row.reach}


def _ways_to_us(shell: Mapping[str, str]) -> dict[str, str]:
    """Those variables of Python's by which this package, in an unusual place, is found."""
    here = Path(__file__).resolve().parents[1]
    found = {}
    if here in _resolved(shell.get("PYTHONPATH", "")):
        found["PYTHONPATH"] = shell["PYTHONPATH"]  # with what else we need, as a rule
    if (base := shell.get("PYTHONUSERBASE")) and here.is_relative_to(Path(base).resolve()):
        found["PYTHONUSERBASE"] = base
    return found


def _resolved(search_path: str) -> set[Path]:
    return {Path(entry).resolve() for entry in search_path.split(os.pathsep) if entry}
