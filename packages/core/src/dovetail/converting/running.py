"""Converting a checkpoint: find the layout, translate settings and names, stream the tensors.

Nothing is read before names and shapes are compared with the model's, and nothing appears in the
output folder before everything is written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dovetail import mapping, registry
from dovetail.atomic import published_folder
from dovetail.auto.config import AutoConfig
from dovetail.construction import Blueprint
from dovetail.converting.choosing import Candidate, candidates, choose
from dovetail.converting.files import bring_to_hub, bring_to_original
from dovetail.converting.layout import listed
from dovetail.converting.storage import Original, Source
from dovetail.converting.writing import Cast, Counted, save_safetensors
from dovetail.errors import ConfigError, MismatchError
from dovetail.generation.configuration import GENERATION_CONFIG_NAME
from dovetail.loading import parse_dtype
from dovetail.loading_report import without
from dovetail.logging import get_logger, tqdm
from dovetail.mapping import Tensors
from dovetail.matching import expected_tensors, match_tensors, tied_groups
from dovetail.registry import resolve
from dovetail.saving import FileNames, nbytes, obsolete_patterns, parse_size, split
from dovetail.weight_files import locate_weights
from dovetail.weights import open_checkpoint

logger = get_logger("dovetail.converting")

UNSAID = frozenset({"architectures", "torch_dtype", "transformers_version", "model_type"})
"""What a config says of a checkpoint and not of the model."""


@dataclass(frozen=True)
class Conversion:
    """What was converted: between which layout and the Hub's, and what was written.

    `lost` are fields of the config that the original layout cannot express.
    """

    model_type: str
    layout: str
    to_original: bool
    output: Path
    files: tuple[str, ...]
    tensors: int
    lost: tuple[str, ...] = ()


def convert_checkpoint(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    model_type: str | None = None,
    layout: str | None = None,
    to_original: bool = False,
    dtype: str | torch.dtype | None = None,
    max_shard_size: int | str = "5GB",
    shards: int = 1,
    config: Mapping[str, Any] | None = None,
) -> Conversion:
    """Convert an original checkpoint to the Hub's layout or, with `to_original`, back.

    `source` is a folder or file of the original; with `to_original` a folder or id of the Hub.
    `model_type` and `layout` are found out where only one layout fits. `dtype` changes the type of
    floating-point tensors. The result for the Hub is cut into files of `max_shard_size`, an
    original whose layout is model-parallel into `shards`. Fields of `config` add to what the
    original says of itself, or correct it.

    Raises:
        CheckpointError: files are missing, damaged or unsafe, or no layout fits.
        MismatchError: tensors are missing, too many, or contradict the config.
        UnknownNameError: no layout has that name.
        ConfigError: an argument or the original's settings are impossible.
    """
    if shards < 1:
        raise ConfigError(f"shards={shards} must be at least 1.")
    if os.path.isdir(output) and os.path.isdir(source) and os.path.samefile(source, output):
        raise ConfigError(f"output={os.fspath(output)!r} is the source: choose another folder.")
    wanted = None if dtype is None else parse_dtype(dtype)
    if to_original:
        chosen, settled, hub = _read_hub(source, model_type, layout, dict(config or {}))
        return _write_original(chosen, settled, _cast(hub, wanted), Path(output), source, shards)
    limit = parse_size(max_shard_size)
    place = Source.of(Path(source))
    chosen, original = choose(place, candidates(model_type, layout))
    return _write_hub(chosen, original, place, Path(output), wanted, limit, dict(config or {}))


def _read_hub(
    source: str | os.PathLike[str],
    model_type: str | None,
    layout: str | None,
    given: dict[str, Any],
) -> tuple[Candidate, Any, Tensors]:
    config = AutoConfig.from_pretrained(source, **given)
    if model_type not in (None, config.model_type):
        raise ConfigError(
            f"{os.fspath(source)} holds a model of type {config.model_type!r}, "
            f"not {model_type!r}. Leave model_type out."
        )
    found = candidates(config.model_type, layout)
    if len(found) > 1:
        raise ConfigError(
            f"There are several original layouts of {config.model_type!r}: choose layout= among "
            f"{', '.join(one.name for one in found)}."
        )
    files = locate_weights(source)
    return found[0], config, dict(open_checkpoint(files.paths, files.weight_map))


def _write_hub(
    chosen: Candidate,
    original: Original,
    source: Source,
    output: Path,
    dtype: torch.dtype | None,
    limit: int,
    given: dict[str, Any],
) -> Conversion:
    config = _config(chosen, original, given)
    layout = chosen.layout
    tensors = mapping.to_model(layout.weights(original), layout.steps_for(config), config)
    fitted, model = _fitted(chosen, config, tensors, str(source))
    fitted = _cast(fitted, dtype)
    config.architectures = [layout.architecture]
    config.torch_dtype = next(
        (tensor.dtype for tensor in fitted.values() if tensor.dtype.is_floating_point), None
    )
    files = FileNames(safe=True, variant=None).assign(split(fitted, limit))
    with published_folder(output, obsolete=obsolete_patterns(None)) as staging:
        with tqdm(total=len(fitted), desc="Converting", unit="tensor") as bar:
            for name, shard in files.items():
                counted = {n: Counted(t, lambda: bar.update(1)) for n, t in shard.tensors.items()}
                save_safetensors(counted, staging / name)
        if len(files) > 1:
            weight_map = {name: file for file, shard in files.items() for name in shard.tensors}
            total = sum(nbytes(tensor) for tensor in fitted.values())
            index = {"metadata": {"total_size": total}, "weight_map": weight_map}
            text = json.dumps(index, indent=2, sort_keys=True) + "\n"
            (staging / FileNames(True, None).index).write_text(text, encoding="utf-8")
        config.save_pretrained(staging)
        if getattr(model, "generation_config", None) is not None:
            model.generation_config.to_json_file(staging / GENERATION_CONFIG_NAME)
        bring_to_hub(layout.files, source, staging)
        written = tuple(sorted(path.name for path in staging.iterdir()))
    return Conversion(chosen.model_type, chosen.name, False, output, written, len(fitted))


def _write_original(
    chosen: Candidate,
    config: Any,
    tensors: Tensors,
    output: Path,
    source: str | os.PathLike[str],
    shards: int,
) -> Conversion:
    layout = chosen.layout
    fitted, _ = _fitted(chosen, config, tensors, os.fspath(source), copied=True)
    result = mapping.to_checkpoint(fitted, layout.steps_for(config), config)
    original = Original(result, layout.settings(config))
    lost = _lost(chosen, original, config)
    with published_folder(output) as staging:
        with tqdm(total=len(result), desc="Converting", unit="tensor") as bar:
            counted: Tensors = {n: Counted(t, lambda: bar.update(1)) for n, t in result.items()}
            layout.storage.write(staging, Original(counted, original.settings), shards)
        if os.path.isdir(source):
            bring_to_original(layout.files, Path(source), staging)
        written = tuple(sorted(path.name for path in staging.iterdir()))
    return Conversion(chosen.model_type, chosen.name, True, output, written, len(result), lost)


def _config(chosen: Candidate, original: Original, given: dict[str, Any]) -> Any:
    config_class = registry.models().load(chosen.model_type)
    return config_class(**chosen.layout.config_values(original, given))


def _fitted(
    chosen: Candidate, config: Any, tensors: Tensors, source: str, *, copied: bool = False
) -> tuple[Tensors, Any]:
    """The tensors by the Hub's names, and the model's outline. Tied ones are there once or, if
    `copied`, as the original has them."""
    declaration = registry.models().get(chosen.model_type)
    cls = resolve(declaration.exports[chosen.layout.architecture])
    model: Any = Blueprint(cls, (config,), {}, torch.float32).build()
    expected = expected_tensors(model)
    groups = tied_groups(expected, list(model.tied_weights()))
    own = mapping.to_model(tensors, cls.weight_mapping, config)
    matching = match_tensors(expected, own, groups, [cls.base_model_prefix])
    for name, held, wanted in matching.mismatched:
        raise MismatchError(
            f"{source}: tensor {matching.names[name]!r} has the shape {list(held)} where the "
            f"config asks for {list(wanted)}. Settings and weights are not of one model, or a part "
            "is missing."
        )
    computed = getattr(cls, "_keys_to_ignore_on_load_missing", None)
    absent = without(matching.absent, computed)
    wrong = [("lacks", absent), ("holds the unknown", matching.unexpected)]
    for what, names in wrong:
        if names:
            raise MismatchError(
                f"{source} is not a {chosen.layout.architecture} of layout {chosen.name!r}: it "
                f"{what} {len(names)} tensors: {listed(names)} (by the Hub's names)."
            )
    for first, second in matching.conflicts():
        raise MismatchError(
            f"{source}: {first!r} and {second!r} are one tensor by the config and differ here. "
            "Correct tie_word_embeddings in the config."
        )
    found = matching.found
    if copied:
        for owner, *guests in groups:
            if names := chosen.layout.copied(owner, guests):
                found |= dict.fromkeys(names, found.pop(owner))
    return mapping.to_checkpoint(found, cls.weight_mapping, config), model


def _lost(chosen: Candidate, original: Original, config: Any) -> tuple[str, ...]:
    """Fields of `config` that do not come back from the original's settings."""
    mine = config.to_dict()
    try:
        back = _config(chosen, original, {}).to_dict()
    except ConfigError:  # sizes that the layout takes for granted are others here
        back = type(config)().to_dict()
    lost = [key for key in mine if key not in UNSAID and mine[key] != back.get(key, mine[key])]
    if lost:
        logger.info(
            "The layout %s cannot express these fields of the config, which a conversion back must "
            "be given: %s.",
            chosen,
            ", ".join(f"{key}={mine[key]!r}" for key in lost),
        )
    return tuple(lost)


def _cast(tensors: Tensors, dtype: torch.dtype | None) -> Tensors:
    return tensors if dtype is None else {name: Cast(t, dtype) for name, t in tensors.items()}
