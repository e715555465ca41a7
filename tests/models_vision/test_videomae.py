"""VideoMAE passes the battery; and what is peculiar to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from dovetail import (
    VideoMAEConfig,
    VideoMAEForPreTraining,
    VideoMAEForVideoClassification,
    VideoMAEModel,
)
from dovetail.errors import ConfigError
from dovetail.testing import seeded
from dovetail.testing.conformance import VisionConformance

SIZES = {
    "image_size": 16,
    "patch_size": 8,
    "num_frames": 4,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "decoder_num_attention_heads": 2,
    "decoder_hidden_size": 24,
    "decoder_num_hidden_layers": 2,
    "decoder_intermediate_size": 29,
}
MASK = torch.tensor([[1, 0, 1, 1, 0, 0, 1, 0], [0, 1, 1, 0, 1, 1, 0, 0]]).bool()


class TestVideoMAE(VisionConformance):
    config_class = VideoMAEConfig
    model_classes = (VideoMAEModel, VideoMAEForPreTraining, VideoMAEForVideoClassification)
    sizes = SIZES

    def pixels(self, config: Any, batch: int = 2) -> torch.Tensor:
        shape = (batch, config.num_frames, config.num_channels, 16, 16)
        return torch.from_numpy(seeded.noise("videos", shape))

    def inputs(self, model_class: Any, config: Any, batch: int = 2, length: int = 7) -> Any:
        given = super().inputs(model_class, config, batch, length)
        painted = model_class is VideoMAEForPreTraining
        return given | ({"bool_masked_pos": MASK[:batch]} if painted else {})

    def labels(self, model_class: Any, config: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        if model_class is VideoMAEForPreTraining:
            return {"return_dict": True}  # its loss needs nothing else
        return super().labels(model_class, config, inputs)

    def run(self, model: Any, inputs: Mapping[str, Any], **changes: Any) -> Any:
        """Without the loss of a painter, which is always there and of no row."""
        output = super().run(model, inputs, **changes)
        if isinstance(model, VideoMAEForPreTraining):
            if isinstance(output, tuple):
                return output[1:]
            output.loss = None
        return output


def model(cls: Any = VideoMAEModel, **changes: Any) -> Any:
    torch.manual_seed(0)
    return cls(VideoMAEConfig(**{**SIZES, **changes})).eval()


def videos(*shape: int) -> torch.Tensor:
    return torch.randn(*(shape or (2, 4, 3, 16, 16)), generator=torch.Generator().manual_seed(0))


def test_masked_patches_are_not_seen():
    body, given = model(), videos()
    with torch.no_grad():
        expected = body(given, MASK).last_hidden_state
        changed = given.clone()
        changed[0, :2, :, :8, :8] += 1  # the first patch of the first video is masked
        assert expected.shape == (2, 4, 32)
        torch.testing.assert_close(body(changed, MASK).last_hidden_state, expected)
        assert not torch.allclose(body(changed).last_hidden_state, body(given).last_hidden_state)


def test_a_perfect_painter_has_no_loss():
    painter, given = model(VideoMAEForPreTraining), videos()
    pixels = painter.pixels(given)
    assert pixels.shape == (2, 8, 2 * 8 * 8 * 3)
    means = pixels.unflatten(2, (-1, 3)).mean(2)
    torch.testing.assert_close(means, torch.zeros_like(means), atol=1e-5, rtol=0)
    painter.paint = lambda seen, hidden: pixels[hidden].unflatten(0, (2, -1))
    assert painter(given, MASK).loss == 0


@pytest.mark.parametrize(
    ("given", "mask", "message"),
    [
        (videos(2, 4, 16, 16, 3), None, r"must be \(batch, frames, 3, 16, 16\)"),
        (videos(4, 3, 16, 16), None, r"shape \(4, 3, 16, 16\)"),
        (videos(1, 6, 3, 16, 16), None, r"6 frames make 12 patches, .* 8 positions"),
        (videos(), MASK[:1], r"bool_masked_pos has the shape \(1, 8\): give \(2, 8\)"),
        (videos(), MASK & MASK[:1], r"hides \[4, 1\] of 8 patches"),
        (videos(), torch.ones(2, 8).bool(), r"and not all"),
    ],
)
def test_what_cannot_be_read_is_refused(given: Any, mask: Any, message: str):
    with pytest.raises(ValueError, match=message):
        model()(given, mask)


def test_painting_needs_a_mask():
    with pytest.raises(ValueError, match="bool_masked_pos is None"):
        model(VideoMAEForPreTraining)(videos())


@pytest.mark.parametrize(
    "changes", [{"tubelet_size": 8}, {"decoder_num_attention_heads": 5}, {"patch_size": 32}]
)
def test_sizes_must_fit(changes: dict[str, Any]):
    with pytest.raises(ConfigError):
        VideoMAEConfig(**{**SIZES, **changes})


def test_heads_are_pruned_with_their_biases():
    body = model()
    body.prune_heads({0: [1, 2]})
    attention = body.encoder.layer[0].attention.attention
    assert attention.query.weight.shape == attention.key.weight.shape == (16, 32)
    assert attention.key.bias is None
    assert body(videos()).last_hidden_state.shape == (2, 8, 32)


def test_positions_are_built_where_they_are_needed():
    with torch.device("meta"):
        made = VideoMAEModel(VideoMAEConfig(**SIZES))
    positions = made.embeddings.position_embeddings
    positions.reset_buffers("cpu")
    torch.testing.assert_close(positions.weight[0, :4], torch.tensor([0.0, 1.0, 0.0, 1.0]))
    torch.testing.assert_close(positions.weight[3, 0], torch.tensor(3.0).sin())
