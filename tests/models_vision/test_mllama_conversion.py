"""Meta's release of Llama 3.2 Vision leads to the Hub's and back, in parts as well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from dovetail import MllamaConfig, MllamaForConditionalGeneration
from dovetail.testing import seeded
from dovetail.testing.converting import check_layout, read_original
from dovetail_models_vision.mllama.conversion import resampled

TEXT: dict[str, Any] = {
    "vocab_size": 96,
    "pad_token_id": None,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "cross_attention_layers": [1, 4],
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
}
VISION: dict[str, Any] = {
    "hidden_size": 80,
    "num_global_layers": 1,
    "attention_heads": 1,
    "intermediate_size": 16,
    "vision_output_dim": 480,
    "image_size": 8,
    "patch_size": 4,
}


@pytest.fixture(scope="module")
def model() -> Any:
    config = MllamaConfig(text_config=TEXT, vision_config=VISION, image_token_index=96)
    made = MllamaForConditionalGeneration(config)
    ratios = made.config.vision_config.supported_aspect_ratios
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            parameter.copy_(torch.from_numpy(seeded.weight(name, parameter.shape)))
        for name, module in made.vision_model.named_modules():
            if name.endswith("tile_embedding") or "tile_positional_embedding.embedding" in name:
                table = torch.from_numpy(seeded.noise(name, (4, 4, module.weight.shape[1] // 4)))
                rows = module.weight.view(9, 4, -1).zero_()
                for number, (height, width) in enumerate(ratios, 1):
                    rows[number, : height * width] = table[:height, :width].flatten(0, 1)
    return made


@pytest.mark.parametrize("shards", [1, 2])
def test_there_and_back(model: Any, tmp_path: Path, shards: int):
    original = check_layout("mllama/meta", model, tmp_path, shards=shards)
    tensors = read_original("mllama/meta", original)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    assert shapes["text_model.cross_attention_layers.1.attention.wq.weight"] == (32, 32)
    assert "text_model.layers.4.attention.wq.weight" not in shapes
    assert shapes["text_model.learnable_embedding.weight"] == (8, 32)
    assert shapes["vision_model.vision_encoder.conv1._linear.weight"] == (80, 48)
    assert shapes["vision_model.vision_encoder.gated_positional_embedding"] == (4, 4, 5, 80)
    back = MllamaConfig.from_pretrained(tmp_path / "back")
    assert back.text_config.to_diff_dict() == model.config.text_config.to_diff_dict()
    assert back.vision_config.to_diff_dict() == model.config.vision_config.to_diff_dict()
    assert back.image_token_index == 96


def test_layers_are_counted_apart(model: Any, tmp_path: Path):
    original = read_original("mllama/meta", check_layout("mllama/meta", model, tmp_path))
    layers = model.language_model.model.layers
    for kind, number, place in (("layers", 1, 2), ("cross_attention_layers", 1, 4)):
        found = original[f"text_model.{kind}.{number}.feed_forward.w1.weight"]
        assert torch.equal(found, layers[place].mlp.gate_proj.weight)
    crossed = original["text_model.cross_attention_layers.0.attention.wq.weight"]
    assert torch.equal(crossed, layers[1].cross_attn.q_proj.weight)  # nothing is rotated


def test_positions_of_other_tiles_are_resampled():
    few = torch.from_numpy(seeded.noise("few", (2, 5, 3)))
    many = resampled(few, 17)
    assert many.shape == (2, 17, 3)
    assert torch.equal(many[:, 0], few[:, 0])
    torch.testing.assert_close(resampled(torch.ones(5, 3), 17), torch.ones(17, 3))
