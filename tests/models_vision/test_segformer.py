"""SegFormer passes the battery for models that work in stages; and what is peculiar to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from dovetail import (
    SegformerConfig,
    SegformerForImageClassification,
    SegformerForSemanticSegmentation,
    SegformerModel,
)
from dovetail.errors import ConfigError
from dovetail.testing.stages import StagedConformance
from dovetail.testing.subject import expect

SIZES: dict[str, Any] = {
    "num_encoder_blocks": 3,
    "depths": [1, 2, 1],
    "sr_ratios": [4, 2, 1],
    "hidden_sizes": [8, 16, 24],
    "patch_sizes": [7, 3, 3],
    "strides": [4, 2, 2],
    "num_attention_heads": [1, 2, 4],
    "mlp_ratios": [2, 3, 2],
    "decoder_hidden_size": 12,
    "drop_path_rate": 0.0,
    "num_labels": 3,
}


class TestSegformer(StagedConformance):
    config_class = SegformerConfig
    model_classes = (
        SegformerModel,
        SegformerForImageClassification,
        SegformerForSemanticSegmentation,
    )
    sizes = SIZES
    attends = True
    unused = (r"\.key\.bias",)

    def labels(self, model_class: Any, config: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        if model_class is SegformerForSemanticSegmentation:
            rows = len(inputs.get("pixel_values", range(2)))
            return {"labels": (torch.arange(32 * 32) % 3).view(32, 32).expand(rows, -1, -1)}
        return super().labels(model_class, config, inputs)

    def test_hidden_states_and_attentions_are_recorded(self, model_class: Any) -> None:
        model = self.build(model_class)
        inputs = self.inputs(model_class, model.config)
        output = self.run(model, inputs, output_hidden_states=True, output_attentions=True)
        sizes = [tuple(state.shape[1:]) for state in output.hidden_states]
        expect(sizes == [(8, 8, 8), (16, 4, 4), (24, 2, 2)], f"maps of {sizes}")
        shapes = [tuple(weights.shape[1:]) for weights in output.attentions]
        expect(shapes == [(1, 64, 4), (2, 16, 4), (2, 16, 4), (4, 4, 4)], f"weights of {shapes}")


def model(**changes: Any) -> Any:
    torch.manual_seed(0)
    return SegformerForSemanticSegmentation(SegformerConfig(**{**SIZES, **changes})).eval()


def test_the_head_reads_the_places_of_a_square():
    pixels = torch.randn(2, 3, 64, 64)
    mapped, flat = model(), model(reshape_last_stage=False)
    assert flat.segformer(pixels).last_hidden_state.shape == (2, 16, 24)
    with torch.no_grad():
        torch.testing.assert_close(flat(pixels).logits, mapped(pixels).logits)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (torch.zeros(2, 3, 32, 32).long(), r"\(2, 3, 32, 32\): give \(2, height, width\)"),
        (torch.zeros(1, 32, 32).long(), r"\(1, 32, 32\): give \(2, height, width\)"),
        (torch.full((2, 32, 32), 3), r"the class 3, but config.num_labels=3"),
        (torch.full((2, 32, 32), -1), r"the class -1, .* 255 is for pixels that do not count"),
    ],
)
def test_labels_that_cannot_be_are_refused(labels: torch.Tensor, said: str):
    with pytest.raises(ValueError, match=said):
        model()(torch.zeros(2, 3, 32, 32), labels=labels)


def test_pictures_of_other_channels_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 4, 32, 32\) must be \(batch, 3, height, width\)"):
        model()(torch.zeros(2, 4, 32, 32))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"depths": [2, 2]}, r"depths=\[2, 2\] must have num_encoder_blocks=3 entries"),
        ({"num_attention_heads": [1, 3, 4]}, "3 does not divide the width 16"),
    ],
)
def test_sizes_that_cannot_be_are_refused(wrong: dict[str, Any], said: str):
    with pytest.raises(ConfigError, match=said):
        SegformerConfig(**SIZES | wrong)
