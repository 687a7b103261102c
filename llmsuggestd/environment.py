"""The environment variables that the daemon and its engine inherit from a shell.

`TABLE` lists them all. Any other variable is dropped: it may be a secret, or change answers in a
way that is hard to trace. `start` runs the daemon with `for_daemon()`, `install` writes
`for_service()` into the service, and the daemon runs its engine with `for_engine()`.
docs/reference/environment.md has the table for users.
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
    """A daemon that `start` runs in the background."""
    SERVICE = auto()
    """A daemon that a service manager runs. It gets the value from when `install` ran."""
    ENGINE = auto()
    """The engine, which gets the daemon's value."""
    COMMANDS = auto()
    """Commands that use the network. (Commands inherit every variable, but act on these only.)"""


class Row(NamedTuple):
    """A group of variables, and the processes that inherit it."""

    names: str
    """The names, separated by spaces. `NAME_*` stands for every name with that prefix."""
    reach: Reach
    note: str
    """What the variables do, or what replaces them."""
    reported: bool = False
    """Whether `doctor` reports those that are set."""


_HERE: Final = Reach.DAEMON | Reach.ENGINE
_EVERYWHERE: Final = Reach.DAEMON | Reach.SERVICE | Reach.ENGINE

PYTHON_OPTIONS: Final = ("-P", "-X", "utf8")
"""Python's options for each of our processes: no modules from the current folder, and UTF-8 file
names in every locale."""

LIBRARY_PATHS: Final = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH")
"""Search paths for shared libraries. Environment modules and an activated Conda set them."""

TABLE: Final = (
    # Dropped, although prefixes further below match them.
    Row("VK_INSTANCE_LAYERS VK_LAYER_*", Reach.NONE, "overlays for games", reported=True),
    # Devices.
    Row(
        "CUDA_* NVIDIA_VISIBLE_DEVICES NVIDIA_DRIVER_CAPABILITIES HIP_* HSA_* ROCR_* ROCM_* GPU_*"
        " VK_* DRI_PRIME MESA_VK_* __NV_PRIME_* __VK_LAYER_NV_* SYCL_* ONEAPI_* ZE_*"
        " GGML_CUDA_* GGML_HIP_* GGML_METAL_* GGML_SYCL_* GGML_VK_*",
        _EVERYWHERE,
        "GPU selection and options",
        reported=True,
    ),
    # Libraries. Not in the service, since a shell's modules change.
    Row(
        " ".join(LIBRARY_PATHS),
        _HERE,
        "library search paths. A service does not get them, since a shell's modules change",
        reported=True,
    ),
    Row("LLAMA_CPP_LIB_PATH", _EVERYWHERE, "the folder of another llama.cpp", reported=True),
    # Locations of files.
    Row(
        "XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME",
        _EVERYWHERE,
        "where our files are",
    ),
    Row("XDG_RUNTIME_DIR", Reach.DAEMON, "the socket's folder, if it is yours alone"),
    Row("XDG_CONFIG_DIRS XDG_DATA_DIRS", _HERE, "where GPU drivers are registered"),
    Row("LLMSUGGESTD_HOME LLMSUGGESTD_SOCKET", Reach.DAEMON | Reach.SERVICE, "where our files are"),
    Row(
        "LLMSUGGESTD_INSTRUCTIONS",
        _HERE,
        "the last instruction set that our kernels may use: `avx2`, `avx-vnni` or `avx512-vnni`",
        reported=True,
    ),
    Row(
        "LLMSUGGESTD_REMOTE_KEY",
        Reach.DAEMON,
        "the key for a remote model's server. It is never shown",
    ),
    Row("LLMSUGGESTD_*", Reach.DAEMON, "settings. A service reads only config.toml", reported=True),
    Row("HOME PATH TMPDIR", _HERE, "the user's; a service manager has its own"),
    Row("TZ", Reach.DAEMON, "the log's time zone"),
    Row(
        "USERPROFILE HOMEDRIVE HOMEPATH APPDATA LOCALAPPDATA PROGRAMDATA PROGRAMFILES SYSTEMDRIVE"
        " SYSTEMROOT WINDIR TEMP TMP USERNAME USERDOMAIN",
        _HERE,
        "Windows' own",
    ),
    # The network.
    Row(
        "SSL_CERT_FILE SSL_CERT_DIR",
        Reach.COMMANDS | Reach.DAEMON | Reach.SERVICE,
        "certificate authorities, for the Hugging Face hub and for a remote model's server",
    ),
    Row(
        "HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY REQUESTS_CA_BUNDLE CURL_CA_BUNDLE HF_*"
        " HUGGINGFACE_* HUGGING_FACE_HUB_TOKEN TRANSFORMERS_OFFLINE",
        Reach.COMMANDS,
        "access to the Hugging Face hub",
    ),
    # Dropped, and reported, because a user may have set them for us.
    Row(
        "OMP_* GOMP_* KMP_* MKL_* OPENBLAS_* BLIS_* GOTO_* VECLIB_* NUMEXPR_*",
        Reach.NONE,
        "set `threads` in config.toml instead",
        reported=True,
    ),
    Row(
        "GGML_* LLAMA_*",
        Reach.NONE,
        "llama.cpp's developer options, some of which change answers",
        reported=True,
    ),
    Row("LD_* DYLD_*", Reach.NONE, "they would change the engine's code", reported=True),
    Row("MALLOC_* GLIBC_TUNABLES", Reach.NONE, "they would change the engine's memory"),
    Row("PYTHON*", Reach.NONE, "they would change which modules are imported"),
    Row("LANG LANGUAGE LC_*", Reach.NONE, "text is UTF-8 everywhere"),
)

