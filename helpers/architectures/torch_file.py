"""Reader of the weights files that PyTorch wrote before version 1.6, without PyTorch.

Such a file consists of pickles and raw numbers. This is the only module that imports pickle. It checks the
digest of a file first. A pickle in it can name four things only, so it cannot run code.
"""

import hashlib
import io
import math
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001


class TorchFileError(ValueError):
    """A file is not the expected one, or cannot be read."""


class _Tensor(NamedTuple):
    """Part of a storage that is an array; offset and strides in elements."""

    storage: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Unpickler(pickle.Unpickler):
    """Unpickler of strings, numbers, containers and descriptions of tensors.

    Attributes:
        storages: dtype and number of elements of every storage that was named, by key.
    """

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.storages: dict[str, tuple[str, int]] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for one of four names.

        Raises:
            TorchFileError: the name is another one.
        """
        match f"{module}.{name}":
            case "collections.OrderedDict":
                return OrderedDict
            case "torch._utils._rebuild_tensor_v2":
                return self._tensor
            case "torch.FloatStorage":
                return "<f4"
            case "torch.LongStorage":
                return "<i8"
            case other:
                raise TorchFileError(f"names {other}, which is not allowed")

    def persistent_load(self, pid: Any) -> str:
        """Note a storage and return its key."""
        kind, dtype, key, _, count, view = pid
        if (
            kind != "storage"
            or view is not None
            or self.storages.setdefault(key, (dtype, count)) != (dtype, count)
        ):
            raise TorchFileError(f"describes a storage as {pid}")
        return str(key)

    def _tensor(
        self, storage: str, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
    ) -> _Tensor:
        return _Tensor(storage, offset, shape, strides)


def read_torch_file(path: Path, sha256: str) -> dict[str, NDArray[np.generic]]:
    """Read the arrays of a file with a known digest.

    Args:
        path: a file that `torch.save` wrote from a state dict in its older format.
        sha256: hexadecimal digest of its content.

    Returns:
        The arrays by name, in the order of the file: read-only, little-endian float32 or int64.

    Raises:
        TorchFileError: the digest differs, or the content cannot be read.
        OSError: the file cannot be opened.
    """
    content = path.read_bytes()
    if (digest := hashlib.sha256(content).hexdigest()) != sha256:
        raise TorchFileError(f"{path} has the sha256 {digest}, expected {sha256}")
    try:
        return _arrays(content)
    except Exception as error:  # a damaged pickle may raise anything
        raise TorchFileError(f"{path} cannot be read: {error}") from error


def _arrays(content: bytes) -> dict[str, NDArray[np.generic]]:
    file = io.BytesIO(content)
    magic, version, system = (_Unpickler(file).load() for _ in range(3))
    if (magic, version, system["little_endian"]) != (MAGIC, VERSION, True):
        raise TorchFileError(f"begins with {magic}, {version} and {system}")
    unpickler = _Unpickler(file)
    tensors = unpickler.load()
    storages = {}
    for key in _Unpickler(file).load():
        dtype, count = unpickler.storages[key]
        if int.from_bytes(file.read(8), "little") != count:
            raise TorchFileError(f"storage {key} does not have {count} elements")
        storages[key] = np.frombuffer(content, dtype, count, file.tell())
        file.seek(storages[key].nbytes, io.SEEK_CUR)
    if file.tell() != len(content):
        raise TorchFileError(f"has {len(content)} bytes, expected {file.tell()}")
    return {name: _array(storages[tensor.storage], tensor) for name, tensor in tensors.items()}


def _array(storage: NDArray[np.generic], tensor: _Tensor) -> NDArray[np.generic]:
    """Return the elements of a storage that a tensor names; NumPy refuses any outside."""
    _, offset, shape, strides = tensor
    if math.prod(shape) > len(storage):  # a stride of 0 would repeat elements
        raise TorchFileError(f"has an array of shape {shape} in a storage of {len(storage)} elements")
    size = storage.itemsize
    return np.ndarray(shape, storage.dtype, storage, offset * size, [stride * size for stride in strides])
