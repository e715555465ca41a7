"""SAM passes the battery for models that read images, and refuses prompts that do not fit."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dovetail import SamConfig, SamModel
from dovetail.errors import ConfigError
from dovetail.testing import seeded
from dovetail.testing.conformance import VisionConformance
from dovetail_models_vision.sam.vision import join_windows, split_windows

SIZES = {
    "vision_config": {
        "hidden_size": 32,
        "output_channels": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 32,
        "patch_size": 4,
        "num_pos_feats": 16,
        "mlp_dim": 37,
        "global_attn_indexes": [1],
        "window_size": 3,
    },
    "prompt_encoder_config": {
        "hidden_size": 32,
        "image_size": 32,
        "patch_size": 4,
        "mask_input_channels": 8,
    },
    "mask_decoder_config": {
        "hidden_size": 32,
        "mlp_dim": 37,
        "num_attention_heads": 4,
        "iou_head_hidden_dim": 16,
    },
}


class TestSam(VisionConformance):
    config_class = SamConfig
    model_classes = (SamModel,)
    sizes = SIZES

    def build(self, model_class: Any, **changes: Any) -> Any:
        """With seeded places, too, of the spread of published checkpoints."""
        model = super().build(model_class, **changes)
        places = model.shared_image_embedding.positional_embedding
        places.copy_(torch.from_numpy(seeded.noise("places", places.shape)))
        return model


def model() -> SamModel:
    return TestSam().build(SamModel)


def pixels(images: int = 2) -> torch.Tensor:
    return torch.rand(images, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_windows_come_back_as_they_were():
    states = torch.rand(2, 8, 7, 5)
    windows = split_windows(states, 3)
    assert windows.shape == (2 * 3 * 3, 3, 3, 5)
    assert torch.equal(join_windows(windows, states.shape), states)


def test_an_image_is_encoded_once_for_all_prompts():
    sam, images = model(), pixels()
    points = torch.tensor([[[[3.0, 4.0]], [[20.0, 9.0]]]] * 2)
    with torch.no_grad():
        whole = sam(images, input_points=points)
        embeddings = sam.get_image_embeddings(images)
        apart = [
            sam(image_embeddings=embeddings, input_points=points[:, [index]]) for index in (0, 1)
        ]
    masks = torch.cat([output.pred_masks for output in apart], 1)
    torch.testing.assert_close(masks, whole.pred_masks, rtol=1e-4, atol=1e-4)


def test_masks_train():
    sam = model().train()
    output = sam(pixels(), input_boxes=torch.tensor([[[3.0, 4.0, 20.0, 9.0]]] * 2))
    output.pred_masks.sigmoid().mean().backward()
    assert sam.vision_encoder.layers[0].attn.rel_pos_h.grad.any()
    assert sam.prompt_encoder.point_embed[3].weight.grad.any()


def test_a_fresh_model_draws_its_places_and_keeps_them(tmp_path):
    sam = SamModel(SamConfig(**SIZES))
    places = sam.shared_image_embedding.positional_embedding
    assert 8 < places.std() < 32
    sam.save_pretrained(tmp_path)
    loaded = SamModel.from_pretrained(tmp_path)
    assert torch.equal(loaded.shared_image_embedding.positional_embedding, places)
    assert loaded.prompt_encoder.shared_embedding is loaded.shared_image_embedding


POINTS = torch.zeros(2, 1, 3, 2)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ({}, "exactly one of pixel_values and image_embeddings"),
        ({"pixel_values": torch.rand(2, 3, 16, 16)}, r"\(2, 3, 16, 16\)"),
        ({"pixel_values": pixels(), "input_points": POINTS[0]}, "images, prompts, points, 2"),
        ({"pixel_values": pixels(), "input_boxes": torch.rand(2, 4)}, "images, prompts, 4"),
        ({"pixel_values": pixels(), "input_points": POINTS[:1]}, "for 1 images, but there are 2"),
        (
            {
                "pixel_values": pixels(),
                "input_points": POINTS,
                "input_labels": torch.ones(2, 1, 2),
            },
            "need one label each",
        ),
        (
            {
                "pixel_values": pixels(),
                "input_points": POINTS,
                "input_boxes": torch.rand(2, 2, 4),
            },
            "as many boxes as prompts",
        ),
    ],
)
def test_prompts_that_do_not_fit_are_refused(prompt: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        model()(**prompt)


def test_points_need_labels_to_be_embedded():
    with pytest.raises(ValueError, match="input_labels"):
        model().get_prompt_embeddings(input_points=POINTS)


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("vision_config", {"patch_size": 5}, "does not divide image_size"),
        ("vision_config", {"output_channels": 64}, "must be equal"),
        ("vision_config", {"num_attention_heads": 5}, "num_attention_heads=5"),
        ("prompt_encoder_config", {"image_size": 64}, "image_size"),
        ("prompt_encoder_config", {"num_point_embeddings": 3}, "at least 4"),
        ("mask_decoder_config", {"num_attention_heads": 3}, "num_attention_heads=3"),
    ],
)
def test_configs_that_cannot_be_are_refused(part: str, changes: dict[str, int], message: str):
    with pytest.raises(ConfigError, match=message):
        SamConfig(**SIZES | {part: {**SIZES[part], **changes}})
