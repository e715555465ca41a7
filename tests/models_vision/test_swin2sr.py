"""Swin2SR passes the battery; and what is peculiar to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from dovetail import (
    Swin2SRConfig,
    Swin2SRForImageSuperResolution,
    Swin2SRImageProcessor,
    Swin2SRModel,
)
from dovetail.errors import ConfigError, ProcessorError
from dovetail.testing.stages import StagedConformance
from dovetail_models_vision.pipelines.image_to_image import as_picture
from dovetail_models_vision.swin2sr.modeling import distances

SIZES: dict[str, Any] = {
    "image_size": 16,
    "embed_dim": 16,
    "depths": [2, 1],
    "num_heads": [2, 2],
    "window_size": 4,
    "drop_path_rate": 0.0,
}


class TestSwin2SR(StagedConformance):
    config_class = Swin2SRConfig
    model_classes = (Swin2SRModel, Swin2SRForImageSuperResolution)
    sizes = SIZES
    attends = True


def model(**changes: Any) -> Any:
    torch.manual_seed(0)
    return Swin2SRForImageSuperResolution(Swin2SRConfig(**{**SIZES, **changes})).eval()


@pytest.mark.parametrize(
    ("upsampler", "upscale"),
    [("pixelshuffle", 3), ("pixelshuffle_aux", 4), ("pixelshuffledirect", 2),
     ("nearest+conv", 4), ("", 1)],
)  # fmt: skip
def test_pictures_of_any_size_get_larger(upsampler: str, upscale: int):
    with torch.no_grad():
        output = model(upsampler=upsampler, upscale=upscale)(torch.rand(1, 3, 13, 18))
    assert output.reconstruction.shape == (1, 3, 13 * upscale, 18 * upscale)


def test_what_is_beyond_the_edge_is_what_is_within():
    body = Swin2SRModel(Swin2SRConfig(**SIZES)).eval()
    pixels = torch.rand(1, 3, 13, 16)
    mirrored = torch.nn.functional.pad(pixels, (0, 0, 0, 3), mode="reflect")
    with torch.no_grad():
        torch.testing.assert_close(body(pixels)[0], body(mirrored)[0])


def test_heads_can_be_masked():
    pixels, head_mask = torch.rand(1, 3, 16, 16), torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    body = Swin2SRModel(Swin2SRConfig(**SIZES)).eval()
    with torch.no_grad():
        masked = body(pixels, head_mask=head_mask)[0]
        torch.testing.assert_close(body(pixels, head_mask=torch.ones(2))[0], body(pixels)[0])
        assert not torch.equal(masked, body(pixels)[0])


def test_far_places_are_near_on_a_scale_of_logarithms():
    table = distances(3)
    assert table.shape == (25, 2)
    assert table[12].tolist() == [0, 0]
    assert table[0].tolist() == pytest.approx([-np.log2(9) / 3] * 2)


def test_pictures_have_no_loss():
    with pytest.raises(ValueError, match="super-resolution has no loss"):
        model()(torch.rand(1, 3, 16, 16), labels=torch.rand(1, 3, 32, 32))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"upsampler": "bilinear"}, "upsampler='bilinear' must be one of"),
        ({"resi_connection": "2conv"}, "resi_connection='2conv' must be one of"),
        ({"patch_size": 2}, "patch_size=2 .* must be 1 and False"),
        ({"upscale": 5}, "upscale=5 must be a power of 2, or 3"),
        ({"upsampler": "nearest+conv"}, "upscale=2 must be 4"),
        ({"num_heads": [2]}, "one entry for each stage"),
        ({"num_heads": [2, 3]}, "3 does not divide embed_dim=16"),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any], said: str):
    with pytest.raises(ConfigError, match=said):
        Swin2SRConfig(**SIZES | wrong)


@pytest.mark.parametrize("fast", [True, False])
def test_pictures_are_mirrored_to_the_next_multiple(fast: bool):
    picture = np.arange(3 * 2 * 4, dtype=np.uint8).reshape(3, 2, 4)
    made = Swin2SRImageProcessor(use_fast=fast, pad_size=4, do_rescale=False)
    pixels = made(picture, return_tensors="np", input_data_format="channels_first")["pixel_values"]
    assert pixels.shape == (1, 3, 4, 8)
    assert pixels[0, 0].tolist() == [
        [0, 1, 2, 3, 3, 2, 1, 0],
        [4, 5, 6, 7, 7, 6, 5, 4],
        [4, 5, 6, 7, 7, 6, 5, 4],
        [0, 1, 2, 3, 3, 2, 1, 0],
    ]
    with pytest.raises(ProcessorError, match="pad_size=0: use a whole number"):
        Swin2SRImageProcessor(pad_size=0)


def test_pictures_are_cut_to_what_can_be_shown():
    shown = as_picture(torch.tensor([[[-1.0, 0.5], [1.0, 2.0]]]))
    assert (shown.mode, shown.tobytes()) == ("L", bytes([0, 128, 255, 255]))
