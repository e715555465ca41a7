"""What the reference library's pipelines return for tiny checkpoints: ``tests/golden/pipelines``.

A file holds a checkpoint as `dovetail.testing.golden` describes it, the name of the folder with its
tokenizer, and runs: the task, the arguments of the constructor and of the call, and the result.
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
from cases import ROOT, Case, Family
from pipeline_cases import CHECKPOINTS, Checkpoint
from pipeline_tokenizers import MAKERS
from record import build, compare, dump, nudged, rounded

NAME = "pipelines"
FOLDER = ROOT / "tests" / "golden" / NAME
KEPT = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def plain(value: Any) -> Any:
    """A result as JSON holds it."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
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


def results(checkpoint: Checkpoint, model: Any, tokenizer: Any) -> Iterator[Any]:
    """The result of every run of a checkpoint."""
    for run in checkpoint.runs:
        # A pipeline writes into its model's config and into its arguments.
        own, run = copy.deepcopy((model, run))
        pipe = transformers.pipeline(run.task, own, tokenizer=tokenizer, **run.options)
        yield plain(pipe(*run.inputs, **run.arguments))


def record_checkpoint(checkpoint: Checkpoint) -> dict[str, Any]:
    """The golden file of one checkpoint; refuses results that rounding decides."""
    tokenizer = tokenizer_for(checkpoint.tokenizer, checkpoint.tokenizer_options)
    sizes = {**checkpoint.config, "vocab_size": len(tokenizer)}
    family = Family(
        "models-text", checkpoint.name, checkpoint.config_class, sizes, checkpoint.recipes
    )
    case = Case(checkpoint.name, checkpoint.model, sizes, [])
    model, config, tensors = build(case, family)
    exact = list(results(checkpoint, nudged(model), tokenizer))
    runs = []
    for run, result, other in zip(
        checkpoint.runs, results(checkpoint, model, tokenizer), exact, strict=True
    ):
        compare(result, other, f"{checkpoint.name} {run.name}")
        runs.append({**run.stored(), "result": result})
    return {
        "reference": f"transformers {transformers.__version__}",
        "model": checkpoint.model,
        "tokenizer": checkpoint.tokenizer,
        "config": config,
        "arguments": {},
        "recipes": family.recipes,
        "tensors": tensors,
        "calls": [],
        "runs": runs,
    }


def produce() -> int:
    """Write all files; returns their number."""
    warnings.simplefilter("ignore")
    for checkpoint in CHECKPOINTS:
        content = json.loads(json.dumps(record_checkpoint(checkpoint)))
        FOLDER.mkdir(parents=True, exist_ok=True)
        path = FOLDER / f"{checkpoint.name}.json"
        path.write_text(dump(rounded(content)) + "\n")
    for path in FOLDER.glob("*.json"):
        if path.stem not in {checkpoint.name for checkpoint in CHECKPOINTS}:
            path.unlink()
    return len(CHECKPOINTS)
