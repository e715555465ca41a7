"""LLaVA-NeXT passes the battery; and what is peculiar to it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.models_vision.vision_language import IMAGE, SIZES, VISION, VisionLanguageConformance

from dovetail import LlavaNextConfig, LlavaNextForConditionalGeneration
from dovetail.errors import ConfigError
from dovetail.testing import seeded
from dovetail.testing.subject import fill
from dovetail_models_vision.llava_next.tiles import Grid, best_size, borders, fitted, tile_count

SMALLEST = {**SIZES, "vision_config": {**VISION, "image_size": 4}, "image_grid_pinpoints": [[4, 8]]}
"""A picture takes four tokens: the whole, two tiles, the end of their row."""
POINTS = [[8, 16], [16, 8], [16, 16], [24, 8]]
TALL = [1, *[IMAGE] * 16, 5]
TWO = [1, *[IMAGE] * 10, 6, *[IMAGE] * 14, 9]
IDS = torch.tensor([[0] * (len(TWO) - len(TALL)) + TALL, TWO])
MASK = (IDS != 0).long()
HEIGHTS_AND_WIDTHS = torch.tensor([[20, 9], [7, 9], [10, 20]])


class TestLlavaNext(VisionLanguageConformance):
    config_class = LlavaNextConfig
    model_classes = (LlavaNextForConditionalGeneration,)
    sizes = SMALLEST

    def pixels(self, config: Any, batch: int) -> dict[str, torch.Tensor]:
        tiles = torch.from_numpy(seeded.noise("pixels", (batch, 3, 3, 4, 4)))
        return {"pixel_values": tiles, "image_sizes": torch.tensor([[5, 9]] * batch)}


def model(**changes: Any) -> Any:
    sizes = {**SIZES, "image_grid_pinpoints": POINTS, **changes}
    made = LlavaNextForConditionalGeneration(LlavaNextConfig(**sizes)).eval()
    fill(made)
    made.generation_config.pad_token_id = 0
    made.generation_config.suppress_tokens = [IMAGE, 2]
    return made


def seen(rows: slice = slice(None)) -> dict[str, torch.Tensor]:
    tiles = torch.randn(3, 4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return {"pixel_values": tiles[rows], "image_sizes": HEIGHTS_AND_WIDTHS[rows]}


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"prefill_chunk_size": 7}])
def test_each_text_gets_its_own_pictures(options: dict[str, Any]):
    made = model()
    options = {"max_new_tokens": 4, "do_sample": False, **options}
    batch = made.generate(IDS, attention_mask=MASK, **seen(), **options)
    first = made.generate(IDS[:1, -len(TALL) :], **seen(slice(0, 1)), **options)
    second = made.generate(IDS[1:], **seen(slice(1, 3)), **options)
    assert torch.equal(batch[:1, -len(TALL) - 4 :], first)
    assert torch.equal(batch[1:], second)


def test_tiles_of_padding_are_not_seen():
    made = model()
    given = seen()
    with torch.no_grad():
        expected = made(IDS, attention_mask=MASK, **given).logits
        changed = given["pixel_values"].clone()
        changed[1:, 3] = torch.nan  # these pictures have three tiles
        output = made(IDS, attention_mask=MASK, **{**given, "pixel_values": changed}).logits
    torch.testing.assert_close(output, expected)


def test_the_first_token_stays_with_the_whole_picture():
    made = model(vision_feature_select_strategy="full")
    with torch.no_grad():
        features = made.get_image_features(**seen())
    assert [len(one) for one in features] == [17, 11, 15]


def test_tiles_and_sizes_must_fit():
    made = model()
    given = seen()
    with pytest.raises(ValueError, match="image_sizes is None"):
        made(IDS, given["pixel_values"])
    with pytest.raises(ValueError, match=r"ask for 2 pictures of \[4, 3\] tiles"):
        made(IDS, given["pixel_values"], HEIGHTS_AND_WIDTHS[:2])
    with pytest.raises(ValueError, match=r"of \[4, 3, 3\] tiles"):
        made(IDS, given["pixel_values"][:, :3], HEIGHTS_AND_WIDTHS)


@pytest.mark.parametrize("points", [[], [[336]], [[0, 336]]])
def test_pin_points_must_be_sizes(points: list[list[int]]):
    with pytest.raises(ConfigError, match="image_grid_pinpoints"):
        LlavaNextConfig(image_grid_pinpoints=points)


def test_bfloat16_writes_and_trains():
    made = model().to(torch.bfloat16)
    made.train()(IDS, attention_mask=MASK, labels=IDS, **seen()).loss.backward()
    assert torch.isfinite(made.image_newline.grad).all()
    assert made.image_newline.grad.any()
    written = made.eval().generate(IDS, attention_mask=MASK, max_new_tokens=3, **seen())
    assert written.shape == (2, IDS.shape[1] + 3)


def test_arithmetic_of_tiles():
    points = [(336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008)]
    assert best_size((100, 1000), points) == (336, 1008)
    assert best_size((336, 336), points) == (336, 672)
    assert tile_count((1000, 1000), points, 336) == 5
    assert fitted((1000, 10), (672, 336)) == (672, 7)
    assert borders((10, 1000), Grid(48, 48)) == (24, 0)
