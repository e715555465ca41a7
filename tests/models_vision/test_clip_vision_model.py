"""CLIP's image encoder passes the battery for models that read images."""

from __future__ import annotations

from tests.models_vision.towers import VISION

from dovetail import CLIPVisionConfig, CLIPVisionModel, CLIPVisionModelWithProjection
from dovetail.testing.checkpoints import CheckpointTests
from dovetail.testing.forward import ForwardTests
from dovetail.testing.pixels import PixelInputs


class TestCLIPVision(PixelInputs, ForwardTests, CheckpointTests):
    config_class = CLIPVisionConfig
    model_classes = (CLIPVisionModel, CLIPVisionModelWithProjection)
    sizes = VISION | {"projection_dim": 24}
