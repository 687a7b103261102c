"""The names that `models pull` accepts, and its choice of files in a repository."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from llmsuggestd import formats
from llmsuggestd.cli import models as cli_models
from llmsuggestd.convert import RECIPES
from llmsuggestd.errors import InputError, UsageError
from llmsuggestd.models import asking, hub, store
from llmsuggestd.models.catalogue import CATALOGUE, recommended
from llmsuggestd.models.hub import RemoteFile, Repository
from llmsuggestd.models.pull import Target, _choose, _default_id, parse
from llmsuggestd.quants import QUANTS

COMMIT = "0" * 40


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("pythia-70m", Target("EleutherAI/pythia-70m-deduped", id="pythia-70m")),
        (
            "pythia-70m@step3000",
            Target("EleutherAI/pythia-70m-deduped", None, "step3000", "pythia-70m"),
        ),
        ("a/b", Target("a/b")),
        ("a/b@refs/pr/1", Target("a/b", None, "refs/pr/1")),
        ("a/b/c.gguf", Target("a/b", "c.gguf")),
        ("a/b/c/d.gguf@main", Target("a/b", "c/d.gguf", "main")),
    ],
)
def test_names(text: str, target: Target) -> None:
    assert parse(text) == target


@pytest.mark.parametrize(
    "text", ["", "pythia", "a/b@", "@x", "a", "a/b/c", "a/b/../c.gguf", "../a", "/a/b", "a//b.gguf"]
)
def test_invalid_names(text: str) -> None:
    with pytest.raises(UsageError, match="neither in the catalogue nor a repository"):
        parse(text)


def test_the_starter_has_no_revisions() -> None:
    with pytest.raises(UsageError, match="ships with llmsuggestd"):
        parse("starter@main")


def test_the_catalogue_has_what_the_documents_promise() -> None:
    assert {"starter", "llmstep-2.8b", "pythia-70m", "pythia-2.8b"} <= set(CATALOGUE)
    for entry in CATALOGUE.values():
        store.check_id(entry.id)
        assert (entry.repo is None) == (entry.id == store.STARTER)
        assert entry.suggests_tactics != (entry.good_for == "for training")
        if entry.format is not None:
            assert formats.find(entry.format)
            assert entry.repo is None or asking.of_repository(entry.repo) is not None
        if entry.repo:
            assert hub.REPO.fullmatch(entry.repo)
            assert 0 < entry.bytes <= entry.download_bytes
            assert entry.bytes < entry.memory_bytes


def test_the_catalogue_fits_a_terminal_with_the_most_useful_model_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cli_models, "_recommended", lambda: "llmstep-2.8b")
    output = CliRunner().invoke(cli_models.command, ["catalogue"]).output
    table, advice = output.split("\n\n")
    lines = table.splitlines()
    assert len(lines) + len(advice.splitlines()) < 22  # plus a line for the shell's prompt
    assert max(map(len, lines)) <= 80
    assert lines[1].startswith("llmstep-2.8b ")
    assert [line.split(" ")[0] for line in lines[1:]] == list(CATALOGUE)


@pytest.mark.parametrize(
    ("memory", "gpu_memory", "cores", "model"),
    [
        (2e9, 0, 8, "starter"),
        (4e9, 0, 8, "ntp-1.3b"),
        (8e9, 0, 2, "ntp-1.3b"),
        (8e9, 0, 1, "starter"),
        (8e9, 0, 4, "llmstep-2.8b"),
        (16e9, 0, 4, "llmstep-2.8b"),
        (16e9, 0, 8, "bfs-prover-7b"),
        (4e9, 4e9, 2, "llmstep-2.8b"),
        (8e9, 12e9, 2, "bfs-prover-7b"),
        (0, 0, 1, "starter"),
    ],
)
def test_the_model_for_a_machine(memory: float, gpu_memory: float, cores: int, model: str) -> None:
    assert recommended(int(memory), int(gpu_memory), cores) == model


def test_of_several_files_the_one_of_the_quantisation_is_pulled() -> None:
    repository = files(BFS__Q4_K_M__gguf=1, BFS__Q8_0__gguf=2, BFS__Q4_K_S__gguf=3)
    for quant, name in (("Q4_K_M", "BFS.Q4_K_M.gguf"), ("q8_0", "BFS.Q8_0.gguf")):
        found, chosen = _choose(repository, Target(repository.name), quant)
        assert chosen is not None
        assert chosen.name == name
        assert [file.name for file in found.files] == [name]
    with pytest.raises(InputError, match="no checkpoint, but 3 GGUF files"):
        _choose(repository, Target(repository.name), "Q6_K")


def test_the_quantisations_are_the_converters() -> None:
    assert list(RECIPES) == list(QUANTS)


def files(**sizes: int) -> Repository:
    """A repository with files of those sizes; `__` in a name stands for a dot."""
    names = {name.replace("__", "."): size for name, size in sizes.items()}
    listed = [RemoteFile(name, size, f"sha256:{'0' * 64}") for name, size in names.items()]
    return Repository("a/b", COMMIT, None, tuple(listed))


def test_a_checkpoint_comes_before_gguf_files() -> None:
    repository = files(
        model__safetensors=9, config__json=1, tokenizer__json=1, x__gguf=5, optimizer__pt=9
    )
    chosen, ready_made = _choose(repository, Target("a/b"))
    assert ready_made is None
    assert {file.name for file in chosen.files} == {
        "model.safetensors", "config.json", "tokenizer.json"
    }  # fmt: skip


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json"])
def test_weights_alone_are_no_checkpoint(missing: str) -> None:
    there = {"model__safetensors": 9, "config__json": 1, "tokenizer__json": 1}
    del there[missing.replace(".", "__")]
    with pytest.raises(InputError, match=f"has weights, but no {missing}"):
        _choose(files(**there), Target("a/b"))


@pytest.mark.parametrize(
    ("target", "gguf", "quant", "expected"),
    [
        (Target("a/b"), None, "Q4_K_M", "b"),
        (Target("a/b"), None, "q8_0", "b-Q8_0"),
        (Target("a/b", id="short"), None, "Q4_K_M", "short"),
        (Target("a/b", id="short"), None, "Q8_0", "short-Q8_0"),
        (Target("a/b"), "sub/c.gguf", "Q8_0", "c"),
    ],
)
def test_the_id_of_a_model(target: Target, gguf: str | None, quant: str, expected: str) -> None:
    ready_made = RemoteFile(gguf, 1, f"sha256:{'0' * 64}") if gguf else None
    assert _default_id(target, ready_made, quant) == expected


def test_the_only_gguf_file_is_taken() -> None:
    chosen, ready_made = _choose(files(x__gguf=5, README__md=1), Target("a/b"))
    assert ready_made is not None
    assert ready_made.name == "x.gguf"
    assert chosen.files == (ready_made,)


def test_one_of_several_must_be_named() -> None:
    repository = files(x__gguf=5_000_000, y__gguf=7_000_000)
    with pytest.raises(InputError, match="2 GGUF files") as caught:
        _choose(repository, Target("a/b"))
    assert caught.value.hint == "pull one of: a/b/x.gguf (5.0 MB), a/b/y.gguf (7.0 MB)"
    assert _choose(repository, Target("a/b", "y.gguf"))[1] == repository.files[1]
    with pytest.raises(InputError, match=r"no file z\.gguf"):
        _choose(repository, Target("a/b", "z.gguf"))


def test_a_repository_without_a_model() -> None:
    with pytest.raises(InputError, match="a/b has no checkpoint"):
        _choose(files(README__md=1), Target("a/b"))


def test_a_part_is_not_a_model() -> None:
    repository = Repository(
        "a/b", COMMIT, None, (RemoteFile("m-00001-of-00002.gguf", 1, f"sha256:{'0' * 64}"),)
    )
    with pytest.raises(InputError, match="is a part of a model"):
        _choose(repository, Target("a/b"))


@pytest.mark.parametrize(
    "name",
    ["../x.gguf", "/x.gguf", "a/../../x.gguf", "a//b", ".hidden", "a/.b", "c:\\x", "a\0b", "a\nb"],
)
def test_files_whose_names_lead_elsewhere_are_left_out(name: str) -> None:
    sibling = SimpleNamespace(
        rfilename=name, size=1, blob_id="0" * 40, lfs=SimpleNamespace(size=1, sha256="0" * 64)
    )
    assert hub._remote_file("a/b", COMMIT, sibling) is None
    sibling.rfilename = "sub/x.gguf"
    found = hub._remote_file("a/b", COMMIT, sibling)
    assert found == RemoteFile("sub/x.gguf", 1, f"sha256:{'0' * 64}")
    assert found.local_name == "x.gguf"


@pytest.mark.parametrize("digest", ["", "x" * 64, "0" * 63, None, "../" * 14])
def test_an_invalid_digest_is_refused(digest: str) -> None:
    sibling = SimpleNamespace(
        rfilename="x", size=1, blob_id=None, lfs=SimpleNamespace(size=1, sha256=digest)
    )
    if digest is None:
        sibling.lfs, sibling.blob_id = None, "zz"
    with pytest.raises(ValueError, match="no digest"):
        hub._remote_file("a/b", COMMIT, sibling)
