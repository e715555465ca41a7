"""Tiny sizes and inputs of models with a text half and an image half."""

from __future__ import annotations

from typing import Any

import torch

from dovetail.testing.checkpoints import CheckpointTests
from dovetail.testing.pixels import PixelInputs
from dovetail.testing.subject import BATCH, Subject
from dovetail.testing.training import EmbeddingTests, TrainingTests

LAYERS = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
}
TEXT = LAYERS | {
    "vocab_size": 99,
    "max_position_embeddings": 16,
    "bos_token_id": 97,
    "eos_token_id": 98,
}
VISION = LAYERS | {"image_size": 16, "patch_size": 4}


class TwoTowersConformance(CheckpointTests, TrainingTests, EmbeddingTests):
    """The battery for models that compare texts with images: what needs no row of output for each
    row of input."""

    def inputs(
        self, model_class: Any, config: Any, batch: int = BATCH, length: int = 7
    ) -> dict[str, Any]:
        pixels = PixelInputs.pixels(self, config.vision_config, batch)  # type: ignore[arg-type]
        return {**Subject.inputs(self, model_class, config, batch, length), "pixel_values": pixels}

    def labels(self, model_class: Any, config: Any, inputs: Any) -> dict[str, Any]:
        return {"return_loss": True}


def check_sides(model: Any, inputs: dict[str, Any]) -> None:
    """What the model says of two halves is what they say alone, however many there are of each."""
    with torch.no_grad():
        output = model(**inputs)
        fewer = model(inputs["input_ids"], inputs["pixel_values"][:1])
    assert output.logits_per_image.shape == (2, 2)
    torch.testing.assert_close(output.logits_per_image, output.logits_per_text.t())
    torch.testing.assert_close(fewer.logits_per_text, output.logits_per_text[:, :1])
    texts = model.get_text_features(inputs["input_ids"])
    torch.testing.assert_close(torch.nn.functional.normalize(texts), output.text_embeds)
    images = model.get_image_features(inputs["pixel_values"])
    torch.testing.assert_close(torch.nn.functional.normalize(images), output.image_embeds)
