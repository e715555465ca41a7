"""Writing tensors that are not yet read, one at a time, so that memory holds one and not a file."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dovetail.weights import DTYPES, LazyTensor

NAMES = {dtype: name for name, dtype in DTYPES.items()}
META_FORMAT = {"format": "pt"}
ALIGNMENT = 8


class Cast(LazyTensor):
    """A tensor in another type of numbers; what is no floating-point number stays as it is."""

    def __init__(self, tensor: LazyTensor, dtype: torch.dtype) -> None:
        self.tensor, self.shape, self.origin = tensor, tensor.shape, tensor.origin
        self.dtype = dtype if tensor.dtype.is_floating_point else tensor.dtype

    def get(self) -> Tensor:
        """The tensor in its new type."""
        return self.tensor.get().to(self.dtype)


class Counted(LazyTensor):
    """A tensor that tells when it is read."""

    def __init__(self, tensor: LazyTensor, tell: Callable[[], Any]) -> None:
        self.tensor, self.tell = tensor, tell
        self.shape, self.dtype, self.origin = tensor.shape, tensor.dtype, tensor.origin

    def get(self) -> Tensor:
        """The tensor."""
        self.tell()
        return self.tensor.get()


def save_safetensors(tensors: Mapping[str, LazyTensor], path: Path) -> None:
    """Write a safetensors file whose tensors are read one by one."""
    # Wide numbers first, so that each tensor begins at a multiple of its numbers' size.
    order = sorted(tensors, key=lambda name: -tensors[name].dtype.itemsize)
    header: dict[str, Any] = {"__metadata__": META_FORMAT}
    end = 0
    for name in order:
        tensor = tensors[name]
        begin, end = end, end + prod(tensor.shape) * tensor.dtype.itemsize
        entry = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape)}
        header[name] = entry | {"data_offsets": [begin, end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            file.write(raw(tensors[name].get()))


def save_pickled(
    tensors: Mapping[str, LazyTensor], path: Path, wrap: Callable[[Mapping[str, Tensor]], Any]
) -> None:
    """Write what `wrap` makes of the tensors by ``torch.save``.

    Torch wants them all at once: they lie in mapped files meanwhile, which memory can give up.
    """
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        mapped = {name: _in_file(tensor.get(), Path(folder)) for name, tensor in tensors.items()}
        torch.save(wrap(mapped), path)


def raw(tensor: Tensor) -> memoryview:
    """The bytes of a tensor."""
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data


def _in_file(tensor: Tensor, folder: Path) -> Tensor:
    if not tensor.numel():
        return tensor.clone()
    path = folder / os.urandom(8).hex()
    path.write_bytes(raw(tensor))
    storage = torch.UntypedStorage.from_file(str(path), shared=False, nbytes=tensor.nbytes)
    with contextlib.suppress(PermissionError):  # where a mapped file cannot go, the folder will
        path.unlink()
    empty = torch.empty(0, dtype=tensor.dtype)
    return empty.set_(storage).view(tensor.shape)  # type: ignore[arg-type] # its stub is wrong
