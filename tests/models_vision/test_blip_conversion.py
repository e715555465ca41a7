"""BLIP's and its successors' converters lead to their originals and back without losing a bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models_vision import querying, test_blip

import dovetail
from dovetail.errors import MismatchError
from dovetail.testing import seeded
from dovetail.testing.converting import check_layout

BLIP = {
    **test_blip.SIZES,
    "text_config": {**test_blip.TEXT, "num_attention_heads": 1},
    "vision_config": {**test_blip.SIZES["vision_config"], "num_attention_heads": 1},
}
OPT = {**querying.OPT, "num_attention_heads": 1}
T5 = {**querying.T5, "feed_forward_proj": "gated-gelu"}
LLAMA = {
    "model_type": "llama",
    "vocab_size": 99,
    "hidden_size": 32,
    "intermediate_size": 37,
    "num_hidden_layers": 2,
    "num_attention_heads": 1,
}


def asking(text: dict[str, Any], **qformer: Any) -> dict[str, Any]:
    """The config of a model with the language model `text`."""
    return {
        **querying.SIZES,
        "vision_config": {**querying.VISION, "num_attention_heads": 1},
        "qformer_config": {
            **querying.QFORMER,
            "num_hidden_layers": 3,
            "num_attention_heads": 1,
            **qformer,
        },
        "text_config": text,
    }


CASES: dict[str, tuple[str, Any]] = {
    "blip-2/lavis-opt": ("Blip2ForConditionalGeneration", asking(OPT)),
    "blip-2/lavis-retrieval": (
        "Blip2ForImageTextRetrieval",
        {**asking(OPT, use_qformer_text_input=True), "image_text_hidden_size": 20},
    ),
    "blip-2/lavis-t5": ("Blip2ForConditionalGeneration", asking(T5)),
    "blip/salesforce-captioning": ("BlipForConditionalGeneration", BLIP),
    "blip/salesforce-retrieval": ("BlipForImageTextRetrieval", BLIP),
    "blip/salesforce-vqa": ("BlipForQuestionAnswering", BLIP),
    "instructblip/lavis-t5": ("InstructBlipForConditionalGeneration", asking(T5)),
    "instructblip/lavis-vicuna": ("InstructBlipForConditionalGeneration", asking(LLAMA)),
    "instructblipvideo/lavis-t5": ("InstructBlipVideoForConditionalGeneration", asking(T5)),
    "instructblipvideo/lavis-vicuna": (
        "InstructBlipVideoForConditionalGeneration",
        asking(LLAMA),
    ),
}
"""Heads are 64 wide in all originals: so narrow models have one."""


def tiny(architecture: str, sizes: dict[str, Any]) -> Any:
    """A small model whose tensors are all different and none trivial."""
    cls: Any = getattr(dovetail, architecture)
    model = cls(cls.config_class(**sizes)).eval()
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            tensor.copy_(torch.from_numpy(seeded.weight(name, tensor.shape)))
            if name.endswith("qkv.bias") and not architecture.startswith("Blip" + "For"):
                tensor.chunk(3)[1].zero_()  # the originals have no bias of keys
    return model


@pytest.mark.parametrize("key", CASES)
def test_original_and_back(key: str, tmp_path: Path):
    architecture, sizes = CASES[key]
    model = tiny(architecture, sizes)
    check_layout(key, model, tmp_path, told=key.startswith("instructblip"))
    twin = type(model).from_pretrained(tmp_path / "back").eval()
    inputs = read(model)
    with torch.no_grad():
        ours, again = model(**inputs), twin(**inputs)
    for name in set(ours) & {"loss", "logits", "itm_score", "logits_per_image"}:
        torch.testing.assert_close(again[name], ours[name])


def read(model: Any) -> dict[str, Any]:
    """What `model` reads in the tests of its own."""
    kind, video = type(model), isinstance(model, dovetail.InstructBlipVideoForConditionalGeneration)
    if model.config.model_type == "blip":
        kit: Any = test_blip.TestBlipTasks()
        inputs = kit.inputs(kind, model.config)
        return inputs | kit.labels(kind, model.config, inputs)
    kit = querying.WriterConformance()
    kit.places, kit.pixels_of = 0, (2, 3, 16, 16) if video else (3, 16, 16)
    inputs = kit.inputs(kind, model.config)
    if model.config.model_type != "blip-2":
        inputs["qformer_input_ids"] = inputs["input_ids"] % 60
    if kind is dovetail.Blip2ForImageTextRetrieval:
        inputs["input_ids"] = inputs["input_ids"] % 60
    return inputs


def test_a_bias_of_keys_has_no_place_in_the_original(tmp_path: Path):
    model = tiny(*CASES["blip-2/lavis-opt"])
    model.vision_model.encoder.layers[1].self_attn.qkv.bias.data.fill_(1.0)
    with pytest.raises(MismatchError, match=r"blocks\.1\.attn\.k_bias' is not zero"):
        check_layout("blip-2/lavis-opt", model, tmp_path)
