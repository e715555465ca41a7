"""``save_pretrained``: the inverse of loading, published whole or not at all.

Files are written into a staging folder and moved into place together (`dovetail.atomic`): a kill or
a full disk leaves the old checkpoint or the new one. Shards of the checkpoint that was there before
go only after the new ones are in place.
"""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from dovetail import mapping
from dovetail.atomic import published_folder
from dovetail.config_values import GENERATION_DEFAULTS
from dovetail.errors import CheckpointError, ConfigError, MismatchError
from dovetail.generation.configuration import GENERATION_CONFIG_NAME
from dovetail.weight_files import (
    SAFE_WEIGHTS_INDEX_NAME,
    SAFE_WEIGHTS_NAME,
    WEIGHTS_INDEX_NAME,
    WEIGHTS_NAME,
    with_variant,
)
from dovetail.weights import LazyTensor, MemoryTensor

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
BINARY_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclass
class Shard:
    """Tensors that go into one file."""

    tensors: dict[str, LazyTensor] = field(default_factory=dict)
    nbytes: int = 0

    def add(self, name: str, tensor: LazyTensor) -> None:
        """Put a tensor into the shard."""
        self.tensors[name] = tensor
        self.nbytes += nbytes(tensor)


def save_pretrained(
    model: Any,
    save_directory: str | os.PathLike[str],
    is_main_process: bool = True,
    state_dict: Mapping[str, Tensor] | None = None,
    save_function: Callable[..., Any] = torch.save,
    push_to_hub: bool = False,
    max_shard_size: int | str = "5GB",
    safe_serialization: bool = True,
    variant: str | None = None,
    token: str | bool | None = None,
    **kwargs: Any,
) -> None:
    """Write config, generation config and weights of `model` into a folder.

    `max_shard_size` bounds each weights file (``"5GB"``, ``"200MiB"``, a number of bytes).
    `safe_serialization` chooses safetensors; otherwise files are pickled by `save_function`.
    `state_dict` replaces the model's own; `variant` goes into the file names. Processes other than
    the main one write nothing. With `push_to_hub` the result is uploaded; `kwargs` then go to
    `PushToHubMixin` (``repo_id``, ``commit_message`` ...).

    Raises:
        ConfigError: an argument, the config or the quantization method does not allow saving.
        MismatchError: two parameters share memory and the model does not say so.
        CheckpointError: the files cannot be written; what was there before is unchanged.
    """
    if not is_main_process:
        return
    limit = parse_size(max_shard_size)
    _check_serializable(model, safe_serialization)
    _complete_config(model)
    tensors = checkpoint_tensors(model, state_dict, keep_tied=not safe_serialization)
    names = FileNames(safe_serialization, variant)
    shards = names.assign(split(tensors, limit))
    with published_folder(save_directory, obsolete=obsolete_patterns(variant)) as staging:
        try:
            _write(shards, staging, names, save_function)
        except (SafetensorError, OSError, RuntimeError) as error:
            raise CheckpointError(
                f"The weights could not be written into {os.fspath(save_directory)}: {error}. "
                "What was there before is unchanged."
            ) from error
        _save_custom_code(model, staging)  # before the config, in which it is named
        model.config.save_pretrained(staging)
        if getattr(model, "generation_config", None) is not None:
            # Not save_pretrained, which refuses idle settings: they are no reason to lose weights.
            model.generation_config.to_json_file(staging / GENERATION_CONFIG_NAME)
        written = sorted(path.name for path in staging.iterdir())
    if push_to_hub:
        tags = kwargs.pop("tags", None) or getattr(model, "model_tags", None)
        model._upload_folder(save_directory, written, token=token, tags=tags, **kwargs)


