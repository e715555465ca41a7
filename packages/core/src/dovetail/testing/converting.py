"""What every declared layout must pass: a checkpoint goes there and back without losing a bit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from dovetail import registry
from dovetail.converting import Source, convert_checkpoint


def check_layout(
    key: str,
    model: Any,
    folder: Path,
    *,
    shards: int = 1,
    config: Mapping[str, Any] | None = None,
    told: bool = False,
) -> Path:
    """Save `model`, convert it to the original layout `key` (``"acme/original"``), back, and there
    again; names, types, shapes and values must be the same each time.

    The original must be recognised without being told what it is, unless it is `told`, being of
    several architectures. `config` are fields that it cannot express.
    Everything is written into `folder`; the original's folder is returned, and the
    Hub's folder that was made of it lies beside as ``back``.

    Raises:
        AssertionError: something differs.
    """
    model_type, _, layout = key.partition("/")
    options: dict[str, Any] = {"to_original": True, "layout": layout, "shards": shards}
    hub, original, back, again = (folder / name for name in ("hub", "original", "back", "again"))
    model.save_pretrained(hub)
    convert_checkpoint(hub, original, **options)
    chosen: dict[str, Any] = {"model_type": model_type, "layout": layout} if told else {}
    done = convert_checkpoint(original, back, config=config, **chosen)
    assert (done.model_type, done.layout) == (model_type, layout), f"taken for {done}"
    assert_same_tensors(read_hub(hub), read_hub(back))
    convert_checkpoint(back, again, **options)
    assert_same_tensors(read_original(key, original), read_original(key, again))
    return original


def read_original(key: str, folder: Path) -> dict[str, Tensor]:
    """The tensors of an original by their own names."""
    original = registry.converters().load(key).storage.read(Source(folder))
    return {name: tensor.get() for name, tensor in original.tensors.items()}


def read_hub(folder: Path) -> dict[str, Tensor]:
    """The tensors of all safetensors files of a folder."""
    return {k: v for file in folder.glob("*.safetensors") for k, v in load_file(file).items()}


def assert_same_tensors(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> None:
    """Equal names, types, shapes and values."""
    assert set(first) == set(second), sorted(set(first) ^ set(second))
    for name, tensor in first.items():
        assert tensor.dtype == second[name].dtype, name
        assert torch.equal(tensor, second[name]), name
