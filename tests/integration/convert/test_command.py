"""The command, the script that runs it from a checkout, and their output."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from llmsuggestd.errors import ExitCode
from tests.unit.convert.checkpoints import config, make_checkpoint, neox_tokenizer, write_json

ROOT = Path(__file__).parents[3]
INSTALLED = (sys.executable, "-P", "-m", "llmsuggestd", "convert")
SCRIPT = (sys.executable, "convert/checkpoint_to_gguf.py")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good checkpoint, named `tuned`."""
    return make_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tuned")


def run(
    command: tuple[str, ...], *arguments: str | Path, cwd: Path
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*command, *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, errors="replace", timeout=60, check=False,
    )  # fmt: skip


def test_both_ways_make_the_same_file(checkpoint: Path, tmp_path: Path) -> None:
    from_checkout = run(SCRIPT, checkpoint, "-o", tmp_path / "a.gguf", cwd=ROOT)
    installed = run(INSTALLED, checkpoint, "-o", tmp_path / "b.gguf", cwd=tmp_path)
    assert from_checkout.returncode == installed.returncode == 0, installed.stderr
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()
    assert "a.gguf: " in from_checkout.stdout
    assert "as Q4_K_M" in from_checkout.stdout
    assert from_checkout.stderr == installed.stderr == ""


