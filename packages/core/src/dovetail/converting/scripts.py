"""TorchScript archives as mere tensors by name: none of their code is read.

An archive holds the tree of modules as a pickle of attributes, and each tensor's bytes beside it.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dovetail.converting.storage import Original, Source, TorchFiles
from dovetail.errors import CheckpointError
from dovetail.weights import MemoryTensor

TREE = "/data.pkl"
MARK = "/constants.pkl"
"""What a TorchScript archive holds and a state dict does not."""
STORAGES = {
    f"{name}Storage": dtype
    for name, dtype in {
        "Half": torch.float16,
        "BFloat16": torch.bfloat16,
        "Float": torch.float32,
        "Double": torch.float64,
        "Long": torch.int64,
        "Int": torch.int32,
        "Short": torch.int16,
        "Char": torch.int8,
        "Byte": torch.uint8,
        "Bool": torch.bool,
    }.items()
}


@dataclass(frozen=True)
class ScriptFiles(TorchFiles):
    """Files of torch, of which TorchScript archives are read as well; state dicts are written."""

    def _open(self, path: Path, source: Source) -> Original:
        if not zipfile.is_zipfile(path):
            return super()._open(path, source)
        with zipfile.ZipFile(path) as archive:
            roots = [n.removesuffix(MARK) for n in archive.namelist() if n.endswith(MARK)]
            if not roots:
                return super()._open(path, source)
            try:
                module = _Tree(archive, roots[0]).load()
                tensors = dict(_attributes(module, ""))
            except Exception as error:  # many kinds, depending on which byte is wrong
                raise CheckpointError(
                    f"{path} is a damaged TorchScript archive, or holds more than modules and "
                    f"tensors ({error}). Download it again."
                ) from error
        return Original({name: MemoryTensor(t, str(path)) for name, t in tensors.items()})


def _attributes(module: Any, prefix: str) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a module and of those within it."""
    for name, value in vars(module).items():
        if isinstance(value, Namespace):
            yield from _attributes(value, f"{prefix}{name}.")
        elif isinstance(value, Tensor):
            yield f"{prefix}{name}", value


class _Tree(pickle.Unpickler):
    """Reads modules as records of attributes; anything that could run code is refused."""

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        self.archive, self.root = archive, root
        self.storages: dict[str, Tensor] = {}
        super().__init__(io.BytesIO(self.bytes_of(TREE)))

    def bytes_of(self, name: str) -> bytes:
        """The content of a member, which is not compressed: it could unfold to any size."""
        info = self.archive.getinfo(self.root + name)
        if info.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{name} is compressed")
        return self.archive.read(info)

    def find_class(self, module: str, name: str) -> Any:
        if module == "__torch__" or module.startswith("__torch__."):
            return Namespace
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuilt
        if module == "torch.jit._pickle":  # lists and marks of types
            return _first
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed")

    def persistent_load(self, pid: Any) -> Tensor:
        kind, dtype, key, _, count = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise pickle.UnpicklingError(f"{kind!r} is not allowed")
        if key not in self.storages:
            data = bytearray(self.bytes_of(f"/data/{key}"))
            self.storages[key] = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0)
        if len(self.storages[key]) != count:
            raise ValueError(f"storage {key} has {len(self.storages[key])} numbers, not {count}")
        return self.storages[key]


def _rebuilt(
    storage: Tensor, offset: int, size: Sequence[int], stride: Sequence[int], *rest: Any
) -> Tensor:
    return storage.as_strided(tuple(size), tuple(stride), offset)


def _first(value: Any, *rest: Any) -> Any:
    return value
