"""Files of torch.save: what is read, and what is refused without running anything."""

import hashlib
import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from helpers.architectures.torch_file import MAGIC, VERSION, TorchFileError, read_torch_file

SYSTEM = {"protocol_version": VERSION, "little_endian": True, "type_sizes": {"long": 4}}
NUMBERS = np.arange(12, dtype="<f4")
COUNTS = np.array([7], "<i8")


def plain(value: object) -> bytes:
    """Return the opcodes that push a plain value."""
    return pickle.dumps(value, 2)[2:-1]


def tensor(
    key: str,
    count: int,
    offset: int,
    shape: Sequence[int],
    strides: Sequence[int],
    kind: bytes = b"FloatStorage",
    rebuild: bytes = b"torch._utils\n_rebuild_tensor_v2",
) -> bytes:
    """Return the opcodes that push a tensor, as torch.save writes them."""
    storage = b"(" + plain("storage") + b"ctorch\n" + kind + b"\n" + plain(key) + plain("cpu") + plain(count)
    place = plain(offset) + plain(tuple(shape)) + plain(tuple(strides))
    hooks = b"\x89ccollections\nOrderedDict\n)R"
    return b"c" + rebuild + b"\n(" + storage + b"NtQ" + place + hooks + b"tR"


def written(
    tensors: dict[str, bytes],
    storages: dict[str, np.ndarray],
    *,
    counts: dict[str, int] | None = None,
    head: tuple[object, ...] = (MAGIC, VERSION, SYSTEM),
) -> bytes:
    """Return the content of a file; `counts` replaces numbers of elements before the storages."""
    items = b"".join(plain(name) + opcodes for name, opcodes in tensors.items())
    content = b"".join(pickle.dumps(part, 2) for part in head)
    content += b"\x80\x02ccollections\nOrderedDict\n)R(" + items + b"u."
    content += pickle.dumps(list(storages), 2)
    for key, array in storages.items():
        count = (counts or {}).get(key, array.size)
        content += count.to_bytes(8, "little") + array.tobytes()
    return content


def read(content: bytes, folder: Path) -> dict[str, np.ndarray]:
    file = folder / "weights.pth"
    file.write_bytes(content)
    return read_torch_file(file, hashlib.sha256(content).hexdigest())


def good() -> bytes:
    return written(
        {
            "rows": tensor("0", 12, 0, (2, 3), (3, 1)),
            "columns": tensor("0", 12, 6, (2, 3), (1, 2)),
            "number": tensor("1", 1, 0, (), (), b"LongStorage"),
        },
        {"0": NUMBERS, "1": COUNTS},
    )


