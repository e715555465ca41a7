"""Idefics2 passes the battery of those that write about pictures; and what is peculiar to it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.models_vision.vision_language import IMAGE, TEXT, VisionLanguageConformance
from torch import Tensor

from dovetail import Idefics2Config, Idefics2ForConditionalGeneration, Idefics2Model
from dovetail.errors import ConfigError
from dovetail.testing import seeded
from dovetail_models_vision.idefics2.vision import shares

VISION = {
    "hidden_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "image_size": 20,
    "patch_size": 4,
}
SIZES = {
    "text_config": {**TEXT, "model_type": "mistral"},
    "vision_config": VISION,
    "perceiver_config": {
        "resampler_n_latents": 3,
        "resampler_depth": 2,
        "resampler_n_heads": 4,
        "resampler_head_dim": 6,
        "num_key_value_heads": 2,
    },
    "image_token_id": IMAGE,
}


class TestIdefics2(VisionLanguageConformance):
    config_class = Idefics2Config
    model_classes = (Idefics2Model, Idefics2ForConditionalGeneration)
    sizes = SIZES
    image_token = "image_token_id"
    image_tokens = 3
    unused = (r"k_proj\.bias",)

    def pixels(self, config: Any, batch: int) -> dict[str, Tensor]:
        pixels = torch.from_numpy(seeded.noise("pixels", (batch, 1, 3, 16, 12)))
        mask = torch.ones(batch, 1, 16, 12).long()
        mask[0, 0, 9:] = 0
        return {"pixel_values": pixels, "pixel_attention_mask": mask}


def model() -> Idefics2ForConditionalGeneration:
    return TestIdefics2().build(Idefics2ForConditionalGeneration)


def test_patches_take_the_positions_of_their_shares():
    assert shares(3, 3).tolist() == [0, 1, 2]
    assert shares(2, 5).tolist() == [0, 2]
    assert shares(7, 4).tolist() == [0, 0, 1, 1, 2, 2, 3]
    assert all(len(shares(count, 70)) == count for count in range(1, 200))


def test_padding_is_no_picture():
    idefics, pixels = model(), torch.rand(2, 2, 3, 16, 12)
    pixels[0, 1] = 0
    mask = torch.ones(2, 2, 16, 12).long()
    mask[0, 1] = 0
    with torch.no_grad():
        features = idefics.encode(pixel_values=pixels, pixel_attention_mask=mask)[0].features
        alone = idefics.encode(pixel_values=pixels[:1, :1])[0].features
    assert features.shape == (3, 3, 32)
    torch.testing.assert_close(features[:1], alone)


def test_hidden_pixels_do_not_matter():
    idefics, mask = model(), torch.zeros(1, 1, 16, 12).long()
    mask[..., :8, :12] = 1
    pixels = torch.rand(1, 1, 3, 16, 12)
    other = torch.where(mask[:, :, None] == 1, pixels, torch.rand(1, 1, 3, 16, 12))
    with torch.no_grad():
        first, second = (
            idefics.encode(pixel_values=each, pixel_attention_mask=mask)[0].features
            for each in (pixels, other)
        )
    torch.testing.assert_close(first, second)


def test_a_later_turn_shows_another_picture():
    idefics = model()
    pixels = torch.rand(1, 2, 3, 16, 12)
    first = torch.tensor([[1, *[IMAGE] * 3, 7]])
    options: dict[str, Any] = {"do_sample": False, "max_new_tokens": 3, "eos_token_id": None}
    told = idefics.generate(
        first, pixel_values=pixels[:, :1], return_dict_in_generate=True, **options
    )
    whole = torch.cat((told.sequences, torch.tensor([[9, *[IMAGE] * 3, 10]])), 1)
    expected = idefics.generate(whole, pixel_values=pixels, **options)
    for shown in (pixels, pixels[:, 1:]):
        again = idefics.generate(
            first, pixel_values=pixels[:, :1], return_dict_in_generate=True, **options
        )
        cache = again.past_key_values
        continued = idefics.generate(whole, pixel_values=shown, past_key_values=cache, **options)
        assert torch.equal(continued, expected)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pixel_values": torch.rand(1, 2, 3, 16, 12)}, r"3 image tokens .* make 6 features"),
        ({"pixel_values": torch.rand(1, 3, 16, 12)}, r"\(batch, pictures, channels"),
        ({"pixel_values": torch.rand(1, 1, 3, 3, 12)}, "less than one patch"),
        (
            {
                "pixel_values": torch.rand(1, 1, 3, 16, 12),
                "pixel_attention_mask": torch.ones(1, 1, 16, 16),
            },
            "does not fit pixel_values",
        ),
        (
            {
                "pixel_values": torch.rand(1, 1, 3, 16, 12),
                "pixel_attention_mask": torch.eye(16)[None, None, :, :12],
            },
            "must show a rectangle",
        ),
        (
            {
                "pixel_values": torch.rand(1, 1, 3, 16, 12),
                "image_hidden_states": torch.rand(1, 3, 32),
            },
            "not both",
        ),
    ],
)
def test_pictures_that_do_not_fit_are_refused(given: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        model()(torch.tensor([[1, *[IMAGE] * 3, 7]]), **given)


def test_heads_that_do_not_divide_are_refused():
    with pytest.raises(ConfigError, match="num_key_value_heads=3"):
        Idefics2Config(**SIZES | {"perceiver_config": {"num_key_value_heads": 3}})