ENGINE_SETTINGS: Final = {
    # Waiting threads spin briefly (10,000 iterations, less than a millisecond), but not on
    # contended cores: see engine/threads.py
    "OMP_WAIT_POLICY": "passive",
    "GOMP_SPINCOUNT": "10000",
    # numpy's OpenBLAS would start spinning threads, and the engine multiplies no matrices with it
    "OPENBLAS_NUM_THREADS": "1",
    # the daemon handles an abort; a debugger would only delay it
    "GGML_NO_BACKTRACE": "1",
    # numbers have a decimal point, and no driver fails because a locale is not installed
    "LC_ALL": "C",
}
"""Variables that every engine gets, whatever the shell sets."""


def for_daemon(shell: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a daemon that `start` runs in the background."""
    return _reaching(Reach.DAEMON, shell) | _python_path(shell)


def for_service(shell: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables that `install` adds to those that the service manager sets."""
    return _reaching(Reach.SERVICE, shell) | _python_path(shell)


def for_engine(daemon: Mapping[str, str] = os.environ, build: Path | None = None) -> dict[str, str]:
    """The environment of an engine, from its daemon's; `build` is the llama.cpp that it runs."""
    variables = _reaching(Reach.ENGINE, daemon) | _python_path(daemon) | ENGINE_SETTINGS
    if build is not None:
        ours = variables.get("PYTHONPATH")
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, [str(build), ours]))
    return variables


def forget_python_path() -> None:
    """Remove PYTHONPATH's folders from `sys.path`, unless this package itself is in one of them.

    ROS and a cluster's environment modules set PYTHONPATH for their own packages. Those would
    shadow our dependencies.
    """
    if not _python_path(os.environ).get("PYTHONPATH"):
        others = _resolved(os.environ.get("PYTHONPATH", ""))
        sys.path[:] = [entry for entry in sys.path if not entry or _resolve(entry) not in others]


def python_of_service() -> list[str]:
    """The interpreter's command line in a service, whose environment is not filtered by `TABLE`."""
    isolated = [] if _python_path(os.environ) else ["-E"]
    return [sys.executable, *isolated, *PYTHON_OPTIONS]


def reported(shell: Mapping[str, str] = os.environ) -> Iterator[tuple[str, Row]]:
    """The variables in `shell` that `doctor` reports, each with its row, in the table's order.

    They include variables that `ENGINE_SETTINGS` overrides.
    """
    for row in TABLE:
        if row.reported:
            yield from ((name, row) for name in sorted(shell) if row_of(name) is row)


def obeyed(shell: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The reported variables in `shell` that reach the engine."""
    return {name: shell[name] for name, row in reported(shell) if Reach.ENGINE in row.reach}


def names(prefix: str) -> list[str]:
    """The variables of the table, named in full, with a prefix."""
    entries = (entry for row in TABLE for entry in row.names.split())
    return [name for name in entries if name.startswith(prefix) and not name.endswith("*")]


def row_of(name: str) -> Row | None:
    """The first row that names a variable, ignoring case."""
    return next((row for row in TABLE if _names(row, name.upper())), None)


def _names(row: Row, name: str) -> bool:
    return any(
        name.startswith(entry[:-1]) if entry.endswith("*") else name == entry
        for entry in row.names.split()
    )


def _reaching(process: Reach, shell: Mapping[str, str]) -> dict[str, str]:
    """The variables in `shell` that reach a process."""
    rows = ((name, row_of(name)) for name in shell)
    return {name: shell[name] for name, row in rows if row is not None and process in row.reach}


def _python_path(shell: Mapping[str, str]) -> dict[str, str]:
    """The variables, if any, without which Python would not find this package."""
    here = Path(__file__).resolve().parents[1]
    found = {}
    if here in _resolved(shell.get("PYTHONPATH", "")):
        found["PYTHONPATH"] = shell["PYTHONPATH"]  # whole: its other folders may have dependencies
    if (base := shell.get("PYTHONUSERBASE")) and here.is_relative_to(_resolve(base)):
        found["PYTHONUSERBASE"] = base
    return found


def _resolved(search_path: str) -> set[Path]:
    return {_resolve(entry) for entry in search_path.split(os.pathsep) if entry}


def _resolve(entry: str) -> Path:
    """A folder's real path. A relative path stays relative if the current folder is gone."""
    try:
        return Path(entry).resolve()
    except OSError:
        return Path(entry)
