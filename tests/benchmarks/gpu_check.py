"""Runs the tests of GPU offload, on whatever device there is.

    python -m tests.benchmarks.gpu_check [--accelerator auto] [--goals 20]

Builds llama.cpp for the accelerator into the user's cache directory, once; that takes as long as
`llmsuggestd install --accelerator` says. Then daemons in temporary homes run the starter with it.
Prints a table, and fails if a line of it does.

On a machine without a GPU, Mesa's software device counts (llvmpipe, for Vulkan). On Debian:

    apt install build-essential cmake ninja-build glslc libvulkan1 mesa-vulkan-drivers vulkan-tools

If the system's Vulkan headers are too old, as Debian 12's are, those of Debian 13 are unpacked into
the cache directory. llama.cpp uses the software device only if GGML_VK_VISIBLE_DEVICES names it, so
this command sets that variable there. With CMAKE_ARGS=-DGGML_NATIVE=off, the build also runs on
machines with another CPU.
"""

from __future__ import annotations

import argparse
import asyncio
import concurrent.futures
import contextlib
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import platformdirs

from llmsuggestd import accelerators, building
from llmsuggestd.accelerators import Accelerator
from llmsuggestd.client import Refused
from llmsuggestd.engine import builds, protocol
from llmsuggestd.engine.host import EngineProcess
from llmsuggestd.errors import LlmsuggestdError
from llmsuggestd.limits import MAX_CANDIDATES, MAX_GOALS, MAX_TOKENS
from llmsuggestd.models import store
from llmsuggestd.paths import Paths
from tests.conftest import Home, make_home

ROOT = Path(__file__).parents[2]
CACHE = platformdirs.user_cache_path("llmsuggestd-tests") / "gpu-check"
DEBIAN = "http://deb.debian.org/debian/pool/main/"
PACKAGES = {
    "v/vulkan-loader/libvulkan-dev_1.4.309.0-1_amd64.deb": (
        "8d329d465e16168afff58b1bd0dd6db46aac2cc3f56054a481b25a04e90b345a"
    ),
    "s/spirv-headers/spirv-headers_1.6.1+1.4.309.0-1_all.deb": (
        "dc18db866d63680351c40ac6b6bece34cb52da64a7799ce1cc4f16f6bff4d064"
    ),
}
"""Debian 13's Vulkan headers, and their SHA-256."""

BAR = 0.9
"""The share of suggestions that must be the CPU's, and of goals whose best one must be the CPU's. A
GPU rounds otherwise, so the last of five can be another one."""

SMALL_DEVICE = """
import runpy

from llmsuggestd.engine.llama import Llama, LlamaError

prepare = Llama._prepare


def prepare_if_it_fits(self, *arguments):
    prepare(self, *arguments)
    if self.gpu_layers > 3:
        raise LlamaError("out of memory")


Llama._prepare = prepare_if_it_fits
runpy.run_module("llmsuggestd.engine", run_name="__main__")
"""
"""An engine on a device for which more than three layers are too many. It notices this only after
it has put them there."""


class Failed(Exception):
    """A check has failed. The message says what happened instead."""


def unpack_headers(folder: Path) -> None:
    """Unpack Debian 13's Vulkan headers, and have CMake use them."""
    if not (folder / "usr").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for path, sha256 in PACKAGES.items():
            file = folder / path.rpartition("/")[2]
            with urllib.request.urlopen(DEBIAN + path, timeout=60) as response:
                content = response.read()
            if hashlib.sha256(content).hexdigest() != sha256:
                raise SystemExit(f"{DEBIAN}{path} has another content than the tested one")
            file.write_bytes(content)
            subprocess.run(["dpkg-deb", "--extract", file, folder], check=True)
    usr = folder / "usr"
    # the system's own loader: Debian 13's needs a newer C library
    loader = Path("/usr/lib", sysconfig.get_config_var("MULTIARCH"), "libvulkan.so.1")
    os.environ["VULKAN_SDK"] = str(usr)
    os.environ["CMAKE_ARGS"] = " ".join([
        os.environ.get("CMAKE_ARGS", ""),
        f"-DVulkan_INCLUDE_DIR={usr}/include",
        f"-DVulkan_LIBRARY={loader}",
        f"-DSPIRV-Headers_DIR={usr}/share/cmake/SPIRV-Headers",
    ])  # fmt: skip


def accelerator(name: str) -> Accelerator:
    """The accelerator to test: this machine's best one, or Vulkan's software device."""
    found = accelerators.best() if name == "auto" else accelerators.find(name)
    if found.name == "cpu":
        found = accelerators.find("vulkan")
    if found.name == "vulkan" and not found.device:
        os.environ.setdefault("GGML_VK_VISIBLE_DEVICES", "0")
    return found


