"""SigLIP's image encoder passes the battery for models that read images."""

from __future__ import annotations

import pytest
import torch
from tests.models_vision.towers import VISION

from dovetail import SiglipVisionConfig, SiglipVisionModel
from dovetail.testing.checkpoints import CheckpointTests
from dovetail.testing.forward import ForwardTests
from dovetail.testing.pixels import PixelInputs


class TestSiglipVision(PixelInputs, ForwardTests, CheckpointTests):
    config_class = SiglipVisionConfig
    model_classes = (SiglipVisionModel,)
    sizes = VISION


def test_images_of_another_size_are_refused_unless_asked_for():
    model = TestSiglipVision().build(SiglipVisionModel)
    with pytest.raises(ValueError, match="16 by 24 pixels"):
        model(torch.ones(1, 3, 16, 24))
    assert model(torch.ones(1, 3, 16, 24), interpolate_pos_encoding=True)[0].shape[1] == 24
    with pytest.raises(ValueError, match="pixel_values is None"):
        model(None)
