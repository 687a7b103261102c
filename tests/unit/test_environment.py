"""The variables of a shell that reach the daemon and the engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from llmsuggestd import environment
from llmsuggestd.environment import ENGINE_SETTINGS, TABLE, Reach, row_of

ROOT = Path(__file__).parents[2]

SHELL = {
    "CUDA_VISIBLE_DEVICES": "1",
    "HSA_OVERRIDE_GFX_VERSION": "10.3.0",
    "GGML_VK_VISIBLE_DEVICES": "0",
    "VK_INSTANCE_LAYERS": "VK_LAYER_overlay",
    "LD_LIBRARY_PATH": "/opt/matlab/lib",
    "LD_PRELOAD": "/usr/lib/libfaketime.so",
    "OMP_NUM_THREADS": "64",
    "OMP_WAIT_POLICY": "active",
    "OMP_PROC_BIND": "close",
    "GOMP_CPU_AFFINITY": "0",
    "GOMP_SPINCOUNT": "infinity",
    "KMP_AFFINITY": "compact",
    "MKL_NUM_THREADS": "64",
    "OPENBLAS_NUM_THREADS": "64",
    "GGML_CPU_DISABLE_FUSION": "1",
    "GGML_BACKEND_PATH": "/tmp/other.so",
    "LLAMA_ATTN_ROT_DISABLE": "1",
    "MALLOC_PERTURB_": "1",
    "LC_ALL": "de_DE.ISO-8859-1",
    "LC_NUMERIC": "de_DE.UTF-8",
    "PYTHONPATH": "/opt/ros/lib/python3/dist-packages",
    "PYTHONHOME": "/opt/other",
    "PYTHONSTARTUP": "/home/ann/.pythonrc",
    "PYTHONOPTIMIZE": "2",
    "HTTPS_PROXY": "http://ann:secret@proxy",
    "HF_TOKEN": "secret",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "HOME": "/home/ann",
    "PATH": "/usr/bin",
    "XDG_DATA_HOME": "/scratch/ann",
    "LLMSUGGESTD_HOME": "/portable",
    "LLMSUGGESTD_THREADS": "2",
    "LLMSUGGESTD_INSTRUCTIONS": "avx2",
}


def test_an_engine_gets_its_devices_and_libraries_and_no_secret() -> None:
    assert environment.for_engine(SHELL) == ENGINE_SETTINGS | {
        "CUDA_VISIBLE_DEVICES": "1",
        "HSA_OVERRIDE_GFX_VERSION": "10.3.0",
        "GGML_VK_VISIBLE_DEVICES": "0",
        "LD_LIBRARY_PATH": "/opt/matlab/lib",
        "HOME": "/home/ann",
        "PATH": "/usr/bin",
        "XDG_DATA_HOME": "/scratch/ann",
        "LLMSUGGESTD_INSTRUCTIONS": "avx2",
    }


def test_a_daemon_gets_its_settings_too() -> None:
    ours = {name: SHELL[name] for name in ("LLMSUGGESTD_HOME", "LLMSUGGESTD_THREADS")}
    engine = environment.for_engine(SHELL).items() - ENGINE_SETTINGS.items()
    assert environment.for_daemon(SHELL) == dict(engine) | ours


def test_a_service_gets_no_library_paths() -> None:
    assert environment.for_service(SHELL) == {
        "CUDA_VISIBLE_DEVICES": "1",
        "HSA_OVERRIDE_GFX_VERSION": "10.3.0",
        "GGML_VK_VISIBLE_DEVICES": "0",
        "XDG_DATA_HOME": "/scratch/ann",
        "LLMSUGGESTD_HOME": "/portable",
    }


def test_doctor_reports_variables_that_users_set_for_us() -> None:
    found = {name: row.reach for name, row in environment.reported(SHELL)}
    assert found["CUDA_VISIBLE_DEVICES"]
    for name in ("OMP_NUM_THREADS", "LD_PRELOAD", "GGML_CPU_DISABLE_FUSION"):
        assert found[name] == Reach.NONE
    assert not {"HF_TOKEN", "PATH", "PYTHONPATH"} & set(found)


@pytest.mark.parametrize("variable", ["PYTHONPATH", "PYTHONUSERBASE"])
def test_the_daemon_finds_a_package_that_a_variable_names(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example, after `pip install --target`."""
    assert "-E" in environment.python_of_service()
    value = {
        "PYTHONPATH": os.pathsep.join(["/opt/ours", str(ROOT), ""]),
        "PYTHONUSERBASE": str(ROOT.parent),
    }[variable]
    monkeypatch.setenv(variable, value)
    for variables in (
        environment.for_engine(),
        environment.for_daemon(),
        environment.for_service(),
    ):
        assert variables[variable] == value
    assert "-E" not in environment.python_of_service()


def test_commands_import_nothing_from_other_programs_folders(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise SystemExit('of another program')")
    command = [sys.executable, "-P", "-m", "llmsuggestd", "--version"]
    shell = os.environ | {"PYTHONPATH": str(tmp_path)}
    subprocess.run(command, env=shell, check=True, capture_output=True, timeout=60)


def test_our_processes_read_names_of_files_as_utf_8() -> None:
    code = "import sys; print(sys.flags.utf8_mode, sys.getfilesystemencoding())"
    command = [sys.executable, *environment.PYTHON_OPTIONS, "-c", code]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60,
                          env={"LC_ALL": "de_DE.ISO-8859-1"} | windows())  # fmt: skip
    assert said.stdout.split() == ["1", "utf-8"]
    assert (
        "-P" in environment.PYTHON_OPTIONS
    )  # a file that happens to lie in the folder must not be run


def windows() -> dict[str, str]:
    """The variables that a process needs to start on Windows."""
    return {"SYSTEMROOT": os.environ["SYSTEMROOT"]} if sys.platform == "win32" else {}


def test_every_row_can_be_reached() -> None:
    """No row is hidden by a row above it."""
    for row in TABLE:
        for name in row.names.split():
            assert row_of(name.replace("*", "SOMETHING")) is row, name
