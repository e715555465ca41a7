"""How an original stores its tensors and settings in files: reading them unread, writing them back.

A `Storage` finds its files in a `Source`, reads them as an `Original` (tensors by name, and the
settings that lie in or beside them) and writes one. What is pickled is read as data alone.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dovetail.converting.writing import save_pickled, save_safetensors
from dovetail.errors import CheckpointError
from dovetail.json_files import read_json_object
from dovetail.mapping import Tensors, match
from dovetail.paths import safe_join
from dovetail.weight_files import (
    SAFE_WEIGHTS_INDEX_NAME,
    SAFE_WEIGHTS_NAME,
    WEIGHTS_INDEX_NAME,
    WEIGHTS_NAME,
    locate_weights,
)
from dovetail.weights import (
    DerivedTensor,
    LazyTensor,
    MemoryTensor,
    SafetensorsFile,
    file_kind,
    open_checkpoint,
    unpickled,
)


class OtherLayoutError(CheckpointError):
    """A file that is intact and of another layout."""


Settings = dict[str, Any]
Keys = tuple[str, ...]
LISTED = 5
RANK = re.compile(r"\d+")


@dataclass(frozen=True)
class Source:
    """A folder, or one file of it, that holds an original."""

    folder: Path
    file: str | None = None
    _pickles: dict[Path, Any] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, path: Path) -> Source:
        """The source at `path`.

        Raises:
            CheckpointError: there is neither file nor folder.
        """
        if path.is_dir():
            return cls(path)
        if path.is_file():
            return cls(path.parent, path.name)
        raise CheckpointError(
            f"{path} is neither a file nor a folder. A repository of the Hub is fetched by "
            "`dovetail download` first."
        )

    def paths(self, pattern: str) -> list[Path]:
        """The files that match `pattern`, sorted by name."""
        names = [path.name for path in self.folder.iterdir()] if self.file is None else [self.file]
        return [self.path(name) for name in sorted(names) if fnmatch(name, pattern)]

    def path(self, name: str) -> Path:
        """The file `name` of the folder, which is no link to one outside."""
        return safe_join(self.folder, name, where=str(self.folder))

    def unpickled(self, path: Path) -> Any:
        """The content of a pickled file, which is read once: old ones cannot be mapped."""
        if path not in self._pickles:
            self._pickles[path] = unpickled(path, [Namespace])
        return self._pickles[path]

    def __str__(self) -> str:
        return str(self.folder if self.file is None else self.folder / self.file)


@dataclass(frozen=True)
class Original:
    """What an original holds: tensors by their own names, and settings."""

    tensors: Tensors
    settings: Settings = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Storage(ABC):
    """The files of a layout. `settings_file` is a JSON file beside the weights, if there is one."""

    settings_file: str | None = None

    @abstractmethod
    def find(self, source: Source) -> list[Path]:
        """The weights files of this storage; empty where there are none."""

    @abstractmethod
    def read_tensors(self, source: Source) -> Original:
        """Tensors and settings of the weights files.

        Raises:
            CheckpointError: a file is missing, damaged or unsafe.
        """

    @abstractmethod
    def write_tensors(self, folder: Path, original: Original, shards: int) -> None:
        """Write the weights files; `shards` is into how many parts a model-parallel layout is
        cut."""

    def read(self, source: Source) -> Original:
        """Tensors and all settings; a settings file that is absent means none."""
        original = self.read_tensors(source)
        return Original(original.tensors, original.settings | self.settings_beside(source))

    def settings_beside(self, source: Source) -> Settings:
        """What the settings file holds; nothing where there is none."""
        path = None if self.settings_file is None else source.path(self.settings_file)
        if path is None or not path.is_file():
            return {}
        return read_json_object(path, error=CheckpointError)

    def write(self, folder: Path, original: Original, shards: int = 1) -> None:
        """Write all files of the original into `folder`."""
        self.write_tensors(folder, original, shards)
        if self.settings_file is not None:
            text = json.dumps(original.settings, indent=2) + "\n"
            (folder / self.settings_file).write_text(text, encoding="utf-8")


MEAN = -1
"""In place of a dimension: each file has a copy, and the copies may differ by rounding."""
Dim = int | None | Callable[[Sequence[int] | None, Settings], int | None]
"""Along which dimension the parts of a tensor are joined, None if each file holds all of it; or a
function of a part's shape (None on writing) and the settings."""