def build_for(found: Accelerator) -> Path:
    """The build of llama.cpp in the cache directory, which is made if it is not there yet."""
    paths = Paths(*(CACHE / name for name in ("config", "data", "cache", "state", "runtime")))
    target = builds.folder(paths, found.name)
    if not target.exists():
        if found.missing.startswith("newer Vulkan headers"):
            unpack_headers(CACHE / "debian-13")
            found = accelerators.find(found.name)
        accelerators.check_possible(found, named=False)
        print(f"building llama.cpp for {found.name}: {found.duration}", flush=True)
        building.build(found, paths, lambda _: None)
    return target


@contextlib.contextmanager
def daemon(build: Path, model: Path = store.SHIPPED, **settings: str) -> Iterator[Home]:
    """A daemon whose engine runs a build and serves a model, by default the starter."""
    # closed at once, also when a signal ends the program
    with contextlib.contextmanager(make_home)() as home:
        home.paths.builds.mkdir(parents=True, mode=0o700)
        (home.paths.builds / build.name).symlink_to(build)
        home.paths.models.mkdir(parents=True, mode=0o700)
        (home.paths.models / model.name).symlink_to(model)
        started = home.run("start", timeout=600, LLMSUGGESTD_MODEL=model.stem, **settings)
        if started.returncode:
            raise Failed(started.stderr.strip().splitlines()[0])
        yield home


