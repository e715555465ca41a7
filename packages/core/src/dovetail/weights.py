"""Reading the tensors of a checkpoint, lazily, after checking all that a header can tell.

Safetensors files are memory-mapped: a tensor that is used as it is stored costs no copy, and
writing into it changes private pages, never the file. Pickled files are read by
``torch.load(weights_only=True)`` and in no other way.
"""

from __future__ import annotations

import mmap
import os
import pickle
import weakref
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite, prod
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dovetail.errors import CheckpointError
from dovetail.json_files import parse_json_object

FileKind = Literal["safetensors", "pickle"]

MAX_HEADER_BYTES = 100_000_000
"""The safetensors format's own limit on its header."""

MAX_RANK = 64
"""The highest number of dimensions that torch itself accepts."""

PIECE_BYTES = 2**22
"""How much of a file is looked through at a time."""

DTYPES: dict[str, torch.dtype] = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "U16": torch.uint16,
    "I16": torch.int16,
    "U32": torch.uint32,
    "I32": torch.int32,
    "U64": torch.uint64,
    "I64": torch.int64,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
    "C64": torch.complex64,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "F8_E8M0": torch.float8_e8m0fnu,
}

_FOREIGN_STARTS: tuple[tuple[bytes, str], ...] = (
    (
        b"version https://git-lfs",
        "a Git LFS pointer, not the weights: run `git lfs pull`, or download the file again",
    ),
    (b"<", "a web page or XML, not weights: the download went wrong, fetch the file again"),
    (b"\x89HDF", "an HDF5 file (TensorFlow weights), which is not read: convert it to safetensors"),
    (
        b"GGUF",
        "a GGUF file, which is not read here: use the safetensors checkpoint of the same model",
    ),
)


