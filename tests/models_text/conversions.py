"""Helpers for the tests of converters: tiny models, originals made of them, comparisons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

import dovetail
from dovetail import registry
from dovetail.converting import convert_checkpoint
from dovetail.converting.storage import Source
from dovetail.testing import seeded


def tiny(architecture: str, sizes: dict[str, Any]) -> Any:
    """A small model whose tensors are all different and none trivial."""
    cls = getattr(dovetail, architecture)
    model = cls(cls.config_class(**sizes)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:  # others are computed
                parameter.copy_(torch.from_numpy(seeded.weight(name, parameter.shape)))
    return model


def read_original(key: str, folder: Path) -> dict[str, torch.Tensor]:
    """The tensors of an original, as its own storage reads them."""
    original = registry.converters().load(key).storage.read(Source(folder))
    return {name: tensor.get() for name, tensor in original.tensors.items()}


def read_hub(folder: Path) -> dict[str, torch.Tensor]:
    """The tensors of a Hub folder."""
    return {k: v for file in folder.glob("*.safetensors") for k, v in load_file(file).items()}


def assert_same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    """Equal names, types, shapes and values."""
    assert set(first) == set(second)
    for name, tensor in first.items():
        assert tensor.dtype == second[name].dtype, name
        assert torch.equal(tensor, second[name]), name


def round_trip(
    key: str, model: Any, folder: Path, shards: int = 1, config: dict[str, Any] | None = None
) -> Path:
    """Save, convert to the original, back, and to the original again; everything stays equal.

    Returns the folder of the original.
    """
    model_type, _, layout = key.partition("/")
    model.save_pretrained(folder / "hub")
    there = convert_checkpoint(
        folder / "hub", folder / "original", to_original=True, layout=layout, shards=shards
    )
    back = convert_checkpoint(folder / "original", folder / "back", config=config)
    assert (
        (back.model_type, back.layout) == (model_type, layout) == (there.model_type, there.layout)
    )
    assert_same(read_hub(folder / "hub"), read_hub(folder / "back"))
    convert_checkpoint(
        folder / "back", folder / "again", to_original=True, layout=layout, shards=shards
    )
    assert_same(read_original(key, folder / "original"), read_original(key, folder / "again"))
    twin = type(model).from_pretrained(folder / "back").eval()
    ids = torch.arange(3, 13).view(2, 5)
    ids[ids == 7] = 1
    ids[:, -1] = 7  # the end of a text, which BART's classifier reads
    seq2seq = model.config.is_encoder_decoder and "Classification" not in type(model).__name__
    extra = {"decoder_input_ids": ids} if seq2seq else {}
    with torch.no_grad():
        wanted, found = model(ids, **extra)[0], twin(ids, **extra)[0]
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    return folder / "original"
