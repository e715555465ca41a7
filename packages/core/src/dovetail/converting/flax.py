"""The storage of flax's checkpoints: one MessagePack message, a tree of arrays.

Arrays are extension type 1, numpy's scalars type 3; either holds a message of its own: shape, name
of the type, bytes (https://github.com/msgpack/msgpack/blob/master/spec.md).
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from dovetail.converting.storage import Keys, Original, OtherLayoutError, Source, Storage
from dovetail.converting.writing import raw
from dovetail.errors import CheckpointError
from dovetail.weights import MemoryTensor

ARRAY, SCALAR = 1, 3
DEEPEST = 64
"""How deep a tree may be; what is deeper is no checkpoint."""
NUMBERS = {
    0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
    0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q",
}  # fmt: skip
CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
LENGTHS = {
    0xC4: (">B", "bytes"), 0xC5: (">H", "bytes"), 0xC6: (">I", "bytes"),
    0xC7: (">B", "extension"), 0xC8: (">H", "extension"), 0xC9: (">I", "extension"),
    0xD9: (">B", "text"), 0xDA: (">H", "text"), 0xDB: (">I", "text"),
    0xDC: (">H", "list"), 0xDD: (">I", "list"), 0xDE: (">H", "map"), 0xDF: (">I", "map"),
}  # fmt: skip
FIXED_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}


@dataclass(frozen=True, kw_only=True)
class FlaxFiles(Storage):
    """A checkpoint of flax, whose tensors are named by their place in the tree: ``"a/b/kernel"``.

    The tree lies under the first of `roots` that is there, and is written under the first; `name`
    is the file that is written.
    """

    name: str = "checkpoint.msgpack"
    roots: tuple[Keys, ...] = ((),)

    def find(self, source: Source) -> list[Path]:
        """The last file without a suffix, or with this one, that starts as a map does."""
        paths = [path for path in source.paths("*") if path.suffix in ("", ".msgpack")]
        return [path for path in paths if path.is_file() and _starts_as_map(path)][-1:]

    def read_tensors(self, source: Source) -> Original:
        """The arrays, mapped and not read."""
        path = self.find(source)[0]
        try:
            with path.open("rb") as file:
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
            tree = _Reader(memoryview(data)).read()
        except (ValueError, struct.error, IndexError, TypeError, RuntimeError) as error:
            raise CheckpointError(
                f"{path} is damaged, or no checkpoint of flax ({error}). Download it again."
            ) from error
        for root in self.roots:
            found = tree
            for key in root:
                found = found.get(key) if isinstance(found, Mapping) else None
            if isinstance(found, Mapping):
                leaves = _leaves(found, "")
                return Original({n: MemoryTensor(t, str(path)) for n, t in leaves})
        wanted = " or ".join("/".join(root) for root in self.roots)
        raise OtherLayoutError(f"{path} holds no tree under {wanted}: it is of another layout.")

    def write_tensors(self, folder: Path, original: Original, shards: int) -> None:
        """One message with all arrays."""
        if shards > 1:
            raise CheckpointError(f"shards={shards}: this layout is one file. Leave it out.")
        tree: dict[str, Any] = {}
        for name, tensor in original.tensors.items():
            _place(tree, [*self.roots[0], *name.split("/")], tensor)
        with (folder / self.name).open("wb") as file:
            _write(file, tree)


def _starts_as_map(path: Path) -> bool:
    with path.open("rb") as file:
        first = file.read(1)
    return bool(first) and (0x80 <= first[0] <= 0x8F or first[0] in (0xDE, 0xDF))


def _leaves(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Tensor]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}/")
        elif isinstance(value, Tensor):
            yield f"{prefix}{key}", value


def _place(tree: dict[str, Any], keys: list[str], value: Any) -> None:
    *outer, last = keys
    for key in outer:
        tree = tree.setdefault(key, {})
    tree[last] = value


class _Reader:
    """Reads one message; bytes stay views of `data`."""

    def __init__(self, data: memoryview) -> None:
        self.data, self.position = data, 0

    def take(self, count: int) -> memoryview:
        end = self.position + count
        if end > len(self.data):
            raise ValueError("it ends in the middle of a value")
        taken = self.data[self.position : end]
        self.position = end
        return taken

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def read(self, depth: int = 0) -> Any:
        """The next value."""
        if depth > DEEPEST:
            raise ValueError(f"it is deeper than {DEEPEST}")
        code = self.take(1)[0]
        if code < 0x80 or code >= 0xE0:
            return code if code < 0x80 else code - 256
        if code in CONSTANTS:
            return CONSTANTS[code]
        if code in NUMBERS:
            return self.number(NUMBERS[code])
        if code in FIXED_EXTENSIONS:
            return self.extension(FIXED_EXTENSIONS[code], depth)
        if code < 0xC0:
            kind, length = _short(code)
        elif code in LENGTHS:
            form, kind = LENGTHS[code]
            length = self.number(form)
        else:
            raise ValueError(f"byte {self.position - 1} starts no value")
        kinds: dict[str, Callable[[int, int], Any]] = {
            "bytes": lambda length, depth: self.take(length),
            "text": lambda length, depth: str(self.take(length), "utf-8"),
            "list": lambda length, depth: [self.read(depth + 1) for _ in range(length)],
            "map": lambda length, depth: {
                self.read(depth + 1): self.read(depth + 1) for _ in range(length)
            },
            "extension": self.extension,
        }
        return kinds[kind](length, depth)

    def extension(self, length: int, depth: int) -> Any:
        """An array, or nothing for what flax does not save of a model."""
        kind = self.number(">b")
        content = self.take(length)
        if kind not in (ARRAY, SCALAR):
            return None
        shape, dtype, data = _Reader(content).read(depth + 1)
        if isinstance(dtype, memoryview):
            dtype = str(dtype, "utf-8")
        kind_of = getattr(torch, dtype, None)
        if not isinstance(kind_of, torch.dtype):
            raise ValueError(f"an array of the unknown type {dtype!r}")
        if not len(data):
            return torch.empty(tuple(shape), dtype=kind_of)
        flat = torch.frombuffer(data, dtype=torch.uint8)
        if flat.data_ptr() % kind_of.itemsize:
            flat = flat.clone()
        return flat.view(kind_of).reshape(tuple(shape))


def _short(code: int) -> tuple[str, int]:
    """Kind and length of what tells both in its first byte."""
    if code < 0x90:
        return "map", code & 0x0F
    return ("list", code & 0x0F) if code < 0xA0 else ("text", code & 0x1F)


def _write(file: BinaryIO, value: Any) -> None:
    """Write a tree of tensors."""
    if isinstance(value, Mapping):
        file.write(b"\xdf" + struct.pack(">I", len(value)))
        for key, inner in value.items():
            _write_text(file, key)
            _write(file, inner)
        return
    data = raw(value.get())
    head = b"\xdc" + struct.pack(">H", len(value.shape))
    head += b"".join(b"\xcf" + struct.pack(">Q", size) for size in value.shape)
    dtype = str(value.dtype).removeprefix("torch.").encode()
    head = b"\x93" + head + bytes([0xA0 | len(dtype)]) + dtype
    head += b"\xc6" + struct.pack(">I", len(data))
    file.write(b"\xc9" + struct.pack(">Ib", len(head) + len(data), ARRAY) + head)
    file.write(data)


def _write_text(file: BinaryIO, text: str) -> None:
    encoded = text.encode()
    file.write(b"\xda" + struct.pack(">H", len(encoded)) + encoded)
