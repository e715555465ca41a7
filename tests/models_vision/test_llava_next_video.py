"""LLaVA-NeXT-Video passes the battery; and what is peculiar to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models_vision.vision_language import (
    IMAGE,
    SIZES,
    TEXT,
    VISION,
    VisionLanguageConformance,
)

from dovetail import LlavaNextVideoConfig, LlavaNextVideoForConditionalGeneration
from dovetail.errors import ConfigError
from dovetail.testing import seeded
from dovetail.testing.converting import check_layout
from dovetail.testing.subject import fill

VIDEO = 3
FILMS = {**SIZES, "video_token_index": VIDEO, "image_grid_pinpoints": [[8, 16]]}
"""A frame takes one token, a picture 14."""
IDS = torch.tensor(
    [
        [0] * 12 + [1, 5, VIDEO, VIDEO, 6, VIDEO, VIDEO, 7],
        [1, *[IMAGE] * 14, VIDEO, VIDEO, 5, 6, 7],
    ]
)
MASK = (IDS != 0).long()


class TestLlavaNextVideo(VisionLanguageConformance):
    config_class = LlavaNextVideoConfig
    model_classes = (LlavaNextVideoForConditionalGeneration,)
    sizes = FILMS
    image_token = "video_token_index"
    unused = (*VisionLanguageConformance.unused, r"image_newline")

    def pixels(self, config: Any, batch: int) -> dict[str, torch.Tensor]:
        frames = torch.from_numpy(seeded.noise("pixels", (batch, 4, 3, 8, 8)))
        return {"pixel_values_videos": frames}


def model(**changes: Any) -> Any:
    made = LlavaNextVideoForConditionalGeneration(LlavaNextVideoConfig(**{**FILMS, **changes}))
    fill(made)
    made.generation_config.pad_token_id = 0
    made.generation_config.suppress_tokens = [IMAGE, VIDEO, 2]
    return made.eval()


def seen(films: slice = slice(None), pictures: slice = slice(None)) -> dict[str, torch.Tensor]:
    noise = torch.Generator().manual_seed(0)
    frames = torch.randn(3, 2, 3, 8, 8, generator=noise)[films]
    tiles = torch.randn(1, 3, 3, 8, 8, generator=noise)[pictures]
    given = {"pixel_values_videos": frames}
    if len(tiles):
        given |= {"pixel_values": tiles, "image_sizes": torch.tensor([[10, 20]])}
    return given


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"prefill_chunk_size": 7}])
def test_each_text_gets_its_own_videos_and_pictures(options: dict[str, Any]):
    made = model()
    options = {"max_new_tokens": 4, "do_sample": False, **options}
    batch = made.generate(IDS, attention_mask=MASK, **seen(), **options)
    alone = seen(slice(0, 2), slice(0, 0))
    assert torch.equal(batch[:1, 12:], made.generate(IDS[:1, 12:], **alone, **options))
    assert torch.equal(batch[1:], made.generate(IDS[1:], **seen(slice(2, 3)), **options))


def test_both_kinds_of_features_are_returned():
    output = model()(IDS, attention_mask=MASK, **seen())
    assert output.image_hidden_states.shape == (14, 32)
    assert output.video_hidden_states.shape == (6, 32)


def test_what_is_missing_is_named():
    made = model()
    with pytest.raises(ValueError, match=r"hold 6 video tokens .* make 4 features"):
        made(IDS, attention_mask=MASK, **seen(slice(0, 2)))
    with pytest.raises(ValueError, match=r"pixel_values_videos have the shape \(2, 3, 8, 8\)"):
        made(IDS, pixel_values_videos=seen()["pixel_values_videos"][0])
    with pytest.raises(ValueError, match="5 features, which are no square"):
        made(IDS, vision_feature_select_strategy="full", **seen(pictures=slice(0, 0)))


def test_poolings_are_three():
    with pytest.raises(ConfigError, match="spatial_pool_mode"):
        LlavaNextVideoConfig(spatial_pool_mode="median")
    shapes = {
        mode: [
            video.shape
            for video in model(spatial_pool_mode=mode).get_video_features(
                seen()["pixel_values_videos"]
            )
        ]
        for mode in ("average", "max", "conv")
    }
    assert shapes["average"] == shapes["max"] == shapes["conv"] == [(2, 1, 32)] * 3


def test_bfloat16_writes_and_trains():
    made = model().to(torch.bfloat16)
    made.train()(IDS, attention_mask=MASK, labels=IDS, **seen()).loss.backward()
    assert made.image_newline.grad.any()
    written = made.eval().generate(IDS, attention_mask=MASK, max_new_tokens=3, **seen())
    assert written.shape == (2, IDS.shape[1] + 3)


def test_new_tokens_are_added_and_left_out_by_the_converter(tmp_path: Path):
    made = model(
        text_config={**TEXT, "vocab_size": 30 + 64, "tie_word_embeddings": False},
        vision_config={**VISION, "hidden_size": 64},
        image_token_index=31,
        video_token_index=30,
    )
    with torch.no_grad():
        for layer in (made.get_input_embeddings(), made.get_output_embeddings()):
            layer.weight[30:] = layer.weight[:30].mean(0)
    check_layout("llava_next_video/original", made, tmp_path)
    again = type(made).from_pretrained(tmp_path / "back").config
    assert (again.image_token_index, again.video_token_index) == (31, 30)