def parse_size(size: int | str) -> int:
    """A number of bytes from itself or from text such as ``"5GB"`` or ``"200MiB"``.

    >>> parse_size("2KB"), parse_size("2KiB")
    (2000, 2048)

    Raises:
        ConfigError: it is neither, or not positive.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(I?)B?\s*", str(size).upper())
    if found is None or (found[3] and not found[2]) or isinstance(size, bool):
        raise ConfigError(
            f"max_shard_size={size!r} is no size: use a number of bytes or text such as '5GB'."
        )
    count = int(float(found[1]) * (BINARY_UNITS if found[3] else UNITS)[found[2]])
    if count < 1:
        raise ConfigError(f"max_shard_size={size!r} must be at least one byte.")
    return count


def nbytes(tensor: LazyTensor) -> int:
    """Bytes that a tensor takes."""
    return prod(tensor.shape) * tensor.dtype.itemsize


def split(tensors: Mapping[str, LazyTensor], limit: int) -> list[Shard]:
    """Share tensors out over shards of at most `limit` bytes, in order.

    A tensor that alone exceeds the limit gets a shard of its own.
    """
    shards: list[Shard] = []
    current = Shard()
    for name, tensor in tensors.items():
        if nbytes(tensor) > limit:
            alone = Shard()
            alone.add(name, tensor)
            shards.append(alone)
            continue
        if current.nbytes + nbytes(tensor) > limit:
            shards.append(current)
            current = Shard()
        current.add(name, tensor)
    if current.tensors or not shards:
        shards.append(current)
    return shards


@dataclass(frozen=True)
class FileNames:
    """What the files of a checkpoint are called."""

    safe: bool
    variant: str | None

    @property
    def index(self) -> str:
        """The index of a sharded checkpoint."""
        return with_variant(
            SAFE_WEIGHTS_INDEX_NAME if self.safe else WEIGHTS_INDEX_NAME, self.variant
        )

    def assign(self, shards: list[Shard]) -> dict[str, Shard]:
        """Shards by file name."""
        name = with_variant(SAFE_WEIGHTS_NAME if self.safe else WEIGHTS_NAME, self.variant)
        if len(shards) == 1:
            return {name: shards[0]}
        stem, _, ending = name.rpartition(".")
        total = len(shards)
        return {
            f"{stem}-{number:05d}-of-{total:05d}.{ending}": shard
            for number, shard in enumerate(shards, 1)
        }


def obsolete_patterns(variant: str | None) -> list[str]:
    """The weights files of either format that a new checkpoint of this variant replaces.

    A file of the other format that stayed could be the one which a later load prefers.
    """
    patterns = []
    for name in (SAFE_WEIGHTS_NAME, WEIGHTS_NAME):
        name = with_variant(name, variant)
        stem, _, ending = name.rpartition(".")
        patterns += [name, f"{stem}-[0-9][0-9][0-9][0-9][0-9]-of-*.{ending}"]
    indices = (SAFE_WEIGHTS_INDEX_NAME, WEIGHTS_INDEX_NAME)
    return patterns + [with_variant(name, variant) for name in indices]


def checkpoint_tensors(
    model: Any, state_dict: Mapping[str, Tensor] | None = None, *, keep_tied: bool = False
) -> dict[str, LazyTensor]:
    """What a checkpoint of `model` holds, under the checkpoint's names.

    Of tensors that the model declares tied one is kept, unless `keep_tied`.

    Raises:
        MismatchError: tensors overlap in memory and the model does not declare them tied.
        CheckpointError: a tensor has no values (it is on the meta device).
    """
    state = dict(_state(model) if state_dict is None else state_dict)
    for name in getattr(model, "_keys_to_ignore_on_save", None) or ():
        state.pop(name, None)
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    if not keep_tied:
        tensors = _without_guests(model, tensors)
        _refuse_overlaps(model, tensors)
    empty = [name for name, tensor in tensors.items() if tensor.is_meta]
    if empty:
        raise CheckpointError(
            f"{type(model).__name__} cannot be saved: {', '.join(empty[:5])} hold no values (they "
            "are on the meta device). Load the model onto real devices, or pass state_dict=."
        )
    lazy = {name: MemoryTensor(tensor, type(model).__name__) for name, tensor in tensors.items()}
    return mapping.to_checkpoint(lazy, getattr(model, "weight_mapping", ()), model.config)


def _state(model: nn.Module) -> Mapping[str, Tensor]:
    if any(parameter.is_meta for parameter in model.parameters()) and hasattr(
        model, "hf_device_map"
    ):
        from accelerate.utils.modeling import get_state_dict_offloaded_model

        return get_state_dict_offloaded_model(model)
    return model.state_dict()


def _without_guests(model: Any, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Leave out names that the model declares tied to another name of the same memory."""
    tied_weights = getattr(model, "tied_weights", None)
    declared = tied_weights() if callable(tied_weights) else model._tied_weights_keys or ()
    patterns = [re.compile(name) for name in declared]
    owners: dict[Any, list[str]] = {}
    for name, tensor in tensors.items():
        owners.setdefault(_memory(tensor), []).append(name)
    guests: set[str] = set()
    for names in owners.values():
        candidates = [name for name in names if any(p.search(name) for p in patterns)]
        guests.update(candidates[1:] if len(candidates) == len(names) else candidates)
    return {name: tensor for name, tensor in tensors.items() if name not in guests}