class LazyTensor(ABC):
    """A tensor that is described but not yet read."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    origin: str
    """Where it comes from, for messages."""

    @abstractmethod
    def get(self) -> Tensor:
        """The tensor on the CPU; where possible a view of the mapped file."""

    def read(self) -> Tensor:
        """The tensor on the CPU in memory that returns to the system with it: for passing use."""
        return self.get()

    def to(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        """The tensor in `dtype` on `device`, without a copy when neither changes."""
        return self.get().to(device=device, dtype=dtype)

    def fill(self, target: Tensor) -> Tensor:
        """Write the tensor over `target`, which has its shape; returns `target`."""
        return target.copy_(self.read())

    def has_nan(self, placed: Tensor) -> bool:
        """Whether the tensor, which `to` or `fill` returned as `placed`, holds a NaN."""
        return has_nan(placed)


class MemoryTensor(LazyTensor):
    """A tensor that is in memory (or mapped) already."""

    def __init__(self, tensor: Tensor, origin: str = "state_dict") -> None:
        self.tensor = tensor.detach()
        self.shape, self.dtype, self.origin = tuple(tensor.shape), tensor.dtype, origin

    def get(self) -> Tensor:
        """The tensor."""
        return self.tensor


class BorrowedTensor(MemoryTensor):
    """A tensor whose memory others use too: it is always copied."""

    def get(self) -> Tensor:
        """A copy."""
        return self.tensor.clone()

    def to(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        """A copy in `dtype` on `device`."""
        return self.tensor.to(device=device, dtype=dtype, copy=True)


class DerivedTensor(LazyTensor):
    """A tensor computed from others when it is asked for."""

    def __init__(
        self,
        parts: Sequence[LazyTensor],
        shape: Sequence[int],
        compute: Callable[[list[Tensor]], Tensor],
    ) -> None:
        self.parts, self.compute = tuple(parts), compute
        self.shape, self.dtype = tuple(shape), parts[0].dtype
        self.origin = ", ".join(dict.fromkeys(part.origin for part in parts))

    def get(self) -> Tensor:
        """The tensor."""
        return self.compute([part.get() for part in self.parts])


class SafetensorsFile:
    """One opened safetensors file whose header has been checked.

    Raises:
        CheckpointError: the file is missing, truncated, of another kind, or contradicts itself.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.metadata, self.entries, self.data_start = read_header(self.path)
        # Both are opened now, so that a save that renames another file into place changes nothing.
        self._file = self.path.open("rb", buffering=0)
        weakref.finalize(self, self._file.close)
        try:
            self._mapping = safe_open(self.path, framework="pt", device="cpu")
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path} cannot be opened as safetensors: {error}") from error

    def mapped(self, name: str) -> Tensor:
        """The tensor as a view of the mapped file."""
        return self._mapping.get_tensor(name)

    def copied(self, name: str) -> Tensor:
        """The tensor in memory of its own, leaving none of the file's pages mapped."""
        entry = self.entries[name]
        if entry.begin == entry.end:
            return torch.empty(entry.shape, dtype=entry.dtype)
        # Memory from malloc would stay with the process when the tensor is gone, in pieces.
        memory = mmap.mmap(-1, entry.end - entry.begin)
        self._file.seek(self.data_start + entry.begin)
        self._read(memoryview(memory))
        return torch.frombuffer(memory, dtype=entry.dtype).view(entry.shape)

    def mapped_together(self, entries: Sequence[HeaderEntry]) -> list[Tensor]:
        """Tensors of one dtype that follow each other in the file, as views of one mapping.

        It is theirs alone, so that whoever keeps or pickles one holds on to no more than these.
        """
        first = self.data_start + entries[0].begin
        page = first - first % mmap.ALLOCATIONGRANULARITY
        size = self.data_start + entries[-1].end - page
        memory = mmap.mmap(self._file.fileno(), size, offset=page, access=mmap.ACCESS_COPY)
        whole = torch.frombuffer(memory, dtype=entries[0].dtype, offset=first - page)
        parts = whole.split([prod(entry.shape) for entry in entries])
        return [part.view(entry.shape) for part, entry in zip(parts, entries, strict=True)]

    def read_into(self, target: Tensor, entry: HeaderEntry) -> None:
        """Read a tensor into `target` on the CPU, which has its dtype and shape, of any strides."""
        if entry.begin == entry.end:
            return
        self._file.seek(self.data_start + entry.begin)
        if target.is_contiguous():
            self._read(target.view(-1).view(torch.uint8).numpy().data)
            return
        size = prod(entry.shape[1:]) * entry.dtype.itemsize
        for rows in target.split(max(PIECE_BYTES // size, 1)):
            piece = torch.empty(rows.shape, dtype=entry.dtype)
            self._read(piece.view(-1).view(torch.uint8).numpy().data)
            rows.copy_(piece)

    def has_nan(self, name: str) -> bool:
        """Whether a tensor holds a NaN; read through a small buffer, so that nothing stays mapped
        and no page has to be faulted in."""
        entry = self.entries[name]
        if not entry.dtype.is_floating_point:
            return False
        first, last = self.data_start + entry.begin, self.data_start + entry.end
        for start in range(first, last, PIECE_BYTES):
            piece = self._scratch[: min(PIECE_BYTES, last - start)]
            self._file.seek(start)
            self._read(piece.numpy().data)
            if has_nan(piece.view(entry.dtype)):
                return True
        return False

    @cached_property
    def _scratch(self) -> Tensor:
        return torch.empty(PIECE_BYTES, dtype=torch.uint8)

    def _read(self, target: memoryview) -> None:
        while target:
            count = self._file.readinto(target)
            if not count:
                raise CheckpointError(f"{self.path} became shorter while it was read.")
            target = target[count:]

    def tensors(self) -> dict[str, LazyTensor]:
        """Every tensor of the file by name."""
        return {name: FileTensor(self, entry) for name, entry in self.entries.items()}


class FileTensor(LazyTensor):
    """A tensor of a safetensors file."""

    def __init__(self, file: SafetensorsFile, entry: HeaderEntry) -> None:
        self.file, self.entry = file, entry
        self.shape, self.dtype, self.origin = entry.shape, entry.dtype, str(file.path)

    def get(self) -> Tensor:
        """The tensor."""
        return self.file.mapped(self.entry.name)

    def read(self) -> Tensor:
        """A copy of the bytes in the file."""
        return self.file.copied(self.entry.name)

    def to(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        """A copy where it must be converted: mapping the original as well would count twice."""
        if dtype == self.dtype or device.type != "cpu":
            return super().to(dtype, device)
        return self.read().to(dtype)

    def fill(self, target: Tensor) -> Tensor:
        """Write the tensor over `target`: straight from the file, when it is of the same kind."""
        if target.dtype != self.dtype or target.device.type != "cpu":
            return super().fill(target)
        self.file.read_into(target, self.entry)
        return target

    def follows(self, other: FileTensor) -> bool:
        """Whether the file holds this tensor right behind `other`."""
        return other.file is self.file and other.entry.end == self.entry.begin

    def has_nan(self, placed: Tensor) -> bool:
        """A tensor that stays mapped is looked through in the file, and takes no memory yet."""
        if placed.dtype != self.dtype or placed.device.type != "cpu":
            return has_nan(placed)
        return self.file.has_nan(self.entry.name)


@dataclass(frozen=True)
class HeaderEntry:
    """What a safetensors header says of one tensor; offsets count from the start of the data."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


def read_header(path: str | os.PathLike[str]) -> tuple[dict[str, str], dict[str, HeaderEntry], int]:
    """Metadata, entries by name, and the offset of the data, checked against the whole file.

    Raises:
        CheckpointError: naming the file and, where there is one, the tensor.
    """
    path = Path(path)
    if file_kind(path) != "safetensors":
        raise CheckpointError(f"{path} is a pickled file under a safetensors name; it is not read.")
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(size - 8, MAX_HEADER_BYTES):
            raise CheckpointError(
                f"{path} is truncated or damaged: its header claims {length} bytes, "
                f"the file holds {size}. Download or save it again."
            )
        raw = file.read(length)
    header = _parse_header(path, raw)
    metadata = header.pop("__metadata__", {})
    entries = {name: _entry(path, name, fields) for name, fields in header.items()}
    _check_layout(path, entries.values(), size - 8 - length)
    return metadata, entries, 8 + length


def _parse_header(path: Path, raw: bytes) -> dict[str, Any]:
    where = f"The header of {path}"
    header = parse_json_object(raw, where, max_bytes=MAX_HEADER_BYTES, error=CheckpointError)
    if not isinstance(header.get("__metadata__", {}), dict):
        raise CheckpointError(f"{where} is damaged: its metadata is no JSON object.")
    return header


def _entry(path: Path, name: str, fields: Any) -> HeaderEntry:
    def refuse(what: str) -> CheckpointError:
        return CheckpointError(
            f"{path} is damaged: tensor {name!r} {what}. Download or save it again."
        )

    if not isinstance(fields, dict) or not {"dtype", "shape", "data_offsets"} <= fields.keys():
        raise refuse("lacks one of dtype, shape and data_offsets")
    dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise refuse(f"has the unknown dtype {dtype!r}; known are {', '.join(DTYPES)}")
    if not _naturals(shape) or len(shape) > MAX_RANK:
        raise refuse(f"has the impossible shape {shape!r}")
    if not _naturals(offsets) or len(offsets) != 2:
        raise refuse(f"has the impossible offsets {offsets!r}")
    needed, held = prod(shape) * DTYPES[dtype].itemsize, offsets[1] - offsets[0]
    if needed != held:
        raise refuse(
            f"of shape {shape} and dtype {dtype} needs {needed} bytes, its offsets hold {held}"
        )
    return HeaderEntry(name, DTYPES[dtype], tuple(shape), *offsets)


def _naturals(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and value >= 0 for value in values)


def _check_layout(path: Path, entries: Any, available: int) -> None:
    """The tensors must cover the data without gap or overlap, as the format demands."""
    position = 0
    for entry in sorted(entries, key=lambda entry: (entry.begin, entry.end)):
        if entry.begin != position:
            kind = (
                "overlaps another tensor"
                if entry.begin < position
                else "leaves unused bytes before it"
            )
            raise CheckpointError(
                f"{path} is damaged: tensor {entry.name!r} at byte {entry.begin} {kind}."
            )
        position = entry.end
    if position != available:
        state = "truncated" if position > available else "damaged"
        raise CheckpointError(
            f"{path} is {state}: its tensors need {position} bytes of data, "
            f"the file holds {available}. Download or save it again."
        )


def file_kind(path: str | os.PathLike[str]) -> FileKind:
    """What a weights file is, by its content.

    Raises:
        CheckpointError: it is missing, empty, a Git LFS pointer, a web page or another format.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from error
    # Any byte may begin a header's length, also those that mark other formats: this comes first.
    if start[8:9] == b"{" and start[4:8] == bytes(4):
        return "safetensors"
    for magic, meaning in _FOREIGN_STARTS:
        if start.startswith(magic):
            raise CheckpointError(f"{path} is {meaning}.")
    if start.startswith((b"PK\x03\x04", b"\x80\x02")):
        return "pickle"
    if start[8:9] == b"{":
        return "safetensors"
    if len(start) < 10:
        raise CheckpointError(
            f"{path} is truncated: it holds {len(start)} bytes. Download or save it again."
        )
    raise CheckpointError(
        f"{path} is neither safetensors nor pickled torch weights (it starts with {start[:8]!r})."
    )


def read_pickled(path: str | os.PathLike[str]) -> dict[str, LazyTensor]:
    """Tensors of a pickled file, memory-mapped where its format allows.

    Raises:
        CheckpointError: the file is damaged, compressed, or holds anything but tensors.
    """
    content = unpickled(path)
    if not isinstance(content, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    ):
        raise CheckpointError(
            f"{path} is not a state dict: it must map names to tensors and nothing else."
        )
    return {name: MemoryTensor(tensor, str(path)) for name, tensor in content.items()}


def unpickled(path: str | os.PathLike[str], records: Sequence[type] = ()) -> Any:
    """The content of a pickled file: tensors, numbers, text, and containers of them.

    `records` are further classes that may occur: such as only hold attributes, and run no code.

    Raises:
        CheckpointError: the file is damaged, compressed, or holds anything else.
    """
    path = Path(path)
    with path.open("rb") as file:
        is_zip = file.read(2) == b"PK"
    if is_zip:
        check_archive(path)
    try:
        with torch.serialization.safe_globals(list(records)):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} holds more than tensors and is not read, because unpickling could run code. "
            f"Ask for a safetensors version of it. ({str(error).splitlines()[0]})"
        ) from error
    except Exception as error:
        raise CheckpointError(
            f"{path} is damaged or no torch weights file: {type(error).__name__}: {error}"
        ) from error


def check_archive(path: Path) -> None:
    """Refuse a zip archive that is damaged or compressed.

    Torch and numpy store theirs uncompressed; a compressed one could unfold to any size.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            squeezed = [
                item.filename
                for item in archive.infolist()
                if item.compress_type != zipfile.ZIP_STORED
            ]
    except Exception as error:  # many kinds, depending on which byte is wrong
        raise CheckpointError(
            f"{path} is a damaged archive: {error}. Download or save it again."
        ) from error
    if squeezed:
        raise CheckpointError(
            f"{path} is a compressed archive ({squeezed[0]}), which could unfold to any size, and "
            "is not read. Save it again uncompressed."
        )


class Checkpoint(Mapping[str, LazyTensor]):
    """All tensors of one checkpoint by name, unread."""

    def __init__(self, tensors: Mapping[str, LazyTensor]) -> None:
        self._tensors = dict(tensors)

    def __getitem__(self, name: str) -> LazyTensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors together."""
        return sum(prod(tensor.shape) * tensor.dtype.itemsize for tensor in self._tensors.values())


def open_checkpoint(
    files: Mapping[str, Path], weight_map: Mapping[str, str] | None = None
) -> Checkpoint:
    """Open every file of a checkpoint and read its headers (pickled files are mapped).

    `weight_map` is the index of a sharded checkpoint: tensor name to file name. Where a name is in
    two files, it decides.

    Raises:
        CheckpointError: a file is unfit, or the index names a tensor that its file does not hold.
    """
    held = {name: read_tensors(path) for name, path in files.items()}
    tensors = {name: tensor for part in held.values() for name, tensor in part.items()}
    for name, file in (weight_map or {}).items():
        if name not in held[file]:
            raise CheckpointError(
                f"The index says that tensor {name!r} is in {files[file]}, which lacks it: "
                "the shards and the index belong to different saves. "
                "Download or save the checkpoint again."
            )
        tensors[name] = held[file][name]
    return Checkpoint(tensors)


def read_tensors(path: Path) -> dict[str, LazyTensor]:
    """The tensors of one weights file, whatever its kind."""
    if path.suffix == ".safetensors" or file_kind(path) == "safetensors":
        return SafetensorsFile(path).tensors()
    return read_pickled(path)


def has_nan(tensor: Tensor) -> bool:
    """Whether a floating-point tensor holds a NaN, at the price of one pass over its memory."""
    if not tensor.is_floating_point() or tensor.is_meta or not tensor.numel():
        return False
    if tensor.dtype.itemsize == 1:
        return any(bool(part.float().isnan().any()) for part in tensor.flatten().split(1 << 20))
    # NaN survives a sum; only a suspicious sum is worth the exact check.
    if isfinite(float(tensor.sum())):
        return False
    return bool(tensor.isnan().any())
