"""Helpers for the tests of converters: tiny models, and what a way there and back must keep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

import dovetail
from dovetail.testing import seeded
from dovetail.testing.converting import check_layout


def tiny(architecture: str, sizes: dict[str, Any]) -> Any:
    """A small model whose tensors are all different and none trivial."""
    cls = getattr(dovetail, architecture)
    model = cls(cls.config_class(**sizes)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:  # others are computed
                parameter.copy_(torch.from_numpy(seeded.weight(name, parameter.shape)))
    return model


def round_trip(
    key: str, model: Any, folder: Path, shards: int = 1, config: dict[str, Any] | None = None
) -> Path:
    """Convert there and back; tensors and outputs stay the same. Returns the original's folder."""
    original = check_layout(key, model, folder, shards=shards, config=config)
    twin = type(model).from_pretrained(folder / "back").eval()
    ids = torch.arange(3, 13).view(2, 5)
    ids[ids == 7] = 1
    ids[:, -1] = 7  # the end of a text, which BART's classifier reads
    seq2seq = model.config.is_encoder_decoder and "Classification" not in type(model).__name__
    extra = {"decoder_input_ids": ids} if seq2seq else {}
    with torch.no_grad():
        wanted, found = model(ids, **extra)[0], twin(ids, **extra)[0]
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    return original
