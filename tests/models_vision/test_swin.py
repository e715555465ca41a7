"""Swin passes the battery for models that work in stages; windows cut, shift and join."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from dovetail import (
    SwinBackbone,
    SwinConfig,
    SwinForImageClassification,
    SwinForMaskedImageModeling,
    SwinModel,
)
from dovetail.errors import ConfigError
from dovetail.testing.stages import StagedConformance
from dovetail_models_vision.swin.windows import Windows, relative_positions

SIZES: dict[str, Any] = {
    "image_size": 32,
    "patch_size": 2,
    "embed_dim": 8,
    "depths": [2, 1, 2],
    "num_heads": [2, 2, 4],
    "window_size": 3,
    "encoder_stride": 8,
    "drop_path_rate": 0.0,
    "num_labels": 3,
}


class TestSwin(StagedConformance):
    config_class = SwinConfig
    model_classes = (
        SwinModel,
        SwinForImageClassification,
        SwinForMaskedImageModeling,
        SwinBackbone,
    )
    sizes = SIZES
    attends = True
    unused = (r"\.key\.bias",)

    def labels(self, model_class: Any, config: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        if model_class is SwinForMaskedImageModeling:
            rows = len(inputs.get("pixel_values", range(2)))
            return {"bool_masked_pos": (torch.arange(256) % 3 == 0).expand(rows, -1)}
        return super().labels(model_class, config, inputs)


@pytest.mark.parametrize(("rows", "columns"), [(6, 6), (7, 9), (5, 4), (2, 8)])
@pytest.mark.parametrize("shift", [0, 1, 2])
def test_joining_undoes_cutting(rows: int, columns: int, shift: int):
    maps = torch.randn(2, rows, columns, 5)
    layout = Windows.of(maps, 4, shift)
    assert torch.equal(layout.join(layout.cut(maps)), maps)


def test_patches_rolled_around_do_not_see_those_beside_them():
    maps = torch.arange(64.0).view(1, 8, 8, 1)
    layout = Windows.of(maps, 4, 2)
    windows, mask = layout.cut(maps)[..., 0].long(), layout.mask("cpu")
    assert mask is not None
    row, column = windows // 8, windows % 8
    near = ((row[:, None] - row[:, :, None]).abs() < 4) & (
        (column[:, None] - column[:, :, None]).abs() < 4
    )
    assert torch.equal(mask == 0, near)


def test_distances_are_counted_from_the_farthest():
    index = relative_positions(3)
    assert index[0, 0] == index[4, 4] == 12
    assert index[0, 8] == 0
    assert index[8, 0] == 24


def test_windows_larger_than_the_picture_shrink():
    config = SwinConfig(**SIZES | {"window_size": 12, "depths": [2, 2], "num_heads": [2, 2]})
    output = SwinModel(config).eval()(torch.ones(1, 3, 16, 20), output_attentions=True)
    assert output.last_hidden_state.shape == (1, 20, 16)
    assert [tuple(weights.shape[-2:]) for weights in output.attentions] == [(64, 64), (16, 16)]


def test_absolute_positions_are_resampled_on_request():
    model = SwinModel(SwinConfig(**SIZES, use_absolute_embeddings=True)).eval()
    with pytest.raises(ValueError, match="interpolate_pos_encoding=True"):
        model(torch.ones(1, 3, 40, 32))
    output = model(torch.ones(1, 3, 40, 32), interpolate_pos_encoding=True)
    assert output.last_hidden_state.shape == (1, 20, 32)


def test_hiding_patches_needs_a_mask_token():
    model = SwinModel(SwinConfig(**SIZES))
    with pytest.raises(ValueError, match="use_mask_token=True"):
        model(torch.ones(1, 3, 32, 32), bool_masked_pos=torch.ones(1, 256))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"num_heads": [2, 2]}, "one entry for each stage"),
        ({"num_heads": [2, 3, 4]}, "3 does not divide the width 16"),
    ],
)
def test_heads_that_cannot_be_are_refused(wrong: dict[str, Any], said: str):
    with pytest.raises(ConfigError, match=said):
        SwinConfig(**SIZES | wrong)
