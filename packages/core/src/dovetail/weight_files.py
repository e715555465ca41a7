"""Which files hold a checkpoint's weights: names, variants, shards, in a folder or on the Hub."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dovetail.errors import CheckpointError
from dovetail.hub import cached_file, cached_files
from dovetail.json_files import read_json_object
from dovetail.paths import safe_join

SAFE_WEIGHTS_NAME = "model.safetensors"
SAFE_WEIGHTS_INDEX_NAME = "model.safetensors.index.json"
WEIGHTS_NAME = "pytorch_model.bin"
WEIGHTS_INDEX_NAME = "pytorch_model.bin.index.json"

FOREIGN_NAMES: Mapping[str, str] = {
    "tf_model.h5": "TensorFlow",
    "model.ckpt.index": "TensorFlow 1",
    "flax_model.msgpack": "Flax",
}
MAX_INDEX_BYTES = 256 * 2**20


@dataclass(frozen=True)
class WeightFiles:
    """The files of one checkpoint by name; `weight_map` is the index of a sharded one."""

    paths: Mapping[str, Path]
    weight_map: Mapping[str, str] = field(default_factory=dict)
    index: str | None = None

    @property
    def names(self) -> list[str]:
        """All names, the index's included."""
        return [*self.paths] if self.index is None else [self.index, *self.paths]


def with_variant(name: str, variant: str | None) -> str:
    """The file name that a variant of the weights has.

    >>> with_variant("model.safetensors.index.json", "fp16")
    'model.safetensors.index.fp16.json'
    """
    if variant is None:
        return name
    stem, _, ending = name.rpartition(".")
    return f"{stem}.{variant}.{ending}"


def locate_weights(
    source: str | os.PathLike[str],
    *,
    variant: str | None = None,
    use_safetensors: bool | None = None,
    **where: Any,
) -> WeightFiles:
    """The weights of `source`: a weights file, an index file, a folder, or a Hub id.

    Safetensors files are preferred to pickled ones, a single file to shards. `where` goes to
    `dovetail.hub.cached_file` (revision, subfolder, cache_dir, token ...).

    Raises:
        CheckpointError: there are no weights, or the index is damaged or names files elsewhere.
        HubError: the folder or repository does not exist or cannot be reached.
    """
    if os.path.isfile(source):
        path = Path(source)
        return _sharded(path, path.parent, {}) if path.name.endswith(".json") else _single(path)
    for name in _candidates(use_safetensors):
        name = with_variant(name, variant)
        found = cached_file(source, name, raise_on_missing=False, **where)
        if found is not None:
            single = not name.endswith(".json")
            return _single(Path(found)) if single else _sharded(Path(found), source, where)
    raise CheckpointError(_no_weights(source, variant, use_safetensors, where))


def _candidates(use_safetensors: bool | None) -> Sequence[str]:
    safe, pickled = (
        (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME),
        (WEIGHTS_NAME, WEIGHTS_INDEX_NAME),
    )
    if use_safetensors is None:
        return (*safe, *pickled)
    return safe if use_safetensors else pickled


def _single(path: Path) -> WeightFiles:
    return WeightFiles({path.name: path})


def _sharded(index: Path, source: str | os.PathLike[str], where: Mapping[str, Any]) -> WeightFiles:
    weight_map = read_index(index)
    paths = {name: safe_join(index.parent, name, where=str(index)) for name in weight_map.values()}
    if not os.path.isdir(source):
        paths = dict(zip(paths, map(Path, cached_files(source, paths, **where)), strict=True))
    missing = [name for name, path in paths.items() if not path.is_file()]
    if missing:
        raise CheckpointError(
            f"{index} names {len(paths)} shards, of which {len(missing)} are missing: "
            f"{', '.join(missing[:5])}. Download or save the checkpoint again."
        )
    return WeightFiles(paths, weight_map, index.name)


def read_index(path: Path) -> dict[str, str]:
    """The weight map of an index: tensor name to file name.

    Raises:
        CheckpointError: the file is damaged or no index.
    """
    content = read_json_object(path, max_bytes=MAX_INDEX_BYTES, error=CheckpointError)
    weight_map = content.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(
            f"{path} is no index of weights: it has no 'weight_map'. Download or save it again."
        )
    return weight_map


def _no_weights(
    source: str | os.PathLike[str],
    variant: str | None,
    use_safetensors: bool | None,
    where: Mapping[str, Any],
) -> str:
    wanted = [with_variant(name, variant) for name in _candidates(use_safetensors)]
    hint = "Check the folder or repository."
    others = [name for name in _candidates(None) if _present(source, name, where)]
    foreign = [name for name in FOREIGN_NAMES if _present(source, name, where)]
    if others:
        asked = f"variant={variant!r}, use_safetensors={use_safetensors!r}"
        hint = f"There is {others[0]}: call without {asked}."
    elif foreign:
        kind = FOREIGN_NAMES[foreign[0]]
        hint = f"There is {foreign[0]}, of {kind}, which is not read: convert it to safetensors."
    elif _present(source, "adapter_config.json", where):
        hint = "It holds an adapter: load its base model, then the adapter."
    return f"{source} holds no weights: none of {', '.join(wanted)}. {hint}"


def _present(source: str | os.PathLike[str], name: str, where: Mapping[str, Any]) -> bool:
    return cached_file(source, name, raise_on_missing=False, **where) is not None
