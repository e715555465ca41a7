"""What the reference library's pipelines return for tiny checkpoints: ``tests/golden/pipelines``.

A file holds a checkpoint as `dovetail.testing.golden` describes it, the name of the folder with its
tokenizer, the settings of its image processor, and runs: the task, the arguments of the constructor
and of the call, and the result. Pictures are those of `dovetail.testing.pictures`.
"""

from __future__ import annotations

import copy
import json
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
import vision_pipeline_cases
from cases import ROOT, Case, Family, load_testing, seeded
from PIL import Image
from pipeline_cases import CHECKPOINTS, Checkpoint
from pipeline_tokenizers import MAKERS
from record import build, compare, dump, nudged, rounded

NAME = "pipelines"
FOLDER = ROOT / "tests" / "golden" / NAME
VISION = FOLDER / "vision"
BOX = 4
KEPT = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


pictures = load_testing("pictures")


def plain(value: Any) -> Any:
    """A result as JSON holds it."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Image.Image):
        return pictures.kept(value)
    if isinstance(value, np.ndarray | torch.Tensor) and value.ndim == 2 and value.shape[1] > BOX:
        return pictures.summary(np.asarray(value, dtype=np.float64))
    return value.tolist() if isinstance(value, np.generic | np.ndarray | torch.Tensor) else value


def tokenizer_for(name: str, options: dict[str, Any]) -> Any:
    """The tiny tokenizer `name`, written to its folder beside the golden files."""
    folder = FOLDER / "tokenizers" / name
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        tokenizer = MAKERS[name.partition("-")[0]](folder=scratch, **options)
        tokenizer.save_pretrained(scratch)
        for file in KEPT:
            content = json.loads((Path(scratch) / file).read_text())
            (folder / file).write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n")
    return transformers.AutoTokenizer.from_pretrained(folder)


def parts(checkpoint: Checkpoint) -> dict[str, Any]:
    """The tokenizer and the image processor of a checkpoint, as far as it has them."""
    loaded: dict[str, Any] = {}
    if checkpoint.tokenizer:
        options = checkpoint.tokenizer_options
        loaded["tokenizer"] = tokenizer_for(checkpoint.tokenizer, options)
    if checkpoint.image_processor:
        settings = dict(checkpoint.image_processor)
        processor = getattr(transformers, settings.pop("image_processor_type"))
        loaded["image_processor"] = processor(**settings)
    return loaded


def results(checkpoint: Checkpoint, model: Any, loaded: dict[str, Any]) -> Iterator[Any]:
    """The result of every run of a checkpoint."""
    for run in checkpoint.runs:
        # A pipeline writes into its model's config and into its arguments.
        own, run = copy.deepcopy((model, run))
        pipe = transformers.pipeline(run.task, own, **loaded, **run.options)
        inputs, arguments = (
            pictures.with_pictures(value, seeded.integers) for value in (run.inputs, run.arguments)
        )
        yield plain(pipe(*inputs, **arguments))


def record_checkpoint(checkpoint: Checkpoint) -> dict[str, Any]:
    """The golden file of one checkpoint; refuses results that rounding decides."""
    loaded, sizes = parts(checkpoint), checkpoint.config
    if "tokenizer" in loaded and not checkpoint.image_processor:
        sizes = {**sizes, "vocab_size": len(loaded["tokenizer"])}
    family = Family(
        "models-text", checkpoint.name, checkpoint.config_class, sizes, checkpoint.recipes
    )
    case = Case(checkpoint.name, checkpoint.model, sizes, [])
    model, config, tensors = build(case, family)
    exact = list(results(checkpoint, nudged(model), loaded))
    runs = []
    for run, result, other in zip(
        checkpoint.runs, results(checkpoint, model, loaded), exact, strict=True
    ):
        compare(result, other, f"{checkpoint.name} {run.name}")
        runs.append({**run.stored(), "result": result})
    return {
        "reference": f"transformers {transformers.__version__}",
        "model": checkpoint.model,
        "tokenizer": checkpoint.tokenizer,
        **({"image_processor": settings} if (settings := checkpoint.image_processor) else {}),
        "config": config,
        "arguments": {},
        "recipes": family.recipes,
        "tensors": tensors,
        "calls": [],
        "runs": runs,
    }


def produce() -> int:
    """Write all files of the text tasks; returns their number."""
    return write(FOLDER, CHECKPOINTS)


def produce_vision() -> int:
    """Write all files of the tasks on pictures; returns their number."""
    return write(VISION, vision_pipeline_cases.CHECKPOINTS)


def write(folder: Path, checkpoints: list[Checkpoint]) -> int:
    """Write the files of `checkpoints` and remove all others of `folder`."""
    warnings.simplefilter("ignore")
    folder.mkdir(parents=True, exist_ok=True)
    for checkpoint in checkpoints:
        content = json.loads(json.dumps(record_checkpoint(checkpoint)))
        (folder / f"{checkpoint.name}.json").write_text(dump(rounded(content)) + "\n")
    for path in folder.glob("*.json"):
        if path.stem not in {checkpoint.name for checkpoint in checkpoints}:
            path.unlink()
    return len(checkpoints)
