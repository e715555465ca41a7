"""Tiny sizes, inputs and the battery of vision-language models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dovetail.testing import seeded
from dovetail.testing.conformance import CausalLMConformance
from dovetail.testing.subject import BATCH, LENGTH, expect_close

IMAGE = 4
"""The token in whose places images are; ordinary ones begin at 5."""
TEXT = {
    "model_type": "llama",
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 37,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
VISION = {
    "model_type": "clip_vision_model",
    "hidden_size": 20,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "image_size": 8,
    "patch_size": 4,
    "projection_dim": 12,
}
SIZES = {"text_config": TEXT, "vision_config": VISION, "image_token_index": IMAGE}
UNSEEN = (r"vision_model\.encoder\.layers\.2\.", r"vision_model\.post_layernorm", r"k_proj\.bias")
"""What the features of the last layer but one do not show."""


class VisionLanguageConformance(CausalLMConformance):
    """The battery of decoders; texts hold one picture of `image_tokens` each, behind a word."""

    unused = UNSEEN
    image_token = "image_token_index"
    image_tokens = 4

    def pixels(self, config: Any, batch: int) -> dict[str, Tensor]:
        """One picture for each text."""
        side = config.vision_config.image_size
        return {"pixel_values": torch.from_numpy(seeded.noise("pixels", (batch, 3, side, side)))}

    def inputs(
        self, model_class: Any, config: Any, batch: int = BATCH, length: int = LENGTH
    ) -> dict[str, Any]:
        ids = self.tokens(config.get_text_config(), batch, length)
        ids[:, 1 : 1 + self.image_tokens] = getattr(config, self.image_token)
        return {"input_ids": ids, **self.pixels(config, batch)}

    def labels(self, model_class: Any, config: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        if not model_class.can_generate():
            return {}
        ids = inputs.get("input_ids", torch.ones(BATCH, LENGTH).long())
        return {"labels": ids.masked_fill(ids == getattr(config, self.image_token), -100)}

    def test_embeddings_may_be_given_in_place_of_ids(self, model_class: Any) -> None:
        model = self.build(model_class)
        inputs = self.inputs(model_class, model.config)
        expected = self.run(model, inputs)[0]
        visual = {name: value for name, value in inputs.items() if name != "input_ids"}
        with torch.no_grad():
            embeds = model.embed_with(inputs["input_ids"], None, model.encode(**visual))
        output = self.run(model, {"inputs_embeds": embeds})[0]
        expect_close(output, expected, "output", self.tolerance)