class Check:
    """The checks of one build. Each method returns what it has seen, and raises Failed."""

    def __init__(self, build: Path, goals: int) -> None:
        lines = (ROOT / "convert/starter/heldout.jsonl").read_text(encoding="utf-8").splitlines()
        self._goals = sorted({json.loads(line)["goal"] for line in lines})[:: len(lines) // goals]
        self._build = build
        self._cpu: list[list[str]] = []

    def _answers(self, home: Home) -> list[list[str]]:
        """The suggestions for each goal, the best first."""
        found = []
        for goal in self._goals:
            answer = suggest(home, goal=goal, n=5)
            found.append([one["text"] for one in answer["suggestions"]])
        return found

    def _same(self, home: Home) -> str:
        return self._compare(self._answers(home))

    def _compare(self, found: list[list[str]]) -> str:
        """Compare the suggestions for each goal with the CPU's."""
        if not self._cpu:
            raise Failed("there are no suggestions of the CPU to compare with")
        pairs = list(zip(found, self._cpu, strict=True))
        count = sum(len(theirs) for _, theirs in pairs)
        same = sum(len(set(ours) & set(theirs)) for ours, theirs in pairs)
        best = sum(ours[:1] == theirs[:1] for ours, theirs in pairs)
        words = f"{same} of the CPU's {count} suggestions, the best one for {best} of {len(pairs)}"
        if same < BAR * count or best < BAR * len(pairs):
            raise Failed(words)
        return words

    def devices(self) -> str:
        """The build sees a GPU."""
        found = building.describe(self._build)
        gpus = [device for device in found.devices if device["is_gpu"]]
        if found.problem or not gpus:
            raise Failed(found.problem or f"no GPU among {found.devices}")
        return "; ".join(f"{one['name']}: {one['description']}" for one in gpus)

    def off(self) -> str:
        """Without offload, the CPU answers. The other checks compare with its suggestions."""
        with daemon(self._build, LLMSUGGESTD_GPU="off") as home:
            if layers(device_of(home))[0]:
                raise Failed(f"layers are on the device: {device_of(home)}")
            self._cpu = self._answers(home)
            return device_of(home)

    def auto(self) -> str:
        """All layers fit."""
        with daemon(self._build, LLMSUGGESTD_GPU="auto") as home:
            count, total = layers(device_of(home))
            if not count or count != total:
                raise Failed(f"{count} of {total} layers: {device_of(home)}")
            return f"{device_of(home)}; {self._same(home)}"

    def three_layers(self) -> str:
        """Three layers are offloaded, and the CPU computes the rest."""
        with daemon(self._build, LLMSUGGESTD_GPU="3") as home:
            if layers(device_of(home))[0] != 3:
                raise Failed(device_of(home))
            return f"{device_of(home)}; {self._same(home)}"

    def out_of_memory(self) -> str:
        """After loads that do not fit, the memory is free again, and fewer layers are tried."""
        return asyncio.run(self._out_of_memory())

    async def _out_of_memory(self) -> str:
        load = protocol.Load(str(store.SHIPPED), 99, 0, 2048)
        command = (sys.executable, "-c", SMALL_DEVICE)
        engine = await EngineProcess.spawn(load, command, self._build)
        try:
            device = engine.info.device
            if not 0 < layers(device)[0] <= 3:
                raise Failed(device)
            found = []
            for number, goal in enumerate(self._goals):
                question = protocol.Suggest(number, [goal], "", 5, 64, "beam", 0.5, None)
                (one,) = (await engine.ask(question)).found
                found.append([suggestion.text for suggestion in one.suggestions])
        finally:
            await engine.close()
        return f"{device}; {self._compare(found)}"

    def switching(self) -> str:
        """Requests are answered while another model is loaded to the device."""
        with daemon(self._build, LLMSUGGESTD_GPU="auto") as home:
            file = home.root / "again.gguf"
            home.run("convert", str(ROOT / "convert/starter/checkpoint"), "--quant", "f16",
                     "--output", str(file), timeout=600)  # fmt: skip
            home.run("models", "import", str(file), "--name", "again", timeout=600)
            with concurrent.futures.ThreadPoolExecutor() as pool:
                used = pool.submit(home.run, "models", "use", "again", timeout=600)
                answered = 0
                while not used.done():
                    suggest(home, goal=f"⊢ {answered} = 0", n=1)
                    answered += 1
            if used.result().returncode:
                raise Failed(used.result().stderr.strip().splitlines()[0])
            served = home.client.request("GET", "/v1/status")["model"]["id"]
            if served != "again" or not layers(device_of(home))[0]:
                raise Failed(f"{served} is served, by {device_of(home)}")
            return f"{answered} requests meanwhile; then {device_of(home)}"

    def idling(self) -> str:
        """An idle model leaves the device, and comes back."""
        with daemon(self._build, LLMSUGGESTD_GPU="auto", LLMSUGGESTD_IDLE_UNLOAD="1") as home:
            before = layers(device_of(home))
            home.wait_until(lambda status: status["state"] == "idle", timeout=30)
            began = time.monotonic()
            suggest(home, goal=self._goals[0], n=5)
            if layers(device_of(home)) != before or not before[0]:
                raise Failed(f"it came back as {device_of(home)}")
            return f"back with an answer after {time.monotonic() - began:.1f} s"

    def cancelling(self) -> str:
        """A newer request of the same client ends an older one."""
        with daemon(self._build, LLMSUGGESTD_GPU="auto") as home:
            many = [f"{self._goals[0]} ∨ {i} = 0" for i in range(MAX_GOALS)]
            long = {"goals": many, "n": MAX_CANDIDATES, "max_tokens": MAX_TOKENS, "client": "one"}
            with concurrent.futures.ThreadPoolExecutor() as pool:
                older = pool.submit(suggest, home, **long)
                time.sleep(0.2)
                began = time.monotonic()
                suggest(home, goal="⊢ True", client="one")
                wait = time.monotonic() - began
                refused = older.exception()
            if not isinstance(refused, Refused) or refused.code != "superseded":
                raise Failed(
                    f"the older request was not superseded: {refused or 'it was answered'}"
                )
            return f"the newer request was answered {wait:.2f} s after it was sent"


def suggest(home: Home, **body: object) -> dict[str, Any]:
    """Ask a home's daemon. Raises Refused if it answers with an error."""
    return home.client.request("POST", "/v1/suggest", body, timeout=600)


def device_of(home: Home) -> str:
    """The device in the daemon's status."""
    return str(home.client.request("GET", "/v1/status")["device"])


def layers(device: str) -> tuple[int, int]:
    """The number of layers on a device, and of all layers; zeros on the CPU."""
    found = re.search(r"\((\d+)/(\d+) layers\)", device)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def report(name: str, check: Callable[[], str]) -> bool:
    """Run a check and print its line. Returns whether it has not failed."""
    try:
        result, words = "ok", check()
    except (Failed, LlmsuggestdError, AssertionError, subprocess.SubprocessError) as error:
        result, words = "FAILED", str(error) or type(error).__name__
    print(f"{name:14} {result:8} {words}", flush=True)
    return result != "FAILED"


def main() -> None:
    """Build, run the checks, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accelerator", default="auto", choices=["auto", *accelerators.NAMES])
    parser.add_argument("--goals", type=int, default=20)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that daemons and builds end too
    try:
        found = accelerator(options.accelerator)
        build = build_for(found)
    except LlmsuggestdError as error:
        raise SystemExit(f"{error.message}\n{error.hint}") from None
    check = Check(build, options.goals)
    print(f"{build.name}, load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    good = [
        report(name, run)
        for name, run in (
            ("devices", check.devices),
            ("off", check.off),
            ("auto", check.auto),
            ("3 layers", check.three_layers),
            ("out of memory", check.out_of_memory),
            ("switching", check.switching),
            ("idling", check.idling),
            ("cancelling", check.cancelling),
        )
    ]
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
