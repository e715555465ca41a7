"""TensorFlow's checkpoint files ("tensor bundles", version 2), read and written without TensorFlow.

``NAME.index`` is a sorted table as LevelDB's (blocks of entries, a block of handles, a footer of 48
bytes), whose values are small protocol buffers: per tensor its type, shape, file, offset, size and
checksum. ``NAME.data-00000-of-00001`` holds the numbers, one tensor after another.
Formats: LevelDB ``doc/table_format.md``; TensorFlow ``tensor_bundle.proto``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dovetail.converting.crc32c import crc32c
from dovetail.converting.writing import raw
from dovetail.errors import CheckpointError
from dovetail.weights import LazyTensor

MAGIC = 0xDB4775248B80FB57
FOOTER = 48
MAX_INDEX = 2**28
CRC_OFFSET = 0xA282EAD8
DTYPES = {
    1: torch.float32,
    2: torch.float64,
    3: torch.int32,
    4: torch.uint8,
    5: torch.int16,
    6: torch.int8,
    9: torch.int64,
    10: torch.bool,
    14: torch.bfloat16,
    19: torch.float16,
}
NUMBERS = {dtype: number for number, dtype in DTYPES.items()}
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
HEADER = b"\x08\x01\x1a\x02\x08\x01"
"""A bundle of one data file, little-endian, of version 1."""

Fields = dict[int, list[int | bytes]]


class BundleTensor(LazyTensor):
    """A tensor in a data file."""

    def __init__(
        self, path: Path, name: str, dtype: torch.dtype, shape: tuple[int, ...], offset: int
    ) -> None:
        self.path, self.name, self.offset = path, name, offset
        self.shape, self.dtype, self.origin = shape, dtype, str(path)

    def get(self) -> Tensor:
        """The tensor in memory of its own."""
        if not prod(self.shape):
            return torch.empty(self.shape, dtype=self.dtype)
        size = prod(self.shape) * self.dtype.itemsize
        data = np.fromfile(self.path, np.uint8, count=size, offset=self.offset)
        return torch.from_numpy(data).view(self.dtype).reshape(self.shape)


def read_bundle(index: Path) -> dict[str, LazyTensor]:
    """The tensors of the checkpoint whose index is at `index`, unread.

    Text variables, which hold no weights, are left out.

    Raises:
        CheckpointError: the index is damaged, or a data file is missing or too short.
    """
    if index.stat().st_size > MAX_INDEX:
        raise CheckpointError(f"{index} is larger than {MAX_INDEX} bytes: no index of tensors.")
    try:
        entries = dict(_table_entries(index.read_bytes()))
        shards = _single(_fields(entries.pop(b"")), 1, 1)
        found = {
            name.decode(): tensor
            for name, value in entries.items()
            if (tensor := _tensor(index, name.decode(), _fields(value), shards)) is not None
        }
    except CheckpointError:
        raise
    except (ValueError, IndexError, KeyError, struct.error) as error:
        raise CheckpointError(
            f"{index} is damaged, or no index of a TensorFlow checkpoint ({error!r}). "
            "Download it again."
        ) from error
    return found


def _tensor(index: Path, name: str, entry: Fields, shards: int) -> LazyTensor | None:
    dtype = DTYPES.get(_single(entry, 1, 0))
    if dtype is None:
        return None
    if 7 in entry:
        raise CheckpointError(f"{index}: {name!r} is a partitioned variable, which is not read.")
    dims = [_fields(dim) for shape in entry.get(2, []) for dim in _fields(shape).get(2, [])]
    shape = tuple(_single(dim, 1, 0) for dim in dims)
    shard, offset, size = (_single(entry, number, 0) for number in (3, 4, 5))
    path = index.with_name(f"{index.stem}.data-{shard:05d}-of-{shards:05d}")
    if not path.is_file():
        raise CheckpointError(f"{index} names {path.name}, which is missing. Download it as well.")
    if prod(shape) * dtype.itemsize != size or offset + size > path.stat().st_size:
        raise CheckpointError(
            f"{path} is truncated or of another checkpoint: {name!r} of shape {list(shape)} needs "
            f"{size} bytes from {offset} on, the file holds {path.stat().st_size}."
        )
    return BundleTensor(path, name, dtype, shape, offset)


def _table_entries(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    if len(data) < FOOTER or int.from_bytes(data[-8:], "little") != MAGIC:
        raise ValueError("no table's footer")
    position = len(data) - FOOTER
    for _ in range(2):  # past the handle of the meta index
        _, position = _varint(data, position)
    for _, handle in _block_entries(data, *_handle(data, position)):
        yield from _block_entries(data, *_handle(handle, 0))


def _handle(data: bytes, position: int) -> tuple[int, int]:
    offset, position = _varint(data, position)
    return offset, _varint(data, position)[0]


def _block_entries(data: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    block = data[offset : offset + size]
    if len(block) != size or data[offset + size] != 0:
        raise ValueError("a compressed block, or one beyond the end")
    (restarts,) = struct.unpack("<I", block[-4:])
    end, position, key = size - 4 - 4 * restarts, 0, b""
    while position < end:
        shared, position = _varint(block, position)
        fresh, position = _varint(block, position)
        length, position = _varint(block, position)
        key = key[:shared] + block[position : position + fresh]
        position += fresh
        yield key, block[position : position + length]
        position += length


def _fields(message: int | bytes) -> Fields:
    """The fields of a protocol buffer by number."""
    if isinstance(message, int):
        raise ValueError("a number where a message belongs")
    fields: Fields = {}
    position = 0
    value: int | bytes
    while position < len(message):
        tag, position = _varint(message, position)
        if tag & 7 == VARINT:
            value, position = _varint(message, position)
        elif tag & 7 == BYTES:
            length, position = _varint(message, position)
            value = message[position : position + length]
            position += length
        else:
            width = {FIXED32: 4, FIXED64: 8}[tag & 7]
            value = int.from_bytes(message[position : position + width], "little")
            position += width
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _single(fields: Fields, number: int, default: int) -> int:
    value = fields.get(number, [default])[-1]
    if not isinstance(value, int):
        raise ValueError(f"field {number} is no number")
    return value


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        shift, position = shift + 7, position + 1
        if byte < 0x80:
            return value, position
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


def write_bundle(tensors: Mapping[str, LazyTensor], prefix: Path) -> None:
    """Write ``prefix.index`` and ``prefix.data-00000-of-00001``, reading one tensor at a time."""
    entries, offset = [(b"", HEADER)], 0
    with prefix.with_name(f"{prefix.name}.data-00000-of-00001").open("wb") as file:
        for name in sorted(tensors, key=str.encode):
            tensor = tensors[name].get()
            data = raw(tensor)
            entries.append((name.encode(), _entry(tensor, offset, data)))
            file.write(data)
            offset += len(data)
    block = _block(entries)
    index = _block([(entries[-1][0], _encoded(0) + _encoded(len(block) - 5))])
    empty = _block([])
    handles = b"".join(
        map(_encoded, (len(block), len(empty) - 5, len(block) + len(empty), len(index) - 5))
    )
    footer = handles.ljust(FOOTER - 8, b"\0") + MAGIC.to_bytes(8, "little")
    prefix.with_name(f"{prefix.name}.index").write_bytes(block + empty + index + footer)


def _entry(tensor: Tensor, offset: int, data: memoryview) -> bytes:
    dims = b"".join(_message(2, b"\x08" + _encoded(size)) for size in tensor.shape)
    return (
        b"\x08" + _encoded(NUMBERS[tensor.dtype]) + _message(2, dims)
        + b"\x20" + _encoded(offset) + b"\x28" + _encoded(len(data))
        + b"\x35" + struct.pack("<I", _masked(crc32c(data)))
    )  # fmt: skip


def _block(entries: list[tuple[bytes, bytes]]) -> bytes:
    """A block whose every entry stands for itself, with type and checksum."""
    body, starts = b"", []
    for key, value in entries:
        starts.append(len(body))
        body += b"\0" + _encoded(len(key)) + _encoded(len(value)) + key + value
    starts = starts or [0]
    body += struct.pack(f"<{len(starts) + 1}I", *starts, len(starts)) + b"\0"
    return body + struct.pack("<I", _masked(crc32c(body)))


def _masked(crc: int) -> int:
    """A checksum as it is stored: those of data that hold checksums would be weak."""
    return ((crc >> 15 | crc << 17) + CRC_OFFSET) & 0xFFFFFFFF


def _message(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | BYTES]) + _encoded(len(content)) + content


def _encoded(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
