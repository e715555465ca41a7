"""Pairs of a picture's encoder and a text's decoder pass the battery."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dovetail import (
    AutoModelForVision2Seq,
    GPT2Config,
    GPT2LMHeadModel,
    VisionEncoderDecoderConfig,
    VisionEncoderDecoderModel,
    ViTConfig,
    ViTModel,
)
from dovetail.testing import seeded
from dovetail.testing.conformance import VisionConformance

LAYERS = {"num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 37}
VIT = {"hidden_size": 32, **LAYERS, "image_size": 16, "patch_size": 4}
BERT = {"hidden_size": 32, **LAYERS, "vocab_size": 99, "max_position_embeddings": 40}
SIZES: dict[str, Any] = {
    "encoder": {**VIT, "model_type": "vit", "hidden_size": 40},
    "decoder": {**BERT, "model_type": "bert", "is_decoder": True, "add_cross_attention": True},
    "pad_token_id": 0,
    "decoder_start_token_id": 3,
    "eos_token_id": 2,
}


class TestVisionEncoderDecoder(VisionConformance):
    config_class = VisionEncoderDecoderConfig
    model_classes = (VisionEncoderDecoderModel,)
    sizes = SIZES
    unused = (r"encoder\.pooler", r"key\.bias")

    def body_config(self, config: Any) -> Any:
        return config.encoder

    def inputs(self, model_class: Any, config: Any, batch: int = 2, length: int = 7) -> Any:
        target = torch.from_numpy(seeded.integers("target", (batch, length), 5, 99))
        return {"pixel_values": self.pixels(config.encoder, batch), "decoder_input_ids": target}

    def labels(self, model_class: Any, config: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {"labels": inputs.get("decoder_input_ids", torch.ones(2, 7).long())}


def pixels() -> Tensor:
    return torch.from_numpy(seeded.noise("pixels", (2, 3, 16, 16)))


def test_steps_on_a_cache_equal_one_pass():
    model = TestVisionEncoderDecoder().build(VisionEncoderDecoderModel)
    inputs = TestVisionEncoderDecoder().inputs(VisionEncoderDecoderModel, model.config)
    target = inputs["decoder_input_ids"]
    with torch.no_grad():
        whole = model(**inputs, use_cache=False).logits
        encoded, cache, steps = model.encoder(inputs["pixel_values"]), None, []
        for column in target.split(1, dim=1):
            output = model(decoder_input_ids=column, encoder_outputs=encoded, past_key_values=cache)
            cache = output.past_key_values
            steps.append(output.logits)
    torch.testing.assert_close(torch.cat(steps, 1), whole, atol=1e-4, rtol=0)


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"decoder_input_ids": "prompt"}])
def test_generation_with_and_without_a_cache(options: dict[str, Any]):
    model = TestVisionEncoderDecoder().build(VisionEncoderDecoderModel)
    options = {**options, "max_new_tokens": 6, "min_new_tokens": 6}
    if "decoder_input_ids" in options:
        options["decoder_input_ids"] = torch.tensor([[3, 7, 8]]).expand(2, -1)
    cached = model.generate(pixels(), **options)
    plain = model.generate(pixel_values=pixels(), use_cache=False, **options)
    assert torch.equal(cached, plain)
    assert cached[0, 0] == 3


def test_two_checkpoints_become_a_pair(tmp_path: Path):
    torch.manual_seed(0)
    ViTModel(ViTConfig(**VIT)).save_pretrained(tmp_path / "vit")
    sizes = {"vocab_size": 99, "n_positions": 40, "n_embd": 32, "n_layer": 2, "n_head": 4}
    GPT2LMHeadModel(GPT2Config(**sizes)).save_pretrained(tmp_path / "gpt2")
    pair = VisionEncoderDecoderModel.from_encoder_decoder_pretrained(
        tmp_path / "vit", tmp_path / "gpt2"
    )
    assert not hasattr(pair, "enc_to_dec_proj")
    pair.save_pretrained(tmp_path / "pair")
    loaded = AutoModelForVision2Seq.from_pretrained(tmp_path / "pair")
    given = {"pixel_values": pixels(), "decoder_input_ids": torch.ones(2, 3).long()}
    with torch.no_grad():
        torch.testing.assert_close(loaded(**given).logits, pair.eval()(**given).logits)


def test_pictures_are_needed():
    model = TestVisionEncoderDecoder().build(VisionEncoderDecoderModel)
    with pytest.raises(ValueError, match="pixel_values is None"):
        model(decoder_input_ids=torch.ones(1, 1).long())
