"""Reading torch's pickles, and refusing everything else that a pickle can do."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmsuggestd.convert.unpickle import read_pickle
from llmsuggestd.errors import InputError
from tests.unit.convert.checkpoints import save_pickle, stored_bits, write_archive

VALUES = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("parameters", [False, True])
def test_tensors_come_back(tmp_path: Path, dtype: str, parameters: bool) -> None:
    tensors = {"matrix": VALUES, "vector": VALUES[0], "mask": np.ones((2, 2), np.bool_)}
    save_pickle(tmp_path / "x.bin", tensors, dtype, parameters=parameters)
    found = read_pickle(tmp_path / "x.bin")
    assert list(found) == list(tensors)
    assert found["mask"].dtype == "BOOL"
    assert found["matrix"].dtype == dtype
    assert found["matrix"].shape == (6, 4)
    expected = stored_bits(VALUES, dtype)
    np.testing.assert_array_equal(found["matrix"].rows(0, 6), expected)
    np.testing.assert_array_equal(found["matrix"].rows(2, 4), expected[2:4])
    np.testing.assert_array_equal(found["vector"].rows(0, 4)[:, 0], expected[0])


def test_a_window_on_a_larger_storage(tmp_path: Path) -> None:
    store = np.concatenate([np.full(10, 9, np.float32), VALUES.reshape(-1)])
    save_pickle(tmp_path / "x.bin", {"m": VALUES}, views=lambda _, __: (store, 10, (4, 1)))
    np.testing.assert_array_equal(read_pickle(tmp_path / "x.bin")["m"].rows(0, 6), VALUES)


def test_a_transposed_view(tmp_path: Path) -> None:
    column_major = VALUES.T.copy()
    save_pickle(tmp_path / "x.bin", {"m": VALUES}, views=lambda _, __: (column_major, 0, (1, 6)))
    tensor = read_pickle(tmp_path / "x.bin")["m"]
    np.testing.assert_array_equal(tensor.rows(0, 6), VALUES)
    np.testing.assert_array_equal(tensor.rows(3, 5), VALUES[3:5])


@pytest.mark.parametrize(
    ("first", "strides"), [(1, (4, 1)), (0, (5, 1)), (0, (4, 2)), (2**40, (4, 1)), (0, (2**40, 1))]
)
def test_a_view_beyond_its_storage_is_refused(
    tmp_path: Path, first: int, strides: tuple[int, ...]
) -> None:
    save_pickle(tmp_path / "x.bin", {"m": VALUES}, views=lambda _, v: (v, first, strides))
    with pytest.raises(InputError, match="beyond its storage"):
        read_pickle(tmp_path / "x.bin")


@pytest.mark.parametrize(
    ("first", "strides"), [(-1, (4, 1)), (0, (-4, 1)), (0, (4,)), (1.5, (4, 1))]
)
def test_a_malformed_view_is_refused(tmp_path: Path, first: Any, strides: Any) -> None:
    save_pickle(tmp_path / "x.bin", {"m": VALUES}, views=lambda _, v: (v, first, strides))
    with pytest.raises(InputError, match="malformed"):
        read_pickle(tmp_path / "x.bin")


class Calls:
    """An object that is pickled as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def by_name(module: str, name: str, *arguments: str) -> bytes:
    """A pickle that looks up `module.name` and calls it with strings."""
    texts = b"".join(
        b"\x8c" + bytes([len(text.encode())]) + text.encode() for text in (module, name)
    )
    given = b"(" + b"".join(b"S'" + text.encode() + b"'\n" for text in arguments) + b"t"
    return b"\x80\x04" + texts + b"\x93" + given + b"R."


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_code_in_a_pickle_is_not_run(tmp_path: Path, protocol: int) -> None:
    proof = tmp_path / "it-ran"
    evil = OrderedDict(w=Calls(exec, f"open({str(proof)!r}, 'w')"))
    data = pickle.dumps(evil, protocol)
    write_archive(tmp_path / "x.bin", data, [])
    with pytest.raises(InputError) as caught:
        read_pickle(tmp_path / "x.bin")
    assert not proof.exists()
    assert "exec" in caught.value.message
    assert "\n" not in caught.value.message
    pickle.loads(data)
    assert proof.exists(), "without protection, the pickle of this test runs code"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("builtins", "__import__"),
        ("torch", "load"),
        ("torch", "Tensor"),
        ("torch._utils", "_rebuild_wrapper_subclass"),
        ("torch.storage", "_load_from_bytes"),
        ("torch", "FloatStorage.from_file"),
        ("collections", "OrderedDict.fromkeys"),
        ("collections", "abc.sys.modules"),
        ("collections", "Counter"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("_codecs", "encode"),
        ("llmsuggestd.convert.unpickle", "read_pickle"),
    ],
)
def test_no_other_name_is_found(tmp_path: Path, module: str, name: str) -> None:
    write_archive(tmp_path / "x.bin", by_name(module, name, "x"), [])
    with pytest.raises(InputError, match="refused") as caught:
        read_pickle(tmp_path / "x.bin")
    assert f"{module}.{name}" in caught.value.message