@pytest.mark.parametrize("check", [(), ("--check",)])
def test_the_default_name_has_the_model_and_the_type(
    checkpoint: Path, tmp_path: Path, check: tuple[str, ...]
) -> None:
    result = run(INSTALLED, checkpoint, "-q", "q8_0", "--quiet", *check, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["tuned-Q8_0.gguf"]


def test_json_has_the_summary_and_the_check(checkpoint: Path, tmp_path: Path) -> None:
    result = run(INSTALLED, checkpoint, "-o", "m.gguf", "--json", "--check", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout)
    assert summary["output"] == "m.gguf"
    assert summary["quant"] == "Q4_K_M"
    assert summary["bytes"] == (tmp_path / "m.gguf").stat().st_size
    assert summary["tensor_types"] == {"Q4_K": 7, "Q6_K": 3, "F32": 18}
    check = summary["check"]
    assert check["tokenisation"] == {"texts": 24, "equal": 24, "different": []}
    assert 0.5 < check["everywhere"]["top1_agreement"] <= 1
    assert 0 < check["everywhere"]["mean_kl"] < 0.05 < 1
    assert check["everywhere"]["mean_kl"] < check["everywhere"]["max_kl"]
    assert 0 < check["tactics"]["positions"] < check["everywhere"]["positions"]
    assert [path.name for path in tmp_path.iterdir()] == ["m.gguf"]


def test_the_check_is_a_table(checkpoint: Path, tmp_path: Path) -> None:
    goals = tmp_path / "goals.txt"
    # A goal may contain the text of a special token, and text that is not in NFC.
    goals.write_text("⊢ 1 = 1\n\nh : <|endoftext|> = e\u0301\n⊢ p\n", encoding="utf-8")
    result = run(INSTALLED, checkpoint, "-o", "m.gguf", "--goals", goals, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "Against F16, on 2 goals" in result.stdout
    assert "everywhere" in result.stdout
    assert "Tokenised like the checkpoint's tokenizer: 2 of 2 goals." in result.stdout


def test_a_goal_longer_than_the_context_and_an_odd_name(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "goals.txt").write_text("p " * 3000, encoding="utf-8")
    output = os.fsdecode(b"\xff.gguf") if sys.platform == "linux" else "m.gguf"
    result = run(INSTALLED, checkpoint, "-o", output, "--goals", "goals.txt", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "everywhere" in result.stdout
    assert "in tactics" not in result.stdout


def test_fewer_bits_are_further_from_f16(checkpoint: Path, tmp_path: Path) -> None:
    found = {}
    for quant in ("Q8_0", "Q4_0"):
        result = run(INSTALLED, checkpoint, "-o", "m.gguf", "-q", quant, "--check", "--json",
                     cwd=tmp_path)  # fmt: skip
        found[quant] = json.loads(result.stdout)["check"]["everywhere"]["mean_kl"]
    assert found["Q8_0"] * 10 < found["Q4_0"]


def test_a_difference_of_the_tokenizers_is_reported(checkpoint: Path, tmp_path: Path) -> None:
    # tokenizer.json is replaced after the conversion, so that there is a difference to see.
    from llmsuggestd.convert import check, convert
    from llmsuggestd.convert.samples import BUILT_IN

    convert(checkpoint, tmp_path / "m.gguf", "F16")
    other = tmp_path / "other"
    other.mkdir()
    write_json(other / "config.json", config(vocab_size=50304))
    write_json(other / "tokenizer.json", neox_tokenizer())
    report = check.check(other, tmp_path / "m.gguf", BUILT_IN, is_f16=True)
    assert report.tokenisation is not None
    assert report.tokenisation.equal == 0
    assert len(report.tokenisation.different) == len(BUILT_IN)


def test_the_check_reports_a_model_that_cannot_be_loaded(checkpoint: Path, tmp_path: Path) -> None:
    from llmsuggestd.convert import check
    from llmsuggestd.convert.samples import BUILT_IN
    from llmsuggestd.errors import ModelError

    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelError, match="cannot load"):
        check.check(checkpoint, tmp_path / "m.gguf", BUILT_IN, is_f16=True)


def test_the_check_reports_a_llama_cpp_that_cannot_be_loaded(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_CPP_LIB_PATH", str(tmp_path))
    result = run(INSTALLED, checkpoint, "--check", "-q", "F16", cwd=tmp_path)
    assert result.returncode == ExitCode.MODEL
    assert "Traceback" not in result.stderr
    assert "crashed" not in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 2


@pytest.mark.parametrize(
    "arguments", [(), ("x", "-q", "Q3"), ("x", "--threads", "0"), ("x", "--goals", "/nothing")]
)
def test_a_wrong_command_line(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert run(INSTALLED, *arguments, cwd=tmp_path).returncode == ExitCode.USAGE


def test_help_is_quick_and_imports_little(tmp_path: Path) -> None:
    script = (
        "import sys; sys.argv = ['convert', '--help']\n"
        "from llmsuggestd.cli.convert import command\n"
        "try: command()\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'transformers', 'llama_cpp', 'huggingface_hub'} & set(sys.modules)"
    )
    result = run((sys.executable, "-c"), script, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "CHECKPOINT" in result.stdout


def test_a_conversion_needs_neither_torch_nor_llama_cpp(checkpoint: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from llmsuggestd.convert import convert\n"
        "convert(Path(sys.argv[1]), Path('m.gguf'))\n"
        "assert not {'torch', 'transformers', 'llama_cpp', 'huggingface_hub'} & set(sys.modules)"
    )
    result = run((sys.executable, "-c"), script, checkpoint, cwd=tmp_path)
    assert result.returncode == 0, result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo terminal")
def test_a_terminal_shows_a_bar_with_the_time_left(tmp_path: Path) -> None:
    import pty

    settings = config(hidden_size=512, intermediate_size=2048)
    checkpoint = make_checkpoint(tmp_path / "c", settings)
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*INSTALLED, str(checkpoint), "-o", "m.gguf", "-q", "iq4_nl", "--threads", "1"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=slave, env=os.environ | {"TERM": "xterm"},
    )  # fmt: skip
    os.close(slave)
    drawn = b""
    with contextlib.suppress(OSError):  # the end of a pseudo terminal raises this
        while part := os.read(master, 65536):
            drawn += part
    os.close(master)
    process.communicate(timeout=60)
    assert process.returncode == 0
    text = drawn.decode()
    shares = [int(share) for share in re.findall(r"(\d+)%", text)]
    assert "converting" in text
    assert shares[-1] == 100
    assert any(0 < share < 100 for share in shares)
    assert re.search(r"left.*\d:\d\d:\d\d", text)
