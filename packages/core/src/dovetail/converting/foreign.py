"""Storages of other programs' formats: TensorFlow's checkpoints and numpy's archives."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dovetail.converting.bundle import read_bundle, write_bundle
from dovetail.converting.storage import Original, Source, Storage
from dovetail.converting.writing import Cast, raw
from dovetail.errors import CheckpointError
from dovetail.weights import LazyTensor, check_archive

INDEX = ".index"
OBJECT_ENDING = "/.ATTRIBUTES/VARIABLE_VALUE"
SETTING = re.compile(r"^([\w.-]+):\s*(.*)$")
ITEM = re.compile(r"^\s*-\s+(.*)$")
WORDS: Mapping[str, Any] = {"true": True, "false": False, "null": None, "~": None}


@dataclass(frozen=True, kw_only=True)
class TensorFlowFiles(Storage):
    """A checkpoint of TensorFlow. In names the slashes stand as dots, which TensorFlow has not.

    `name` is the prefix of the files that are written. With `objects` the names are those of
    ``tf.train.Checkpoint`` (TensorFlow 2), whose common ending is left out; what it writes is found
    by such names alone, for the graph of its objects is not made.
    """

    name: str = "model.ckpt"
    objects: bool = False

    def find(self, source: Source) -> list[Path]:
        """The indices; of several checkpoints in a folder the last by step."""
        return sorted(source.paths(f"*{INDEX}"), key=_step)[-1:]

    def read_tensors(self, source: Source) -> Original:
        """The variables."""
        ending = OBJECT_ENDING if self.objects else ""
        tensors = read_bundle(self.find(source)[0])
        return Original(
            {
                name.removesuffix(ending).replace("/", "."): tensor
                for name, tensor in tensors.items()
            }
        )

    def write_tensors(self, folder: Path, original: Original, shards: int) -> None:
        """One index and one data file."""
        ending = OBJECT_ENDING if self.objects else ""
        tensors = {
            name.replace(".", "/") + ending: value for name, value in original.tensors.items()
        }
        write_bundle(tensors, folder / self.name)


def _step(path: Path) -> int:
    numbers = re.findall(r"\d+", path.stem)
    return int(numbers[-1]) if numbers else 0


class MemberTensor(LazyTensor):
    """An array in a numpy archive."""

    def __init__(self, path: Path, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        self.path, self.name, self.shape = path, name, shape
        self.dtype = torch.from_numpy(np.empty(0, dtype)).dtype
        self.origin = str(path)

    def get(self) -> Tensor:
        """The array in memory of its own."""
        with np.load(self.path, allow_pickle=False) as archive:
            return torch.from_numpy(np.ascontiguousarray(archive[self.name]))


@dataclass(frozen=True, kw_only=True)
class NumpyArchive(Storage):
    """An ``.npz`` file. `settings_member` holds settings as the bytes of a flat YAML text."""

    name: str = "model.npz"
    settings_member: str | None = None

    def find(self, source: Source) -> list[Path]:
        """The archives; of several the last."""
        return source.paths("*.npz")[-1:]

    def read_tensors(self, source: Source) -> Original:
        """The arrays, and the settings among them."""
        path = self.find(source)[0]
        check_archive(path)
        tensors = {}
        settings: dict[str, Any] = {}
        try:
            with zipfile.ZipFile(path) as archive:
                for info in archive.infolist():
                    name = info.filename.removesuffix(".npy")
                    with archive.open(info) as member:
                        shape, dtype = _array_header(member)
                        if prod(shape) * dtype.itemsize != info.file_size - member.tell():
                            raise ValueError(f"{name!r} has another size than its header says")
                        if name == self.settings_member:
                            settings = parse_flat_yaml(member.read().decode().rstrip("\0"))
                        else:
                            tensors[name] = MemberTensor(path, name, dtype, shape)
        except (ValueError, TypeError, zipfile.BadZipFile, EOFError) as error:
            raise CheckpointError(
                f"{path} is damaged, or no archive of numpy arrays ({error}). Download it again."
            ) from error
        return Original(dict(tensors), settings)

    def write_tensors(self, folder: Path, original: Original, shards: int) -> None:
        """The arrays one by one, and the settings; numpy knows no bfloat16, which is widened."""
        with zipfile.ZipFile(folder / self.name, "w", allowZip64=True) as archive:
            for name, tensor in original.tensors.items():
                if tensor.dtype == torch.bfloat16:
                    tensor = Cast(tensor, torch.float32)
                _add(archive, name, tensor.get())
            if self.settings_member is not None:
                text = flat_yaml(original.settings).encode() + b"\0"
                data = torch.frombuffer(bytearray(text), dtype=torch.int8)
                _add(archive, self.settings_member, data)


def _array_header(member: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(member)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"version {version} of the format of arrays")
    shape, _, dtype = read(member)
    if dtype.hasobject:
        raise ValueError("Python objects, which are not read because that could run code")
    return shape, dtype


def _add(archive: zipfile.ZipFile, name: str, tensor: Tensor) -> None:
    kind = torch.empty(0, dtype=tensor.dtype).numpy().dtype
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        header = {"descr": kind.str, "fortran_order": False, "shape": tuple(tensor.shape)}
        np.lib.format.write_array_header_1_0(member, header)
        member.write(raw(tensor))


def parse_flat_yaml(text: str) -> dict[str, Any]:
    """The settings of a YAML text that is a list of ``key: value`` and of ``- item`` below a key.

    >>> parse_flat_yaml("dim-emb: 512\\ntied: true\\nvocabs:\\n  - 10\\n  - 20")
    {'dim-emb': 512, 'tied': True, 'vocabs': [10, 20]}
    """
    settings: dict[str, Any] = {}
    key = ""
    for line in text.splitlines():
        if found := SETTING.match(line):
            key = found[1]
            settings[key] = _scalar(found[2]) if found[2] else []
        elif (found := ITEM.match(line)) and isinstance(settings.get(key), list):
            settings[key].append(_scalar(found[1]))
    return settings


def flat_yaml(settings: Mapping[str, Any]) -> str:
    """The text that `parse_flat_yaml` reads."""
    lines = []
    for key, value in settings.items():
        if isinstance(value, list):
            lines += [f"{key}:", *(f"  - {_text(item)}" for item in value)]
        else:
            lines.append(f"{key}: {_text(value)}")
    return "\n".join(lines) + "\n"


def _scalar(text: str) -> Any:
    text = text.strip().strip("\"'")
    if text.startswith("[") and text.endswith("]"):
        return [_scalar(item) for item in text[1:-1].split(",") if item.strip()]
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _text(value: Any) -> str:
    word = next((word for word, meaning in WORDS.items() if meaning is value), None)
    return word or str(value)