def _memory(tensor: Tensor) -> Any:
    if tensor.is_meta or not tensor.numel():
        return id(tensor)
    return (tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride())


def _refuse_overlaps(model: Any, tensors: Mapping[str, Tensor]) -> None:
    spans = sorted(
        (str(tensor.device), *_span(tensor), name)
        for name, tensor in tensors.items()
        if not tensor.is_meta and tensor.numel()
    )
    for (place, _, end, name), (other_place, begin, _, other) in pairwise(spans):
        overlap = place == other_place and begin < end
        if overlap and not _side_by_side(tensors[name], tensors[other]):
            raise MismatchError(
                f"{type(model).__name__} cannot be saved as safetensors: {name!r} and {other!r} "
                "share memory and the model does not declare it. Declare it in _tied_weights_keys, "
                "clone one of them, or save with safe_serialization=False."
            )


def _side_by_side(first: Tensor, second: Tensor) -> bool:
    """Whether two matrices are parts of the rows of one, which loading lays out for speed, so that
    they share a stretch of memory but no element."""
    step = max(first.stride(), default=0)
    if first.stride() != second.stride() or first.stride() != (1, step):
        return False
    gap = (second.data_ptr() - first.data_ptr()) // first.element_size() % step
    return first.shape[0] <= gap and gap + second.shape[0] <= step


def _span(tensor: Tensor) -> tuple[int, int]:
    reach = sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))
    begin = tensor.data_ptr()
    return begin, begin + (reach + 1) * tensor.element_size()


def _write(
    shards: Mapping[str, Shard], staging: Path, names: FileNames, save_function: Callable[..., Any]
) -> None:
    for file, shard in shards.items():
        tensors = {name: _own(tensor.get()) for name, tensor in shard.tensors.items()}
        if names.safe:
            save_file(tensors, staging / file, metadata={"format": "pt"})
        else:
            save_function(tensors, staging / file)
    if len(shards) > 1:
        weight_map = {name: file for file, shard in shards.items() for name in shard.tensors}
        index = {
            "metadata": {"total_size": sum(shard.nbytes for shard in shards.values())},
            "weight_map": weight_map,
        }
        text = json.dumps(index, indent=2, sort_keys=True) + "\n"
        (staging / names.index).write_text(text, encoding="utf-8")


def _own(tensor: Tensor) -> Tensor:
    """The tensor contiguous, and not a window into larger memory, which would be saved whole."""
    tensor = tensor.contiguous()
    whole = tensor.untyped_storage().nbytes() == tensor.nbytes
    return tensor if whole else tensor.clone()


def _check_serializable(model: Any, safe: bool) -> None:
    quantizer = getattr(model, "hf_quantizer", None)
    if quantizer is not None and not quantizer.is_serializable(safe_serialization=safe):
        method = quantizer.quantization_config.quant_method
        raise ConfigError(
            f"A model quantized with {method!r} cannot be saved with safe_serialization={safe}. "
            "Save the original model instead."
        )


def _complete_config(model: Any) -> None:
    """Note in the config which class and data type the checkpoint has; move strays out of it."""
    config = model.config
    config.architectures = [type(model).__name__.removeprefix("FSDP")]
    config.torch_dtype = model.dtype
    generation = getattr(model, "generation_config", None)
    strays = config._get_non_default_generation_parameters() if generation is not None else {}
    if strays:
        warnings.warn(
            f"The model config carries settings of generate(): {strays}. They are moved to "
            "model.generation_config, which is saved beside it.",
            UserWarning,
            stacklevel=4,
        )
    for name, value in strays.items():
        setattr(generation, name, value)
        setattr(config, name, GENERATION_DEFAULTS[name])


def _save_custom_code(model: Any, staging: Path) -> None:
    if getattr(model, "_auto_class", None) is not None:
        from dovetail.dynamic import custom_object_save

        custom_object_save(model, staging, config=model.config)