def persistent(pid: Any) -> bytes:
    """A pickle that refers to something outside itself."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: Any) -> Any:
            return pid if isinstance(obj, Calls) else None

    data = io.BytesIO()
    Pickler(data, 2).dump({"w": Calls(len)})
    return data.getvalue()


@pytest.mark.parametrize(
    "pid",
    ["0", ("storage",), ("storage", "FloatStorage", "0", "cpu", 3), ("module", 1, 2, 3, 4), 7],
)
def test_references_to_anything_but_storages_are_refused(tmp_path: Path, pid: Any) -> None:
    write_archive(tmp_path / "x.bin", persistent(pid), [b"1234"])
    with pytest.raises(InputError, match="not a storage"):
        read_pickle(tmp_path / "x.bin")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2], "not a list of named tensors"),
        ({"w": 3}, "'w' is not a tensor"),
        ({"weights": {"w": 3}}, "'weights' is not a tensor"),
        ({3: 3}, "3 is not a tensor"),
    ],
)
def test_a_pickle_of_something_else_is_refused(tmp_path: Path, value: Any, message: str) -> None:
    write_archive(tmp_path / "x.bin", pickle.dumps(value, 2), [])
    with pytest.raises(InputError, match=message):
        read_pickle(tmp_path / "x.bin")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x02",
        b"garbage",
        b"\x80\x02}q\x00",
        b"\x80\x02R.",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x00.",
        b"\x80\x02ccollections\nOrderedDict\n(I1\nI2\ntR.",
        b"\x80\x02ccollections\nOrderedDict\n)R(S'__setstate__'\nS'x'\nd}b.",
    ],
)
def test_damaged_pickles_are_refused(tmp_path: Path, data: bytes) -> None:
    write_archive(tmp_path / "x.bin", data, [])
    with pytest.raises(InputError):
        read_pickle(tmp_path / "x.bin")


def test_a_huge_memo_index_takes_no_memory(tmp_path: Path) -> None:
    # An array as long as the index, as the unpickler in C makes one, would take 16 GB.
    data = b"\x80\x02}r" + struct.pack("<I", 2**31 - 1) + b"."
    write_archive(tmp_path / "x.bin", data, [])
    assert read_pickle(tmp_path / "x.bin") == {}


def test_an_attribute_that_hides_a_method_changes_nothing(tmp_path: Path) -> None:
    # OrderedDict with an instance attribute `items`, set by the BUILD opcode.
    data = b"\x80\x02ccollections\nOrderedDict\n)R}S'items'\nI3\nsb."
    write_archive(tmp_path / "x.bin", data, [])
    assert read_pickle(tmp_path / "x.bin") == {}


def test_a_compressed_storage_is_refused(tmp_path: Path) -> None:
    save_pickle(tmp_path / "x.bin", {"m": VALUES}, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="compressed"):
        read_pickle(tmp_path / "x.bin")


def test_a_storage_that_is_missing_or_short_is_noticed(tmp_path: Path) -> None:
    save_pickle(tmp_path / "x.bin", {"m": VALUES})
    with zipfile.ZipFile(tmp_path / "x.bin") as archive:
        data = archive.read("archive/data.pkl")
    write_archive(tmp_path / "x.bin", data, [])
    with pytest.raises(InputError, match="storage 0 is missing"):
        read_pickle(tmp_path / "x.bin")
    write_archive(tmp_path / "x.bin", data, [VALUES.tobytes()[:-1]])
    with pytest.raises(InputError, match="storage 0 is shorter"):
        read_pickle(tmp_path / "x.bin")


def test_every_cut_of_a_file_is_noticed(tmp_path: Path) -> None:
    whole = tmp_path / "x.bin"
    save_pickle(whole, {"m": VALUES})
    content = whole.read_bytes()
    for size in range(len(content)):
        whole.write_bytes(content[:size])
        with pytest.raises(InputError):
            read_pickle(whole)


def test_a_big_endian_file_is_refused(tmp_path: Path) -> None:
    save_pickle(tmp_path / "x.bin", {"m": VALUES})
    with zipfile.ZipFile(tmp_path / "x.bin") as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "x.bin", "w") as archive:
        for name, content in (entries | {"archive/byteorder": b"big"}).items():
            archive.writestr(name, content)
    with pytest.raises(InputError, match="big-endian"):
        read_pickle(tmp_path / "x.bin")


def test_the_format_before_torch_1_6_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, 2))
    with pytest.raises(InputError, match=r"a checkpoint of torch before 1\.6"):
        read_pickle(tmp_path / "x.bin")


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model", "module"])
def test_weights_among_a_trainers_state_are_found(tmp_path: Path, key: str) -> None:
    save_pickle(tmp_path / "x.bin", {"m": VALUES}, inside=key)
    assert list(read_pickle(tmp_path / "x.bin")) == ["m"]
