"""BLIP's and its successors' converters lead to their originals and back without losing a bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models_vision import test_blip

import dovetail
from dovetail.testing import seeded
from dovetail.testing.converting import check_layout

BLIP = {
    **test_blip.SIZES,
    "text_config": {**test_blip.TEXT, "num_attention_heads": 1},
    "vision_config": {**test_blip.SIZES["vision_config"], "num_attention_heads": 1},
}
CASES: dict[str, tuple[str, Any]] = {
    "blip/salesforce-captioning": ("BlipForConditionalGeneration", BLIP),
    "blip/salesforce-retrieval": ("BlipForImageTextRetrieval", BLIP),
    "blip/salesforce-vqa": ("BlipForQuestionAnswering", BLIP),
}
"""Heads are 64 wide in all originals: so narrow models have one."""


def tiny(architecture: str, sizes: dict[str, Any]) -> Any:
    """A small model whose tensors are all different and none trivial."""
    cls: Any = getattr(dovetail, architecture)
    model = cls(cls.config_class(**sizes)).eval()
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            tensor.copy_(torch.from_numpy(seeded.weight(name, tensor.shape)))
    return model


@pytest.mark.parametrize("key", CASES)
def test_original_and_back(key: str, tmp_path: Path):
    architecture, sizes = CASES[key]
    model = tiny(architecture, sizes)
    check_layout(key, model, tmp_path)
    twin = type(model).from_pretrained(tmp_path / "back").eval()
    kit = test_blip.TestBlipTasks()
    inputs = kit.inputs(type(model), model.config)
    inputs |= kit.labels(type(model), model.config, inputs)
    with torch.no_grad():
        ours, again = model(**inputs), twin(**inputs)
    for name in set(ours) & {"loss", "logits", "itm_score"}:
        torch.testing.assert_close(again[name], ours[name])
