"""BiT passes the battery for models that work in stages."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dovetail import BitBackbone, BitConfig, BitForImageClassification, BitModel
from dovetail.errors import ConfigError
from dovetail.testing.stages import StagedConformance
from dovetail_models_vision.bit.modeling import WeightStandardizedConv2d, round_width

SIZES: dict[str, Any] = {
    "embedding_size": 8,
    "hidden_sizes": [16, 32],
    "depths": [2, 1],
    "num_groups": 4,
    "num_labels": 3,
}


class TestBit(StagedConformance):
    config_class = BitConfig
    model_classes = (BitModel, BitForImageClassification, BitBackbone)
    sizes = SIZES


def test_the_scale_of_filters_does_not_matter():
    torch.manual_seed(0)
    convolution = WeightStandardizedConv2d(3, 5, 3)
    pixels = torch.randn(1, 3, 6, 6)
    before = convolution(pixels)
    convolution.weight.data.mul_(7).add_(2)
    torch.testing.assert_close(convolution(pixels), before)


@pytest.mark.parametrize(("size", "stride"), [(6, 2), (7, 2), (5, 3)])
def test_same_padding_divides_sizes_and_rounds_up(size: int, stride: int):
    convolution = WeightStandardizedConv2d(1, 1, 3, stride, padding="SAME")
    assert convolution(torch.zeros(1, 1, size, size + 1)).shape[-2:] == (
        -(-size // stride),
        -(-(size + 1) // stride),
    )


def test_widths_are_multiples_of_eight():
    assert [round_width(width) for width in (3, 12, 13, 18, 100)] == [8, 16, 16, 24, 104]


def test_wider_models_have_wider_heads():
    model = BitForImageClassification(BitConfig(**SIZES | {"width_factor": 2}))
    assert model(torch.zeros(1, 3, 32, 32)).logits.shape == (1, 3)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"global_padding": "half"}, r"global_padding='HALF' must be None or 'SAME'"),
        ({"hidden_sizes": [16]}, r"hidden_sizes=\[16\] lacks a width"),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any], said: str):
    with pytest.raises(ConfigError, match=said):
        BitConfig(**SIZES | wrong)