@dataclass(frozen=True)
class TorchFiles(Storage):
    """Files of torch or safetensors, each with part of the tensors or part of each tensor.

    `pattern` finds them, `name` is what is written, with the part's number as ``{rank}``. `state`
    and `settings` are the keys under which a pickled file holds tensors and settings; of several
    `settings` the first that exists is read, and the first is written, made by `record`. `dims`
    says how the parts of a tensor fit together, by pattern; of a tensor that no pattern matches
    each file has a copy.
    """

    pattern: str
    name: str
    state: Keys = ()
    settings: tuple[Keys, ...] = ()
    dims: tuple[tuple[str, Dim], ...] = ()
    record: Callable[..., Any] = Namespace

    def find(self, source: Source) -> list[Path]:
        """The files that match `pattern`."""
        return source.paths(self.pattern)

    def read_tensors(self, source: Source) -> Original:
        """The parts, put together."""
        paths = self.find(source)
        self._check_complete(paths)
        parts = [self._open(path, source) for path in paths]
        settings = parts[0].settings | self.settings_beside(source)
        names = dict.fromkeys(name for part in parts for name in part.tensors)
        tensors = {
            name: self._joined(
                name, [part.tensors[name] for part in parts if name in part.tensors], settings
            )
            for name in names
        }
        return Original(tensors, settings)

    def _check_complete(self, paths: Sequence[Path]) -> None:
        if "{rank" not in self.name:
            return
        ranks = [int(RANK.findall(path.name)[-1]) for path in paths if RANK.search(path.name)]
        missing = sorted(set(range(max(ranks, default=-1) + 1)) - set(ranks))
        if missing:
            names = ", ".join(self.name.format(rank=rank) for rank in missing[:LISTED])
            raise CheckpointError(
                f"{paths[0].parent} lacks {names}, though it holds {paths[-1].name}. "
                "Every part of the original is needed: download it again."
            )

    def _open(self, path: Path, source: Source) -> Original:
        if file_kind(path) == "safetensors":
            return Original(SafetensorsFile(path).tensors())
        content = source.unpickled(path)
        state = _under(content, self.state)
        if not isinstance(state, Mapping):
            where = ".".join(self.state) or "its top level"
            raise OtherLayoutError(f"{path} holds no tensors by name under {where}.")
        odd = [name for name, value in state.items() if not isinstance(value, Tensor)]
        if odd or not state:
            what = f"{odd[0]!r} is a {type(state[odd[0]]).__name__}" if odd else "it is empty"
            raise OtherLayoutError(f"{path} is not of this layout: {what}, where tensors belong.")
        found = (_under(content, keys) for keys in self.settings)
        settings: Settings = next((value for value in found if value is not None), {})
        tensors: Tensors = {name: MemoryTensor(value, str(path)) for name, value in state.items()}
        return Original(tensors, dict(settings))

    def _dim(self, name: str, shape: Sequence[int] | None, settings: Settings) -> int | None:
        dim = next((dim for pattern, dim in self.dims if match(pattern, name)), None)
        return dim(shape, settings) if callable(dim) else dim

    def _joined(self, name: str, parts: list[LazyTensor], settings: Settings) -> LazyTensor:
        return joined(name, parts, self._dim(name, parts[0].shape, settings))

    def write_tensors(self, folder: Path, original: Original, shards: int) -> None:
        """Share the tensors, or parts of each, out over `shards` files, and write each."""
        if shards > 1 and "{rank" not in self.name:
            raise CheckpointError(f"shards={shards}: this layout is one file. Leave it out.")
        for rank in range(shards):
            tensors = self._share(original, rank, shards)
            path = folder / self.name.format(rank=rank)
            if path.suffix == ".safetensors":
                save_safetensors(tensors, path)
            else:
                save_pickled(tensors, path, self._envelope(original.settings))

    def _share(self, original: Original, rank: int, shards: int) -> Tensors:
        if not self.dims:
            every = list(original.tensors.items())
            return dict(every[len(every) * rank // shards : len(every) * (rank + 1) // shards])
        return {
            name: part(name, tensor, self._dim(name, None, original.settings), rank, shards)
            for name, tensor in original.tensors.items()
        }

    def _envelope(self, settings: Settings) -> Callable[[Mapping[str, Tensor]], Any]:
        def wrap(tensors: Mapping[str, Tensor]) -> Any:
            content: Any = dict(tensors)
            for key in reversed(self.state):
                content = {key: content}
            if self.settings:
                inner: Any = self.record(**settings)
                for key in reversed(self.settings[0]):
                    inner = {key: inner}
                content |= inner
            return content

        return wrap


def _under(content: Any, keys: Keys) -> Any:
    """What lies under `keys`, one inside the other, or None; records of attributes are read as
    mappings."""
    for key in keys:
        content = vars(content) if isinstance(content, Namespace) else content
        content = content.get(key) if isinstance(content, Mapping) else None
    return vars(content) if isinstance(content, Namespace) else content


def joined(name: str, parts: Sequence[LazyTensor], dim: int | None) -> LazyTensor:
    """The parts of one tensor, one after another along `dim`, or the mean of its copies."""
    if len(parts) == 1 or dim is None:
        return parts[0]
    if dim == MEAN:
        return DerivedTensor(parts, parts[0].shape, lambda tensors: torch.stack(tensors).mean(0))
    shape = list(parts[0].shape)
    if any(len(one.shape) <= dim or _but(one.shape, dim) != _but(shape, dim) for one in parts):
        shapes = [list(one.shape) for one in parts]
        raise CheckpointError(
            f"{parts[0].origin}: the parts of {name!r} have the shapes {shapes} and cannot be "
            f"joined along dimension {dim}. The files are not parts of one checkpoint."
        )
    shape[dim] = sum(one.shape[dim] for one in parts)
    return DerivedTensor(parts, shape, lambda tensors: torch.cat(tensors, dim))


def part(name: str, tensor: LazyTensor, dim: int | None, rank: int, count: int) -> LazyTensor:
    """Part number `rank` of a tensor cut into `count` along `dim`, or a copy."""
    if count == 1 or dim is None or dim == MEAN:
        return tensor
    length, rest = divmod(tensor.shape[dim], count)
    if rest:
        raise CheckpointError(
            f"{name!r} of shape {list(tensor.shape)} cannot be cut into {count} equal parts along "
            f"dimension {dim}. Choose a number of shards that divides {tensor.shape[dim]}."
        )
    shape = list(tensor.shape)
    shape[dim] = length
    return DerivedTensor(
        [tensor], shape, lambda tensors: tensors[0].narrow(dim, rank * length, length)
    )


def _but(shape: Sequence[int], dim: int) -> list[int]:
    return [size for axis, size in enumerate(shape) if axis != dim]


@dataclass(frozen=True)
class Indexed(Storage):
    """Files with the Hub's index beside them, but other names or settings within: pickled ones or,
    if `safe`, also such of safetensors, which then are what is written."""

    safe: bool = False

    def find(self, source: Source) -> list[Path]:
        """The index, or the one file that needs none."""
        names = [WEIGHTS_INDEX_NAME, WEIGHTS_NAME]
        if self.safe:
            names = [SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, *names]
        return next(filter(None, map(source.paths, names)), [])

    def read_tensors(self, source: Source) -> Original:
        """The tensors of every file that the index names."""
        files = locate_weights(self.find(source)[0])
        return Original(dict(open_checkpoint(files.paths, files.weight_map)))

    def write_tensors(self, folder: Path, original: Original, shards: int) -> None:
        """Share the tensors out over `shards` files of about the same size."""
        from dovetail.saving import FileNames, nbytes, split

        total = sum(nbytes(tensor) for tensor in original.tensors.values())
        files = FileNames(safe=self.safe, variant=None).assign(
            split(original.tensors, -(-total // max(shards, 2)))
        )
        weight_map: dict[str, str] = {}
        for name, shard in files.items():
            if self.safe:
                save_safetensors(shard.tensors, folder / name)
            else:
                save_pickled(shard.tensors, folder / name, dict)
            weight_map |= dict.fromkeys(shard.tensors, name)
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        text = json.dumps(index, indent=2, sort_keys=True) + "\n"
        name = SAFE_WEIGHTS_INDEX_NAME if self.safe else WEIGHTS_INDEX_NAME
        (folder / name).write_text(text, encoding="utf-8")