def test_arrays_are_parts_of_storages_with_any_strides(tmp_path) -> None:
    arrays = read(good(), tmp_path)
    assert list(arrays) == ["rows", "columns", "number"]
    assert arrays["rows"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert arrays["columns"].tolist() == [[6, 8, 10], [7, 9, 11]]
    assert arrays["rows"].dtype == np.float32
    assert arrays["number"] == np.int64(7)
    assert not any(array.flags.writeable for array in arrays.values())


def test_another_digest_is_refused_unread(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("helpers.architectures.torch_file._arrays", None)
    (tmp_path / "weights.pth").write_bytes(good())
    with pytest.raises(TorchFileError, match=r"weights\.pth has the sha256 [0-9a-f]{64}, expected 0000$"):
        read_torch_file(tmp_path / "weights.pth", "0000")


RUN = "import pathlib; pathlib.Path('ran').touch()"
HOSTILE = {
    "exec by GLOBAL": b"cbuiltins\nexec\n" + plain((RUN,)) + b"R",
    "exec by STACK_GLOBAL": plain("builtins") + plain("exec") + b"\x93" + plain((RUN,)) + b"R",
    "exec by INST": b"(" + plain(RUN) + b"ibuiltins\nexec\n",
    "a class of PyTorch": b"ctorch\nIntStorage\n",
    "a part of what is allowed": plain("collections") + plain("OrderedDict.fromkeys") + b"\x93",
    "a relative of what is allowed": b"ccollections\nCounter\n)R",
    "an extension": b"\x82\x01",
    "a persistent name of another form": b"Pstorage\n",
    "a storage that is called": b"ctorch\nFloatStorage\n)R",
}


@pytest.mark.parametrize("opcodes", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("place", ["first", "tensor", "last"])
def test_other_names_are_refused_and_nothing_runs(opcodes, place, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    pickled = b"\x80\x04" + opcodes + b"."
    content = {
        "first": pickled + good(),
        "tensor": written({"rows": opcodes}, {"0": NUMBERS}),
        "last": written({}, {})[: -len(pickle.dumps([], 2))] + pickled,
    }[place]
    with pytest.raises(TorchFileError, match=r"weights\.pth cannot be read: "):
        read(content, tmp_path)
    assert not Path("ran").exists()


def test_a_name_is_shown(tmp_path) -> None:
    with pytest.raises(TorchFileError, match=r"cannot be read: names builtins\.exec, which is not allowed$"):
        read(HOSTILE["exec by GLOBAL"] + good(), tmp_path)


def test_what_is_allowed_cannot_be_changed(tmp_path) -> None:
    """BUILD sets attributes: of the functions and classes that the names stand for, it must set none."""
    for name in (b"torch._utils\n_rebuild_tensor_v2", b"torch\nFloatStorage", b"collections\nOrderedDict"):
        opcodes = b"c" + name + b"\n" + plain((None, {"__call__": 1, "__code__": 1})) + b"b"
        with pytest.raises(TorchFileError, match="attribute"):
            read(written({"rows": opcodes}, {"0": NUMBERS}), tmp_path)
    read(good(), tmp_path)


def test_a_file_that_ends_early_or_late_is_refused(tmp_path) -> None:
    content = good()
    for length in range(len(content)):
        with pytest.raises(TorchFileError):
            read(content[:length], tmp_path)
    with pytest.raises(TorchFileError, match=f"has {len(content) + 1} bytes, expected {len(content)}"):
        read(content + b"\0", tmp_path)


@pytest.mark.parametrize("head", [(MAGIC + 1, VERSION, SYSTEM), (MAGIC, 1, SYSTEM), (MAGIC, VERSION, 1)])
def test_another_format_is_refused(head, tmp_path) -> None:
    with pytest.raises(TorchFileError):
        read(written({}, {}, head=head), tmp_path)
    big_endian = {**SYSTEM, "little_endian": False}
    with pytest.raises(TorchFileError, match="begins with"):
        read(written({}, {}, head=(MAGIC, VERSION, big_endian)), tmp_path)


@pytest.mark.parametrize(
    ("count", "offset", "shape", "strides"),
    [
        (13, 0, (2, 3), (3, 1)),  # not what the storage says
        (12, 7, (2, 3), (3, 1)),
        (12, -1, (2, 3), (3, 1)),
        (12, 2**62, (2, 3), (3, 1)),
        (12, 0, (5, 3), (3, 1)),
        (12, 0, (2, 3), (9, 2)),
        (12, 0, (2, 3), (-3, 1)),
        (12, 0, (2, 3), (3,)),
        (12, 0, (-2, -3), (3, 1)),
        (12, 0, (2**40,), (0,)),
        (12, 0, (2**40, 2**40), (0, 0)),
        (12, 0, (2.0, 3), (3, 1)),
        (12, "0", (2, 3), (3, 1)),
    ],
)
def test_an_array_outside_its_storage_is_refused(count, offset, shape, strides, tmp_path) -> None:
    opcodes = tensor("0", count, offset, shape, strides)
    with pytest.raises(TorchFileError):
        read(written({"rows": opcodes}, {"0": NUMBERS}), tmp_path)


@pytest.mark.parametrize("count", [0, 11, 2**40, 2**62, 2**64 - 1])
def test_a_storage_of_another_size_is_refused(count, tmp_path) -> None:
    """Also where tensor and storage agree, so that nothing is allocated for what is not there."""
    opcodes = tensor("0", count, 0, (2, 3), (3, 1))
    with pytest.raises(TorchFileError):
        read(written({"rows": opcodes}, {"0": NUMBERS}, counts={"0": count}), tmp_path)


def test_storages_and_tensors_name_each_other(tmp_path) -> None:
    opcodes = tensor("0", 12, 0, (2, 3), (3, 1))
    for storages in ({}, {"1": NUMBERS}, {"0": NUMBERS, "1": NUMBERS}):
        with pytest.raises(TorchFileError):
            read(written({"rows": opcodes}, storages), tmp_path)
    twice = {"a": opcodes, "b": tensor("0", 11, 0, (2, 3), (3, 1))}
    with pytest.raises(TorchFileError, match="describes a storage as"):
        read(written(twice, {"0": NUMBERS}), tmp_path)
    with pytest.raises(TorchFileError):
        read(written({"rows": plain("text")}, {}), tmp_path)


def test_a_missing_file_is_an_error_of_the_system(tmp_path) -> None:
    with pytest.raises(FileNotFoundError):
        read_torch_file(tmp_path / "none.pth", "")
